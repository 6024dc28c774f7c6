//! `pinnace-wasmtime`: runs modules and components that `pinnace-wasmtime-compile` compiled.
//!
//! ```text
//!  artifact ─▶ mapped ─▶ core module ─▶ linked with WASI p1 ─▶ _start, or the plan's function
//!                    └▶ component   ─▶ linked with WASI p2 ─▶ wasi:cli/run
//! ```
//!
//! There is no compiler in this program. One thread runs the guest and its I/O; a signal ends both.

mod artifact;
mod component;
mod ending;
mod engine;
mod error;
mod limiter;
#[cfg(target_feature = "crt-static")]
mod loader;
mod module;
mod stdio;
mod wasi;

use std::process::ExitCode;

fn main() -> ExitCode {
    pinnace_engine::run::<engine::Wasmtime>()
}
