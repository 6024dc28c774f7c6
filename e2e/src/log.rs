//! containerd's own log: a warning or an error that no test declared is a failure.

use std::fs;
use std::path::Path;

/// What containerd says on its own about the machine or about being stopped, whatever we do.
const OWN: [&str; 7] = [
    // It is stopped while it collects.
    "garbage collection failed\" error=\"failed to start transaction: database not open",
    // It closes a shim's log while it still reads it.
    "copy shim log\" error=\"read /proc/self/fd/",
    // In every removal, also an orderly one.
    "cleaning up after shim disconnected",
    // A private containerd has no place for it, and no test needs it.
    "failed to load plugin",
    "skip loading plugin",
    "could not use snapshotter",
    // Its own start on a machine with limits of its own.
    "failed to get the root cgroup",
];

/// What the shims of others cause: they are here to be compared with, not to be judged.
pub(crate) const OTHERS: [&str; 2] = [
    // runc's `delete` says so when its Delete was faster.
    "failed to read init pid file",
    // A shim that exits while its last event is answered.
    "failed sending message on channel",
];

/// The lines at warning or above that are neither containerd's own nor expected.
pub(crate) fn unexpected(log: &Path, expected: &[String]) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let known = |line: &&str| {
        OWN.iter().any(|part| line.contains(part)) || expected.iter().any(|part| line.contains(part.as_str()))
    };
    text.lines().filter(|line| grave(line)).filter(|line| !known(line)).map(str::to_owned).collect()
}

/// containerd's lines carry a level; lines without one are a shim's own words or a panic.
fn grave(line: &str) -> bool {
    let level = line.split(' ').find_map(|word| word.strip_prefix("level="));
    !matches!(level, Some("trace" | "debug" | "info")) && !line.is_empty()
}

#[cfg(test)]
mod tests {
    use super::grave;

    #[test]
    fn only_lines_at_warning_or_above_count_and_lines_without_a_level_do_too() {
        assert!(!grave(r#"time="2026" level=info msg="a level=error in a message""#));
        assert!(grave(r#"time="2026" level=warning msg=x"#));
        assert!(grave("panic: runtime error"));
    }
}
