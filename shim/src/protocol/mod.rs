//! What containerd says to a shim, and how it is answered.
//!
//! ```text
//!  exec … start ──▶ flags ──▶ bootstrap ──▶ start ──┬─▶ join: a server of the group lives: print its address
//!                   (what)    (which protocol)      └─▶ fork ──▶ parent: prints the address and exits
//!                                                          └──▶ child: serve (ttrpc) ──▶ task service
//!  exec … delete ─▶ flags ──▶ delete
//!  exec … -info ──▶ flags ──▶ info
//! ```
//!
//! Every message of containerd is read and written here; the rest of the crate sees plain types.

pub mod address;
pub mod bootstrap;
pub mod delete;
pub mod expected;
pub mod flags;
pub(crate) mod forward;
pub mod info;
mod join;
mod metrics;
mod options;
mod process;
pub mod serve;
mod socket;
pub mod start;
mod status;
pub mod task;
