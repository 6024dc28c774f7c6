//! A child that is born where it belongs: in its cgroup, in its namespaces, with its descriptors in place.
//!
//! ```text
//!  parent: join the pid namespace, if one is named     (setns changes only what children get)
//!          clone3(namespaces | INTO_CGROUP) ──────────▶ child: parent-death signal
//!          leave the pid namespace again                       write "0" to each v1 `tasks` file
//!          pid and pidfd                                       own session
//!                                                              descriptors to their numbers
//!                                                              default signals, empty mask
//!                                                              execveat(program)
//!          reads one FailedStep, if any      ◀───────── or: write the step and errno, _exit(127)
//! ```
//!
//! The child is a copy of a process that may have had other threads, so between clone and exec it makes
//! system calls only: no allocation, no lock. Its report of a failed step comes through a pipe that exec
//! closes; [`Child::birth`] reads it. The parent does not wait for the exec.
//!
//! Joining by `cgroup.procs` costs 4 to 6 ms (an RCU grace period); a single-threaded process that writes
//! `0` into `tasks` pays 0.14 ms for eight hierarchies, and `CLONE_INTO_CGROUP` nothing.

mod birth;
mod child;
mod error;
mod placeholder;
mod sealed;
mod users;

pub use birth::{Birth, Join, Namespaces};
pub use child::Child;
pub use error::{SpawnError, Step};
pub use placeholder::{Placeholder, PlaceholderError};
pub use sealed::{memory_file, seal, sealed};
pub use users::{IdMaps, IdRange, UserNamespace, UserNamespaceError, map_mount};
