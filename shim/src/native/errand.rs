//! What one command of a runtime writes and is given, its own and gone with it: so the error that is found is that
//! command's, whatever runs beside it, and a probe that fails every ten seconds leaves nothing that grows.
//!
//! ```text
//!  log, stderr                in memory: a container can be ended, and its error told, on a disk that is full
//!  <bundle>/oci-…/            only for an exec: the process that it is given, and the pid that it tells
//! ```

use super::NativeError;
use std::fs::{self, DirBuilder, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A command that is under way.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) log: File,
    pub(super) stderr: File,
}

impl Errand {
    pub(super) fn new() -> Result<Self, NativeError> {
        let file =
            |name| pinnace_spawn::memory_file(name).map_err(NativeError::file("make", "a memory file"));
        Ok(Self { log: file("oci-log")?, stderr: file("oci-stderr")? })
    }

    /// Where the runtime writes its log.
    pub(super) fn log_path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.log.as_raw_fd()).into()
    }
}

/// A directory in the bundle for what a command is given and tells. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct Desk {
    directory: PathBuf,
}

impl Desk {
    pub(super) fn new(bundle: &Path) -> Result<Self, NativeError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Another process may work in this bundle too: `delete`.
        let name = format!("oci-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = bundle.join(name);
        DirBuilder::new().mode(0o700).create(&directory).map_err(NativeError::file("make", &directory))?;
        Ok(Self { directory })
    }

    /// Where the runtime tells the pid of a further process.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.directory.join("pid")
    }

    /// Gives it something to read.
    pub(super) fn give(&self, name: &str, content: &[u8]) -> Result<PathBuf, NativeError> {
        let path = self.directory.join(name);
        fs::write(&path, content).map_err(NativeError::file("write", &path))?;
        Ok(path)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // A bundle that is gone has taken it along.
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            log::debug!("{} is not removed: {error}", self.directory.display());
        }
    }
}

/// The pid that a runtime wrote.
pub(super) fn pid(command: &'static str, path: &Path) -> Result<i32, NativeError> {
    let text = fs::read_to_string(path).map_err(NativeError::file("read", path))?;
    let pid = text.trim().parse().ok().filter(|pid| *pid > 0);
    pid.ok_or_else(|| NativeError::NoPid { command, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_and_leaves_nothing() {
        let bundle = tempfile::tempdir().expect("a directory");
        let (one, other) =
            (Desk::new(bundle.path()).expect("one"), Desk::new(bundle.path()).expect("another"));
        assert_ne!(one.pid_file(), other.pid_file());
        let given = one.give("process.json", b"{}").expect("given");
        assert_eq!(fs::read(given).expect("read"), b"{}");
        drop((one, other));
        assert_eq!(fs::read_dir(bundle.path()).expect("read").count(), 0);
        assert!(Desk::new(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn whoever_is_told_the_path_of_a_log_can_write_to_it() {
        let errand = Errand::new().expect("memory");
        let mut log = File::options().append(true).open(errand.log_path()).expect("opened");
        std::io::Write::write_all(&mut log, b"said").expect("written");
        assert_eq!(errand.log.metadata().expect("a file").len(), 4);
    }

    #[test]
    fn a_pid_is_a_positive_number() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (text, expected) in
            [("17", Some(17)), ("17\n", Some(17)), ("", None), ("0", None), ("-1", None), ("x", None)]
        {
            fs::write(file.path(), text).expect("written");
            assert_eq!(pid("create", file.path()).ok(), expected, "{text:?}");
        }
        assert!(matches!(pid("create", Path::new("/nowhere")), Err(NativeError::File { .. })));
    }
}
