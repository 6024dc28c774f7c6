//! What crosses from the shim's server to an engine program: plain data, versioned, nothing else.
//!
//! ```text
//!  server                                  engine program (init, then guest)
//!    │  Plan, in a sealed memfd      ───▶    │  builds the sandbox, maps and links the module
//!    │                              (◀───    │  Report::Mounted, if there are hooks to run
//!    │  Command::Proceed             ───▶)   │
//!    │                               ◀───    │  Report::Ready | Report::Failed
//!    │  Command::Go                  ───▶    │
//!    │                               ◀───    │  Report::Started | Report::Failed
//!    │                               ◀───    │  Report::Exit(cause), then the process exits
//! ```
//!
//! The plan is read once. Commands and reports are records of one `SOCK_SEQPACKET` socket, one postcard
//! value each; a peer that hangs up is dead. Compile programs use the same socket and the records of
//! [`compile`]. Descriptors are inherited at the numbers that [`fds`] and the plan name.
//!
//! Server and engine come from one installation, so there is one [`VERSION`] and no negotiation: a
//! different one is refused.

#![forbid(unsafe_code)]

pub mod compile;
mod control;
mod guest;
mod holding;
mod hooks;
mod sandbox;
mod wire;

pub use control::{Command, ExitCause, Failure, Report};
pub use guest::{Guest, Kind, Module, Preopen};
pub use holding::Holding;
pub use hooks::{Hook, Hooks};
pub use sandbox::{
    Arg, ArgOp, Build, Capabilities, Device, Living, Mount, MountFlags, MountKind, Namespace, Node, Program,
    Rlimit, Root, Sandbox, Seccomp, SeccompAction, SeccompRule, User,
};
pub use wire::{WireError, decode, decode_record, encode, encode_record};

use serde::{Deserialize, Serialize};

/// Version of everything in this crate. Raised with every change of a record that one side would misread; a variant
/// at an enum's end is none.
pub const VERSION: u16 = 2;

/// The largest control record, in bytes. Messages are cut to fit, never split.
pub const MAX_RECORD: usize = 16 * 1024;

/// A descriptor number in the engine process.
pub type Fd = i32;

/// The descriptors every engine, holder and compile program is born with, beside stdin, stdout and stderr.
pub mod fds {
    use super::Fd;
    /// The plan ([`crate::Plan`], [`crate::Holding`]) or the compile request ([`crate::compile::Request`]).
    pub const PLAN: Fd = 3;
    /// The control socket.
    pub const CONTROL: Fd = 4;
    /// The first number for descriptors that a plan names.
    pub const FIRST_FREE: Fd = 5;
}

/// Everything an engine program needs to become one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The container's (or exec's) id, for messages only.
    pub id: String,
    /// What the guest sees: arguments, environment, directories.
    pub guest: Guest,
    /// The native artifact to map and how to enter it.
    pub module: Module,
    /// Files to read the memory ceiling from each time the guest's memory grows, innermost first: the
    /// cgroup's `memory.limit_in_bytes` (v1) or `memory.max` (v2). The smallest counts; `max` is none.
    pub memory_limits: Vec<Fd>,
    /// The walls.
    pub sandbox: Sandbox,
}
