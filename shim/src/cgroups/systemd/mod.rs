//! The systemd driver: a container's cgroup is a scope, a unit that systemd keeps around processes of others.
//!
//! ```text
//!  slice:prefix:name ──name──▶ prefix-name.scope in a.slice/a-b.slice/…   the directory, made as for cgroupfs
//!                                       │ limits written to the kernel's files
//!   held child, born in the directory   ▼
//!        │ pid              StartTransientUnit: pid, slice, Delegate, and those files' values as properties
//!        │                              │ JobRemoved: done
//!        │                    limits written once more; the slices' directories are systemd's from now on
//!        ▼                              │
//!     released ◀────────────────────────┘
//!        │ exits: systemd sees the cgroup empty, forgets the unit and removes its directories
//!        ▼
//!     Delete: StopUnit only if a directory is still there; what systemd does not know is removed by us
//! ```
//!
//! So everything else of this module works on a scope as on any cgroup: by its directories. Making them
//! before systemd does lets the child be born in its place with the ceiling's files open, on both versions;
//! systemd takes what it finds. On v1 it joins its own hierarchies only (cpu, memory, blkio, devices, pids);
//! the child joins all of them by itself.
//!
//! A limit that only a kernel file knows would be written over by the next `daemon-reload`, so what the files
//! say is told to systemd as properties too ([`properties`]); read back from the kernel, so that there is one
//! conversion of the spec's numbers and not two.
//!
//! systemd collects a scope as soon as its last process has died, and nothing short of another process in it
//! would keep it (which `docker top`, a pids limit and the memory figures would show). So the owner of a container
//! takes its last figures at the exit, and has taken some before: those are what Stats shows until Delete.
//!
//! No unit of ours is left by a failure: a scope whose child dies is collected in any state (`CollectMode`).

mod error;
mod manager;
mod name;
mod properties;
mod wire;

pub use error::SystemdError;
pub(super) use name::Scope;

/// Fails where there is no systemd to ask for scopes.
pub(super) fn required() -> Result<(), CgroupError> {
    Ok(Manager::required()?)
}

use super::create::MADE;
use super::discover::{Layout, Tree};
use super::{Cgroup, CgroupError, Controller, files};
use manager::Manager;
use oci_spec::runtime::LinuxResources;
use rustix::fs::{AtFlags, removexattr, statat};

impl Cgroup {
    /// Whether it is a unit of systemd, which must be started with the process of the container.
    #[must_use]
    pub fn is_scope(&self) -> bool {
        self.scope.is_some()
    }

    /// Starts the scope with a held child that was born in the directory; for a plain cgroup it does nothing.
    ///
    /// # Errors
    /// When systemd refuses or does not answer; [`Cgroup::stop_scope`] and [`Cgroup::remove`] take back what there is.
    pub async fn start_scope(&self, pid: i32, limits: Option<&LinuxResources>) -> Result<(), CgroupError> {
        let Some(scope) = &self.scope else { return Ok(()) };
        let properties = properties::of(scope, pid.unsigned_abs(), &self.limits_in_force());
        Manager::connect().await?.start(&scope.unit, &properties).await?;
        self.hand_over();
        if let Layout::V2 { .. } = self.hierarchies.layout()
            && !self.pids()?.contains(&pid)
        {
            return Err(SystemdError::Elsewhere { unit: scope.unit.clone(), path: self.path.clone() }.into());
        }
        match limits {
            Some(limits) => self.limit(limits),
            None => Ok(()),
        }
    }

    /// Ends the scope of a container whose process has died; gone, or a plain cgroup, is done.
    ///
    /// # Errors
    /// When systemd cannot be asked or does not do it in time.
    pub async fn stop_scope(&self) -> Result<(), CgroupError> {
        match &self.scope {
            Some(scope) if self.is_there() => Ok(Manager::connect().await?.stop(&scope.unit).await?),
            _ => Ok(()),
        }
    }

    /// Whether systemd has left any of its directories yet.
    fn is_there(&self) -> bool {
        self.managed().any(|tree| self.is_in(tree))
    }

    /// Whether systemd has not begun to remove it; a plain cgroup is whole.
    pub(super) fn is_whole(&self) -> bool {
        self.scope.is_none() || self.managed().all(|tree| self.is_in(tree))
    }

    fn managed(&self) -> impl Iterator<Item = &Tree> {
        self.hierarchies.trees().iter().filter(|tree| is_managed(tree))
    }

    fn is_in(&self, tree: &Tree) -> bool {
        statat(tree, self.path.relative(), AtFlags::empty()).is_ok()
    }

    /// The slices above, where they had to be made, are units now: who empties them does not remove them.
    fn hand_over(&self) {
        for tree in self.managed() {
            for slice in self.path.ancestors() {
                // Without a mark it was not ours.
                let _ = removexattr(tree.whole(slice), MADE);
            }
        }
    }

    /// The files of this cgroup by their names, for the properties.
    fn limits_in_force(&self) -> impl Fn(&str) -> Option<String> {
        |file: &str| {
            let controller = file.split('.').next().and_then(Controller::from_name)?;
            let tree = self.hierarchies.tree_of(controller)?;
            is_managed(tree).then(|| files::read(tree, &self.path.file(file)).ok()).flatten()
        }
    }
}

/// Whether systemd keeps directories in a hierarchy: in the unified one, and in those of the v1 controllers
/// that it knows.
fn is_managed(tree: &Tree) -> bool {
    use Controller::{Blkio, Cpu, Cpuacct, Devices, Memory, Pids};
    let known = [Cpu, Cpuacct, Blkio, Memory, Devices, Pids];
    tree.controllers.is_empty() || tree.controllers.iter().any(|controller| known.contains(controller))
}
