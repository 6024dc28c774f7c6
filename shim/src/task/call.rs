//! The calls to one container, each with the way back for its answer.

use super::error::TaskError;
use super::request::{ExecRequest, Exit, Listed, Snapshot};
use super::state::Who;
use crate::cgroups::Stats;
use oci_spec::runtime::LinuxResources;
use tokio::sync::oneshot;

/// The answer to a call.
pub(super) type Answer<T> = oneshot::Sender<Result<T, TaskError>>;

/// A call to one container.
#[derive(Debug)]
pub(super) enum Call {
    Add(ExecRequest, Answer<()>),
    Start(Who, Answer<u32>),
    State(Who, Answer<Snapshot>),
    Wait(Who, Answer<Exit>),
    Kill(Who, i32, Answer<()>),
    KillAll(i32, Answer<()>),
    Delete(Who, Answer<(u32, Exit)>),
    Pids(Answer<Vec<Listed>>),
    Stats(Answer<Stats>),
    CloseStdin(Who, Answer<()>),
    Resize(Who, (u16, u16), Answer<()>),
    Pause(Answer<()>),
    Resume(Answer<()>),
    Update(Box<LinuxResources>, Answer<()>),
}

/// A caller that has gone away is no concern of the container's.
pub(super) fn reply<T>(answer: Answer<T>, value: Result<T, TaskError>) {
    drop(answer.send(value));
}
