//! What a bundle says of its native container, for whoever has to undo it: `delete`, after the server was killed.

use super::runtime::Runtime;
use super::{Container, NativeError};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// By whom it was made, and what else was.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    runtime: Runtime,
    /// Whether the root was mounted in the bundle.
    mounted: bool,
}

fn file(bundle: &Path) -> PathBuf {
    bundle.join("native.json")
}

impl Container {
    /// Says it, before anything is made.
    pub(super) fn note(&self) -> Result<(), NativeError> {
        let path = file(&self.bundle);
        let note = Note { runtime: self.runtime.clone(), mounted: self.mounted };
        let text =
            serde_json::to_vec(&note).map_err(|source| NativeError::Note { path: path.clone(), source })?;
        fs::write(&path, text).map_err(NativeError::file("write", &path))
    }

    /// The container of a bundle; none if it is no native one's.
    pub(super) fn noted(bundle: &Path, namespace: &str, id: &str) -> Result<Option<Self>, NativeError> {
        let path = file(bundle);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(NativeError::file("read", path)(error)),
        };
        let Note { runtime, mounted } =
            serde_json::from_slice(&text).map_err(|source| NativeError::Note { path, source })?;
        let (id, namespace, bundle) = (id.to_owned(), namespace.to_owned(), bundle.to_owned());
        Ok(Some(Self { runtime, id, namespace, bundle, mounted }))
    }

    /// Takes the word back: nothing is left to undo.
    pub(super) fn forget(&self) -> Result<(), NativeError> {
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
    fn what_a_bundle_says_is_undone_and_then_forgotten() {
        let bundle = tempfile::tempdir().expect("a directory");
        let noted = || Container::noted(bundle.path(), "k8s.io", "c1");
        assert!(noted().expect("read").is_none());
        let runtime = Runtime::at("/usr/sbin/runc".into(), "/run/state".into());
        let (id, namespace, bundle) = ("c1".to_owned(), "k8s.io".to_owned(), bundle.path().to_owned());
        let container = Container { runtime, id, namespace, bundle: bundle.clone(), mounted: true };
        container.note().expect("noted");
        let found = noted().expect("read").expect("a native one");
        assert_eq!((&found.runtime, found.mounted), (&container.runtime, true));
        found.forget().expect("forgotten");
        found.forget().expect("twice is fine");
        assert!(noted().expect("read").is_none());
        fs::write(file(&bundle), "{").expect("written");
        assert!(matches!(noted(), Err(NativeError::Note { .. })));
    }
}
