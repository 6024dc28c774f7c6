//! What [`state`](super::state) decided, done.

use super::actor::Actor;
use super::call::reply;
use super::error::{TaskError, chain};
use super::keeper::News;
use super::state::{Effect, Who};
use crate::events::Event;
use crate::fault::{self, Phase};
use crate::hooks::Moment;
use crate::spawn::{Bundle, Within};
use std::sync::Arc;

impl Actor {
    /// In order.
    pub(super) async fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.effect(effect).await;
        }
    }

    async fn effect(&mut self, effect: Effect) {
        let id = self.container.id.clone();
        match effect {
            Effect::PublishAdded(exec_id) => self.events.send(Event::ExecAdded { id, exec_id }),
            Effect::Go(Who::Init) => self.init.go(),
            Effect::Go(who) => self.make(who),
            Effect::Signal(who, signal) => {
                if let Err(error) = self.signal(&who, signal) {
                    log::debug!("{error}");
                }
            }
            Effect::SignalAll(signal) => {
                if let Err(error) = self.signal_all(signal) {
                    log::debug!("{error}");
                }
            }
            Effect::PublishStart(Who::Init) => {
                self.events.send(Event::TaskStart { id, pid: self.init.pid() })
            }
            Effect::PublishStart(Who::Exec(exec_id)) => {
                let pid = self.pid(&Who::Exec(exec_id.clone()));
                self.events.send(Event::ExecStarted { id, exec_id, pid });
            }
            Effect::AnswerStart(who) => {
                fault::point(Phase::StartDone);
                let pid = self.pid(&who);
                self.answer_start(&who, Ok(pid));
            }
            Effect::RefuseStart(who, why) => {
                let of = self.of(&who);
                self.answer_start(&who, Err(TaskError::Start { of, why }));
            }
            Effect::CloseStreams(who) => {
                if let Some(member) = self.member(&who) {
                    member.close_streams();
                }
            }
            Effect::PublishOom => self.events.send(Event::TaskOom { id }),
            Effect::PublishExit(who, exit) => {
                let pid = self.pid(&who);
                let exec_id = match who {
                    Who::Init => id.clone(),
                    Who::Exec(exec_id) => exec_id,
                };
                let (status, exited_at) = (exit.status, exit.at);
                self.events.send(Event::TaskExit { id, exec_id, pid, status, exited_at });
            }
            Effect::AnswerWaits(who, exit) => {
                fault::point(Phase::ExitTold);
                if let Some(member) = self.member(&who) {
                    member.answer_waits(exit);
                }
            }
            Effect::EndStreams(who) => {
                let teller = self.teller(who.clone());
                let ended = self.member(&who).map(super::member::Member::end_streams);
                tokio::spawn(async move {
                    if let Some(ended) = ended {
                        ended.await;
                    }
                    teller.tell(News::StreamsGone).await;
                });
            }
            Effect::Freeze(close) => {
                let (cgroup, teller) = (self.container.cgroup.clone(), self.teller(Who::Init));
                tokio::spawn(async move {
                    let done = if close { cgroup.freeze().await } else { cgroup.thaw().await };
                    teller.tell(News::Frozen(done.map_err(|error| chain(&error)))).await;
                });
            }
            Effect::PublishFrozen(true) => self.events.send(Event::TaskPaused { id }),
            Effect::PublishFrozen(false) => self.events.send(Event::TaskResumed { id }),
            Effect::AnswerFreezer(done) => {
                fault::point(Phase::FreezerDone);
                if let Some(answer) = self.freezer.take() {
                    reply(answer, done.map_err(|why| TaskError::Freezer { id, why }));
                }
            }
            Effect::CleanUp => self.clean_up().await,
            Effect::PublishDelete(exit) => {
                let pid = self.init.pid();
                self.events.send(Event::TaskDelete { id, pid, status: exit.status, exited_at: exit.at });
            }
            Effect::AnswerDelete(who, exit) => {
                fault::point(Phase::DeleteDone);
                let pid = self.pid(&who);
                if let Some(answer) = self.member(&who).and_then(|member| member.delete.take()) {
                    reply(answer, Ok((pid, exit)));
                }
                if let Who::Exec(exec_id) = who {
                    self.execs.remove(&exec_id);
                }
            }
        }
    }

    /// Makes an exec's process, which may take a compile.
    fn make(&mut self, who: Who) {
        let teller = self.teller(who.clone());
        let Some(request) = self.member(&who).and_then(|member| member.exec.take()) else { return };
        let Some(init) = self.init.process.clone() else { return };
        let (host, runner) = (Arc::clone(&self.host), self.container.runner.clone());
        let within = Within {
            id: self.container.id.clone(),
            bundle: self.container.bundle.clone(),
            options: self.container.options.clone(),
            cgroup: self.container.cgroup.clone(),
            init,
        };
        tokio::spawn(async move {
            fault::point(Phase::ExecAsked);
            let born = runner.exec(&host, &within, &request).await;
            fault::point(Phase::ExecDone);
            teller.tell(News::Born(Box::new(born))).await;
        });
    }

    async fn clean_up(&mut self) {
        let id = &self.container.id;
        fault::point(Phase::DeleteAsked);
        if let Err(error) = self.container.runner.delete().await {
            log::warn!("container {id}: {error}");
        }
        fault::point(Phase::DeleteForgotten);
        // A scope of the same name can only be started once this one is gone.
        let stopped = self.container.cgroup.stop_scope().await;
        let removed = self.container.cgroup.remove();
        fault::point(Phase::DeleteRemoved);
        match stopped.and(removed) {
            // From now on the path may be another container's.
            Ok(()) => {
                if let Err(error) = Bundle(&self.container.bundle).forget_cgroup() {
                    log::warn!("container {id}: {error}");
                }
            }
            Err(error) => log::warn!("container {id}: {error}"),
        }
        if let Some(hooks) = &self.container.hooks
            && let Err(error) = hooks.run(Moment::Delete, None).await
        {
            log::warn!("container {id}: {error}");
        }
        self.forget.now();
        crate::log::detach(&self.container.bundle);
    }

    fn answer_start(&mut self, who: &Who, answer: Result<u32, TaskError>) {
        if let Some(call) = self.member(who).and_then(|member| member.start.take()) {
            reply(call, answer);
        }
    }

    fn pid(&mut self, who: &Who) -> u32 {
        self.member(who).map_or(0, |member| member.pid())
    }

    pub(super) fn signal(&mut self, who: &Who, signal: i32) -> Result<(), TaskError> {
        let of = self.of(who);
        let Some(process) = self.member(who).and_then(|member| member.process.clone()) else {
            return Err(TaskError::NoProcess { of });
        };
        process.signal(signal).map_err(|source| match source.raw_os_error() {
            Some(libc::ESRCH) => TaskError::NoProcess { of },
            _ => TaskError::Signal { of, signal, source },
        })
    }

    pub(super) fn signal_all(&mut self, signal: i32) -> Result<(), TaskError> {
        let id = self.container.id.clone();
        self.container.cgroup.signal_all(signal).map_err(|source| TaskError::Cgroup { id, source })
    }
}
