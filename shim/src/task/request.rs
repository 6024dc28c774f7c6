//! What goes in and out of a task, in plain types.

use crate::stdio;
use std::path::PathBuf;
use std::time::SystemTime;

/// The Create call.
#[derive(Debug, Clone)]
pub struct CreateRequest {
    /// The container's id.
    pub id: String,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The mounts that make the root file system; none when `root.path` of the spec is mounted already.
    pub rootfs: Vec<RootMount>,
    /// The three streams.
    pub stdio: stdio::Request,
    /// The options of the containerd handler, which may narrow the node's configuration.
    pub options: HandlerOptions,
}

/// The Exec call.
#[derive(Debug, Clone)]
pub struct ExecRequest {
    /// The process' id, unique in its container.
    pub exec_id: String,
    /// What to run: a `Process` of the runtime-spec as JSON, as it came.
    pub process: Vec<u8>,
    /// The three streams.
    pub stdio: stdio::Request,
}

/// A process of a container, in the host's pid namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The process.
    pub pid: u32,
    /// Which exec it is, if it is one's first process.
    pub exec_id: Option<String>,
}

/// The options of a containerd handler: TOML, in itself or in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandlerOptions {
    /// The text.
    pub body: Option<String>,
    /// The file's path; the text comes before it.
    pub path: Option<String>,
    /// The cgroup driver, when it came by itself and not as TOML.
    pub systemd_cgroup: Option<bool>,
}

/// One mount as containerd's snapshotters describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootMount {
    /// `overlay`, `bind`, …
    pub kind: String,
    /// The source.
    pub source: String,
    /// Options, `name` or `name=value`.
    pub options: Vec<String>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// 0 to 255; 128 + n for a death by signal n.
    pub status: u32,
    /// When it was seen.
    pub at: SystemTime,
    /// Whether memory ran out, by the guest's ceiling or the kernel's killer.
    pub out_of_memory: bool,
}

/// A container's state as containerd names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Made, not started.
    Created,
    /// It runs.
    Running,
    /// It is being frozen.
    Pausing,
    /// It is frozen.
    Paused,
    /// The process has ended.
    Stopped,
}

/// The State call's answer.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The process in the host's pid namespace, kept after its end; 0 before there is one.
    pub pid: u32,
    /// Where it stands.
    pub status: Status,
    /// The streams as they were asked for.
    pub stdio: stdio::Request,
    /// How it ended, once it has.
    pub exit: Option<Exit>,
}
