//! What every engine must be able to do: the guests, and the suite that runs them.
//!
//! Guests are text, assembled on the spot: no Wasm toolchain is needed to test an engine.

#![forbid(unsafe_code)]

pub mod guests;
