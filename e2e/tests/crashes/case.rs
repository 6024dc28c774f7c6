//! One case: its parts, and its name.

use std::fmt;

/// What kind of container is in the middle of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A Wasm container, alone.
    Wasm,
    /// A native container, alone.
    Native,
    /// A pod's own container.
    Holder,
    /// A Wasm container in a pod, beside a native one.
    Member,
}

/// A call, or what brings a program of ours to its phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Create,
    Start,
    Exec,
    Kill,
    Exit,
    Pause,
    Resume,
    Update,
    Delete,
    /// `delete`, which containerd executes after a server was killed.
    Clean,
}

/// Where a container stands while nothing is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Created,
    Running,
    Paused,
    Stopped,
    /// Running, and with a further process.
    Executing,
}

/// Where a command of the OCI runtime stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Before,
    /// In a hook that it runs.
    Amid,
    After,
}

/// When somebody dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    In(State),
    /// At a phase of the shim's (`shim/src/fault.rs`).
    At(Op, &'static str),
    /// At a place of the OCI runtime's command for this call.
    Runtime(Op, Place),
}

/// Who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// The server.
    Server,
    /// The program that containerd executed for one answer: `start`, `delete`.
    Caller,
    /// The container's first process: an engine, a holder, a native program.
    Init,
    /// Its further process.
    Further,
    /// The pod's holder.
    Holder,
    /// The OCI runtime.
    Runtime,
    /// containerd, by SIGKILL.
    Containerd,
    /// containerd, asked to end.
    ContainerdAsked,
    /// The server and containerd.
    Both,
}

/// A case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) when: When,
    pub(crate) victim: Victim,
}

impl Case {
    /// The call that is under way, if one is.
    pub(crate) fn op(&self) -> Option<Op> {
        match self.when {
            When::In(_) => None,
            When::At(op, _) | When::Runtime(op, _) => Some(op),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(state) => write!(f, "{state:?}"),
            Self::At(op, phase) => write!(f, "{op:?}.{phase}"),
            Self::Runtime(op, place) => write!(f, "{op:?}.{place:?}Runtime"),
        }
    }
}

/// As `PINNACE_CASE` takes it: `Wasm/Start.GoSent/Server`.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}/{:?}", self.kind, self.when, self.victim)
    }
}
