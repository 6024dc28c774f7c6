//! Why a guest cannot be prepared.

use pinnace_engine::CeilingError;
use std::io;

/// A step of the preparation that failed. Messages reach the user through Create.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// The engine could not be set up.
    #[error("cannot set up wasmtime")]
    Engine(#[source] wasmtime::Error),
    /// The runtime could not be made.
    #[error("cannot set up the event loop")]
    Runtime(#[source] io::Error),
    /// The artifact could not be mapped.
    #[error("cannot map the compiled code of {name}")]
    Map {
        /// The module.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The artifact is not one of our compiler's.
    #[error(
        "the compiled code of {name} is unusable; remove it from the artifact cache to have it compiled anew"
    )]
    Artifact {
        /// The module.
        name: String,
        /// Why.
        #[source]
        source: wasmtime::Error,
    },
    /// WASI could not be put together.
    #[error("cannot offer WASI to {name}")]
    Wasi {
        /// The module.
        name: String,
        /// Why.
        #[source]
        source: wasmtime::Error,
    },
    /// A preopened directory could not be given.
    #[error("cannot give the directory {path} to {name}")]
    Preopen {
        /// The module.
        name: String,
        /// The directory.
        path: String,
        /// Why.
        #[source]
        source: wasmtime::Error,
    },
    /// The module needs what its world does not have.
    #[error("{name} imports {import}, which {world} does not offer; build it for {world} only")]
    Import {
        /// The module.
        name: String,
        /// What it needs.
        import: String,
        /// Where it looks.
        world: &'static str,
    },
    /// An import is missing in a component, or is there but of another type; the source names it.
    #[error("{name} imports what {world} does not offer; build it for {world} only")]
    Link {
        /// The module.
        name: String,
        /// What was linked with.
        world: &'static str,
        /// Why.
        #[source]
        source: wasmtime::Error,
    },
    /// There is no way in.
    #[error("{name} exports no function {function:?}{hint}")]
    NoEntry {
        /// The module.
        name: String,
        /// What was looked for.
        function: String,
        /// What to do.
        hint: &'static str,
    },
    /// The way in has parameters or results.
    #[error(
        "the export {function:?} of {name} has parameters or results; only functions without any can be called"
    )]
    EntryType {
        /// The module.
        name: String,
        /// The function.
        function: String,
    },
    /// A function of a component was asked for.
    #[error(
        "{name} is a component, and {function:?} cannot be called in it; name the file alone to run wasi:cli/run"
    )]
    FunctionOfComponent {
        /// The module.
        name: String,
        /// The function.
        function: String,
    },
    /// The component is no command.
    #[error("{name} does not export wasi:cli/run; build it as a command")]
    NoCommand {
        /// The module.
        name: String,
        /// Why.
        #[source]
        source: wasmtime::Error,
    },
    /// The limit could not be read.
    #[error("cannot tell how much memory {name} may have")]
    Ceiling {
        /// The module.
        name: String,
        /// Why.
        #[source]
        source: CeilingError,
    },
    /// The module starts larger than it may ever be.
    #[error(
        "{name} needs {needed} bytes of memory from the start, but the container's limit is {limit} bytes, \
         of which a guest may have {guest}; raise the memory limit"
    )]
    TooLarge {
        /// The module.
        name: String,
        /// What it needs.
        needed: u64,
        /// The container's limit.
        limit: u64,
        /// What the limit leaves to the guest.
        guest: u64,
    },
}
