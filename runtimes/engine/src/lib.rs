//! What every engine is: a trait, and the main that turns it into two programs.
//!
//! ```text
//!  runner (one per container or exec)             compiler (one per artifact)
//!    signals → end with 128+n                       request, input, output
//!    plan from its memfd                            walls: no files, no network, bounded memory
//!    walls: namespaces … capabilities, filter       Compiler::compile
//!    Engine::prepare: map, link                     output written, Outcome sent
//!    last wall: nothing becomes executable
//!    Ready ── Go ── Started
//!    Prepared::run: guest code, only here
//!    Exit(cause), exit code
//! ```
//!
//! Whatever fails before `Go` is one [`Report::Failed`](pinnace_plan::Report) with a whole message, and exit
//! code 1; nothing is written to stderr, which belongs to the guest. A server that hangs up is dead, and its
//! engines end without a word.
//!
//! A main is one line, `pinnace_engine::run::<MyEngine>()` or `pinnace_engine::compile::<MyCompiler>()`.

mod compiler;
mod describe;
mod engine;
mod memory;
mod names;
mod runner;
mod signals;

pub use compiler::{Compiled, Compiler, compile};
pub use describe::Description;
pub use engine::{Engine, Given, Prepared};
pub use memory::{Ceiling, CeilingError, Headroom};
pub use runner::run;
