//! From an image's target to its Wasm layer, one document at a time, without input and output.
//!
//! ```text
//!  target ─▶ index ─▶ (index …, at most four) ─▶ manifest ─▶ no Wasm layer: None
//!     └──────────────────────────────────────────▶           one: the layer
//!                                                            two: refused, naming both
//! ```

use serde::{Deserialize, Serialize};

use crate::choose::candidates;
use crate::document::{Descriptor, Document, Entry, MAX_DOCUMENT};
use crate::error::Defect;
use crate::media::Kind;
use crate::{Digest, WasmMedia};

/// Real images have one index, or one that holds another; a chain of them only costs time.
const MAX_INDEXES: usize = 4;

/// The Wasm layer of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasmLayer {
    /// The sha256 of the module.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What it is declared to be.
    pub media: WasmMedia,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Read the first of these that is there, and go on with it.
    Read(Vec<Descriptor>),
    /// The image has this layer, or none.
    Done(Option<WasmLayer>),
}

/// How far a walk has come.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    indexes: usize,
}

impl Walk {
    /// Takes the bytes of the document that `descriptor` points at.
    pub(crate) fn step(&mut self, descriptor: &Descriptor, bytes: &[u8]) -> Result<Step, Defect> {
        match Document::read(descriptor, bytes)? {
            Document::Index(_) if self.indexes == MAX_INDEXES => Err(Defect::Nested { limit: MAX_INDEXES }),
            Document::Index(entries) => {
                self.indexes += 1;
                Ok(Step::Read(candidates(&entries)?))
            }
            Document::Manifest(layers) => Ok(Step::Done(wasm_layer(&layers)?)),
        }
    }
}

/// Checks a document before it is read: what it is called in messages.
pub(crate) fn readable(descriptor: &Descriptor) -> Result<&'static str, Defect> {
    let kind = Kind::of(&descriptor.media_type).ok_or_else(|| Defect::unknown(descriptor))?;
    let Descriptor { digest, size, .. } = *descriptor;
    if size > MAX_DOCUMENT {
        return Err(Defect::LargeDocument { digest, size, limit: MAX_DOCUMENT });
    }
    Ok(kind.name())
}

fn wasm_layer(layers: &[Entry]) -> Result<Option<WasmLayer>, Defect> {
    let mut found = None;
    for layer in layers {
        let Some(media) = WasmMedia::of(&layer.media_type) else { continue };
        let Descriptor { digest, size, .. } = layer.descriptor().map_err(Defect::Digest)?;
        if let Some(WasmLayer { digest: first, .. }) = found.replace(WasmLayer { digest, size, media }) {
            return Err(Defect::TwoWasmLayers { first, second: digest });
        }
    }
    Ok(found)
}
