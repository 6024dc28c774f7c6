//! Why a file is not an image that can be read.

use std::io;
use std::path::PathBuf;

use crate::error::Defect;

/// Why an image could not be read from a file. Each names the file; the file is hostile, so its words are cut.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system said no.
    #[error("cannot read {path:?}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Compressed as a whole.
    #[error("{path:?} is compressed as a whole: unpack it with {tool} first")]
    Compressed {
        /// The file.
        path: PathBuf,
        /// What unpacks it.
        tool: &'static str,
    },
    /// Not a tar, or one that breaks off.
    #[error("{path:?} is not a whole tar archive: {source}; save or build the image again")]
    NotTar {
        /// The file.
        path: PathBuf,
        /// Where it breaks off.
        source: io::Error,
    },
    /// An entry's content is cut off.
    #[error("{path:?} ends within {name:?}: copy, save or build the image again")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The entry.
        name: String,
    },
    /// A name that two entries have: readers would differ.
    #[error("{path:?} holds {name:?} twice, so readers may differ on what it is: build the image again")]
    Twice {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// More entries than any image has.
    #[error("{path:?} has more than {limit} entries: an image that large is not read")]
    Entries {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// Neither format.
    #[error(
        "{path:?} is no image: it has neither an oci-layout with an index.json nor a manifest.json; name an OCI archive, an OCI layout or the output of docker save"
    )]
    NoImage {
        /// The file or directory.
        path: PathBuf,
    },
    /// A layout of a later version.
    #[error("{path:?} is an OCI layout of version {version:?}; only 1.0.0 is read")]
    Version {
        /// The file or directory.
        path: PathBuf,
        /// What it says.
        version: String,
    },
    /// A file at the top that is not the JSON it should be.
    #[error("{name} in {path:?} cannot be read: {reason}; save or build the image again")]
    Malformed {
        /// The file or directory.
        path: PathBuf,
        /// The document.
        name: String,
        /// Where it breaks off.
        reason: String,
    },
    /// A file at the top that is not there, is too large, or is no file.
    #[error("{name:?} in {path:?} is missing, larger than {limit} bytes, or not a file")]
    Missing {
        /// The file or directory.
        path: PathBuf,
        /// What was looked for.
        name: String,
        /// The largest that is read.
        limit: u64,
    },
    /// The image itself is at fault.
    #[error("{path:?}: {defect}")]
    Defective {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        defect: Defect,
    },
    /// A layer that cannot be unpacked.
    #[error("layer {digest} in {path:?} cannot be unpacked: {source}")]
    Layer {
        /// The file or directory.
        path: PathBuf,
        /// The layer.
        digest: crate::Digest,
        /// Where it breaks off.
        source: io::Error,
    },
    /// More documents than any image has.
    #[error("{path:?} leads to more than {limit} manifests and indexes: an image that large is not read")]
    Documents {
        /// The file or directory.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A module over the bound.
    #[error("the Wasm {name:?} in {path:?} has more than {limit} bytes, which is not read")]
    LargeWasm {
        /// The file or directory.
        path: PathBuf,
        /// The file in the image, or the layer.
        name: String,
        /// The limit.
        limit: u64,
    },
}
