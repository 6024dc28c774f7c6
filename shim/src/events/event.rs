//! What happens to a task, in plain types.

use crate::stdio;
use crate::task::RootMount;
use std::path::PathBuf;
use std::time::SystemTime;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A task was made.
    TaskCreate {
        /// The container's id.
        id: String,
        /// Its bundle.
        bundle: PathBuf,
        /// The mounts its root was asked for with.
        rootfs: Vec<RootMount>,
        /// Its streams.
        stdio: stdio::Request,
        /// Its first process.
        pid: u32,
    },
    /// Its first process began.
    TaskStart {
        /// The container's id.
        id: String,
        /// Its first process.
        pid: u32,
    },
    /// A process ended.
    TaskExit {
        /// The container's id.
        id: String,
        /// The exec's id; the container's for its first process.
        exec_id: String,
        /// The process.
        pid: u32,
        /// 0 to 255.
        status: u32,
        /// When.
        exited_at: SystemTime,
    },
    /// A task was removed.
    TaskDelete {
        /// The container's id.
        id: String,
        /// Its first process.
        pid: u32,
        /// How that ended.
        status: u32,
        /// When.
        exited_at: SystemTime,
    },
    /// A further process was asked for.
    ExecAdded {
        /// The container's id.
        id: String,
        /// The process' id.
        exec_id: String,
    },
    /// A further process began.
    ExecStarted {
        /// The container's id.
        id: String,
        /// The process' id.
        exec_id: String,
        /// The process.
        pid: u32,
    },
    /// All processes were frozen.
    TaskPaused {
        /// The container's id.
        id: String,
    },
    /// They go on.
    TaskResumed {
        /// The container's id.
        id: String,
    },
    /// Memory ran out.
    TaskOom {
        /// The container's id.
        id: String,
    },
}
