//! What can fail, one variant a step, each with the file it is about.

use super::{CgroupPath, Controller, SystemdError};
use pinnace_spawn::PlaceholderError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a cgroup could not be made, limited, joined, read or removed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named as what they hold")]
pub enum CgroupError {
    /// The list of mounts is unreadable: without it nothing is known.
    #[error("cannot read /proc/self/mountinfo: {source}")]
    Mountinfo { source: io::Error },
    /// No hierarchy is mounted, or every one is covered by another mount.
    #[error("no cgroup hierarchy is mounted: mount cgroup2 at /sys/fs/cgroup")]
    NoHierarchy,
    /// A hierarchy's mount point cannot be opened.
    #[error("cannot open the cgroup hierarchy {}: {source}", path.display())]
    OpenHierarchy { path: PathBuf, source: io::Error },
    /// The handler wants scopes, who made the spec does not.
    #[error(
        "the options of the containerd handler say SystemdCgroup = true, but cgroupsPath {path:?} is not of the form \
         slice:prefix:name: set the systemd driver in the kubelet or dockerd too, or remove SystemdCgroup"
    )]
    WantsSystemd { path: String },
    /// The handler wants no scopes, who made the spec does.
    #[error(
        "the options of the containerd handler say SystemdCgroup = false, but cgroupsPath {path:?} is of the form \
         slice:prefix:name: set SystemdCgroup = true, or the cgroupfs driver in the kubelet or dockerd"
    )]
    WantsCgroupfs { path: String },
    /// No runtime to talk to systemd in, where none runs already.
    #[error("cannot make a runtime to talk to systemd: {source}")]
    Runtime { source: io::Error },
    /// A step of the systemd driver.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// No process to start a scope with.
    #[error("cannot start a scope of systemd: {0}")]
    Placeholder(#[from] PlaceholderError),
    /// A path that is not one below the hierarchies.
    #[error("cgroupsPath {path:?} cannot be used: {reason}")]
    BadPath { path: String, reason: &'static str },
    /// A directory cannot be made.
    #[error("cannot make the cgroup {}: {source}", path.display())]
    Make { path: PathBuf, source: io::Error },
    /// The directory existed and has processes: two containers would share limits and figures.
    #[error("the cgroup {} has processes already: give every container a cgroupsPath of its own", path.display())]
    Occupied { path: PathBuf },
    /// A file of the cgroup cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A value was not accepted.
    #[error("cannot write {value:?} to {}: {source}", path.display())]
    Write { path: PathBuf, value: String, source: io::Error },
    /// No cgroup above has any CPU or memory node to give.
    #[error("{} is empty in every cgroup above: set it in the parent", path.display())]
    EmptyCpuset { path: PathBuf },
    /// The spec limits what this machine, or the parent cgroup, does not control.
    #[error(
        "the spec's {field} needs the cgroup controller {controller}, which {place} does not have: \
         enable it or remove the limit"
    )]
    MissingController { field: &'static str, controller: String, place: String },
    /// v2: a cgroup above has processes of its own, so the kernel lets it hand down no controller.
    #[error(
        "the spec's {field} needs the cgroup controller {controller}, which {} cannot hand down while it has processes \
         of its own: move them into a cgroup below it, or remove the limit",
        parent.display()
    )]
    HeldBack { field: &'static str, controller: String, parent: PathBuf },
    /// v2: below a threaded cgroup there are no processes of their own, only threads of those above.
    #[error(
        "{} says {kind:?}, because {} is threaded, so no container can be there: give a cgroupsPath that is not below it",
        file.display(), above.display()
    )]
    Threaded { file: PathBuf, kind: String, above: PathBuf },
    /// A limit this runtime cannot set.
    #[error("the spec's {field} is {value:?}: {remedy}")]
    BadLimit { field: &'static str, value: String, remedy: &'static str },
    /// A memory limit below what is used, of which the kernel can take nothing away.
    #[error("cannot write {value:?} to {}: {usage} bytes are in use: stop something first", path.display())]
    BelowUse { path: PathBuf, value: String, usage: u64 },
    /// v1: a memory limit above the one of memory with swap.
    #[error(
        "cannot write {value:?} to {}: memory with swap may be {together} bytes: update memory.swap too",
        path.display()
    )]
    AboveSwap { path: PathBuf, value: String, together: u64 },
    /// The file a child joins by cannot be opened.
    #[error("cannot open {} to join: {source}", path.display())]
    Join { path: PathBuf, source: io::Error },
    /// The cgroup does not exist (any more).
    #[error("the cgroup {path} does not exist")]
    Gone { path: CgroupPath },
    /// Nothing can be paused here.
    #[error(
        "the cgroup {path} has no freezer, so it cannot be paused: mount the v1 controller freezer, or boot a kernel \
         of 5.2 or later with cgroup v2"
    )]
    NoFreezer { path: CgroupPath },
    /// A process did not stop in time; all run again.
    #[error(
        "{} did not come to rest in {} s, so all were resumed: a process waits in the kernel, for a disk or a network \
         file system", path.display(), waited.as_secs()
    )]
    NotFrozen { path: PathBuf, waited: Duration },
    /// The kernel's word about a change cannot be awaited.
    #[error("cannot watch {}: {source}", path.display())]
    Watch { path: PathBuf, source: io::Error },
    /// A signal was not taken.
    #[error("cannot send signal {signal} to the processes of the cgroup {path}: {source}")]
    Signal { path: CgroupPath, signal: i32, source: io::Error },
    /// Processes outlived SIGKILL for as long as was waited.
    #[error("processes of the cgroup {path} outlived SIGKILL, {pid} among them")]
    Unkillable { path: CgroupPath, pid: i32 },
    /// A directory cannot be removed.
    #[error("cannot remove the cgroup {}: {source}", path.display())]
    Remove { path: PathBuf, source: io::Error },
}

impl CgroupError {
    pub(super) fn missing(field: &'static str, controller: Controller, place: String) -> Self {
        Self::MissingController { field, controller: controller.to_string(), place }
    }
}
