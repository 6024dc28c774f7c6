//! Why something cannot be compiled, and what to do about it.

/// A refusal. Messages reach the user through Create.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    /// The compiler could not be set up.
    #[error("cannot set up wasmtime's compiler on this machine")]
    Engine(#[source] wasmtime::Error),
    /// The threads could not be had.
    #[error("cannot start {threads} compiler threads")]
    Threads {
        /// How many were asked for.
        threads: u32,
        /// Why.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// There is nothing.
    #[error("{name} is empty; was it built?")]
    Empty {
        /// The file.
        name: String,
    },
    /// Native code, perhaps precompiled Wasm.
    #[error(
        "{name} is native code (ELF), perhaps precompiled Wasm; ship the .wasm itself, it is compiled on the node"
    )]
    Native {
        /// The file.
        name: String,
    },
    /// A mistake in the text form.
    #[error("{name}:{line}:{column}: {why}; correct the WebAssembly text")]
    Text {
        /// The file.
        name: String,
        /// The line, counted from one.
        line: usize,
        /// The character in it, counted from one.
        column: usize,
        /// What is wrong there.
        why: String,
    },
    /// Something else.
    #[error("{name} is not WebAssembly: it begins with {start:02x?} instead of \"\\0asm\"")]
    NotWasm {
        /// The file.
        name: String,
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// Another encoding than the ones there are.
    #[error(
        "{name} is of WebAssembly version {version:#x}, which nobody speaks; build it anew with current tools"
    )]
    Version {
        /// The file.
        name: String,
        /// What its header says.
        version: u32,
    },
    /// The end is missing.
    #[error(
        "{name} is truncated: it ends in the middle of a section, after {length} bytes; build or copy it anew"
    )]
    Truncated {
        /// The file.
        name: String,
        /// How long it is.
        length: usize,
    },
    /// Not what the format says.
    #[error("{name} is not valid WebAssembly; build it anew, or with older tools")]
    Invalid {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: wasmparser::BinaryReaderError,
    },
    /// A proposal that is off, found by Wasmtime; the source names it.
    #[error("{name} uses a proposal that is not offered; build it without")]
    Unsupported {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: wasmtime::Error,
    },
    /// A proposal that is off.
    #[error("{name} uses {proposal}, which is not offered; build it without")]
    Proposal {
        /// The file.
        name: String,
        /// The proposal.
        proposal: &'static str,
    },
    /// A component that is no command.
    #[error(
        "{name} is a component of an unknown world: it exports {exports} but not wasi:cli/run@0.2; build it as a WASI 0.2 command"
    )]
    World {
        /// The file.
        name: String,
        /// What it exports.
        exports: String,
    },
    /// The compiler refused it.
    #[error("wasmtime cannot compile {name}; build it anew")]
    Compile {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: wasmtime::Error,
    },
}
