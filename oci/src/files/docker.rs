//! What `docker save` writes, seen as an OCI layout.
//!
//! `manifest.json` names each image's configuration and layers by path. Their digests are found by reading
//! them once, and a manifest is made that names them so; from there on there is one kind of image.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::layer::{Hashed, Packing};
use super::manifest::Named;
use super::{ReadError, Store, Stored};
use crate::Digest;
use crate::document::{Descriptor, MAX_DOCUMENT};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// No layer is refused for its size here; only what is unpacked of it is bounded.
const ANY_SIZE: u64 = u64::MAX;

/// One image of `manifest.json`.
#[derive(Debug, Deserialize)]
pub(super) struct Saved {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags", default)]
    names: Option<Vec<String>>,
    #[serde(rename = "Layers", default)]
    layers: Vec<String>,
}

/// The images of such an archive and the blobs that they are made of.
#[derive(Debug, Default)]
pub(super) struct Docker {
    pub(super) images: Vec<Named>,
    blobs: BTreeMap<Digest, Stored>,
}

impl Docker {
    pub(super) fn read(store: &Store, saved: &[Saved]) -> Result<Self, ReadError> {
        let mut docker = Self::default();
        for Saved { config, names, layers } in saved {
            let config = docker.add(store, CONFIG, store.need(config, MAX_DOCUMENT)?)?;
            let mut descriptors = Vec::new();
            for name in layers {
                let stored = store.need(name, ANY_SIZE)?;
                let media_type = Packing::of(store, &stored)?.media_type();
                descriptors.push(json(&docker.add(store, media_type, stored)?));
            }
            let manifest = json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "config": json(&config), "layers": descriptors,
            });
            let manifest = Stored::in_memory(manifest.to_string().into_bytes());
            let target = docker.add(store, MANIFEST, manifest)?;
            let names = names.as_deref().unwrap_or_default();
            let named = |name: Option<String>| Named { name, target: target.clone() };
            if names.is_empty() {
                docker.images.push(named(None));
            }
            docker.images.extend(names.iter().map(|name| named(Some(whole(name)))));
        }
        Ok(docker)
    }

    pub(super) fn blob(&self, digest: Digest) -> Option<Stored> {
        self.blobs.get(&digest).cloned()
    }

    fn add(&mut self, store: &Store, media_type: &str, stored: Stored) -> Result<Descriptor, ReadError> {
        let digest = digest(&stored).map_err(|source| store.io(source))?;
        let size = stored.size();
        self.blobs.insert(digest, stored);
        Ok(Descriptor { media_type: media_type.to_owned(), digest, size })
    }
}

/// Docker writes names short: no registry means its own, no user its library.
fn whole(name: &str) -> String {
    let registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
    match name.split_once('/') {
        Some((first, _)) if registry(first) => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

fn json(descriptor: &Descriptor) -> serde_json::Value {
    let Descriptor { media_type, digest, size } = descriptor;
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

fn digest(stored: &Stored) -> std::io::Result<Digest> {
    Hashed::new(stored.reader()).finish()
}
