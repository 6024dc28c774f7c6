//! `pinnace-wasmtime-compile`: makes the artifacts that `pinnace-wasmtime` maps.
//!
//! ```text
//!  bytes ─▶ text, if it is that, made binary ─▶ inspect: is it Wasm, whole, of a world we run?
//!                                                            └─▶ Cranelift ─▶ artifact
//! ```
//!
//! One process a compile, walled in, because the bytes may be hostile and a compiler is large.

#![forbid(unsafe_code)]

mod compiler;
mod error;
mod fingerprint;
mod inspect;
mod text;

use std::process::ExitCode;

fn main() -> ExitCode {
    pinnace_engine::compile::<compiler::Wasmtime>()
}
