//! Whether a limit can be set at all: what the spec asks for, and whether this machine, and this cgroup, has it.

use crate::cgroups::discover::Tree;
use crate::cgroups::{CgroupError, CgroupPath, Controller, files};
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

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

/// Whether a list of controllers has this one.
pub(super) fn has(list: &str, controller: &str) -> bool {
    list.split_whitespace().any(|listed| listed == controller)
}

/// v2: the outermost cgroup above that lacks a controller, and whether its own parent keeps it back.
pub(super) fn why_missing(
    tree: &Tree,
    path: &CgroupPath,
    field: &'static str,
    controller: &str,
) -> CgroupError {
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
pub(super) fn asked(resources: &LinuxResources) -> Vec<(&'static str, Controller)> {
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
    let unsigned = [cpu.shares(), cpu.period(), cpu.realtime_period()];
    let signed = [cpu.quota(), cpu.realtime_runtime()];
    unsigned.into_iter().flatten().any(|value| value != 0)
        || signed.into_iter().flatten().any(|value| value != 0)
        || cpu.burst().is_some()
        || cpu.idle().is_some()
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

/// Limits that are not written on either version, and names that are no names.
fn refuse_unknown(resources: &LinuxResources) -> Result<(), CgroupError> {
    if let Some((device, _)) = resources.rdma().iter().flatten().next() {
        return Err(CgroupError::BadLimit {
            field: "linux.resources.rdma",
            value: device.clone(),
            remedy: "RDMA limits are not supported, remove them",
        });
    }
    let sizes = resources.hugepage_limits().iter().flatten().map(|limit| limit.page_size());
    for size in sizes {
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(CgroupError::BadLimit {
                field: "linux.resources.hugepageLimits.pageSize",
                value: size.clone(),
                remedy: "give a size as in 2MB or 1GB",
            });
        }
    }
    Ok(())
}

/// Limits that v2 has no file for.
pub(super) fn refuse_v2(resources: &LinuxResources) -> Result<(), CgroupError> {
    let bad = |field, value, remedy| Err(CgroupError::BadLimit { field, value, remedy });
    let memory = resources.memory().as_ref();
    let (limit, swap) = (memory.and_then(LinuxMemory::limit), memory.and_then(LinuxMemory::swap));
    if let Some(swap) = swap.filter(|swap| *swap > 0)
        && limit.is_none_or(|limit| limit <= 0 || swap < limit)
    {
        // There it is the limit of swap alone.
        let remedy = "it counts memory and swap together, so give memory.limit too, and not more than this";
        return bad("linux.resources.memory.swap", swap.to_string(), remedy);
    }
    if memory.and_then(LinuxMemory::disable_oom_killer) == Some(true) {
        let remedy = "cgroup v2 cannot do without the OOM killer, remove it";
        return bad("linux.resources.memory.disableOOMKiller", "true".to_owned(), remedy);
    }
    if let Some(swappiness) = memory.and_then(LinuxMemory::swappiness) {
        let remedy = "cgroup v2 has no swappiness of a container, remove it";
        return bad("linux.resources.memory.swappiness", swappiness.to_string(), remedy);
    }
    let cpu = resources.cpu().as_ref();
    let realtime = cpu.and_then(LinuxCpu::realtime_runtime).filter(|runtime| *runtime != 0);
    if let Some(runtime) = realtime {
        let remedy = "cgroup v2 has no realtime limits, remove it";
        return bad("linux.resources.cpu.realtimeRuntime", runtime.to_string(), remedy);
    }
    let leaf = resources.block_io().as_ref().and_then(LinuxBlockIo::leaf_weight);
    if let Some(weight) = leaf.filter(|weight| *weight != 0) {
        let remedy = "cgroup v2 has no weight of leaves, remove it";
        return bad("linux.resources.blockIO.leafWeight", weight.to_string(), remedy);
    }
    Ok(())
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
pub(super) fn refuse_v1(resources: &LinuxResources) -> Result<(), CgroupError> {
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
pub(super) fn unified_controller(key: &str) -> Result<&str, CgroupError> {
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
