//! One container's owner: it takes calls, hears the engine, sees the process end, and carries out what
//! [`state`](super::state) decides.

use super::error::TaskError;
use super::registry::Forget;
use super::request::{Exit, Snapshot};
use super::state::{Effect, Input, State, step};
use crate::cgroups::{Cgroup, Stats};
use crate::events::{Event, Publisher};
use crate::spawn::Engine;
use crate::stdio::{self, Stdio};
use pinnace_plan::{Command, ExitCause, Report};
use std::path::PathBuf;
use std::time::SystemTime;
use tokio::sync::{mpsc, oneshot};

/// The answer to a call.
pub(super) type Answer<T> = oneshot::Sender<Result<T, TaskError>>;

/// A call to one container.
#[derive(Debug)]
pub(super) enum Call {
    Start(Answer<u32>),
    State(Answer<Snapshot>),
    Wait(Answer<Exit>),
    Kill(i32, Answer<()>),
    Delete(Answer<(u32, Exit)>),
    Pids(Answer<Vec<u32>>),
    Stats(Answer<Stats>),
    CloseStdin(Answer<()>),
}

/// What one container is made of.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) bundle: PathBuf,
    pub(super) streams: stdio::Request,
    pub(super) stdio: Option<Stdio>,
    pub(super) engine: Engine,
    pub(super) cgroup: Cgroup,
}

/// A container, its state, and who waits for what.
#[derive(Debug)]
pub(super) struct Actor {
    container: Container,
    events: Publisher,
    forget: Forget,
    state: State,
    cause: Option<ExitCause>,
    start: Option<Answer<u32>>,
    delete: Option<Answer<(u32, Exit)>>,
    waits: Vec<Answer<Exit>>,
}

impl Actor {
    pub(super) fn new(container: Container, events: Publisher, forget: Forget) -> Self {
        let (state, cause, start, delete, waits) = (State::Created, None, None, None, Vec::new());
        Self { container, events, forget, state, cause, start, delete, waits }
    }

    /// Lives until the container is deleted, or nobody can call any more.
    pub(super) async fn run(mut self, mut calls: mpsc::Receiver<Call>) {
        let (mut speaks, mut lives) = (true, true);
        while self.state != State::Gone {
            tokio::select! {
                biased;
                report = self.container.engine.control.receive(), if speaks => match report {
                    Ok(Some(report)) => self.hear(report),
                    Ok(None) => speaks = false,
                    Err(error) => {
                        log::warn!("container {}: {error}", self.container.id);
                        speaks = false;
                    }
                },
                status = self.container.engine.ended(), if lives => {
                    (speaks, lives) = (false, false);
                    self.end(status);
                }
                call = calls.recv() => match call {
                    Some(call) => self.take(call),
                    None => return,
                },
            }
        }
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Started => self.input(Input::Started),
            Report::Failed(failure) => self.input(Input::Failed(failure.message)),
            Report::Exit(cause) => self.cause = Some(cause),
            Report::Ready { .. } => {}
        }
    }

    /// The process is gone. What it said last is still in the socket, and comes first.
    fn end(&mut self, status: u32) {
        while let Ok(Some(report)) = self.container.engine.control.received() {
            self.hear(report);
        }
        // One process a container: a kill by the kernel's OOM killer can only have been this one's.
        let killed_for_memory = status == KILLED && self.container.cgroup.oom_kills() > 0;
        let out_of_memory = killed_for_memory || matches!(self.cause, Some(ExitCause::OutOfMemory { .. }));
        self.input(Input::Ended(Exit { status, at: SystemTime::now(), out_of_memory }));
    }

    /// An input that nobody waits for: one that comes out of turn changes nothing.
    fn input(&mut self, input: Input) {
        match step(&self.state, input) {
            Ok((state, effects)) => self.enter(state, effects),
            Err(why) => log::debug!("container {}: {why:?}", self.container.id),
        }
    }

    fn enter(&mut self, state: State, effects: Vec<Effect>) {
        self.state = state;
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn take(&mut self, call: Call) {
        match call {
            Call::Start(answer) => {
                self.decide(Input::Start, answer, |actor, answer| actor.start = Some(answer))
            }
            Call::Delete(answer) => {
                self.decide(Input::Delete, answer, |actor, answer| actor.delete = Some(answer))
            }
            Call::Kill(signal, answer) => {
                let done = match step(&self.state, Input::Kill(signal)) {
                    Ok(_) => self.signal(signal),
                    Err(why) => Err(TaskError::denied(&self.container.id, why)),
                };
                reply(answer, done);
            }
            Call::State(answer) => reply(answer, Ok(self.snapshot())),
            Call::Wait(answer) => match self.state.exit() {
                Some(exit) => reply(answer, Ok(exit)),
                None => {
                    // Whoever has gone away (a containerd that was restarted) leaves nothing behind.
                    self.waits.retain(|waiting| !waiting.is_closed());
                    self.waits.push(answer);
                }
            },
            // The init process belongs to the container until Delete: containerd takes a task without
            // pids for a leak when it restarts, and would throw away the exit status.
            Call::Pids(answer) => reply(answer, Ok(self.pids())),
            Call::Stats(answer) => {
                let id = self.container.id.clone();
                let stats = self.container.cgroup.stats();
                reply(answer, stats.map_err(|source| TaskError::Cgroup { id, source }));
            }
            Call::CloseStdin(answer) => {
                if let Some(stdio) = &mut self.container.stdio {
                    stdio.close_stdin();
                }
                reply(answer, Ok(()));
            }
        }
    }

    /// A call whose answer comes with a later effect; `keep` puts it where that effect finds it.
    fn decide<T>(&mut self, input: Input, answer: Answer<T>, keep: impl FnOnce(&mut Self, Answer<T>)) {
        match step(&self.state, input) {
            Ok((state, effects)) => {
                keep(self, answer);
                self.enter(state, effects);
            }
            Err(why) => reply(answer, Err(TaskError::denied(&self.container.id, why))),
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let (id, pid) = (self.container.id.clone(), self.pid());
        match effect {
            Effect::SendGo => {
                // A dead engine cannot hear it; its end is then the answer.
                if let Err(error) = self.container.engine.control.send(&Command::Go) {
                    log::debug!("container {}: {error}", self.container.id);
                }
            }
            Effect::Signal(signal) => {
                if let Err(error) = self.signal(signal) {
                    log::warn!("{error}");
                }
            }
            Effect::PublishStart => self.events.send(Event::TaskStart { id, pid }),
            Effect::AnswerStart => self.answer_start(Ok(pid)),
            Effect::RefuseStart(why) => self.answer_start(Err(TaskError::Start { id, why })),
            Effect::CloseStdio => self.container.stdio = None,
            Effect::PublishOom => self.events.send(Event::TaskOom { id }),
            Effect::PublishExit(exit) => {
                self.events.send(Event::TaskExit {
                    id: id.clone(),
                    exec_id: id,
                    pid,
                    status: exit.status,
                    exited_at: exit.at,
                });
            }
            Effect::AnswerWaits(exit) => {
                for answer in self.waits.drain(..) {
                    reply(answer, Ok(exit));
                }
            }
            Effect::CleanUp => {
                self.forget.now();
                crate::log::detach(&self.container.bundle);
                if let Err(error) = self.container.cgroup.remove() {
                    log::warn!("container {}: {error}", self.container.id);
                }
            }
            Effect::PublishDelete(exit) => {
                self.events.send(Event::TaskDelete { id, pid, status: exit.status, exited_at: exit.at });
            }
            Effect::AnswerDelete(exit) => {
                if let Some(answer) = self.delete.take() {
                    reply(answer, Ok((pid, exit)));
                }
            }
        }
    }

    fn answer_start(&mut self, answer: Result<u32, TaskError>) {
        if let Some(call) = self.start.take() {
            reply(call, answer);
        }
    }

    fn signal(&self, signal: i32) -> Result<(), TaskError> {
        let id = || self.container.id.clone();
        self.container.engine.signal(signal).map_err(|source| match source.raw_os_error() {
            Some(libc::ESRCH) => TaskError::NoProcess { id: id() },
            _ => TaskError::Signal { id: id(), signal, source },
        })
    }

    fn pid(&self) -> u32 {
        self.container.engine.pid.unsigned_abs()
    }

    fn pids(&self) -> Vec<u32> {
        let found = self.container.cgroup.pids().unwrap_or_default();
        let mut pids: Vec<u32> = found.into_iter().map(i32::unsigned_abs).collect();
        if !pids.contains(&self.pid()) {
            pids.push(self.pid());
        }
        pids
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            bundle: self.container.bundle.clone(),
            pid: self.pid(),
            status: self.state.status(),
            stdio: self.container.streams.clone(),
            exit: self.state.exit(),
        }
    }
}

/// The status of a death by SIGKILL.
const KILLED: u32 = 137;

/// A caller that has gone away is no concern of the container's.
fn reply<T>(answer: Answer<T>, value: Result<T, TaskError>) {
    drop(answer.send(value));
}
