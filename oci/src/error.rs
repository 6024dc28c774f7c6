//! What can go wrong between a container's id and the bytes of its module.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::document::Descriptor;
use crate::{BadDigest, Digest};

/// Why no Wasm layer could be found or read. One variant per step.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A namespace that no gRPC header can carry.
    #[error("containerd namespace {0:?} has characters that no request can carry")]
    Namespace(String),
    /// Nobody listens, or not in time.
    #[error(
        "cannot reach containerd at {address:?}: {reason}; check that it runs and that this is its grpc address"
    )]
    Connect {
        /// The socket.
        address: PathBuf,
        /// Every cause, outermost first.
        reason: String,
    },
    /// `containers.Get` failed.
    #[error("cannot read the record of container {container:?}: {call}")]
    Container {
        /// The container's id.
        container: String,
        /// What containerd answered.
        call: CallError,
    },
    /// `images.Get` failed.
    #[error("cannot read the record of image {image:?}: {call}; if it was removed, pull or import it again")]
    Image {
        /// The image's name.
        image: String,
        /// What containerd answered.
        call: CallError,
    },
    /// `content.Read` failed for another reason than that the content is missing.
    #[error("image {image:?}: cannot read {digest}: {call}")]
    Content {
        /// The image's name.
        image: String,
        /// The blob.
        digest: Digest,
        /// What containerd answered.
        call: CallError,
    },
    /// The image itself is at fault.
    #[error("image {image:?}: {defect}")]
    Defective {
        /// The image's name.
        image: String,
        /// What is wrong with it.
        defect: Defect,
    },
    /// The caller's sink did not take the bytes.
    #[error("image {image:?}: cannot store layer {digest}: {source}")]
    Sink {
        /// The image's name.
        image: String,
        /// The layer.
        digest: Digest,
        /// What the sink said.
        source: io::Error,
    },
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum Defect {
    /// A blob that the image names is not in the content store.
    #[error(
        "{what} {digest} is not in containerd's content store; pull or import the image again, with all platforms"
    )]
    Missing {
        /// What the blob would have been.
        what: &'static str,
        /// Its digest.
        digest: Digest,
    },
    /// A blob that the image names is not in the file that the image came in.
    #[error("{what} {digest} is not in it; save or build the image again, with all its layers")]
    Absent {
        /// What the blob would have been.
        what: &'static str,
        /// Its digest.
        digest: Digest,
    },
    /// A digest that cannot be read.
    #[error("digest {0}")]
    Digest(BadDigest),
    /// The target or an index's entry is neither an index nor a manifest.
    #[error("{digest} has media type {media_type:?}, which is neither an image index nor a manifest")]
    Unknown {
        /// The blob.
        digest: Digest,
        /// What it is declared to be, cut to a readable length.
        media_type: String,
    },
    /// A document that is not the JSON it should be.
    #[error("{what} {digest} cannot be read: {reason}; build the image again")]
    Malformed {
        /// Index or manifest.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// Where it breaks off.
        reason: String,
    },
    /// A document that could be taken for another kind.
    #[error("{what} {digest} does not have the fields and media type of one; build the image again")]
    Ambiguous {
        /// Index or manifest, as its descriptor says.
        what: &'static str,
        /// Its digest.
        digest: Digest,
    },
    /// An index or manifest over the size that is read.
    #[error("document {digest} has {size} bytes, more than the {limit} that are read")]
    LargeDocument {
        /// The document.
        digest: Digest,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Indexes within indexes within indexes.
    #[error("its indexes are nested deeper than {limit}")]
    Nested {
        /// The limit.
        limit: usize,
    },
    /// No entry of an index suits.
    #[error(
        "no entry of its index is for wasip2/wasm, wasip1/wasm, wasi/wasm or linux/{host}; it offers {offered}"
    )]
    NoPlatform {
        /// This machine's architecture.
        host: &'static str,
        /// What the index has instead.
        offered: String,
    },
    /// Which module would run is anyone's guess.
    #[error("it has more than one wasm layer, {first} and {second}; build it with exactly one")]
    TwoWasmLayers {
        /// The first layer.
        first: Digest,
        /// The second layer.
        second: Digest,
    },
    /// The layer is larger than the node allows.
    #[error(
        "wasm layer {digest} has {size} bytes, more than the limit of {limit}: raise `module.max_bytes` of the node or shrink the module"
    )]
    LargeLayer {
        /// The layer.
        digest: Digest,
        /// Its size.
        size: u64,
        /// The limit that was passed.
        limit: u64,
    },
    /// The stored bytes are not those that were asked for.
    #[error("the content of {expected} has the digest {found}; remove the image and pull or import it again")]
    WrongDigest {
        /// The digest that the image names.
        expected: Digest,
        /// The digest of what was read.
        found: Digest,
    },
    /// The stored bytes are more or fewer than the image says.
    #[error(
        "the content of {digest} does not have the {size} bytes that the image says; remove the image and pull or import it again"
    )]
    WrongSize {
        /// The blob.
        digest: Digest,
        /// The size that the image names.
        size: u64,
    },
}

impl Defect {
    pub(crate) fn unknown(descriptor: &Descriptor) -> Self {
        let media_type = descriptor.media_type.chars().take(100).collect();
        Self::Unknown { digest: descriptor.digest, media_type }
    }
}

/// Why a call was not answered with what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// containerd does not have it.
    #[error("not found")]
    NotFound,
    /// Less is there than was asked for.
    #[error("out of range")]
    OutOfRange,
    /// No answer in time.
    #[error("no answer within {0:?}; containerd may be overloaded or stopped")]
    TimedOut(Duration),
    /// Any other status, with containerd's own words.
    #[error("{message}")]
    Status {
        /// containerd's words.
        message: String,
    },
}
