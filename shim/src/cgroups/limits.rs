//! The spec's limits, in force or refused.
//!
//! ```text
//!  LinuxResources ─ check ─▶ values, one for each file: v1, v2 ─▶ limit   written, for a new container
//!                     │                                         └▶ replace  what differs; all, or what stood before
//!                     └ is every controller there, and no limit that would be passed over?
//! ```
//!
//! A limit that is not in force must never look as if it were: what is asked for is checked, and what is
//! written the kernel accepts or the error names file and value.
//!
//! By us, for every crate was found to lack something. libcgroups: its v1 manager reads mountinfo twelve times (0.45 ms
//! and 574 system calls for limits of memory, CPU and pids) and always writes rules for devices, which only the
//! host's root may; on v2 it leaves swap unlimited where memory and memory with swap are the same, as Docker and
//! Kubernetes have it, and its weights overflow. cgroups-rs does not lift a limit on v2 (`-1`), drops a
//! reservation that has no limit, and knows no `unified`. Neither can put back what stood before.
//!
//! Device rules are passed over: a container's mounts are all NODEV, so there is no device node to open.
//! `kernel` and `kernelTCP` are passed over like in runc: the kernel has dropped the first, and nobody sends
//! the other.

mod check;
mod v1;
mod v2;
mod value;
mod write;

pub use check::check;
pub(super) use write::Before;

use super::discover::Layout;
use super::{Cgroup, CgroupError, Controller, files};
use crate::aside::aside;
use check::{asked, has, refuse_v1, refuse_v2, unified_controller, why_missing};
use oci_spec::runtime::{LinuxMemory, LinuxResources};
use value::Value;

impl Cgroup {
    /// Puts a new container's limits in force.
    ///
    /// # Errors
    /// With the first that cannot be; those before it are in force then.
    pub fn limit(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        check(resources)?;
        if asked(resources).is_empty() && resources.unified().iter().flatten().next().is_none() {
            return Ok(());
        }
        self.write(self.values(resources)?)
    }

    /// Puts other limits in force; what is not asked for stays. The kernel may have to make room in memory: that
    /// happens on a thread.
    ///
    /// # Errors
    /// With the first that cannot be; all are as before then.
    pub(super) async fn replace_limits(&self, resources: &LinuxResources) -> Result<Before, CgroupError> {
        check(resources)?;
        let values = self.values(resources)?;
        self.refuse_below_use(resources)?;
        if !self.must_make_room(&values) {
            return self.replace(values);
        }
        let cgroup = self.clone();
        aside(move || cgroup.replace(values)).await.map_err(|source| CgroupError::Runtime { source })?
    }

    /// What is written for them here.
    fn values(&self, resources: &LinuxResources) -> Result<Vec<Value>, CgroupError> {
        let asked = asked(resources);
        match self.hierarchies.layout() {
            Layout::V1(_) => {
                refuse_v1(resources)?;
                for (field, controller) in asked {
                    if self.hierarchies.tree_of(controller).is_none() {
                        return Err(CgroupError::missing(field, controller, "this machine".to_owned()));
                    }
                }
                Ok(v1::values(resources))
            }
            Layout::V2 { tree, .. } => {
                refuse_v2(resources)?;
                let name = self.path.file("cgroup.controllers");
                let enabled =
                    files::read(tree, &name).map_err(|errno| self.unreadable(tree, &name, errno))?;
                let needs = |field, controller: &str| match has(&enabled, controller) {
                    true => Ok(()),
                    false => Err(why_missing(tree, &self.path, field, controller)),
                };
                for (field, controller) in asked {
                    let controller =
                        if controller == Controller::Blkio { Controller::Io } else { controller };
                    needs(field, controller.name())?;
                }
                for (key, _) in resources.unified().iter().flatten() {
                    match unified_controller(key)? {
                        "cgroup" => {}
                        controller => needs("linux.resources.unified", controller)?,
                    }
                }
                Ok(v2::values(resources, |file| files::read(tree, &self.path.file(file)).ok()))
            }
        }
    }

    /// For who would have the old limit rather than a process killed for the new one.
    fn refuse_below_use(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let memory = resources.memory().as_ref();
        let limit = memory.and_then(LinuxMemory::limit).and_then(|limit| u64::try_from(limit).ok());
        let asked = memory.and_then(LinuxMemory::check_before_update) == Some(true);
        let (file, usage) = match self.hierarchies.is_unified() {
            true => ("memory.max", "memory.current"),
            false => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        };
        let (Some(limit @ 1..), true, Some(tree)) =
            (limit, asked, self.hierarchies.tree_of(Controller::Memory))
        else {
            return Ok(());
        };
        match self.number(tree, usage) {
            Some(usage) if limit < usage => {
                let path = tree.whole(&self.path.file(file));
                Err(CgroupError::BelowUse { path, value: limit.to_string(), usage })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
