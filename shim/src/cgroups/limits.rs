//! Writing the spec's limits.
//!
//! Checked here first, because a limit that is not in force must never look as if it were: is every
//! controller there that the spec asks for, and is there a limit that would be passed over?
//! What is then written, the kernel accepts or the error names file and value.
//!
//! On v1 by [`v1`], on v2 by libcgroups. libcgroups is not used on v1: its manager reads mountinfo twelve times
//! (0.45 ms and 574 system calls for limits of memory, CPU and pids), and always writes rules for devices, which
//! only the host's root may, so that nobody else could have limits. cgroups-rs 0.5.1 is not used on v2: it
//! does not lift a memory limit (`-1`), drops a reservation that has no limit, writes `memory.swap.max` where
//! the spec says nothing of swap, and knows no `unified`.
//!
//! Device rules are passed over: a container's mounts are all NODEV, so there is no device node to open.
//! `kernel` and `kernelTCP` are passed over like in runc: the kernel has dropped the first, and nobody sends
//! the other.

mod v1;

use super::discover::{Layout, Tree};
use super::{Cgroup, CgroupError, CgroupPath, Controller, files};
use libcgroups::common::{CgroupManager, ControllerOpt};
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};
use std::path::PathBuf;

/// v1 takes any `cpu.shares` and silently keeps it within these.
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// The least quota, and the periods, that the kernel takes; in microseconds.
const QUOTA: i64 = 1000;
const PERIOD: std::ops::RangeInclusive<u64> = 1000..=1_000_000;

/// Refuses what no machine takes, before anything is made.
///
/// # Errors
/// With the first such limit.
pub fn check(resources: &LinuxResources) -> Result<(), CgroupError> {
    refuse_unknown(resources)?;
    refuse_quota(resources)
}

impl Cgroup {
    /// Puts the spec's limits in force; also those of an update.
    pub fn limit(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let asked = asked(resources);
        let unified = resources.unified().iter().flatten();
        check(resources)?;
        if asked.is_empty() && unified.clone().next().is_none() {
            return Ok(());
        }
        match self.hierarchies.layout() {
            Layout::V1(_) => {
                refuse_v1(resources)?;
                for (field, controller) in asked {
                    if self.hierarchies.tree_of(controller).is_none() {
                        return Err(CgroupError::missing(field, controller, "this machine".to_owned()));
                    }
                }
                self.write_v1(resources)
            }
            Layout::V2 { tree, .. } => {
                let name = self.path.file("cgroup.controllers");
                let enabled = files::read(tree, &name)
                    .map_err(|errno| CgroupError::Read { path: tree.whole(&name), source: errno.into() })?;
                let needs = |field, controller: &str| match has(&enabled, controller) {
                    true => Ok(()),
                    false => Err(why_missing(tree, &self.path, field, controller)),
                };
                for (field, controller) in asked {
                    let controller =
                        if controller == Controller::Blkio { Controller::Io } else { controller };
                    needs(field, controller.name())?;
                }
                for (key, _) in unified {
                    match unified_controller(key)? {
                        "cgroup" => {}
                        controller => needs("linux.resources.unified", controller)?,
                    }
                }
                self.write_v2(tree, resources)
            }
        }
    }

    fn write_v2(&self, tree: &Tree, resources: &LinuxResources) -> Result<(), CgroupError> {
        let mut written = without_ignored(resources);
        if resources.block_io().as_ref().and_then(LinuxBlockIo::weight).is_some()
            && files::read(tree, &self.path.file("io.bfq.weight")).is_err()
        {
            weigh_without_bfq(&mut written);
        }
        let disable_oom_killer = written.memory().as_ref().and_then(LinuxMemory::disable_oom_killer);
        let options = ControllerOpt {
            resources: &written,
            disable_oom_killer: disable_oom_killer.unwrap_or(false),
            oom_score_adj: None,
            freezer_state: None,
        };
        libcgroups::v2::manager::Manager::new(tree.point.clone(), PathBuf::from(self.path.relative()))
            .and_then(|manager| manager.apply(&options))
            .map_err(|source| CgroupError::LimitV2 { path: self.path.clone(), source: Box::new(source) })
    }
}

/// v2: without BFQ the weight is `io.weight`, from 1 to 10,000. libcgroups 0.7 computes it in 16 bits, which
/// overflow from 17 on (200 came out as 66), so it gets the file's name and the number instead.
fn weigh_without_bfq(resources: &mut LinuxResources) {
    let Some(io) = resources.block_io_mut() else { return };
    let Some(weight) = io.weight().filter(|weight| *weight != 0) else { return };
    io.set_weight(None);
    let converted = 1 + u32::from(weight).saturating_sub(10) * 9999 / 990;
    let mut unified = resources.unified().clone().unwrap_or_default();
    unified.entry("io.weight".to_owned()).or_insert_with(|| converted.to_string());
    resources.set_unified(Some(unified));
}

/// Whether a list of controllers has this one.
fn has(list: &str, controller: &str) -> bool {
    list.split_whitespace().any(|listed| listed == controller)
}

/// v2: the outermost cgroup above that lacks a controller, and whether its own parent keeps it back.
fn why_missing(tree: &Tree, path: &CgroupPath, field: &'static str, controller: &str) -> CgroupError {
    let controller = controller.to_owned();
    let listed = |directory: &str, file: &str| {
        has(&files::read(tree, &format!("{directory}{file}")).unwrap_or_default(), &controller)
    };
    let place = |directory: &str| match directory.trim_end_matches('/') {
        "" => tree.point.clone(),
        directory => tree.whole(directory),
    };
    let mut parent = String::new();
    for below in path.ancestors().rev().chain([path.relative()]) {
        let below = format!("{below}/");
        if !listed(&parent, "cgroup.controllers") || !listed(&below, "cgroup.controllers") {
            let occupied =
                files::read(tree, &format!("{parent}cgroup.procs")).is_ok_and(|list| !list.is_empty());
            // Only the real root may have both, processes and controllers that it hands down.
            let bounded = !parent.is_empty() || tree.bounded_root;
            if listed(&parent, "cgroup.controllers") && occupied && bounded {
                return CgroupError::HeldBack { field, controller, parent: place(&parent) };
            }
            break;
        }
        parent = below;
    }
    CgroupError::MissingController { field, controller, place: place(&parent).display().to_string() }
}

/// The fields that carry a limit, with the v1 controller each needs. Zero and empty mean "not set", as
/// everywhere in the spec's memory and CPU parts; Docker and CRI send many such.
fn asked(resources: &LinuxResources) -> Vec<(&'static str, Controller)> {
    let memory = resources.memory().as_ref().is_some_and(limits_memory);
    let cpu = resources.cpu().as_ref();
    let text = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
    let network = resources.network().as_ref();
    let fields = [
        (memory, "linux.resources.memory", Controller::Memory),
        (cpu.is_some_and(limits_cpu), "linux.resources.cpu", Controller::Cpu),
        (cpu.is_some_and(|cpu| text(cpu.cpus())), "linux.resources.cpu.cpus", Controller::Cpuset),
        (cpu.is_some_and(|cpu| text(cpu.mems())), "linux.resources.cpu.mems", Controller::Cpuset),
        (resources.pids().is_some(), "linux.resources.pids", Controller::Pids),
        (resources.block_io().as_ref().is_some_and(limits_io), "linux.resources.blockIO", Controller::Blkio),
        (some(resources.hugepage_limits()), "linux.resources.hugepageLimits", Controller::Hugetlb),
        (
            network.is_some_and(|it| it.class_id().is_some_and(|id| id != 0)),
            "linux.resources.network.classID",
            Controller::NetCls,
        ),
        (
            network.is_some_and(|it| some(it.priorities())),
            "linux.resources.network.priorities",
            Controller::NetPrio,
        ),
    ];
    fields
        .into_iter()
        .filter(|(asked, ..)| *asked)
        .map(|(_, field, controller)| (field, controller))
        .collect()
}

fn some<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

fn limits_memory(memory: &LinuxMemory) -> bool {
    let bytes = [memory.limit(), memory.reservation(), memory.swap()];
    bytes.into_iter().flatten().any(|bytes| bytes != 0)
        || memory.swappiness().is_some()
        || memory.disable_oom_killer() == Some(true)
}

fn limits_cpu(cpu: &LinuxCpu) -> bool {
    let unsigned = [cpu.shares(), cpu.period(), cpu.burst(), cpu.realtime_period()];
    let signed = [cpu.quota(), cpu.realtime_runtime(), cpu.idle()];
    unsigned.into_iter().flatten().any(|value| value != 0)
        || signed.into_iter().flatten().any(|value| value != 0)
}

fn limits_io(io: &LinuxBlockIo) -> bool {
    io.weight().is_some_and(|weight| weight != 0)
        || io.leaf_weight().is_some_and(|weight| weight != 0)
        || some(io.weight_device())
        || some(io.throttle_read_bps_device())
        || some(io.throttle_write_bps_device())
        || some(io.throttle_read_iops_device())
        || some(io.throttle_write_iops_device())
}

/// Limits that libcgroups would pass over without a word, on either version.
fn refuse_unknown(resources: &LinuxResources) -> Result<(), CgroupError> {
    match resources.rdma().iter().flatten().next() {
        None => Ok(()),
        Some((device, _)) => Err(CgroupError::BadLimit {
            field: "linux.resources.rdma",
            value: device.clone(),
            remedy: "RDMA limits are not supported, remove them",
        }),
    }
}

/// A quota or period the kernel would answer with a bare "invalid argument"; so `--cpus 0.0001`.
fn refuse_quota(resources: &LinuxResources) -> Result<(), CgroupError> {
    let bad = |field, value, remedy| Err(CgroupError::BadLimit { field, value, remedy });
    let cpu = resources.cpu().as_ref();
    match cpu.and_then(LinuxCpu::quota) {
        Some(quota @ 1..QUOTA) => {
            let remedy = "the kernel takes 1000 (a millisecond in each period) or more, raise it";
            bad("linux.resources.cpu.quota", quota.to_string(), remedy)
        }
        _ => match cpu.and_then(LinuxCpu::period) {
            Some(period) if period != 0 && !PERIOD.contains(&period) => {
                let remedy = "the kernel takes 1000 to 1000000 (a millisecond to a second)";
                bad("linux.resources.cpu.period", period.to_string(), remedy)
            }
            _ => Ok(()),
        },
    }
}

/// Limits that are not written on v1, or that its kernel changes without a word.
fn refuse_v1(resources: &LinuxResources) -> Result<(), CgroupError> {
    let bad = |field, value, remedy| Err(CgroupError::BadLimit { field, value, remedy });
    if let Some((key, _)) = resources.unified().iter().flatten().next() {
        let remedy = "cgroup v1 has no such files, use the spec's named limits";
        return bad("linux.resources.unified", key.clone(), remedy);
    }
    if let Some(shares) = resources.cpu().as_ref().and_then(LinuxCpu::shares)
        && shares != 0
        && !SHARES.contains(&shares)
    {
        return bad("linux.resources.cpu.shares", shares.to_string(), "give 2 to 262144");
    }
    let io = resources.block_io().as_ref();
    if io.is_some_and(|io| some(io.weight_device()) || io.leaf_weight().is_some_and(|weight| weight != 0)) {
        let remedy = "weights per device and of leaves are not supported on cgroup v1, remove them";
        return bad("linux.resources.blockIO", "weightDevice or leafWeight".to_owned(), remedy);
    }
    Ok(())
}

/// The controller in front of a unified key, which must be a file's name and nothing else.
fn unified_controller(key: &str) -> Result<&str, CgroupError> {
    match key.split_once('.') {
        Some((controller, rest)) if !controller.is_empty() && !rest.is_empty() && !key.contains('/') => {
            Ok(controller)
        }
        _ => Err(CgroupError::BadLimit {
            field: "linux.resources.unified",
            value: key.to_owned(),
            remedy: "give the name of a file, as in memory.high",
        }),
    }
}

fn without_ignored(resources: &LinuxResources) -> LinuxResources {
    let mut written = resources.clone();
    written.set_devices(None);
    if let Some(memory) = written.memory_mut() {
        memory.set_kernel(None);
        memory.set_kernel_tcp(None);
    }
    written
}

#[cfg(test)]
mod tests;
