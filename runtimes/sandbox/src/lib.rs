//! The walls around a guest, built from inside the process that will run it.
//!
//! ```text
//!  engine program                                       compile program
//!  ──────────────                                       ───────────────
//!  harden         not dumpable, dies with the server    confine_compiler(keep)
//!  enter          namespaces, files, limits, identity,    the same, with nothing in it:
//!                 Landlock                                no files, no sockets, no user
//!  filter         allow-list with the spec's profile
//!  (maps and links the module)
//!  seal           nothing becomes executable any more
//!  (guest)
//! ```
//!
//! The plan says what; nothing is decided here but how. Every step is one wall with one error
//! ([`SandboxError`]); what cannot be had but is no wall is a [`Warning`]. All functions are for a process
//! of one thread, in this order, and after an error the process exits: there is no way back.

mod compiler;
mod descriptors;
mod enter;
mod error;
mod files;
mod harden;
mod holder;
mod hooks;
mod identity;
mod limits;
mod living;
mod mounts;
mod namespaces;
mod seccomp;
mod users;
mod warning;

pub use compiler::confine_compiler;
pub use enter::{Entered, enter};
pub use error::SandboxError;
pub use harden::harden;
pub use holder::confine_holder;
pub use hooks::{HookError, Turn};
pub use seccomp::{filter, seal};
pub use warning::Warning;
