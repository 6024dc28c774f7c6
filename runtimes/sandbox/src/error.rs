//! What can go wrong while the walls are built: one variant per step.

use crate::hooks::HookError;
use std::io;
use thiserror::Error;

/// A wall that could not be built. The process must not go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The process could not be made non-dumpable.
    #[error("cannot make the process non-dumpable (PR_SET_DUMPABLE)")]
    Dumpable(#[source] io::Error),
    /// The parent-death signal could not be set.
    #[error("cannot set the parent-death signal (PR_SET_PDEATHSIG)")]
    DeathSignal(#[source] io::Error),
    /// A descriptor the plan names is not open.
    #[error("descriptor {fd}, {purpose} of the plan, is not open")]
    Descriptor {
        /// Its number.
        fd: i32,
        /// What the plan says it is.
        purpose: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A namespace could not be joined.
    #[error("cannot join the {kind:?} namespace of the spec; does it still exist?")]
    JoinNamespace {
        /// Which kind.
        kind: pinnace_plan::Namespace,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Files cannot be made as the root of the user namespace.
    #[error("cannot make files as user {uid}, group {gid}, the root of the container's user namespace")]
    FilesAs {
        /// Its id outside.
        uid: u32,
        /// Its group's.
        gid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The user namespace could not be entered.
    #[error("cannot enter the user namespace of the container")]
    EnterUsers(#[source] io::Error),
    /// The host name could not be set.
    #[error("cannot set host name {name:?}; at most 64 bytes are allowed")]
    Hostname {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The NIS domain name could not be set.
    #[error("cannot set domain name {name:?}; at most 64 bytes are allowed")]
    Domainname {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A sysctl that is not a container's own.
    #[error(
        "sysctl {key:?} does not belong to a namespace and would change the host; remove it from the spec"
    )]
    SysctlNotNamespaced {
        /// As the spec has it.
        key: String,
    },
    /// A sysctl could not be written.
    #[error("cannot set sysctl {key} to {value:?}")]
    Sysctl {
        /// As the spec has it.
        key: String,
        /// What was written.
        value: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host's mounts could not be made private.
    #[error("cannot make mounts private; was the process born in its own mount namespace?")]
    PrivateMounts(#[source] io::Error),
    /// A bind source could not be opened.
    #[error("cannot open {path}, source of the mount {destination}")]
    BindSource {
        /// Host path.
        path: String,
        /// Container path.
        destination: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A bind source is on a kernel file system.
    #[error(
        "{path}, source of the mount {destination}, is on {filesystem}; kernel file systems are never given to a Wasm container, remove the mount"
    )]
    KernelFileSystem {
        /// Host path.
        path: String,
        /// Container path.
        destination: String,
        /// Its name.
        filesystem: &'static str,
    },
    /// The mounts below a bind source could not be listed.
    #[error("cannot list the mounts below {path} from /proc/self/mountinfo")]
    Submounts {
        /// Host path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A host tree could not be cloned.
    #[error("cannot take {path} for the mount {destination} (open_tree)")]
    CloneTree {
        /// Host path.
        path: String,
        /// Container path.
        destination: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The owners of a mount's files could not be mapped.
    #[error(
        "cannot map the ids of the mount {destination} (MOUNT_ATTR_IDMAP): the file system of its source must support it, as ext4 and XFS do since Linux 5.12, btrfs since 5.15 and tmpfs since 6.3"
    )]
    MapIds {
        /// Container path.
        destination: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A tmpfs could not be made.
    #[error("cannot make the tmpfs for {destination}")]
    Tmpfs {
        /// Container path.
        destination: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A tmpfs option was refused.
    #[error("tmpfs option {option:?} of {destination} is refused by the kernel")]
    TmpfsOption {
        /// Container path.
        destination: String,
        /// `key` or `key=value`.
        option: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The root could not be attached.
    #[error("cannot attach the root file system (move_mount)")]
    AttachRoot(#[source] io::Error),
    /// The root is on a kernel file system.
    #[error(
        "the root file system is {filesystem}; kernel file systems are never given to a Wasm container, use an image"
    )]
    RootIsKernelFileSystem {
        /// Its name.
        filesystem: &'static str,
    },
    /// A destination is the root itself.
    #[error("the mount destination {destination:?} is not an absolute path below /")]
    Destination {
        /// Container path.
        destination: String,
    },
    /// A destination could not be found or made in the root.
    #[error("cannot reach or make the mount destination {destination} in the image")]
    MakeDestination {
        /// Container path.
        destination: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A mount could not be attached.
    #[error(
        "cannot attach the mount {destination}; source and destination must both be directories or both files"
    )]
    Attach {
        /// Container path.
        destination: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A mount's restrictions could not be set.
    #[error("cannot restrict the mount {destination} (mount_setattr; Linux 5.12 or newer is needed)")]
    Restrict {
        /// Container path.
        destination: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A device of `/dev` could not be given.
    #[error("cannot give the device {device} to the container")]
    Device {
        /// Host path.
        device: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A device of the spec could not be given.
    #[error(
        "cannot make the device {destination} ({major}:{minor}) of the spec; it takes CAP_MKNOD on the host"
    )]
    Node {
        /// Container path.
        destination: String,
        /// The driver's number.
        major: u32,
        /// The device's.
        minor: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A path could not be masked.
    #[error("cannot mask {path}")]
    Mask {
        /// Container path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A path could not be made read-only.
    #[error("cannot make {path} read-only")]
    ReadOnlyPath {
        /// Container path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A hook of the container, or the moment for it.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The root could not be entered.
    #[error("cannot enter the new root (pivot_root)")]
    Pivot(#[source] io::Error),
    /// The host's mounts could not be let go.
    #[error("cannot detach the host's mounts (umount2)")]
    DetachHost(#[source] io::Error),
    /// The mount namespace of a container that lives could not be joined.
    #[error("cannot join the mount namespace of the container; does it still live?")]
    JoinMounts(#[source] io::Error),
    /// The root could not be looked at.
    #[error("cannot compare the root with the container's")]
    CompareRoots(#[source] io::Error),
    /// The root of a mount namespace is not the container's.
    #[error(
        "the mount namespace of the container does not begin at the container's root, so nothing more can be run in it: no mount may cover the root, and containerd must not live in a chroot"
    )]
    OtherRoot,
    /// The program cannot be read.
    #[error("exec: {name:?}: {reason}: user {uid} cannot read {path}")]
    Program {
        /// As it was asked for.
        name: String,
        /// Container path.
        path: String,
        /// As whom.
        uid: u32,
        /// In a client's words.
        reason: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A resource limit nobody knows.
    #[error("resource limit {kind:?} is unknown; use a name of getrlimit(2)")]
    RlimitName {
        /// As the spec has it.
        kind: String,
    },
    /// A resource limit could not be set.
    #[error("cannot set {kind} to soft {soft}, hard {hard}")]
    Rlimit {
        /// As the spec has it.
        kind: String,
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Gaining privileges could not be given up.
    #[error("cannot set no_new_privs")]
    NoNewPrivs(#[source] io::Error),
    /// A capability nobody knows.
    #[error("capability {name:?} is unknown; use a name of capabilities(7)")]
    CapabilityName {
        /// As the plan has it.
        name: String,
    },
    /// Groups could not be set.
    #[error("cannot set supplementary groups {groups:?}")]
    Groups {
        /// The groups.
        groups: Vec<u32>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The group id could not be set.
    #[error("cannot become group {gid}")]
    Gid {
        /// Group id.
        gid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The user id could not be set.
    #[error("cannot become user {uid}")]
    Uid {
        /// User id.
        uid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Capability sets could not be read or set.
    #[error("cannot set the capability sets")]
    Capabilities(#[source] io::Error),
    /// A directory of the guest could not be opened.
    #[error("cannot open {path}, a directory of the guest, as user {uid}")]
    Preopen {
        /// Container path.
        path: String,
        /// As whom.
        uid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Landlock refused our rules.
    #[error("cannot restrict file access by Landlock")]
    Landlock(#[source] landlock::RulesetError),
    /// The root could not be named to Landlock.
    #[error("cannot open / for Landlock")]
    LandlockRoot(#[source] landlock::PathFdError),
    /// An engine asks for a system call nobody knows.
    #[error("the engine asks for the system call {name:?}, which this architecture does not have")]
    EngineCall {
        /// Its name.
        name: String,
    },
    /// A seccomp condition names an argument that does not exist.
    #[error("the seccomp profile compares argument {index} of {call}; arguments are 0 to 5")]
    SeccompArgument {
        /// System call.
        call: String,
        /// Argument.
        index: u32,
    },
    /// A filter could not be compiled.
    #[error("cannot compile the seccomp filter")]
    SeccompCompile(#[source] seccompiler::BackendError),
    /// A filter is longer than the kernel takes.
    #[error(
        "the seccomp profile makes a filter of {instructions} instructions; the kernel takes 4096, shorten its rules"
    )]
    SeccompTooLong {
        /// How many it has.
        instructions: usize,
    },
    /// A filter could not be installed.
    #[error("cannot install the seccomp filter")]
    SeccompInstall(#[source] seccompiler::Error),
    /// Descriptors could not be closed.
    #[error("cannot close inherited descriptors (close_range; Linux 5.9 or newer is needed)")]
    CloseDescriptors(#[source] io::Error),
}
