//! An OCI image layout in a tar: `oci-layout`, `index.json`, and the blobs by digest.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};
use tar::EntryType;

use super::tree::header;
use super::{BuildError, INDEX};
use crate::Digest;
use crate::document::Platform;

/// The blobs of an archive in the making; one that is used twice is stored once.
#[derive(Debug, Default)]
pub(super) struct Archive {
    blobs: BTreeMap<Digest, Vec<u8>>,
}

/// A blob of an archive, to be pointed at.
#[derive(Debug)]
pub(super) struct Blob {
    media_type: &'static str,
    pub(super) digest: Digest,
    size: usize,
}

impl Blob {
    pub(super) fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.size})
    }

    /// As the entry of a platform in an index.
    pub(super) fn entry(&self, platform: &Platform) -> Value {
        let mut entry = self.descriptor();
        entry["platform"] = json!({"os": platform.os, "architecture": platform.architecture});
        entry
    }
}

impl Archive {
    pub(super) fn add(&mut self, media_type: &'static str, bytes: Vec<u8>) -> Blob {
        self.add_as(Digest::of(&bytes), media_type, bytes)
    }

    /// Stores bytes under a digest that may not be theirs.
    pub(super) fn add_as(&mut self, digest: Digest, media_type: &'static str, bytes: Vec<u8>) -> Blob {
        let size = bytes.len();
        self.blobs.insert(digest, bytes);
        Blob { media_type, digest, size }
    }

    /// Writes everything, with `target` named `name`.
    pub(super) fn write(&self, name: &str, target: &Blob, sink: impl Write) -> Result<(), BuildError> {
        let mut entry = target.descriptor();
        // containerd takes the first as the whole name; others know only the second, a tag.
        let tag =
            name.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/')).unwrap_or("latest");
        entry["annotations"] =
            json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
        self.layout(&index.to_string(), sink).map_err(BuildError::Write)
    }

    fn layout(&self, index: &str, sink: impl Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(sink);
        for directory in ["blobs", "blobs/sha256"] {
            tar.append_data(&mut header(EntryType::Directory, 0o755, 0), directory, io::empty())?;
        }
        for (digest, bytes) in &self.blobs {
            append(&mut tar, &format!("blobs/sha256/{}", digest.hex()), bytes)?;
        }
        append(&mut tar, "index.json", index.as_bytes())?;
        append(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        tar.into_inner()?.flush()
    }
}

fn append(tar: &mut tar::Builder<impl Write>, path: &str, bytes: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(EntryType::Regular, 0o644, bytes.len()), path, bytes)
}
