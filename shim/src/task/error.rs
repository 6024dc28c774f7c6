//! Why a task call failed.

use super::request::Status;
use super::state::{Denied, Who};
use crate::cgroups::CgroupError;
use crate::spawn::SpawnFailure;
use std::fmt;

/// Why a task call failed; `protocol` maps each kind to its ttrpc status, in one place.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// No such container, or no such process in it.
    #[error("{of} not found")]
    NotFound {
        /// Which process.
        of: Of,
    },
    /// The id is taken.
    #[error("{of} already exists")]
    Exists {
        /// Which process.
        of: Of,
    },
    /// What an exec should run makes no sense.
    #[error("the process of exec {exec_id:?} is not one of the runtime-spec: {source}")]
    ExecProcess {
        /// The exec id.
        exec_id: String,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// The resources of an update make no sense.
    #[error("the resources for container {id:?} are not those of the runtime-spec: {source}")]
    Resources {
        /// The container.
        id: String,
        /// Where it goes wrong.
        source: serde_json::Error,
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
    /// The program could not be entered.
    #[error("cannot start {of}: {why}")]
    Start {
        /// Which process.
        of: Of,
        /// The words of who tried.
        why: String,
    },
    /// Started before.
    #[error("{of} was started already")]
    AlreadyStarted {
        /// Which process.
        of: Of,
    },
    /// Ended before.
    #[error("{of} has ended and cannot be started")]
    Ended {
        /// Which process.
        of: Of,
    },
    /// There is nothing to signal. Docker knows it by these words.
    #[error("{of}: process already finished")]
    NoProcess {
        /// Which process.
        of: Of,
    },
    /// There is nothing to signal yet.
    #[error("{of} is not started")]
    NotStarted {
        /// Which process.
        of: Of,
    },
    /// What is asked for needs a container that runs.
    #[error("container {id:?} is {status:?}, so this cannot be done to it")]
    NotRunning {
        /// The container.
        id: String,
        /// What it is.
        status: Status,
    },
    /// The freezer did not do it.
    #[error("cannot pause or resume container {id:?}: {why}")]
    Freezer {
        /// The container.
        id: String,
        /// What went wrong.
        why: String,
    },
    /// Signalling failed.
    #[error("cannot send signal {signal} to {of}")]
    Signal {
        /// Which process.
        of: Of,
        /// The signal's number.
        signal: i32,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// It must be stopped first.
    #[error("{of} must be stopped before it is deleted: it is {status:?}")]
    NotStopped {
        /// Which process.
        of: Of,
        /// What it is.
        status: Status,
    },
    /// A terminal took no new size.
    #[error("cannot resize the terminal of {of}: {source}")]
    Resize {
        /// Which process.
        of: Of,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Its limits could not be changed.
    #[error("cannot update container {id:?}")]
    Update {
        /// The container.
        id: String,
        /// The step that failed.
        source: Box<SpawnFailure>,
    },
    /// Its cgroup could not be read or changed.
    #[error("the cgroup of container {id:?}")]
    Cgroup {
        /// The container.
        id: String,
        /// The step that failed.
        source: CgroupError,
    },
}

/// An error with its causes in one line: it is all that `kubectl describe` and `docker run` will show.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A process as messages name it.
#[derive(Debug, Clone)]
pub struct Of {
    id: String,
    exec_id: Option<String>,
}

impl Of {
    pub(super) fn new(id: &str, who: &Who) -> Self {
        let exec_id = match who {
            Who::Init => None,
            Who::Exec(exec_id) => Some(exec_id.clone()),
        };
        Self { id: id.to_owned(), exec_id }
    }
}

#[cfg(test)]
impl Of {
    /// The first process of a container.
    pub(crate) fn first(id: &str) -> Self {
        Self::new(id, &Who::Init)
    }
}

impl fmt::Display for Of {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.exec_id {
            None => write!(formatter, "container {:?}", self.id),
            Some(exec_id) => write!(formatter, "process {exec_id:?} of container {:?}", self.id),
        }
    }
}

impl TaskError {
    /// A refusal in words.
    pub(super) fn denied(of: Of, why: Denied) -> Self {
        match why {
            Denied::AlreadyStarted => Self::AlreadyStarted { of },
            Denied::Ended | Denied::OutOfTurn => Self::Ended { of },
            Denied::NoProcess => Self::NoProcess { of },
            Denied::NotStarted => Self::NotStarted { of },
            Denied::NotStopped(status) => Self::NotStopped { of, status },
            Denied::BeingDeleted | Denied::NoSuchExec => Self::NotFound { of },
            Denied::NotRunning(status) => Self::NotRunning { id: of.id, status },
            Denied::Exists => Self::Exists { of },
        }
    }

    pub(super) fn not_found(id: &str) -> Self {
        Self::NotFound { of: Of::new(id, &Who::Init) }
    }
}
