//! Who follows one process from its birth to its end, and tells the container's actor.
//!
//! ```text
//!   actor ──go──▶ keeper ──Command::Go──▶ engine         an OCI runtime's init: `start` is run instead;
//!   actor ◀─────  keeper ◀──reports, the process' end    its exec runs already
//! ```
//!
//! What a process said comes before its end: records that are still in the socket are told first.

use super::error::chain;
use super::state::Who;
use crate::fault::{self, Phase};
use crate::hooks::{Hooked, Moment};
use crate::native;
use crate::process::Process;
use crate::spawn::{Control, Gate, SpawnFailure, Spawned};
use pinnace_plan::{Command, ExitCause, Report};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What an actor hears, beside its calls.
#[derive(Debug)]
pub(super) enum News {
    /// An exec's process was born, or why not.
    Born(Box<Result<Spawned, SpawnFailure>>),
    /// The program is entered.
    Started,
    /// The program cannot be entered.
    Failed(String),
    /// How the guest ended.
    Cause(ExitCause),
    /// The process has ended, with this status.
    Ended(u32),
    /// The streams are drained and closed, the logger has ended.
    StreamsGone,
    /// The freezer has done what it was asked for, or why not.
    Frozen(Result<(), String>),
}

/// A way to tell an actor about one of its processes.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    pub(super) who: Who,
    pub(super) to: mpsc::Sender<(Who, News)>,
}

impl Teller {
    pub(super) async fn tell(&self, news: News) {
        // An actor that is gone has nothing to hear.
        drop(self.to.send((self.who.clone(), news)).await);
    }
}

/// Follows a process. What comes back has it pass its gate.
pub(super) fn follow(process: Arc<Process>, gate: Gate, teller: Teller) -> oneshot::Sender<()> {
    let (go, told) = oneshot::channel();
    match gate {
        Gate::Engine(control, hooks) => {
            drop(tokio::spawn(Engine { process, control, hooks, teller }.follow(told)));
        }
        Gate::Runtime(container) => drop(tokio::spawn(native(process, container, told, teller))),
        Gate::Open => drop(tokio::spawn(running(process, told, teller))),
    }
    go
}

/// An engine's process, with its socket and what is to be done behind its gate.
struct Engine {
    process: Arc<Process>,
    control: Control,
    hooks: Option<Arc<Hooked>>,
    teller: Teller,
}

impl Engine {
    async fn follow(self, mut go: oneshot::Receiver<()>) {
        let (mut speaks, mut waits) = (true, true);
        loop {
            tokio::select! {
                biased;
                report = self.control.receive(), if speaks => match report {
                    Ok(Some(report)) => self.hear(report).await,
                    Ok(None) => speaks = false,
                    Err(error) => {
                        log::warn!("process {}: {error}", self.process.pid);
                        speaks = false;
                    }
                },
                status = self.process.ended() => {
                    while let Ok(Some(report)) = self.control.received() {
                        self.hear(report).await;
                    }
                    return self.teller.tell(News::Ended(status)).await;
                }
                told = &mut go, if waits => {
                    waits = false;
                    // A dead engine cannot hear it; its end is then the answer.
                    if told.is_ok() && let Err(error) = self.control.send(&Command::Go) {
                        log::debug!("process {}: {error}", self.process.pid);
                    }
                    fault::point(Phase::GoSent);
                }
            }
        }
    }

    async fn hear(&self, report: Report) {
        match report {
            Report::Started => {
                let hooked = match &self.hooks {
                    Some(hooks) => hooks.run(Moment::Start, Some(self.process.pid)).await,
                    None => Ok(()),
                };
                let news = hooked.map_or_else(|error| News::Failed(chain(&error)), |()| News::Started);
                self.teller.tell(news).await;
            }
            Report::Failed(failure) => self.teller.tell(News::Failed(failure.message)).await,
            Report::Exit(cause) => self.teller.tell(News::Cause(cause)).await,
            Report::Ready { .. } | Report::Mounted => {}
        }
    }
}

/// The init of a native container. Its start is told before its end, however short it lives.
async fn native(
    process: Arc<Process>,
    container: Arc<native::Container>,
    go: oneshot::Receiver<()>,
    teller: Teller,
) {
    let status = tokio::select! {
        status = process.ended() => status,
        told = go => {
            if told.is_ok() {
                fault::point(Phase::GoSent);
                let started = container.start().await;
                let news = started.map_or_else(|error| News::Failed(chain(&error)), |()| News::Started);
                teller.tell(news).await;
            }
            process.ended().await
        }
    };
    container.end_others();
    teller.tell(News::Ended(status)).await;
}

/// A process that was born in its program.
async fn running(process: Arc<Process>, go: oneshot::Receiver<()>, teller: Teller) {
    if go.await.is_ok() {
        teller.tell(News::Started).await;
    }
    let status = process.ended().await;
    teller.tell(News::Ended(status)).await;
}
