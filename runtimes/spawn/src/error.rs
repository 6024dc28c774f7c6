//! What can fail between the clone and the exec.

use std::io;

/// A step of the child before its exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Asking for the parent-death signal.
    ParentDeath = 1,
    /// Writing itself into a cgroup's `tasks`.
    JoinCgroup = 2,
    /// Becoming a session of its own.
    Session = 3,
    /// Moving descriptors to their numbers.
    Descriptors = 4,
    /// Making a terminal the session's own.
    Terminal = 5,
    /// Resetting signals.
    Signals = 6,
    /// The exec itself.
    Exec = 7,
}

impl Step {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::ParentDeath,
            Self::JoinCgroup,
            Self::Session,
            Self::Descriptors,
            Self::Terminal,
            Self::Signals,
            Self::Exec,
        ]
        .into_iter()
        .find(|step| *step as u8 == byte)
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ParentDeath => "asking for the parent-death signal",
            Self::JoinCgroup => "joining the cgroup",
            Self::Session => "starting a session",
            Self::Descriptors => "placing descriptors",
            Self::Terminal => "taking its terminal",
            Self::Signals => "resetting signals",
            Self::Exec => "executing the program",
        })
    }
}

/// A child that was not born.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The pipe for the child's report.
    #[error("cannot make a pipe for a new process")]
    Pipe(#[source] io::Error),
    /// Joining the pid namespace, or leaving it again.
    #[error("cannot enter the pid namespace of the container")]
    PidNamespace(#[source] io::Error),
    /// The clone.
    #[error("cannot create a process: {0}")]
    Clone(#[source] io::Error),
    /// A step of the child.
    #[error("a new process failed {step}: {source}")]
    Child {
        /// Which.
        step: Step,
        /// With what.
        source: io::Error,
    },
}
