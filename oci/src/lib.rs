//! Images: finding the Wasm in one that containerd holds ([`Containerd`]), and making one ([`build`]).
//!
//! ```text
//!  container id ──containers.Get──▶ image name ──images.Get──▶ ImageRef (name, target digest)
//!                                                                 │
//!                       ┌──── Memo knows the target ◀─────────────┤
//!                       ▼                                         ▼ content.Read
//!              Option<WasmLayer>  ◀── manifest ◀── (index of platforms) ◀── target
//!                       │
//!                       ▼ content.Read, in slices
//!                  the bytes, their size and sha256 checked
//! ```
//!
//! A warm start makes the two small calls of the first line and reads one file of the [`Memo`]. Which
//! blob is read next is decided without input and output in `walk`, so every refusal can be tested on
//! plain bytes. Nothing is taken from an image's configuration: what containerd wants of it is already
//! in the container's own `config.json`.
//!
//! Absent by design: no cache in memory, no thread, no protobuf or gRPC type outside `client`, no
//! document over 4 MiB, no digest other than sha256, no second Wasm layer.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod blob;
pub mod build;
mod choose;
mod client;
pub mod convert;
mod digest;
mod document;
mod error;
pub mod files;
mod media;
mod memo;
mod name;
pub mod support;
mod walk;

pub use client::{Containerd, ImageRef};
pub use digest::{BadDigest, Digest};
pub use document::{Descriptor, Platform};
pub use error::{CallError, Defect, ImageError};
pub use media::WasmMedia;
pub use memo::Memo;
pub use walk::WasmLayer;
