//! The Wasm that a container of an image would run, found as the shim finds it.
//!
//! ```text
//!  entrypoint and cmd ─▶ first word, "#function" cut off ─▶ a path: below the working directory
//!                                                          a name: each directory of PATH, then there
//!      ─▶ Wasm, or its text, in the root ─▶ that file
//!      ─▶ anything else, or nothing       ─▶ the image's one Wasm layer
//! ```

use std::fmt;
use std::io::{self, Read};

use super::rootfs::read_entry;
use super::{LayerKind, Manifest, ReadError, Rootfs, Store};
use crate::WasmMedia;
use crate::document::Descriptor;
use crate::error::Defect;

/// The largest module that is held in memory: what a node takes, too, unless its administrator wants less.
pub const MAX_WASM: u64 = 256 << 20;
/// Enough to see what a file is.
const HEAD: u64 = 4096;

/// What a container would run.
#[derive(Debug)]
pub enum Program {
    /// A file in the root.
    File {
        /// Its path, through links.
        path: String,
        /// Its content.
        wasm: Wasm,
    },
    /// A layer.
    Layer {
        /// The layer.
        layer: Descriptor,
        /// What it is declared to be.
        media: WasmMedia,
        /// Its content.
        wasm: Wasm,
    },
    /// No Wasm at all.
    Nothing(Nothing),
}

/// Wasm, or the text of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wasm {
    /// The bytes as they are in the image.
    pub bytes: Vec<u8>,
    /// Whether they are text.
    pub text: bool,
}

/// Why there is nothing to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nothing {
    /// No Wasm layer, and the configuration names no program.
    NoCommand,
    /// No Wasm layer, and nothing where the configuration points.
    Missing(String),
    /// No Wasm layer, and something else where the configuration points.
    NotWasm(String),
}

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCommand => write!(f, "it has no Wasm layer and names no program"),
            Self::Missing(path) => {
                write!(f, "it has no Wasm layer, and nothing is at its entrypoint {path:?}")
            }
            Self::NotWasm(path) => write!(f, "it has no Wasm layer, and its entrypoint {path:?} is not Wasm"),
        }
    }
}

impl Program {
    /// Looks for it.
    ///
    /// # Errors
    /// When layers cannot be read, the module is too large, or two Wasm layers compete.
    pub fn find(store: &Store, manifest: &Manifest, rootfs: &Rootfs) -> Result<Self, ReadError> {
        let command = command(manifest);
        let mut instead = Nothing::NoCommand;
        if let Some(program) = &command {
            instead = Nothing::Missing(program.clone());
            let found = candidates(manifest, program).find_map(|path| rootfs.locate(&path));
            if let Some((path, layer, name)) = found {
                match content(store, manifest, layer, name)? {
                    Some(wasm) => return Ok(Self::File { path: format!("/{path}"), wasm }),
                    None => instead = Nothing::NotWasm(program.clone()),
                }
            }
        }
        let mut layers = manifest.layers.iter().filter_map(|layer| match layer.kind {
            LayerKind::Wasm(media) => Some((&layer.descriptor, media)),
            _ => None,
        });
        let Some((layer, media)) = layers.next() else { return Ok(Self::Nothing(instead)) };
        if let Some((second, _)) = layers.next() {
            let (first, second) = (layer.digest, second.digest);
            return Err(store.defective(Defect::TwoWasmLayers { first, second }));
        }
        if layer.size > MAX_WASM {
            return Err(large(store, layer.digest.to_string()));
        }
        let bytes = store.bytes("wasm layer", layer)?;
        Ok(Self::Layer { layer: layer.clone(), media, wasm: Wasm { bytes, text: false } })
    }

    /// The Wasm, if there is some.
    #[must_use]
    pub fn wasm(&self) -> Option<&Wasm> {
        match self {
            Self::File { wasm, .. } | Self::Layer { wasm, .. } => Some(wasm),
            Self::Nothing(_) => None,
        }
    }
}

/// The first word of what runs, without the function that it may name.
pub(crate) fn command(manifest: &Manifest) -> Option<String> {
    let word = manifest.config.entrypoint().into_iter().chain(manifest.config.cmd()).next()?;
    let program = match word.rsplit_once('#') {
        Some((path, function)) if !path.is_empty() && !function.is_empty() => path,
        _ => &word,
    };
    Some(program.to_owned())
}

/// Where the program may be, in order; the last is where a path leads.
pub(crate) fn candidates(manifest: &Manifest, program: &str) -> impl DoubleEndedIterator<Item = String> {
    let env = manifest.config.env();
    let path = env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or_default();
    let searched: Vec<_> = if program.contains('/') {
        Vec::new()
    } else {
        path.split(':')
            .filter(|directory| directory.starts_with('/'))
            .map(|at| format!("{at}/{program}"))
            .collect()
    };
    let beside = if program.starts_with('/') {
        program.to_owned()
    } else {
        format!("/{}/{program}", manifest.config.workdir())
    };
    searched.into_iter().chain([beside])
}

fn content(store: &Store, manifest: &Manifest, layer: usize, name: &str) -> Result<Option<Wasm>, ReadError> {
    let Some(layer) = manifest.files().nth(layer) else { return Ok(None) };
    let mut found = None;
    let mut over = false;
    let read = read_entry(store, layer, name, |content| {
        found = None;
        let mut bytes = Vec::new();
        content.take(HEAD).read_to_end(&mut bytes)?;
        let text = is_text(&bytes);
        if !text && !bytes.starts_with(b"\0asm") {
            return Ok(());
        }
        content.take(MAX_WASM - HEAD + 1).read_to_end(&mut bytes)?;
        over = bytes.len() as u64 > MAX_WASM;
        found = Some(Wasm { bytes, text });
        if over { Err(io::Error::other("too large")) } else { Ok(()) }
    });
    if over {
        return Err(large(store, name.to_owned()));
    }
    read.map(|()| found)
}

fn large(store: &Store, name: String) -> ReadError {
    ReadError::LargeWasm { path: store.path().to_owned(), name, limit: MAX_WASM }
}

/// Whether this begins as Wasm's text does: with a parenthesis, after blanks and comments at most.
#[must_use]
pub fn is_text(bytes: &[u8]) -> bool {
    let mut rest = bytes.trim_ascii_start();
    while let Some(comment) = rest.strip_prefix(b";;") {
        let Some(end) = comment.iter().position(|byte| *byte == b'\n') else { return false };
        rest = comment[end..].trim_ascii_start();
    }
    rest.starts_with(b"(")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_other_files() {
        for (bytes, text) in [
            (&b"(module)"[..], true),
            (b"  \n;; a licence\n\t(module)", true),
            (b"(; a comment ;) (module)", true),
            (b"\0asm\x01\0\0\0", false),
            (b"#!/bin/sh\n(", false),
            (b";; nothing", false),
            (b"", false),
        ] {
            assert_eq!(is_text(bytes), text, "{bytes:?}");
        }
    }
}
