//! Media types: the three of a Wasm layer, and the two kinds of document on the way to one.

use serde::{Deserialize, Serialize};

/// What a Wasm layer is declared to be. What it is, the engine finds out from the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WasmMedia {
    /// `application/wasm`: a core module or a component.
    Wasm,
    /// `application/vnd.bytecodealliance.wasm.component.layer.v0+wasm`.
    Component,
    /// `application/vnd.wasm.content.layer.v1+wasm`.
    Content,
}

impl WasmMedia {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Wasm, Self::Component, Self::Content];

    /// The media type as a manifest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wasm => "application/wasm",
            Self::Component => "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
            Self::Content => "application/vnd.wasm.content.layer.v1+wasm",
        }
    }

    /// The Wasm layer that `media_type` names, if it names one.
    pub fn of(media_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|media| media.as_str() == media_type)
    }
}

/// A document between an image's target and its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Index,
    Manifest,
}

impl Kind {
    pub(crate) fn of(media_type: &str) -> Option<Self> {
        match media_type {
            "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json" => Some(Self::Index),
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json" => Some(Self::Manifest),
            _ => None,
        }
    }

    /// For messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Index => "image index",
            Self::Manifest => "manifest",
        }
    }
}
