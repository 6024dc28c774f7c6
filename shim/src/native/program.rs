//! The runtime's program, looked for as containerd looks for its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where programs of the system are, if the `PATH` that containerd was started with leaves one out.
const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Every directory that is looked into, in order: those of `path`, which is containerd's own, then the usual ones.
/// A relative one would depend on where containerd was started.
fn directories(path: Option<&OsStr>) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    let given = path.into_iter().flat_map(std::env::split_paths).filter(|directory| directory.is_absolute());
    for directory in given.chain(std::env::split_paths(USUAL)) {
        if !all.contains(&directory) {
            all.push(directory);
        }
    }
    all
}

/// The file of a program, by its name or its absolute path; else the places where it is not.
pub(super) fn find(program: &str, path: Option<&OsStr>) -> Result<PathBuf, String> {
    if program.starts_with('/') {
        return Some(PathBuf::from(program))
            .filter(|file| is_executable(file))
            .ok_or_else(|| "that place".to_owned());
    }
    let directories = directories(path);
    let found = directories.iter().map(|directory| directory.join(program)).find(|file| is_executable(file));
    found.ok_or_else(|| {
        directories.iter().map(|directory| directory.display().to_string()).collect::<Vec<_>>().join(":")
    })
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_executable_file_is_taken() {
        let place = tempfile::tempdir().expect("a directory");
        let put = |name: &str, mode: u32| {
            let file = place.path().join(name);
            fs::create_dir_all(file.parent().expect("a parent")).expect("made");
            fs::write(&file, "").expect("written");
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("set");
            file
        };
        put("a/runc", 0o644);
        fs::create_dir_all(place.path().join("b/runc")).expect("made");
        let third = put("c/runc", 0o755);
        put("d/runc", 0o755);
        let path =
            ["a", "b", "none", "c", "d"].map(|name| place.path().join(name).display().to_string()).join(":");
        assert_eq!(find("runc", Some(OsStr::new(&path))), Ok(third.clone()));
        assert_eq!(find(third.to_str().expect("text"), None), Ok(third));
    }

    #[test]
    fn what_is_missing_is_told_with_every_place() {
        let searched =
            find("no-such-runtime", Some(OsStr::new("/opt/k3s/bin:relative::/usr/bin"))).unwrap_err();
        assert_eq!(searched, "/opt/k3s/bin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin");
        assert!(find("/no/such/runtime", None).is_err());
    }
}
