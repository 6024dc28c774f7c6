//! What crosses between the server and a compile program.
//!
//! The compile program is born with the request at [`fds::PLAN`](crate::fds::PLAN), the control socket at
//! [`fds::CONTROL`](crate::fds::CONTROL) and the three descriptors below. It walls itself in, compiles, writes
//! the artifact, sends one [`Outcome`] and exits 0. Death without an outcome is a failed compile.

use crate::{Failure, Fd, Kind};
use serde::{Deserialize, Serialize};

/// The Wasm to compile: a sealed memfd, so its bytes are those that were hashed.
pub const INPUT: Fd = 5;
/// An empty file, open for reading and writing, to take the artifact.
pub const OUTPUT: Fd = 6;
/// The lock of this key, held by being open: the death of the process releases it.
pub const LOCK: Fd = 7;

/// One module to compile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What it was found as, for messages.
    pub name: String,
    /// Threads to compile with; at least one.
    pub threads: u32,
    /// Address space the process may use, in bytes; 0 is no limit (the cgroup's still holds).
    pub memory: u64,
}

/// The one answer of a compile program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The artifact is whole in [`OUTPUT`].
    Compiled {
        /// What it is.
        kind: Kind,
    },
    /// The input cannot be compiled, and why: not Wasm, invalid, an unsupported proposal (named), an unknown world.
    Failed(Failure),
}
