//! Why a task call failed.

use super::request::Status;
use super::state::Denied;
use crate::cgroups::CgroupError;
use crate::spawn::SpawnFailure;

/// Why a task call failed; `protocol` maps each kind to its ttrpc status, in one place.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// No such container here.
    #[error("container {id:?} not found")]
    NoSuchTask {
        /// The id that was asked for.
        id: String,
    },
    /// No such process in the container.
    #[error("process {exec_id:?} of container {id:?} not found")]
    NoSuchExec {
        /// The container.
        id: String,
        /// The exec id that was asked for.
        exec_id: String,
    },
    /// The id is taken.
    #[error("container {id:?} already exists")]
    Exists {
        /// The id.
        id: String,
    },
    /// This server cannot make containers at all.
    #[error("{why}")]
    Host {
        /// What is wrong with the node, and the remedy.
        why: String,
    },
    /// Create failed; nothing is left of it.
    #[error(transparent)]
    Create(#[from] SpawnFailure),
    /// The engine could not enter the guest.
    #[error("cannot start container {id:?}: {why}")]
    Start {
        /// The container.
        id: String,
        /// The engine's own words.
        why: String,
    },
    /// Started before.
    #[error("container {id:?} was started already")]
    AlreadyStarted {
        /// The container.
        id: String,
    },
    /// Ended before.
    #[error("container {id:?} has ended and cannot be started")]
    Ended {
        /// The container.
        id: String,
    },
    /// There is nothing to signal.
    #[error("process of container {id:?} already finished")]
    NoProcess {
        /// The container.
        id: String,
    },
    /// Signalling failed.
    #[error("cannot send signal {signal} to container {id:?}")]
    Signal {
        /// The container.
        id: String,
        /// The signal's number.
        signal: i32,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// It must be stopped first.
    #[error("container {id:?} must be stopped before it is deleted: it is {status:?}")]
    NotStopped {
        /// The container.
        id: String,
        /// What it is.
        status: Status,
    },
    /// Its cgroup could not be read.
    #[error("cannot read the cgroup of container {id:?}")]
    Cgroup {
        /// The container.
        id: String,
        /// The step that failed.
        source: CgroupError,
    },
}

impl TaskError {
    pub(super) fn denied(id: &str, why: Denied) -> Self {
        let id = id.to_owned();
        match why {
            Denied::AlreadyStarted => Self::AlreadyStarted { id },
            Denied::Ended | Denied::OutOfTurn => Self::Ended { id },
            Denied::NoProcess => Self::NoProcess { id },
            Denied::NotStopped(status) => Self::NotStopped { id, status },
            Denied::BeingDeleted => Self::NoSuchTask { id },
        }
    }
}
