//! The records of the control socket.

use serde::{Deserialize, Serialize};

/// From the server to the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Enter the guest.
    Go,
    /// Go on making the container: what was to be done at [`Report::Mounted`] is done.
    Proceed,
}

/// From the engine to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// All walls stand, the module is mapped and linked; `Create` may answer.
    Ready {
        /// Walls that this kernel or machine could not give, a line each; none that anybody promised.
        warnings: Vec<String>,
    },
    /// A step failed; the process exits after it.
    Failed(Failure),
    /// The guest is about to be entered; `Start` may answer.
    Started,
    /// The guest ended; the process exits with [`ExitCause::code`] after it.
    Exit(ExitCause),
    /// The container's files are mounted, and not entered yet: the moment of hooks.
    Mounted,
}

/// Why an engine or compile program could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The whole message, with the file it is about and what to do, in one line.
    pub message: String,
}

/// How a guest ended. The process' exit status carries the code; this carries what a code cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitCause {
    /// It returned or called `exit`.
    Exited {
        /// The guest's own code.
        code: u8,
    },
    /// It trapped; the backtrace is on its stderr.
    Trapped,
    /// It trapped after the ceiling refused it memory; the limit is named on its stderr.
    OutOfMemory {
        /// The ceiling that refused, in bytes.
        limit: u64,
    },
}

impl ExitCause {
    /// The exit code of a trap: what a shell shows for SIGABRT.
    pub const TRAPPED: u8 = 134;
    /// The exit code of an out-of-memory: what a shell shows for SIGKILL, as the kernel's own would be.
    pub const OUT_OF_MEMORY: u8 = 137;

    /// The exit code of the process.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Exited { code } => code,
            Self::Trapped => Self::TRAPPED,
            Self::OutOfMemory { .. } => Self::OUT_OF_MEMORY,
        }
    }
}
