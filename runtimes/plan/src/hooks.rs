//! The programs of the host's that a container's spec wants run while its files are built and not yet entered.

use serde::{Deserialize, Serialize};

/// The hooks of a container that is being made. The server runs its own first: the engine says
/// [`Report::Mounted`](crate::Report::Mounted) and waits for [`Command::Proceed`](crate::Command::Proceed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Where the container's root lies while they run: the directory of the host that the spec names.
    pub root: String,
    /// The container's state as a JSON object. It lacks the pid, which is the one in the container's own namespace.
    pub state: String,
    /// Those that run in the container's namespaces, in their order.
    pub create_container: Vec<Hook>,
}

/// One program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Its path on the host.
    pub path: String,
    /// Its arguments, its name first; none is its path alone.
    pub args: Vec<String>,
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// How many seconds it may take.
    pub timeout: Option<u64>,
}
