//! An image as files: an OCI layout, in a tar or in a directory.
//!
//! ```text
//!  blobs/sha256/<digest> …   index.json   oci-layout   [manifest.json]
//! ```
//!
//! `manifest.json` is for Docker without containerd's image store, which reads nothing else; everybody else
//! prefers the layout. It is there if the image, or the first of an index, is one that this Docker can take,
//! and it comes last: an archive that is cut off is none of Docker's with less in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::{Value, json};
use tar::EntryType;

use super::tree::header;
use super::{BuildError, INDEX};
use crate::Digest;
use crate::document::{Descriptor, Platform};
use crate::error::Defect;
use crate::files::{Hashed, Stored};

/// The blobs of an image in the making; one that is used twice is stored once.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    blobs: BTreeMap<Digest, Content>,
    docker: Option<Docker>,
}

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    /// Copied when it is written, and checked on the way.
    Stored(Stored, Descriptor),
}

/// The configuration and layers that `manifest.json` names.
#[derive(Debug)]
struct Docker {
    config: Digest,
    layers: Vec<Digest>,
}

/// A blob, to be pointed at.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(super) media_type: &'static str,
    pub(crate) digest: Digest,
    size: u64,
    /// A name for whoever reads the manifest.
    pub(super) title: Option<String>,
}

/// A finished image without a name, to be written.
#[derive(Debug)]
pub struct Package {
    blobs: Blobs,
    target: Blob,
}

impl Blob {
    pub(crate) fn descriptor(&self) -> Value {
        let mut descriptor = json!({"mediaType": self.media_type, "digest": self.digest, "size": self.size});
        if let Some(title) = &self.title {
            descriptor["annotations"] = json!({"org.opencontainers.image.title": title});
        }
        descriptor
    }

    /// As the entry of a platform in an index.
    pub(crate) fn entry(&self, platform: &Platform) -> Value {
        let mut entry = self.descriptor();
        entry["platform"] = json!({"os": platform.os, "architecture": platform.architecture});
        entry
    }
}

impl Blobs {
    pub(crate) fn add(&mut self, media_type: &'static str, bytes: Vec<u8>) -> Blob {
        self.add_as(Digest::of(&bytes), media_type, bytes)
    }

    /// Stores bytes under a digest that may not be theirs.
    pub(crate) fn add_as(&mut self, digest: Digest, media_type: &'static str, bytes: Vec<u8>) -> Blob {
        let size = bytes.len() as u64;
        self.blobs.insert(digest, Content::Bytes(bytes));
        Blob { media_type, digest, size, title: None }
    }

    /// Takes a blob over from another image as it is.
    pub(crate) fn keep(&mut self, media_type: &'static str, stored: Stored, descriptor: Descriptor) -> Blob {
        let Descriptor { digest, size, .. } = descriptor;
        self.blobs.insert(digest, Content::Stored(stored, descriptor));
        Blob { media_type, digest, size, title: None }
    }

    /// Docker's own image store can take this; the first one counts.
    pub(crate) fn for_docker(&mut self, config: &Blob, layers: &[Blob]) {
        let layers = layers.iter().map(|layer| layer.digest).collect();
        self.docker.get_or_insert(Docker { config: config.digest, layers });
    }

    pub(crate) fn finish(self, target: Blob) -> Package {
        Package { blobs: self, target }
    }
}

impl Package {
    /// The digest by which the image will be known.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.target.digest
    }

    /// Writes a tar that imports under `name`, for example `docker.io/library/hello:1`.
    ///
    /// # Errors
    /// When `sink` fails, or a blob of another image is not what it was.
    pub fn archive(&self, name: &str, sink: impl Write) -> Result<(), BuildError> {
        let mut tar = tar::Builder::new(sink);
        for directory in ["blobs", "blobs/sha256"] {
            tar.append_data(&mut header(EntryType::Directory, 0o755, 0), directory, io::empty())
                .map_err(BuildError::Write)?;
        }
        self.each(name, |path, size, mut content| {
            let mut header = header(EntryType::Regular, 0o644, size);
            tar.append_data(&mut header, path, &mut content)
        })?;
        tar.into_inner().and_then(|mut sink| sink.flush()).map_err(BuildError::Write)
    }

    /// Writes the same files into `directory`, which is there and empty.
    ///
    /// # Errors
    /// When a file cannot be made, or a blob of another image is not what it was.
    pub fn layout(&self, name: &str, directory: &Path) -> Result<(), BuildError> {
        fs::create_dir_all(directory.join("blobs/sha256")).map_err(BuildError::Write)?;
        self.each(name, |path, _, content| {
            let mut file = File::create_new(directory.join(path))?;
            io::copy(content, &mut file).map(drop)
        })
    }

    /// Every file in order.
    fn each(
        &self,
        name: &str,
        mut write: impl FnMut(&str, u64, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), BuildError> {
        for (digest, content) in &self.blobs.blobs {
            let path = format!("blobs/sha256/{}", digest.hex());
            match content {
                Content::Bytes(bytes) => {
                    write(&path, bytes.len() as u64, &mut bytes.as_slice()).map_err(BuildError::Write)?;
                }
                Content::Stored(stored, wanted) => {
                    let mut reader = Hashed::new(stored.reader());
                    write(&path, stored.size(), &mut reader).map_err(BuildError::Write)?;
                    // Its file may have changed since it was looked at.
                    let (expected, found) = (wanted.digest, reader.digest());
                    if found != expected {
                        return Err(BuildError::Changed(Defect::WrongDigest { expected, found }));
                    }
                }
            }
        }
        let mut top = vec![
            ("index.json", self.index(name).to_string()),
            ("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string()),
        ];
        top.extend(self.saved(name).map(|saved| ("manifest.json", saved.to_string())));
        for (path, document) in top {
            write(path, document.len() as u64, &mut document.as_bytes()).map_err(BuildError::Write)?;
        }
        Ok(())
    }

    fn index(&self, name: &str) -> Value {
        let mut entry = self.target.descriptor();
        // containerd takes the first as the whole name; others know only the second, a tag.
        entry["annotations"] = json!({
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": tag(name).unwrap_or("latest"),
        });
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})
    }

    fn saved(&self, name: &str) -> Option<Value> {
        let Docker { config, layers } = self.blobs.docker.as_ref()?;
        let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
        let name = if tag(name).is_some() { name.to_owned() } else { format!("{name}:latest") };
        // Docker names no image by digest, and does without a name then.
        let names = if name.contains('@') { vec![] } else { vec![name] };
        let layers: Vec<_> = layers.iter().map(path).collect();
        Some(json!([{"Config": path(config), "RepoTags": names, "Layers": layers}]))
    }
}

/// What follows the last colon, unless that is of a registry's port.
fn tag(name: &str) -> Option<&str> {
    name.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'))
}
