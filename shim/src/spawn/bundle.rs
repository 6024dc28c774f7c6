//! A bundle: the directory in which containerd puts one container's `config.json`.

use oci_spec::runtime::{Process, Spec};
use std::io;
use std::path::{Path, PathBuf};

/// A bundle that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no runtime-spec configuration.
    #[error("{} is not a container's configuration: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// It has no process.
    #[error("{} has no process: nothing can be run", path.display())]
    NoProcess {
        /// The file.
        path: PathBuf,
    },
    /// The pid could not be noted.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes a note all at once: a disk that is full, or a server that is killed, leaves none and not half of one.
///
/// # Errors
/// When it cannot be written; nothing is left then.
pub(crate) fn note(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let noted = std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, path));
    if noted.is_err() {
        // Whoever hears of the failure has the bundle removed.
        let _ = std::fs::remove_file(&fresh);
    }
    noted
}

/// What a bundle tells of the cgroup at its container's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It may be another's.
    Nothing,
    /// Create was making it: what is there may be the container's, without a process, or another's.
    Begun,
    /// It is the container's, with all that is in it.
    Ours,
}

/// A bundle's directory.
#[derive(Debug, Clone, Copy)]
pub struct Bundle<'a>(pub &'a Path);

impl Bundle<'_> {
    /// The container's configuration.
    ///
    /// # Errors
    /// When it cannot be read or is malformed.
    pub fn spec(&self) -> Result<Spec, BundleError> {
        let path = self.0.join("config.json");
        let text = std::fs::read(&path).map_err(|source| BundleError::Read { path: path.clone(), source })?;
        serde_json::from_slice(&text).map_err(|source| BundleError::Parse { path, source })
    }

    /// The process of a spec, which for a container must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn process<'s>(&self, spec: &'s Spec) -> Result<&'s Process, BundleError> {
        spec.process().as_ref().ok_or_else(|| BundleError::NoProcess { path: self.0.join("config.json") })
    }

    /// The root directory the spec names.
    #[must_use]
    pub fn root_path(&self, spec: &Spec) -> PathBuf {
        let named = spec.root().as_ref().map_or(Path::new("rootfs"), |root| root.path().as_path());
        self.0.join(named)
    }

    /// Where a root can be mounted for the moment in which it is cloned.
    #[must_use]
    pub fn rootfs(&self) -> PathBuf {
        self.0.join("rootfs")
    }

    /// Notes that the cgroup of the spec's path is about to be made: from now on `delete` removes what is empty there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin_cgroup(&self) -> Result<(), BundleError> {
        let path = self.0.join(CGROUP_BEGUN);
        std::fs::write(&path, "").map_err(|source| BundleError::Write { path, source })
    }

    /// Notes that the cgroup of the spec's path is this container's, which a refused Create never finds out: its
    /// path may be another's, and `delete` must not end the processes there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_cgroup(&self) -> Result<(), BundleError> {
        let path = self.0.join(CGROUP);
        let begun = std::fs::rename(self.0.join(CGROUP_BEGUN), &path);
        // An OCI runtime makes its own.
        let noted = match begun {
            Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::write(&path, ""),
            begun => begun,
        };
        noted.map_err(|source| BundleError::Write { path, source })
    }

    /// Takes both back: the container is deleted, or was refused, and the path may be another's any time.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn forget_cgroup(&self) -> Result<(), BundleError> {
        for name in [CGROUP_BEGUN, CGROUP] {
            let path = self.0.join(name);
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(BundleError::Write { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What is known of the cgroup at the spec's path.
    #[must_use]
    pub fn cgroup(&self) -> Noted {
        let is_there = |name| self.0.join(name).exists();
        match (is_there(CGROUP), is_there(CGROUP_BEGUN)) {
            (true, _) => Noted::Ours,
            (false, true) => Noted::Begun,
            (false, false) => Noted::Nothing,
        }
    }

    /// Notes the engine's pid, which `delete` answers with after this server was killed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_pid(&self, pid: i32) -> Result<(), BundleError> {
        let path = self.pid_file();
        note(&path, pid.to_string().as_bytes()).map_err(|source| BundleError::Write { path, source })
    }

    /// Where the pid is noted.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.0.join(PID)
    }

    /// The pid that was noted; none if Create never got that far.
    #[must_use]
    pub fn noted_pid(&self) -> Option<u32> {
        std::fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok()
    }
}

/// Empty: that it is there says everything.
const CGROUP: &str = "cgroup";

/// The same, before it is known whose the cgroup is.
const CGROUP_BEGUN: &str = "cgroup.begun";

/// The name runc's shim uses too.
const PID: &str = "init.pid";

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Result<Spec, BundleError> {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("config.json"), text).expect("written");
        Bundle(directory.path()).spec()
    }

    #[test]
    fn a_cgroup_is_begun_then_ours_then_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let bundle = Bundle(directory.path());
        assert_eq!(bundle.cgroup(), Noted::Nothing);
        bundle.begin_cgroup().expect("noted");
        assert_eq!(bundle.cgroup(), Noted::Begun);
        bundle.note_cgroup().expect("noted");
        assert_eq!(bundle.cgroup(), Noted::Ours);
        bundle.forget_cgroup().expect("forgotten");
        bundle.forget_cgroup().expect("nothing to forget");
        assert_eq!(bundle.cgroup(), Noted::Nothing);
        // An OCI runtime makes its own.
        bundle.note_cgroup().expect("noted");
        assert_eq!(bundle.cgroup(), Noted::Ours);
    }

    #[test]
    fn what_is_wrong_with_a_bundle_names_the_file() {
        let missing = Bundle(Path::new("/nowhere")).spec().expect_err("missing");
        assert!(missing.to_string().contains("/nowhere/config.json"), "{missing}");
        assert!(matches!(spec("{"), Err(BundleError::Parse { .. })));
        let bundle = Bundle(Path::new("/b"));
        let empty = spec(r#"{"ociVersion":"1.1.0"}"#).expect("fine");
        assert!(matches!(bundle.process(&empty), Err(BundleError::NoProcess { .. })));
    }

    #[test]
    fn the_root_is_relative_to_the_bundle_or_absolute() {
        let named = |root: &str| {
            let text = format!(r#"{{"ociVersion":"1.1.0","root":{{"path":"{root}"}}}}"#);
            Bundle(Path::new("/b")).root_path(&spec(&text).expect("fine"))
        };
        assert_eq!(named("rootfs"), Path::new("/b/rootfs"));
        assert_eq!(named("/var/lib/docker/x"), Path::new("/var/lib/docker/x"));
    }
}
