//! `containerd-shim-wasm-v1`: the containerd runtime shim that runs WebAssembly as containers.
//!
//! Follow one container: [`protocol`] takes `start` and the task calls of containerd; [`task`] owns each
//! container's state; [`spawn`] turns a bundle into a sandboxed engine process; [`cgroups`], [`stdio`] and
//! [`events`] are what that process and its exit touch on the host. [`server`] puts them together.
//!
//! No engine is linked here and no guest code runs here. containerd's protobuf and ttrpc types stay inside
//! [`protocol`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

pub(crate) mod aside;
pub mod cgroups;
pub mod events;
pub mod fault;
pub mod hooks;
pub mod log;
pub mod native;
pub mod process;
pub mod protocol;
pub mod remedy;
pub mod server;
pub mod spawn;
pub mod stdio;
pub mod task;
