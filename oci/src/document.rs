//! The two documents of an image, read for the few fields that lead to a Wasm layer.
//!
//! They come from whoever built the image. So: bounded in size before they are read, every field
//! optional or checked, unknown fields passed over (the formats ask for that), and a document that
//! could be taken for both kinds refused, since others might have judged it as the other.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::error::Defect;
use crate::media::Kind;
use crate::{BadDigest, Digest};

/// The largest index or manifest that is read. containerd's own limit is 8 MiB, registries' is 4.
pub(crate) const MAX_DOCUMENT: u64 = 4 << 20;

/// A blob of an image: where it is, and how large it says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What the blob is declared to be.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// The platform of an index's entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct Platform {
    /// `linux`, `wasip1`, …
    #[serde(default)]
    pub os: String,
    /// `amd64`, `wasm`, …
    #[serde(default)]
    pub architecture: String,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

/// A descriptor as written; only those that are followed must have a digest that can be read.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Entry {
    #[serde(rename = "mediaType", default)]
    pub(crate) media_type: String,
    digest: String,
    size: u64,
    pub(crate) platform: Option<Platform>,
    annotations: Option<Annotations>,
}

#[derive(Debug, Clone, Deserialize)]
struct Annotations {
    #[serde(rename = "vnd.docker.reference.type")]
    reference_type: Option<String>,
    #[serde(rename = "org.opencontainers.image.title")]
    title: Option<String>,
}

impl Entry {
    pub(crate) fn descriptor(&self) -> Result<Descriptor, BadDigest> {
        Ok(Descriptor { media_type: self.media_type.clone(), digest: self.digest.parse()?, size: self.size })
    }

    /// The file's name that whoever pushed it gave it.
    pub(crate) fn title(&self) -> Option<&str> {
        self.annotations.as_ref()?.title.as_deref()
    }

    /// Build attestations stand beside the platforms of an index and hold nothing to run.
    pub(crate) fn is_attestation(&self) -> bool {
        let named = self.annotations.as_ref().and_then(|a| a.reference_type.as_deref());
        let unknown =
            self.platform.as_ref().is_some_and(|p| p.os == "unknown" && p.architecture == "unknown");
        named == Some("attestation-manifest") || unknown
    }
}

/// An index or a manifest.
#[derive(Debug)]
pub(crate) enum Document {
    Index(Vec<Entry>),
    Manifest { config: Option<Digest>, layers: Vec<Entry> },
}

/// Of a configuration only its digest is of interest here, and that not always: none if it cannot be read.
#[derive(Debug, Deserialize)]
struct Configuration {
    digest: Option<Value>,
}

impl Configuration {
    fn digest(&self) -> Option<Digest> {
        self.digest.as_ref()?.as_str()?.parse().ok()
    }
}

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    manifests: Option<Vec<Entry>>,
    layers: Option<Vec<Entry>>,
    config: Option<Configuration>,
}

impl Document {
    /// Reads the document that `descriptor` points at; its bytes are already known to be the digest's.
    pub(crate) fn read(descriptor: &Descriptor, bytes: &[u8]) -> Result<Self, Defect> {
        let digest = descriptor.digest;
        let kind = Kind::of(&descriptor.media_type).ok_or_else(|| Defect::unknown(descriptor))?;
        let written: Written = serde_json::from_slice(bytes).map_err(|error| Defect::Malformed {
            what: kind.name(),
            digest,
            reason: shortened(&error),
        })?;
        if written.media_type.is_some_and(|media_type| Kind::of(&media_type) != Some(kind)) {
            return Err(Defect::Ambiguous { what: kind.name(), digest });
        }
        match (kind, written.manifests, written.layers, written.config) {
            (Kind::Index, Some(entries), None, None) => Ok(Self::Index(entries)),
            (Kind::Manifest, None, Some(layers), Some(config)) => {
                Ok(Self::Manifest { config: config.digest(), layers })
            }
            _ => Err(Defect::Ambiguous { what: kind.name(), digest }),
        }
    }
}

/// serde quotes the value it did not expect, and that may be megabytes of an image's own words.
pub(crate) fn shortened(error: &serde_json::Error) -> String {
    let text: String = error.to_string().chars().take(200).collect();
    text.escape_debug().to_string()
}
