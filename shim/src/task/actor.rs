//! One container's owner: it takes calls, hears of its processes, and has [`state`](super::state) decide.
//!
//! ```text
//!   calls ──▶ ┌───────┐ ──step──▶ effects ──▶ carried out in order (effects.rs)
//!   news  ──▶ │ actor │             └ what takes time is a task of its own, and its end is news
//!             └───────┘
//! ```
//!
//! So no call ever waits for another: a container that is being frozen can be killed, one whose exec is being
//! compiled can be deleted.

use super::call::{Answer, Call, reply};
use super::error::{Of, TaskError, chain};
use super::keeper::{News, Teller};
use super::member::Member;
use super::registry::Forget;
use super::request::{ExecRequest, Exit, HandlerOptions, Listed, Snapshot};
use super::state::{Effect, Input, Life, Who};
use crate::cgroups::{Cgroup, OomWatch, Stats};
use crate::events::{Event, Publisher};
use crate::fault::{self, Phase};
use crate::hooks::Hooked;
use crate::spawn::{Host, Runner, Spawned};
use crate::stdio;
use oci_spec::runtime::LinuxResources;
use pinnace_plan::ExitCause;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{Mutex, mpsc};

/// What one container is made of.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) bundle: PathBuf,
    pub(super) options: HandlerOptions,
    pub(super) cgroup: Cgroup,
    pub(super) runner: Runner,
    /// Its hooks, if they are ours to run.
    pub(super) hooks: Option<Arc<Hooked>>,
}

/// A container, its state, and who waits for what.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) container: Container,
    pub(super) host: Arc<Host>,
    pub(super) events: Publisher,
    pub(super) forget: Forget,
    pub(super) init: Member,
    pub(super) execs: BTreeMap<String, Member>,
    /// Of Pause or Resume: only one of them is under way at a time.
    pub(super) freezer: Option<Answer<()>>,
    life: Life,
    tell: mpsc::Sender<(Who, News)>,
    news: mpsc::Receiver<(Who, News)>,
    /// What the cgroup counted last: a scope is gone soon after its process.
    counted: Option<Stats>,
    /// Kills by the kernel's OOM killer that are accounted for.
    oom_kills: u64,
    /// One update after the other: each may have to put back what it found.
    updating: Arc<Mutex<()>>,
    /// Of a container whose processes have children, which nobody here sees end.
    oom: Option<OomWatch>,
}

/// How much news may wait. Who tells it waits too, and loses nothing.
const NEWS: usize = 8;

/// The status of a death by SIGKILL.
const KILLED: u32 = 137;

impl Actor {
    pub(super) fn new(
        container: Container,
        (request, init): (stdio::Request, Spawned),
        host: Arc<Host>,
        (events, forget): (Publisher, Forget),
    ) -> Self {
        let (tell, news) = mpsc::channel(NEWS);
        let init = Member::first(request, init, Teller { who: Who::Init, to: tell.clone() });
        let counted = container.cgroup.is_scope().then(|| container.cgroup.stats().ok()).flatten();
        let (execs, freezer, life, oom_kills) = (BTreeMap::new(), None, Life::new(), 0);
        let oom = container.runner.has_children().then(|| container.cgroup.watch_oom());
        let oom = oom.and_then(|watch| {
            watch.map_err(|error| log::warn!("container {}: {}", container.id, chain(&error))).ok()
        });
        Self {
            container,
            host,
            events,
            forget,
            init,
            execs,
            freezer,
            life,
            tell,
            news,
            counted,
            oom_kills,
            updating: Arc::default(),
            oom,
        }
    }

    /// Lives until the container is deleted, or nobody can call any more.
    pub(super) async fn run(mut self, mut calls: mpsc::Receiver<Call>) {
        while !self.life.is_gone() {
            tokio::select! {
                biased;
                Some((who, news)) = self.news.recv() => self.hear(who, news).await,
                kills = killed(&mut self.oom) => self.child_killed(kills),
                call = calls.recv() => match call {
                    Some(call) => self.take(call).await,
                    None => return,
                },
            }
        }
    }

    async fn hear(&mut self, who: Who, news: News) {
        let input = match news {
            News::Born(born) => match *born {
                Ok(spawned) => return self.born(who, spawned),
                Err(error) => Input::Failed(who, chain(&error)),
            },
            News::Started => Input::Started(who),
            News::Failed(why) => Input::Failed(who, why),
            News::Cause(cause) => {
                if let Some(member) = self.member(&who) {
                    member.cause = Some(cause);
                }
                return;
            }
            News::Ended(status) => {
                fault::point(Phase::ExitSeen);
                let exit = self.exit(&who, status);
                Input::Ended(who, exit)
            }
            News::StreamsGone => Input::StreamsGone(who),
            News::Frozen(done) => Input::Frozen(done),
        };
        // Nobody waits for it: one that comes out of turn changes nothing.
        match self.life.step(input) {
            Ok(effects) => self.carry_out(effects).await,
            Err(why) => log::debug!("container {}: {why:?}", self.container.id),
        }
    }

    /// An exec's process is there, and may go on at once.
    fn born(&mut self, who: Who, spawned: Spawned) {
        let teller = self.teller(who.clone());
        if let Some(member) = self.member(&who) {
            member.born(spawned, teller);
            member.go();
        }
    }

    /// How a process ended, now that it has.
    fn exit(&mut self, who: &Who, status: u32) -> Exit {
        let killed_for_memory = status == KILLED && self.has_oom_killed();
        if self.container.cgroup.is_scope() && *who == Who::Init {
            let _last = self.stats();
        }
        let cause = self.member(who).and_then(|member| member.cause);
        // An exec that was refused memory has not ended its container.
        let refused = *who == Who::Init && matches!(cause, Some(ExitCause::OutOfMemory { .. }));
        Exit { status, at: SystemTime::now(), out_of_memory: killed_for_memory || refused }
    }

    /// Somebody was killed for memory: most likely a child, whose end nobody else here sees.
    fn child_killed(&mut self, kills: Option<u64>) {
        match kills {
            Some(_) if self.has_oom_killed() => {
                self.events.send(Event::TaskOom { id: self.container.id.clone() });
            }
            Some(_) => {}
            // The cgroup is gone.
            None => self.oom = None,
        }
    }

    /// Whether the kernel killed somebody here since it was last asked.
    fn has_oom_killed(&mut self) -> bool {
        let now = self.container.cgroup.oom_kills();
        let before = std::mem::replace(&mut self.oom_kills, now);
        now > before
    }

    async fn take(&mut self, call: Call) {
        match call {
            Call::Add(request, answer) => self.add(request, answer).await,
            Call::Start(who, answer) => {
                fault::point(Phase::StartAsked);
                let input = Input::Start(who.clone());
                self.decide(who, input, answer, |member, answer| member.start = Some(answer)).await;
            }
            Call::Delete(who, answer) => {
                let input = Input::Delete(who.clone());
                self.decide(who, input, answer, |member, answer| member.delete = Some(answer)).await;
            }
            Call::Kill(who, signal, answer) => {
                fault::point(Phase::KillAsked);
                let done = self.kill(who.clone(), Input::Kill(who, signal)).await;
                fault::point(Phase::KillDone);
                reply(answer, done);
            }
            Call::KillAll(signal, answer) => {
                let done = self.kill(Who::Init, Input::KillAll(signal)).await;
                reply(answer, done);
            }
            Call::State(who, answer) => reply(answer, self.snapshot(&who)),
            Call::Wait(who, answer) => match (self.life.exit(&who), self.member(&who)) {
                (Some(exit), _) => reply(answer, Ok(exit)),
                (None, Some(member)) => member.wait(answer),
                (None, None) => reply(answer, Err(TaskError::NotFound { of: self.of(&who) })),
            },
            Call::Pids(answer) => reply(answer, Ok(self.pids())),
            Call::Stats(answer) => {
                let stats = self.stats();
                reply(answer, stats);
            }
            Call::CloseStdin(who, answer) => {
                let of = self.of(&who);
                let done = self.member(&who).map(Member::close_stdin);
                reply(answer, done.ok_or(TaskError::NotFound { of }));
            }
            Call::Resize(who, size, answer) => {
                let of = self.of(&who);
                let done = match self.member(&who).map(|member| member.resize(size)) {
                    Some(done) => done.map_err(|source| TaskError::Resize { of, source }),
                    None => Err(TaskError::NotFound { of }),
                };
                reply(answer, done);
            }
            Call::Pause(answer) => self.freezer(Input::Pause, answer).await,
            Call::Resume(answer) => self.freezer(Input::Resume, answer).await,
            Call::Update(resources, answer) => self.update(*resources, answer),
        }
    }

    /// A call whose answer comes with a later effect; `keep` puts it where that effect finds it.
    async fn decide<T>(
        &mut self,
        who: Who,
        input: Input,
        answer: Answer<T>,
        keep: impl FnOnce(&mut Member, Answer<T>),
    ) {
        match self.life.step(input) {
            Ok(effects) => {
                if let Some(member) = self.member(&who) {
                    keep(member, answer);
                }
                self.carry_out(effects).await;
            }
            Err(why) => reply(answer, Err(TaskError::denied(self.of(&who), why))),
        }
    }

    async fn add(&mut self, request: ExecRequest, answer: Answer<()>) {
        let id = request.exec_id.clone();
        let done = match self.life.step(Input::Add(id.clone())) {
            Ok(effects) => {
                self.execs.insert(id, Member::asked(request));
                self.carry_out(effects).await;
                Ok(())
            }
            Err(why) => Err(TaskError::denied(self.of(&Who::Exec(id)), why)),
        };
        reply(answer, done);
    }

    /// The caller hears what the kernel said, so the signal is sent here and not as an effect.
    async fn kill(&mut self, who: Who, input: Input) -> Result<(), TaskError> {
        let effects = self.life.step(input).map_err(|why| TaskError::denied(self.of(&who), why))?;
        for effect in effects {
            match effect {
                Effect::Signal(who, signal) => self.signal(&who, signal)?,
                Effect::SignalAll(signal) => self.signal_all(signal)?,
                other => self.carry_out(vec![other]).await,
            }
        }
        Ok(())
    }

    async fn freezer(&mut self, input: Input, answer: Answer<()>) {
        fault::point(Phase::FreezerAsked);
        match self.life.step(input) {
            Ok(effects) => {
                self.freezer = Some(answer);
                self.carry_out(effects).await;
            }
            Err(why) => reply(answer, Err(TaskError::denied(self.of(&Who::Init), why))),
        }
    }

    /// The guest's ceiling is read when its memory grows, so it follows by itself.
    fn update(&mut self, resources: LinuxResources, answer: Answer<()>) {
        if let Err(why) = self.life.step(Input::Update) {
            return reply(answer, Err(TaskError::denied(self.of(&Who::Init), why)));
        }
        let (id, cgroup, runner) =
            (self.container.id.clone(), self.container.cgroup.clone(), self.container.runner.clone());
        let updating = Arc::clone(&self.updating);
        tokio::spawn(async move {
            let _turn = updating.lock().await;
            fault::point(Phase::UpdateAsked);
            let done = runner.update(&cgroup, &resources).await;
            fault::point(Phase::UpdateDone);
            reply(answer, done.map_err(|source| TaskError::Update { id, source: Box::new(source) }));
        });
    }

    /// What the cgroup has counted. Once its process has died a scope goes, a v1 one piece by piece: then it is
    /// what was counted at the end, or the last time before.
    fn stats(&mut self) -> Result<Stats, TaskError> {
        if self.life.exit(&Who::Init).is_some()
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

    /// The init process belongs to the container until Delete: containerd takes a task without pids for a leak
    /// when it restarts, and would throw away the exit status.
    fn pids(&self) -> Vec<Listed> {
        let found = self.container.cgroup.pids().unwrap_or_default();
        let mut pids: Vec<u32> = found.into_iter().map(i32::unsigned_abs).collect();
        if !pids.contains(&self.init.pid()) {
            pids.push(self.init.pid());
        }
        let exec_of =
            |pid| self.execs.iter().find(|(_, member)| member.pid() == pid).map(|(id, _)| id.clone());
        pids.into_iter().map(|pid| Listed { pid, exec_id: exec_of(pid) }).collect()
    }

    fn snapshot(&mut self, who: &Who) -> Result<Snapshot, TaskError> {
        let missing = TaskError::NotFound { of: self.of(who) };
        let (Some(status), exit) = (self.life.status(who), self.life.exit(who)) else { return Err(missing) };
        let bundle = self.container.bundle.clone();
        let Some(member) = self.member(who) else { return Err(missing) };
        Ok(Snapshot { bundle, pid: member.pid(), status, stdio: member.request.clone(), exit })
    }

    pub(super) fn member(&mut self, who: &Who) -> Option<&mut Member> {
        match who {
            Who::Init => Some(&mut self.init),
            Who::Exec(id) => self.execs.get_mut(id),
        }
    }

    pub(super) fn of(&self, who: &Who) -> Of {
        Of::new(&self.container.id, who)
    }

    pub(super) fn teller(&self, who: Who) -> Teller {
        Teller { who, to: self.tell.clone() }
    }
}

/// Waits for kills by the OOM killer; for ever where nobody watches.
async fn killed(watch: &mut Option<OomWatch>) -> Option<u64> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}
