//! What a bundle says of its native container, for whoever has to undo it: `delete`, after the server was killed.

use super::errand::Errand;
use super::runtime::{Runtime, Streams};
use super::{NativeError, rootfs};
use crate::spawn::{Bundle, note};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What there is of a container, beside its processes and its cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remains {
    pub(super) runtime: Runtime,
    pub(super) id: String,
    #[serde(skip)]
    pub(super) bundle: PathBuf,
    /// Whether its root was mounted in the bundle.
    pub(super) mounted: bool,
}

fn file(bundle: &Path) -> PathBuf {
    bundle.join("native.json")
}

impl Remains {
    /// Says it, before anything is made.
    pub(super) fn note(&self) -> Result<(), NativeError> {
        let path = file(&self.bundle);
        let text =
            serde_json::to_vec(self).map_err(|source| NativeError::Note { path: path.clone(), source })?;
        note(&path, &text).map_err(NativeError::file("write", &path))
    }

    /// Says it in its place in the bundle of its pod, for when its own is gone, and its root with that.
    pub(super) fn note_in(&self, place: PathBuf) -> Result<(), NativeError> {
        Self { bundle: place, mounted: false, ..self.clone() }.note()
    }

    /// Those of a bundle; none if it is no native container's, or all is undone.
    pub(super) fn noted(bundle: &Path) -> Result<Option<Self>, NativeError> {
        let path = file(bundle);
        match fs::read(&path) {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(remains) => Ok(Some(Self { bundle: bundle.to_owned(), ..remains })),
                Err(source) => Err(NativeError::Note { path, source }),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(NativeError::file("read", path)(error)),
        }
    }

    /// Has the runtime forget it, whatever lives of it, unmounts its root, and takes the word back.
    pub(super) async fn undo(&self, limit: Duration) -> Result<(), NativeError> {
        let errand = Errand::new()?;
        let args = ["--force".into(), (&self.id).into()];
        let deleted = match self.runtime.run(&errand, "delete", args, Streams::Own(None), Some(limit)).await {
            // Whoever removed the program has left its state to us.
            Err(NativeError::Run { source, .. }) if source.kind() == ErrorKind::NotFound => {
                self.runtime.abandon(&self.id)
            }
            done => done,
        };
        let unmounted = if self.mounted { rootfs::detach(&Bundle(&self.bundle).rootfs()) } else { Ok(()) };
        deleted.and(unmounted)?;
        self.forget()
    }

    fn forget(&self) -> Result<(), NativeError> {
        let path = file(&self.bundle);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(NativeError::file("remove", path)(error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_was_removed_leaves_nothing_either() {
        let place = tempfile::tempdir().expect("a directory");
        let (bundle, root) = (place.path().join("bundle"), place.path().join("root"));
        for directory in [&bundle, &root.join("c1"), &root.join("c2")] {
            fs::create_dir_all(directory).expect("made");
        }
        let runtime = Runtime::at("/nowhere/runc".into(), root.clone());
        let remains = Remains { runtime, id: "c1".to_owned(), bundle: bundle.clone(), mounted: false };
        remains.note().expect("noted");
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio.block_on(remains.undo(Duration::from_secs(1))).expect("undone");
        assert!(!root.join("c1").exists() && root.join("c2").exists());
        assert_eq!(Remains::noted(&bundle).expect("read"), None);
        assert_eq!(fs::read_dir(bundle).expect("read").count(), 0);
    }

    #[test]
    fn what_a_bundle_says_is_found_until_it_is_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let bundle = directory.path();
        assert_eq!(Remains::noted(bundle).expect("read"), None);
        let runtime = Runtime::at("/usr/sbin/runc".into(), "/run/state".into());
        let remains = Remains { runtime, id: "c1".to_owned(), bundle: bundle.to_owned(), mounted: true };
        remains.note().expect("noted");
        assert_eq!(Remains::noted(bundle).expect("read"), Some(remains.clone()));
        remains.forget().expect("forgotten");
        remains.forget().expect("twice is fine");
        assert_eq!(Remains::noted(bundle).expect("read"), None);
        fs::write(file(bundle), "{").expect("written");
        assert!(matches!(Remains::noted(bundle), Err(NativeError::Note { .. })));
    }
}
