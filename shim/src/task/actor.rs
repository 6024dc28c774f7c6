//! One container's owner: it takes calls, hears the engine, sees the process end, and carries out what
//! [`state`](super::state) decides.

use super::error::TaskError;
use super::registry::Forget;
use super::request::{Exit, Snapshot};
use super::state::{Effect, Input, State, step};
use crate::cgroups::{Cgroup, Stats};
use crate::events::{Event, Publisher};
use crate::spawn::Engine;
use crate::stdio::{self, Logger, Stdio};
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
    /// Reads what the process wrote last.
    logger: Option<Logger>,
    /// Closed once the logger is gone.
    stopping: Option<oneshot::Receiver<()>>,
    /// What the cgroup counted last: a scope is gone soon after its process.
    counted: Option<Stats>,
}

impl Actor {
    pub(super) fn new(container: Container, events: Publisher, forget: Forget) -> Self {
        let (state, cause, start, delete, waits) = (State::Created, None, None, None, Vec::new());
        let (logger, stopping) = (None, None);
        let counted = container.cgroup.is_scope().then(|| container.cgroup.stats().ok()).flatten();
        Self { container, events, forget, state, cause, start, delete, waits, counted, logger, stopping }
    }

    /// Lives until the container is deleted, or nobody can call any more.
    pub(super) async fn run(mut self, mut calls: mpsc::Receiver<Call>) {
        let (mut speaks, mut lives) = (true, true);
        while self.state != State::Gone {
            tokio::select! {
                biased;
                report = self.container.engine.control.receive(), if speaks => match report {
                    Ok(Some(report)) => self.hear(report).await,
                    Ok(None) => speaks = false,
                    Err(error) => {
                        log::warn!("container {}: {error}", self.container.id);
                        speaks = false;
                    }
                },
                status = self.container.engine.ended(), if lives => {
                    (speaks, lives) = (false, false);
                    self.end(status).await;
                }
                () = closed(&mut self.stopping) => {
                    self.stopping = None;
                    self.input(Input::LoggerGone).await;
                }
                call = calls.recv() => match call {
                    Some(call) => self.take(call).await,
                    None => return,
                },
            }
        }
    }

    async fn hear(&mut self, report: Report) {
        match report {
            Report::Started => self.input(Input::Started).await,
            Report::Failed(failure) => self.input(Input::Failed(failure.message)).await,
            Report::Exit(cause) => self.cause = Some(cause),
            Report::Ready { .. } => {}
        }
    }

    /// The process is gone. What it said last is still in the socket, and comes first.
    async fn end(&mut self, status: u32) {
        // One process a container: a kill by the kernel's OOM killer can only have been this one's.
        let killed_for_memory = status == KILLED && self.container.cgroup.oom_kills() > 0;
        if self.container.cgroup.is_scope() {
            let _last = self.stats();
        }
        while let Ok(Some(report)) = self.container.engine.control.received() {
            self.hear(report).await;
        }
        let out_of_memory = killed_for_memory || matches!(self.cause, Some(ExitCause::OutOfMemory { .. }));
        self.input(Input::Ended(Exit { status, at: SystemTime::now(), out_of_memory })).await;
    }

    /// An input that nobody waits for: one that comes out of turn changes nothing.
    async fn input(&mut self, input: Input) {
        match step(&self.state, input) {
            Ok((state, effects)) => self.enter(state, effects).await,
            Err(why) => log::debug!("container {}: {why:?}", self.container.id),
        }
    }

    async fn enter(&mut self, state: State, effects: Vec<Effect>) {
        self.state = state;
        for effect in effects {
            self.carry_out(effect).await;
        }
    }

    async fn take(&mut self, call: Call) {
        match call {
            Call::Start(answer) => {
                self.decide(Input::Start, answer, |actor, answer| actor.start = Some(answer)).await
            }
            Call::Delete(answer) => {
                self.decide(Input::Delete, answer, |actor, answer| actor.delete = Some(answer)).await
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
                let stats = self.stats();
                reply(answer, stats);
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
    async fn decide<T>(&mut self, input: Input, answer: Answer<T>, keep: impl FnOnce(&mut Self, Answer<T>)) {
        match step(&self.state, input) {
            Ok((state, effects)) => {
                keep(self, answer);
                self.enter(state, effects).await;
            }
            Err(why) => reply(answer, Err(TaskError::denied(&self.container.id, why))),
        }
    }

    async fn carry_out(&mut self, effect: Effect) {
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
            Effect::CloseStdio => {
                self.logger = self.container.stdio.take().and_then(Stdio::into_logger);
            }
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
            Effect::StopLogger => {
                // Without one it is as if it had gone already.
                let gone = || oneshot::channel().1;
                self.stopping = Some(self.logger.take().map_or_else(gone, Logger::stop));
            }
            Effect::CleanUp => {
                // A scope of the same name can only be started once this one is gone.
                let stopped = self.container.cgroup.stop_scope().await;
                for done in [stopped, self.container.cgroup.remove()] {
                    if let Err(error) = done {
                        log::warn!("container {}: {error}", self.container.id);
                    }
                }
                self.forget.now();
                crate::log::detach(&self.container.bundle);
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

    /// What the cgroup has counted. Once its process has died a scope goes, a v1 one piece by piece: then it is
    /// what was counted at the end, or the last time before.
    fn stats(&mut self) -> Result<Stats, TaskError> {
        if self.state.exit().is_some()
            && let Some(last) = &self.counted
        {
            return Ok(last.clone());
        }
        let stats = match (self.container.cgroup.stats(), &self.counted) {
            (Err(_), Some(last)) => Ok(last.clone()),
            (stats, _) => stats,
        };
        if let (true, Ok(stats)) = (self.container.cgroup.is_scope(), &stats) {
            self.counted = Some(stats.clone());
        }
        stats.map_err(|source| TaskError::Cgroup { id: self.container.id.clone(), source })
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

/// Waits until a logger is gone; for ever if none is awaited.
async fn closed(stopping: &mut Option<oneshot::Receiver<()>>) {
    match stopping {
        // Its other end says nothing, it only goes away.
        Some(gone) => drop(gone.await),
        None => std::future::pending().await,
    }
}

/// The status of a death by SIGKILL.
const KILLED: u32 = 137;

/// A caller that has gone away is no concern of the container's.
fn reply<T>(answer: Answer<T>, value: Result<T, TaskError>) {
    drop(answer.send(value));
}
