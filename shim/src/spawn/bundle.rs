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

    /// Notes that the cgroup of the spec's path is this container's, which a refused Create never finds out: its
    /// path may be another's, and `delete` must not end the processes there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_cgroup(&self) -> Result<(), BundleError> {
        let path = self.0.join(CGROUP);
        std::fs::write(&path, "").map_err(|source| BundleError::Write { path, source })
    }

    /// Takes that back: the container is deleted, and the path may be another's any time.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_cgroup(&self) -> Result<(), BundleError> {
        let path = self.0.join(CGROUP);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(BundleError::Write { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Whether the cgroup was noted as this container's.
    #[must_use]
    pub fn has_cgroup(&self) -> bool {
        self.0.join(CGROUP).exists()
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
