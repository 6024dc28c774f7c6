//! Images that the builder does not make: put together blob by blob.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use pinnace_oci::Digest;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};

pub(crate) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The files of an archive in the making.
#[derive(Clone, Default)]
pub(crate) struct Raw {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
}

impl Raw {
    /// Adds a blob; returns its descriptor.
    pub(crate) fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = Digest::of(&bytes);
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        self.blobs.insert(format!("blobs/sha256/{}", digest.hex()), bytes);
        descriptor
    }

    pub(crate) fn document(&mut self, media_type: &str, document: &Value) -> Value {
        self.add(media_type, document.to_string().into_bytes())
    }

    pub(crate) fn image(&mut self, config: &Value, layers: &[Value]) -> Value {
        let config = self.document("application/vnd.oci.image.config.v1+json", config);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        self.document("application/vnd.oci.image.manifest.v1+json", &manifest)
    }

    pub(crate) fn archive(mut self, target: &Value) -> tempfile::NamedTempFile {
        self.blobs.insert("index.json".to_owned(), json!({"manifests": [target]}).to_string().into_bytes());
        self.blobs.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        let files: Vec<_> =
            self.blobs.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        stored(&tar(&files))
    }
}

/// A tar of these: `name/` is a directory, `name -> target` a link.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(bytes.len() as u64);
        if let Some((name, target)) = name.split_once(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, name, target).expect("a link");
            continue;
        }
        if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        tar.append_data(&mut header, name, *bytes).expect("an entry");
    }
    tar.into_inner().expect("a tar")
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

pub(crate) fn stored(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    file
}

/// The first configuration and manifest behind the index of an archive, and all files by name.
pub(crate) fn opened(archive: &Path) -> (Value, Value, BTreeMap<String, Vec<u8>>) {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(std::fs::File::open(archive).expect("a file")).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("content");
        files.insert(entry.path().expect("a path").to_string_lossy().into_owned(), bytes);
    }
    let follow = |descriptor: &Value| -> Value {
        let name = descriptor["digest"].as_str().expect("a digest").replace("sha256:", "blobs/sha256/");
        serde_json::from_slice(&files[&name]).expect("json")
    };
    let top: Value = serde_json::from_slice(&files["index.json"]).expect("json");
    let manifest = follow(&follow(&top["manifests"][0])["manifests"][0]);
    let config = follow(&manifest["config"]);
    (config, manifest, files)
}
