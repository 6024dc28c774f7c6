//! One file or directory with images in it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::archive::Archive;
use super::docker::{Docker, Saved};
use super::layout::Layout;
use super::{ReadError, Stored};
use crate::blob::{Blob, NotTaken};
use crate::document::{Descriptor, MAX_DOCUMENT, shortened};
use crate::error::Defect;

/// Where images lie, by path.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    files: Files,
    /// What `docker save` wrote, if the files are of that kind.
    docker: Option<Docker>,
}

#[derive(Debug)]
enum Files {
    Archive(Archive),
    Layout(Layout),
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "imageLayoutVersion", default)]
    version: String,
}

impl Store {
    /// Opens an OCI archive, an OCI layout or the output of `docker save`.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let path = path.into();
        let io = |source| ReadError::Io { path: path.clone(), source };
        let metadata = std::fs::metadata(&path).map_err(io)?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(ReadError::NoImage { path });
        }
        let file = File::open(&path).map_err(io)?;
        let files = if metadata.is_dir() {
            Files::Layout(Layout::new(file))
        } else {
            Files::Archive(Archive::open(&path, file)?)
        };
        let mut store = Self { path, files, docker: None };
        if let Some(stored) = store.file("oci-layout")? {
            let Version { version } = store.json("oci-layout", &stored)?;
            if version != "1.0.0" {
                let version = super::archive::cut(&version);
                return Err(ReadError::Version { path: store.path, version });
            }
            return Ok(store);
        }
        // An index without its layout is a damaged layout, whatever else is there.
        let saved = if store.file("index.json")?.is_some() { None } else { store.file("manifest.json")? };
        let Some(stored) = saved else {
            return Err(ReadError::NoImage { path: store.path });
        };
        let saved: Vec<Saved> = store.json("manifest.json", &stored)?;
        store.docker = Some(Docker::read(&store, &saved)?);
        Ok(store)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn docker(&self) -> Option<&Docker> {
        self.docker.as_ref()
    }

    /// The file of this name.
    pub(super) fn file(&self, name: &str) -> Result<Option<Stored>, ReadError> {
        match &self.files {
            Files::Archive(archive) => Ok(archive.file(name)),
            Files::Layout(layout) => layout.file(&self.path, name),
        }
    }

    pub(super) fn need(&self, name: &str, limit: u64) -> Result<Stored, ReadError> {
        let missing =
            || ReadError::Missing { path: self.path.clone(), name: super::archive::cut(name), limit };
        self.file(name)?.filter(|stored| stored.size() <= limit).ok_or_else(missing)
    }

    /// A JSON document at the top.
    pub(super) fn json<T: DeserializeOwned>(&self, name: &str, stored: &Stored) -> Result<T, ReadError> {
        if stored.size() > MAX_DOCUMENT {
            let (path, name) = (self.path.clone(), name.to_owned());
            return Err(ReadError::Missing { path, name, limit: MAX_DOCUMENT });
        }
        let mut bytes = Vec::new();
        stored.reader().read_to_end(&mut bytes).map_err(|source| self.io(source))?;
        serde_json::from_slice(&bytes).map_err(|error| ReadError::Malformed {
            path: self.path.clone(),
            name: name.to_owned(),
            reason: shortened(&error),
        })
    }

    /// A blob that is there, of the right size; its digest is checked by who reads it.
    pub(crate) fn blob(&self, what: &'static str, wanted: &Descriptor) -> Result<Stored, ReadError> {
        let Descriptor { digest, size, .. } = *wanted;
        let made = self.docker.as_ref().and_then(|docker| docker.blob(digest));
        let found = match made {
            Some(stored) => Some(stored),
            None => self.file(&format!("blobs/sha256/{}", digest.hex()))?,
        };
        let stored = found.ok_or_else(|| self.defective(Defect::Absent { what, digest }))?;
        if stored.size() != size {
            return Err(self.defective(Defect::WrongSize { digest, size }));
        }
        Ok(stored)
    }

    /// A blob with something behind it, or none: archives often hold one platform of an index.
    pub(super) fn has(&self, wanted: &Descriptor) -> Result<bool, ReadError> {
        match self.blob("manifest", wanted) {
            Ok(_) => Ok(true),
            Err(ReadError::Defective { defect: Defect::Absent { .. }, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A document, whole and checked.
    pub(super) fn document(&self, what: &'static str, wanted: &Descriptor) -> Result<Vec<u8>, ReadError> {
        let Descriptor { digest, size, .. } = *wanted;
        if size > MAX_DOCUMENT {
            return Err(self.defective(Defect::LargeDocument { digest, size, limit: MAX_DOCUMENT }));
        }
        self.bytes(what, wanted)
    }

    /// A blob, whole and checked. The caller has bounded its size.
    pub(super) fn bytes(&self, what: &'static str, wanted: &Descriptor) -> Result<Vec<u8>, ReadError> {
        let stored = self.blob(what, wanted)?;
        let mut bytes = Vec::new();
        self.copy(&stored, wanted, &mut bytes)?;
        Ok(bytes)
    }

    fn copy(&self, stored: &Stored, wanted: &Descriptor, sink: &mut Vec<u8>) -> Result<(), ReadError> {
        copy(stored, wanted, sink).map_err(|error| match error {
            NotTaken::Defect(defect) => self.defective(defect),
            NotTaken::Sink(source) => self.io(source),
        })
    }

    pub(super) fn defective(&self, defect: Defect) -> ReadError {
        ReadError::Defective { path: self.path.clone(), defect }
    }

    pub(super) fn io(&self, source: io::Error) -> ReadError {
        ReadError::Io { path: self.path.clone(), source }
    }
}

/// Copies a blob, and checks that it is the one that was promised.
fn copy(stored: &Stored, wanted: &Descriptor, sink: impl io::Write) -> Result<(), NotTaken> {
    let mut blob = Blob::new(wanted.digest, wanted.size, sink);
    let mut reader = stored.reader();
    let mut room = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut room) {
            Ok(0) => return blob.finish().map_err(NotTaken::Defect),
            Ok(length) => blob.take(&room[..length])?,
            Err(error) => return Err(NotTaken::Sink(error)),
        }
    }
}
