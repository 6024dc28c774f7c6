//! Reading images from files: OCI archives, OCI layouts, and what `docker save` writes.
//!
//! ```text
//!  a path ─▶ Store: archive (tar, its index only) │ layout (a directory) │ Docker's archive, seen as a layout
//!     └▶ images(): names and targets ─▶ manifests(): each platform's manifest, configuration, layers
//!            └▶ Rootfs: what the layers make together ─▶ Program: the Wasm that a container would run
//! ```
//!
//! Files come from anywhere. So: nothing is unpacked to disk; a blob is only what its digest says; names lead
//! nowhere out of the archive or the directory; documents, entries, unpacked bytes and depth are bounded; and
//! each refusal names the file and what to do. Layers are streamed, never held.

mod archive;
mod docker;
mod error;
mod layer;
mod layout;
mod manifest;
mod members;
mod program;
mod rootfs;
mod store;
mod stored;
mod zstd;

pub use error::ReadError;
pub(crate) use layer::{Hashed, Packing};
pub use layer::{LayerKind, MAX_UNPACKED};
pub use manifest::{Config, Image, Layer, Manifest, Named};
pub use program::{MAX_WASM, Nothing, Program, Wasm, is_text};
pub(crate) use program::{candidates, command};
pub use rootfs::Rootfs;
pub use store::Store;
pub use stored::Stored;
