//! The mounts of this namespace, as `/proc/self/mountinfo` lists them.

use std::io;
use std::os::fd::BorrowedFd;

/// Where something is mounted below the directory `origin`, relative to it; each place before those below it.
pub(super) fn below(origin: BorrowedFd<'_>) -> io::Result<Vec<String>> {
    use std::os::fd::AsRawFd;
    // The kernel's own idea of where it is: the source's path may have led through symlinks.
    let directory = std::fs::read_link(format!("/proc/self/fd/{}", origin.as_raw_fd()))?;
    let directory = directory.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    Ok(parse(&std::fs::read_to_string("/proc/self/mountinfo")?, directory))
}

fn parse(mountinfo: &str, directory: &str) -> Vec<String> {
    let mut places: Vec<String> = mountinfo
        .lines()
        .filter_map(|line| {
            let point = unescape(line.split(' ').nth(4)?);
            let path = relative_to(&point, directory)?;
            (!path.is_empty()).then(|| path.to_owned())
        })
        .collect();
    // The list is in the order of making, which moving a mount does not change. Of several at one place, the
    // topmost is seen.
    places.sort_unstable();
    places.dedup();
    places
}

/// What is left of `path` below `directory`: nothing for the directory itself.
pub(super) fn relative_to<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(directory.trim_end_matches('/'))?;
    match rest.strip_prefix('/') {
        Some(rest) => Some(rest),
        None => rest.is_empty().then_some(rest),
    }
}

/// Blanks and backslashes of a path are written as `\ooo`.
fn unescape(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_owned();
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) if byte == b'\\' => {
                bytes.push(escaped);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{parse, relative_to};

    const LIST: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
26 24 0:8 / /data/a\\040b/c rw - tmpfs none rw
23 22 0:5 / /data rw shared:1 - tmpfs none rw
24 23 0:6 / /data/a\\040b rw - proc none rw
25 22 0:7 / /database rw - tmpfs none rw
27 24 0:9 / /data/a\\040b/c rw - tmpfs none rw
";

    #[test]
    fn places_below_are_those_below_in_their_order() {
        assert_eq!(parse(LIST, "/data"), ["a b", "a b/c"]);
        assert_eq!(parse(LIST, "/data/a b"), ["c"]);
        assert!(parse(LIST, "/dat").is_empty());
        assert_eq!(parse(LIST, "/"), ["data", "data/a b", "data/a b/c", "database"]);
    }

    #[test]
    fn a_name_that_begins_alike_is_not_below() {
        assert_eq!(relative_to("/database", "/data"), None);
        assert_eq!(relative_to("/data", "/data"), Some(""));
        assert_eq!(relative_to("/data/x", "/"), Some("data/x"));
        assert_eq!(relative_to("a/b", "a"), Some("b"));
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        assert_eq!(parse("x\n\n1 2\n7 1 0:1 / /data/x\\9\n", "/data"), ["x\\9"]);
    }
}
