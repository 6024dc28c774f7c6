//! A container's own cgroup: made, limited, joined, read, emptied, removed.
//!
//! ```text
//!  Hierarchies::discover      once per server: where the kernel's trees are, and one descriptor each
//!        │
//!  Cgroup::create ──▶ limit ──▶ join ──▶ (the child is born in it)
//!        │              │         └ v1: opened `tasks` files; v2: the directory, for CLONE_INTO_CGROUP
//!        │              └ only when the spec has limits
//!        │
//!  memory_limit_files, pids, stats, oom_kills, watch_oom        while it lives, to see
//!  freeze, thaw, update, signal_all                             and to act
//!        │
//!  kill ──▶ remove            at Delete; also from `Cgroup::open`, when another process made it
//! ```
//!
//! v1 has one tree per controller, v2 one tree for all; a machine is v2 only when `/sys/fs/cgroup` itself
//! is a cgroup2 mount, as containerd decides it, so hybrid counts as v1. Every path is taken relative to a
//! directory that was opened at discovery.
//!
//! `create` is all or nothing: what it made is removed when a later step fails. Directories above the
//! container's that had to be made carry the extended attribute [`create::MADE`]; whichever server empties
//! such a directory last removes it, and no other is ever touched. A reader that finds the cgroup gone says
//! [`CgroupError::Gone`]; `remove` and `kill` of one that is gone succeed.
//!
//! A path of the form `slice:prefix:name` is a scope of systemd: [`systemd`] is what is different then.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod controller;
mod create;
mod discover;
mod driver;
mod error;
mod files;
mod freezer;
mod limits;
mod members;
mod memory;
mod mounts;
mod oom;
mod path;
mod remove;
mod signal;
mod stats;
mod systemd;

pub use controller::Controller;
pub use discover::Hierarchies;
pub use driver::agree;
pub use error::CgroupError;
pub use limits::check;
pub use members::Join;
pub use oom::OomWatch;
pub use path::{CgroupPath, default_path};
pub use stats::{
    BlockIo, BlockIoEntry, CpuV1, CpuV2, HugePages, Io, MemoryCounter, MemoryEvents, MemoryV1, MemoryV2,
    OomControl, Pids, Pressure, PressureLine, Stats, StatsV1, StatsV2,
};
pub use systemd::SystemdError;

use systemd::Scope;

/// One container's cgroup: the same path in every hierarchy.
#[derive(Debug, Clone)]
pub struct Cgroup {
    hierarchies: Hierarchies,
    path: CgroupPath,
    scope: Option<Scope>,
}

impl Cgroup {
    /// A cgroup that some process made already, or that may be gone: nothing is looked at here.
    pub fn open(hierarchies: &Hierarchies, cgroups_path: &str) -> Result<Self, CgroupError> {
        let hierarchies = hierarchies.clone();
        Ok(match Scope::parse(cgroups_path)? {
            Some(scope) => Self { hierarchies, path: scope.path().clone(), scope: Some(scope) },
            None => Self { hierarchies, path: CgroupPath::parse(cgroups_path)?, scope: None },
        })
    }

    /// Where it is below each hierarchy's mount point.
    #[must_use]
    pub fn path(&self) -> &CgroupPath {
        &self.path
    }
}
