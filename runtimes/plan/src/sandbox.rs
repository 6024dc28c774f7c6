//! The walls around a guest, already decided by the server: nothing here is a choice any more.

use crate::{Fd, Hooks};
use serde::{Deserialize, Serialize};

/// What the privileged sequence of `runtimes/sandbox` applies, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Namespaces to join, by descriptor. New ones were made by the clone, a pid namespace was joined
    /// before it; the mount namespace is that of [`Root`].
    pub join: Vec<(Namespace, Fd)>,
    /// Host name for a new UTS namespace.
    pub hostname: Option<String>,
    /// NIS domain name for a new UTS namespace.
    pub domainname: Option<String>,
    /// `/proc/sys` entries, dotted or slashed, with their values.
    pub sysctls: Vec<(String, String)>,
    /// The container's files.
    pub root: Root,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Identity.
    pub user: User,
    /// Capability sets to keep; names without `CAP_`, upper case.
    pub capabilities: Capabilities,
    /// The spec's own filter, folded into the engine's allow-list.
    pub seccomp: Option<Seccomp>,
}

/// The container's files: built by its first process, found by every other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// Built in the new mount namespace that the process was born in.
    Build(Build),
    /// Those of a container that lives. The process was born in the server's mount namespace.
    Join(Living),
    /// Built as [`Root::Build`], with programs of the host's to be run before they are entered.
    Hooked(Build, Hooks),
}

/// What a new container's files are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The root, a detached mount (`fsmount`, `open_tree`) that nobody else holds.
    pub fd: Fd,
    /// Whether the root is mounted read-only in the end.
    pub read_only: bool,
    /// The mounts below it, in the spec's order.
    pub mounts: Vec<Mount>,
    /// Absolute paths hidden behind an empty file or directory, where they exist.
    pub masked_paths: Vec<String>,
    /// Absolute paths made read-only, where they exist.
    pub readonly_paths: Vec<String>,
}

/// The files of a container that lives, as its first process has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Living {
    /// Its mount namespace.
    pub namespace: Fd,
    /// The root of its first process, by which the namespace is known to be the right one.
    pub root: Fd,
    /// The program that was found in it, as an absolute path: the user must be able to read it.
    pub program: Option<Program>,
}

/// A file of the container that is about to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// As it was asked for, for messages.
    pub name: String,
    /// Where it was found.
    pub path: String,
}

/// A kind of namespace that can be joined by descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Namespace {
    /// Network.
    Network,
    /// System V IPC and POSIX queues.
    Ipc,
    /// Host and domain name.
    Uts,
    /// The view of the cgroup tree.
    Cgroup,
    /// Users and groups. It is entered last, when nothing is left to do with the host's rights.
    User {
        /// The user id outside of its root, whose all is that is made in the container.
        uid: u32,
        /// The group id.
        gid: u32,
    },
}

/// One mount of the container, inside its own mount namespace only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path in the container; made if missing.
    pub destination: String,
    /// What is put there.
    pub kind: MountKind,
    /// Whether it is read-only.
    pub read_only: bool,
    /// Further restrictions (no-exec, no-dev and no-suid always hold).
    pub flags: MountFlags,
}

/// What a mount is made of. There is no kind for a kernel file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A file or directory of the host, by absolute host path.
    Bind {
        /// The host path.
        source: String,
        /// Whether mounts below the source come along (kernel file systems among them never do).
        recursive: bool,
    },
    /// A fresh tmpfs with these options (`size=…`, `mode=…`, `uid=…`).
    Tmpfs {
        /// Options as `fsconfig` takes them.
        options: Vec<(String, Option<String>)>,
    },
    /// A fresh tmpfs with these devices bound in, and nothing else.
    Dev {
        /// The devices.
        devices: Vec<Device>,
        /// Options of the tmpfs.
        options: Vec<(String, Option<String>)>,
    },
    /// A [`MountKind::Bind`] whose files' owners are mapped.
    MappedBind {
        /// The host path.
        source: String,
        /// Whether mounts below the source come along.
        recursive: bool,
        /// The user namespace whose maps lead from the ids in the source to those of the host.
        users: Fd,
        /// Whether mounts below the source are mapped too.
        below: bool,
    },
    /// A device that the spec gives by its numbers.
    Node(Node),
}

/// A device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Whether it is a block device; else it is a character device.
    pub block: bool,
    /// The driver's number.
    pub major: u32,
    /// The device's.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// The owner's id on the host.
    pub uid: u32,
    /// The group's.
    pub gid: u32,
}

/// The devices a guest may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Device {
    /// `/dev/null`
    Null,
    /// `/dev/zero`
    Zero,
    /// `/dev/full`
    Full,
    /// `/dev/random`
    Random,
    /// `/dev/urandom`
    Urandom,
}

/// Mount restrictions a spec may add.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountFlags {
    /// Access times are not kept.
    pub no_atime: bool,
    /// Access times are kept relative to the modification.
    pub relatime: bool,
    /// Symlinks on this mount are not followed.
    pub no_symfollow: bool,
}

/// One resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The spec's name (`RLIMIT_NOFILE`).
    pub kind: String,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// Who the process becomes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// File mode creation mask, if the spec gives one.
    pub umask: Option<u32>,
}

/// Capability sets; an empty one is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The most that can ever be had.
    pub bounding: Vec<String>,
    /// In force.
    pub effective: Vec<String>,
    /// Can be put in force.
    pub permitted: Vec<String>,
    /// Kept over exec by file.
    pub inheritable: Vec<String>,
    /// Kept over exec.
    pub ambient: Vec<String>,
}

/// The spec's seccomp profile (runtime-spec, `linux.seccomp`) as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seccomp {
    /// What happens to a call no rule names.
    pub default: SeccompAction,
    /// The rules, in the spec's order.
    pub rules: Vec<SeccompRule>,
}

/// Calls with one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeccompRule {
    /// Names of system calls; one this architecture lacks is passed over.
    pub names: Vec<String>,
    /// What happens to them.
    pub action: SeccompAction,
    /// Conditions that must all hold.
    pub args: Vec<Arg>,
}

/// A seccomp action. The order is from the mildest to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SeccompAction {
    /// The call goes through.
    Allow,
    /// It goes through and is logged.
    Log,
    /// It fails with this error number.
    Errno(u32),
    /// The thread gets SIGSYS.
    Trap,
    /// The thread is killed.
    KillThread,
    /// The process is killed.
    KillProcess,
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arg {
    /// Which argument, from 0.
    pub index: u32,
    /// What it is compared with.
    pub value: u64,
    /// The second value of [`ArgOp::MaskedEqual`].
    pub value_two: u64,
    /// How.
    pub op: ArgOp,
}

/// Comparisons of seccomp arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArgOp {
    /// ≠
    NotEqual,
    /// <
    LessThan,
    /// ≤
    LessEqual,
    /// =
    Equal,
    /// ≥
    GreaterEqual,
    /// >
    GreaterThan,
    /// `argument & value == value_two`
    MaskedEqual,
}
