//! Native artifacts by (sha256 of the Wasm, fingerprint of the engine), compiled once for all who wait.
//!
//! ```text
//!  obtain(key)
//!    find ── hit ─────────────────────────────────────────────────────────────▶ Artifact
//!      │ miss
//!    Lock of the key ── another has it ── wait for its end ── its verdict, or find again
//!      │ ours; find again (one may have been faster)
//!    Slot of the node's queue
//!    Cage (cgroup) ─▶ compile process: sealed input, O_TMPFILE output, key's lock, nothing else
//!      │ Outcome, and its end; or killed at the deadline
//!    hash the output ─▶ link it ─▶ link its record ─▶ evict the least recently used ─▶ Artifact
//!
//!  <cache.dir>/artifacts/<sha256>-<fingerprint>          the artifact, root only, mapped by engines
//!                        <sha256>-<fingerprint>.record   its length, digest and kind; its mtime is the last use
//!  <state>/  lock-<key>  slot-<n>  checked-<key>  known-<file>  fingerprint-<engine>-<file>      forgotten at the next boot
//! ```
//!
//! Nothing here is believed because it is there. A record comes after its artifact, so an entry is whole or
//! absent; the length is compared at each use and the digest once per boot, so a disk that lost power costs a
//! compile, never a wrong artifact, and nothing needs to be synced. An entry that does not hold is a miss, and
//! the compile that follows replaces it. What an image brings never gets in: entries are only made from the
//! output of our own compile process, hashed by us after it and everything in its cage has died.
//!
//! All of it blocks. The server calls [`obtain()`] on a helper thread when [`Cache::find`] said no; the compile
//! process dies with that thread, and its death releases the lock it holds.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod cage;
mod compile;
mod digest;
mod error;
mod evict;
mod fingerprint;
mod hierarchy;
mod identity;
mod input;
mod key;
mod lock;
mod obtain;
mod stamp;
mod store;

pub use cage::{CageError, sweep};
pub use compile::Compiler;
pub use digest::{Digest, hash_file};
pub use error::CacheError;
pub use evict::Entry;
pub use fingerprint::FingerprintError;
pub use identity::{Hashed, Layers, Unknown};
pub use input::Input;
pub use key::Key;
pub use obtain::obtain;
pub use store::{Artifact, Cache};
