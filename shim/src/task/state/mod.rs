//! One container's life as a pure function: its first process, its execs, and what holds between them.
//!
//! ```text
//!  Input ──▶ Life::step ──▶ effects, in order          a call that does not fit: Denied, and nothing changes
//!               ├ init.rs   the first process: Start, Pause, Resume, Delete
//!               └ exec.rs   every other one: Exec, Start, Delete
//! ```
//!
//! Between them: an exec starts only while the first process runs; when that ends, its execs are ended first and
//! its own end is told last.

mod exec;
mod init;

pub(super) use exec::Exec;
pub(super) use init::Init;

use super::request::{Exit, Status};
use std::collections::BTreeMap;

/// Which process of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// The one it was created with.
    Init,
    /// The one with this exec id.
    Exec(String),
}

impl From<&str> for Who {
    /// As containerd names it: without an exec id it is the first.
    fn from(exec_id: &str) -> Self {
        match exec_id {
            "" => Self::Init,
            id => Self::Exec(id.to_owned()),
        }
    }
}

/// What happens to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// The Exec call: a further process is asked for.
    Add(String),
    /// The Start call.
    Start(Who),
    /// The process is entered.
    Started(Who),
    /// It cannot be started.
    Failed(Who, String),
    /// The Kill call.
    Kill(Who, i32),
    /// The Kill call, for every process there is.
    KillAll(i32),
    /// The process has ended.
    Ended(Who, Exit),
    /// The Delete call.
    Delete(Who),
    /// Its streams are drained and its logger has ended, if it had any.
    StreamsGone(Who),
    /// The Pause call.
    Pause,
    /// The Resume call.
    Resume,
    /// What Pause or Resume asked of the freezer is done, or why not.
    Frozen(Result<(), String>),
    /// The Update call.
    Update,
}

/// What has to be done about it, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Tell that an exec is there.
    PublishAdded(String),
    /// Have the process enter its program; [`Input::Started`] or [`Input::Failed`] follows.
    Go(Who),
    /// Signal a process.
    Signal(Who, i32),
    /// Signal all processes.
    SignalAll(i32),
    /// Publish the start. Always before the exit of the same process.
    PublishStart(Who),
    /// Answer the Start call with the pid.
    AnswerStart(Who),
    /// Answer the Start call with a failure.
    RefuseStart(Who, String),
    /// Close our ends of the streams: the client waits for end of file before it calls Delete.
    CloseStreams(Who),
    /// Publish TaskOOM. Always before the exit of the same process.
    PublishOom,
    /// Publish TaskExit.
    PublishExit(Who, Exit),
    /// Answer all Wait calls.
    AnswerWaits(Who, Exit),
    /// Have the logger end; [`Input::StreamsGone`] follows.
    EndStreams(Who),
    /// Have the kernel hold all processes, or let them go; [`Input::Frozen`] follows.
    Freeze(bool),
    /// Publish TaskPaused or TaskResumed.
    PublishFrozen(bool),
    /// Answer the Pause or Resume call.
    AnswerFreezer(Result<(), String>),
    /// Remove the cgroup and everything else that is left.
    CleanUp,
    /// Publish TaskDelete.
    PublishDelete(Exit),
    /// Answer the Delete call. Of an exec nothing is left then.
    AnswerDelete(Who, Exit),
}

/// A call that does not fit the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Start, but it was started before.
    AlreadyStarted,
    /// Start, but it has ended or is about to.
    Ended,
    /// Kill, but there is no process any more.
    NoProcess,
    /// Kill of an exec, but there is no process yet.
    NotStarted,
    /// Delete, but the process lives.
    NotStopped(Status),
    /// A second Delete.
    BeingDeleted,
    /// The first process is not running, which this call needs.
    NotRunning(Status),
    /// The exec id is taken.
    Exists,
    /// There is no such exec.
    NoSuchExec,
    /// A report that may not be made now; it is ignored.
    OutOfTurn,
}

/// Where a container stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    init: Init,
    execs: BTreeMap<String, Exec>,
}

impl Life {
    /// Its first process is there and waits to be started.
    pub(super) fn new() -> Self {
        Self { init: Init::Created, execs: BTreeMap::new() }
    }

    /// Whether it was deleted.
    pub(super) fn is_gone(&self) -> bool {
        self.init == Init::Gone
    }

    /// A process' state as containerd names it; none if there is no such process.
    pub(super) fn status(&self, who: &Who) -> Option<Status> {
        match who {
            Who::Init => Some(self.init.status()),
            Who::Exec(id) => self.execs.get(id).map(Exec::status),
        }
    }

    /// How a process ended, once it has and that was told.
    pub(super) fn exit(&self, who: &Who) -> Option<Exit> {
        match who {
            Who::Init => self.init.exit(),
            Who::Exec(id) => self.execs.get(id).and_then(Exec::exit),
        }
    }

    /// What to do about an input; after a refusal everything is as it was.
    pub(super) fn step(&mut self, input: Input) -> Result<Vec<Effect>, Denied> {
        match input {
            Input::Add(id) => self.add(id),
            Input::Start(Who::Exec(id)) => self.start_exec(id),
            Input::Started(Who::Exec(id)) => self.exec_started(id),
            Input::Failed(Who::Exec(id), why) => self.exec_failed(id, why),
            Input::Kill(Who::Exec(id), signal) => self.kill_exec(id, signal),
            Input::Ended(Who::Exec(id), exit) => self.exec_ended(id, exit),
            Input::Delete(Who::Exec(id)) => self.delete_exec(id),
            Input::StreamsGone(Who::Exec(id)) => self.exec_streams_gone(id),
            Input::Start(Who::Init) => self.start(),
            Input::Started(Who::Init) => self.started(),
            Input::Failed(Who::Init, why) => self.failed(why),
            Input::Kill(Who::Init, signal) => self.kill(Effect::Signal(Who::Init, signal), signal),
            Input::KillAll(signal) => self.kill(Effect::SignalAll(signal), signal),
            Input::Ended(Who::Init, exit) => self.ended(exit),
            Input::Delete(Who::Init) => self.delete(),
            Input::StreamsGone(Who::Init) => self.streams_gone(),
            Input::Pause => self.pause(),
            Input::Resume => self.resume(),
            Input::Frozen(done) => self.frozen(done),
            Input::Update => self.update(),
        }
    }
}

/// SIGKILL.
const KILL: i32 = 9;

/// What every end of a process brings, in this order.
fn ending(who: &Who, exit: Exit) -> Vec<Effect> {
    let mut effects = vec![Effect::CloseStreams(who.clone())];
    if exit.out_of_memory {
        effects.push(Effect::PublishOom);
    }
    effects.extend([Effect::PublishExit(who.clone(), exit), Effect::AnswerWaits(who.clone(), exit)]);
    effects
}

#[cfg(test)]
mod tests;
