//! The systemd driver: a container's cgroup is a scope, a unit that systemd keeps around processes of others.
//!
//! ```text
//!  slice:prefix:name ──name──▶ prefix-name.scope in a.slice/a-b.slice/…
//!                                       │ nobody lives in a directory of that path
//!   placeholder, beside the server      ▼
//!        │ pid              StartTransientUnit: pid, slice, Delegate
//!        ▼                              │ JobRemoved: done
//!     in the scope                directories in the hierarchies that systemd does not keep
//!        │                              │
//!        │                        limits: kernel files, then the same values as properties, then files once more
//!        │                              ▼
//!        │                        engine born in its place, as with cgroupfs, and heard: Ready
//!        │                              │ v1: AttachProcessesToUnit, for the hierarchies that only systemd uses
//!        ▼                              │
//!     ended ◀───────────────────────────┘ before Create answers: nobody counts it
//!
//!     engine exits: systemd sees the cgroup empty, forgets the unit and removes its directories
//!     Delete: StopUnit only if a directory is still there; what systemd does not keep is removed by us
//! ```
//!
//! So everything else of this module works on a scope as on any cgroup: by its directories. The placeholder keeps
//! them there; made before systemd makes the unit, they would be trimmed by it as empty ones of no unit. A unit
//! needs a process to start, and whoever goes before it is used lets systemd collect it: a Create that fails, or a
//! server that is killed, leaves none (`CollectMode`), and the figures of an engine that died while it was
//! made can still be read. While Create runs it counts as one of `pids.max`.
//!
//! A limit that only a kernel file knows would be written over by the next `daemon-reload`, so what the files
//! say is told to systemd as properties too ([`properties`]); read back from the kernel, so that there is one
//! conversion of the spec's numbers and not two.
//!
//! systemd collects a scope as soon as its last process has died, and nothing short of another process in it
//! would keep it (which `docker top`, a pids limit and the memory figures would show). So the owner of a container
//! takes its last figures at the exit, and has taken some before: those are what Stats shows until Delete. The same
//! holds for the kernel's count of OOM kills: it is read as soon as the engine's death is seen, and a systemd that
//! was faster has taken it away; then a container that outgrew its limit in the server's or the host's memory, not
//! in the guest's own (the engine tells that itself), ends with 137 and no OOM event.
//!
//! A unit of the name that lives is another's: its path has processes, or systemd says for two seconds that it
//! exists, and nothing of it is touched.

mod error;
mod manager;
mod name;
mod properties;
mod wire;

pub use error::SystemdError;
pub(super) use name::Scope;

use super::discover::{Layout, Tree};
use super::{Cgroup, CgroupError, Controller, Hierarchies, files};
use manager::Manager;
use oci_spec::runtime::LinuxResources;
use pinnace_spawn::Placeholder;
use rustix::fs::{AtFlags, statat};

impl Cgroup {
    /// Makes a container's cgroup by the driver its path is of. The placeholder keeps a scope until the container's
    /// process is in it.
    ///
    /// # Errors
    /// When it cannot be made or is another's; nothing of it is left, or touched, then.
    pub async fn start(
        hierarchies: &Hierarchies,
        cgroups_path: &str,
    ) -> Result<(Self, Option<Placeholder>), CgroupError> {
        let cgroup = Self::open(hierarchies, cgroups_path)?;
        let Some(scope) = &cgroup.scope else {
            return Ok((Self::create(hierarchies, cgroups_path)?, None));
        };
        let mut manager = Manager::connect().await?;
        cgroup.refuse_processes()?;
        let placeholder = Placeholder::start()?;
        let pid = placeholder.pid();
        manager.start(&scope.unit, &properties::of(scope, pid.unsigned_abs())).await?;
        let made = match cgroup.pids() {
            Ok(pids) if pids.contains(&pid) => cgroup.make(Some(pid)),
            Ok(_) | Err(CgroupError::Gone { .. }) => {
                Err(SystemdError::Elsewhere { unit: scope.unit.clone(), path: cgroup.path.clone() }.into())
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => Ok((cgroup, Some(placeholder))),
            Err(error) => {
                drop(placeholder);
                if let Err(error) = manager.stop(&scope.unit).await {
                    log::warn!("a scope that cannot be used is not stopped: {error}");
                }
                Err(error)
            }
        }
    }

    /// Whether it is a unit of systemd, which goes with its last process.
    #[must_use]
    pub fn is_scope(&self) -> bool {
        self.scope.is_some()
    }

    /// Puts a new container's limits in force, so that they stay.
    ///
    /// # Errors
    /// When one cannot be, or systemd refuses it.
    pub async fn limit_for_good(&self, limits: &LinuxResources) -> Result<(), CgroupError> {
        self.limit(limits)?;
        let Some(scope) = &self.scope else { return Ok(()) };
        let properties = properties::limits(&self.limits_in_force());
        if properties.is_empty() {
            return Ok(());
        }
        Manager::connect().await?.set(&scope.unit, &properties).await?;
        // systemd rounds some.
        self.limit(limits)
    }

    /// Puts other limits in force, of a container that waits, runs or is paused; what is not asked for stays as it is.
    ///
    /// # Errors
    /// With the first that cannot be, or when systemd refuses one; all are as before then.
    pub async fn update(&self, limits: &LinuxResources) -> Result<(), CgroupError> {
        let before = self.replace_limits(limits).await?;
        let Some(scope) = &self.scope else { return Ok(()) };
        let properties = properties::changes(&self.limits_in_force(), before.files());
        if properties.is_empty() {
            return Ok(());
        }
        let told = async { Manager::connect().await?.set(&scope.unit, &properties).await };
        if let Err(error) = told.await {
            self.put_back(before);
            return Err(error.into());
        }
        // systemd rounds some.
        self.replace_limits(limits).await.map(drop)
    }

    /// Has the container's process join those v1 hierarchies of systemd that have no controller: by one of them it
    /// finds out that a scope is empty. systemd takes it out of devices, where it knows of no directory: that is
    /// undone. For v2 and a plain cgroup there is nothing to do.
    ///
    /// # Errors
    /// When systemd refuses or does not answer.
    pub async fn attach(&self, pid: i32) -> Result<(), CgroupError> {
        match (&self.scope, self.hierarchies.layout()) {
            (Some(scope), Layout::V1(_)) => {
                Manager::connect().await?.attach(&scope.unit, pid.unsigned_abs()).await?;
                self.rejoin(pid)
            }
            _ => Ok(()),
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
/// that it delegates. It knows devices too, but only for units that say which ones they may open.
pub(super) fn is_managed(tree: &Tree) -> bool {
    use Controller::{Blkio, Cpu, Cpuacct, Memory, Pids};
    let known = [Cpu, Cpuacct, Blkio, Memory, Pids];
    tree.controllers.is_empty() || tree.controllers.iter().any(|controller| known.contains(controller))
}
