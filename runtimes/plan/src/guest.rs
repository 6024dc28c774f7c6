//! The guest's side of a plan: what the module is and what it may see.

use crate::Fd;
use serde::{Deserialize, Serialize};

/// What the guest is told and given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Arguments, the program's name first.
    pub args: Vec<String>,
    /// Environment in the spec's order; names are unique (the last of equal names won).
    pub env: Vec<(String, String)>,
    /// Absolute working directory: `initial-cwd` of WASI p2; WASI p1 has none, so `PWD` tells it.
    pub cwd: String,
    /// Directories to open for the guest after the root was entered, outermost first.
    pub preopens: Vec<Preopen>,
}

/// One directory of the container that the guest may enter, with all that is below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preopen {
    /// Absolute path in the container; also the name the guest sees.
    pub path: String,
    /// False for a read-only mount: WASI then refuses writes before the kernel does.
    pub writable: bool,
}

/// A compiled module and the way into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// What it was found as, for messages: a path in the image, or a layer's digest.
    pub name: String,
    /// The native artifact, opened read-only by the server. Our own compiler's output, never an image's.
    pub artifact: Fd,
    /// The world the compiler saw.
    pub kind: Kind,
    /// The export to call instead of the world's entry (`path#function`). Core modules only.
    pub function: Option<String>,
}

/// The worlds that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A core module, WASI preview 1.
    Module,
    /// A component that exports `wasi:cli/run`, WASI 0.2.
    Component,
}
