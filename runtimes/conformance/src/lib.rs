//! What every engine must be able to do: the guests, and the suite that runs them.
//!
//! ```text
//!  guests ─▶ Programs::compile ─▶ Artifact ─▶ Programs::start(Setting) ─▶ Running ─▶ Ended
//! ```
//!
//! Guests are text, assembled on the spot: no Wasm toolchain is needed to test an engine. The suite knows an
//! engine only as its two programs and drives them as the server does: descriptors, plan, control socket,
//! namespaces. That takes root. An engine joins with one line in a test target of its own:
//! `pinnace_conformance::suite!(my_programs);`, where `my_programs` is a function that gives [`Programs`].

#![forbid(unsafe_code)]

pub mod cases;
mod compile;
pub mod guests;
mod programs;
mod root;
mod running;
mod setting;

pub use compile::Artifact;
pub use programs::{DriveError, Programs};
pub use running::{Ended, Running};
pub use setting::Setting;
