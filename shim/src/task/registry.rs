//! All containers of this server, by id.

use super::actor::{Actor, Container};
use super::call::{Answer, Call};
use super::error::{Of, TaskError};
use super::request::{CreateRequest, ExecRequest, Exit, Listed, Snapshot};
use super::state::Who;
use crate::cgroups::Stats;
use crate::events::{Event, Publisher};
use crate::fault::{self, Phase};
use crate::log;
use crate::spawn::{self, Host, HostError};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{mpsc, oneshot};

/// A cheap handle to all containers of this server.
#[derive(Debug, Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    host: Result<Arc<Host>, HostError>,
    events: Publisher,
    slots: Mutex<HashMap<String, Slot>>,
}

#[derive(Debug)]
enum Slot {
    /// Create is under way: the id is taken, and there is nobody to call yet.
    Creating,
    /// Calls go here.
    Live(mpsc::Sender<Call>),
}

/// Takes one container out of the registry, once; on drop at the latest, so that no path leaves a dead id.
#[derive(Debug)]
pub(super) struct Forget {
    id: String,
    shared: Weak<Shared>,
}

impl Forget {
    pub(super) fn now(&mut self) {
        // Only once: afterwards the id may be another container's.
        if let Some(shared) = std::mem::take(&mut self.shared).upgrade() {
            shared.slots().remove(&self.id);
        }
    }
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.now();
    }
}

impl Shared {
    async fn create(self: Arc<Self>, request: CreateRequest, forget: Forget) -> Result<u32, TaskError> {
        let host = self.host.as_ref().map_err(|why| TaskError::Host { why: why.to_string() })?;
        log::attach(&request.bundle);
        fault::point(Phase::CreateAsked);
        let born = spawn::create(host, &request).await.inspect_err(|_| log::detach(&request.bundle))?;
        fault::point(Phase::CreateDone);
        let (id, pid) = (request.id, born.init.process.pid.unsigned_abs());
        self.events.send(Event::TaskCreate {
            id: id.clone(),
            bundle: request.bundle.clone(),
            rootfs: request.rootfs,
            stdio: request.stdio.clone(),
            pid,
        });
        let container = Container {
            id: id.clone(),
            bundle: request.bundle,
            options: request.options,
            cgroup: born.cgroup,
            runner: born.runner,
            hooks: born.hooks,
        };
        let actor = Actor::new(
            container,
            (request.stdio, born.init),
            Arc::clone(host),
            (self.events.clone(), forget),
        );
        let (calls, taken) = mpsc::channel(CALLS);
        self.slots().insert(id, Slot::Live(calls));
        tokio::spawn(actor.run(taken));
        Ok(pid)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many calls may wait for one container. Each comes from one request of containerd's, which waits too.
const CALLS: usize = 16;

impl Tasks {
    /// No containers yet. A host that could not be opened is told by every Create, where its user sees it.
    #[must_use]
    pub fn new(host: Result<Host, HostError>, events: Publisher) -> Self {
        Self { shared: Arc::new(Shared { host: host.map(Arc::new), events, slots: Mutex::default() }) }
    }

    /// Whether there is no container, also none in creation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.slots().is_empty()
    }

    /// Makes a container and gives the pid of its engine, which waits for Start.
    ///
    /// It runs as a task of its own: the caller's future is dropped where it waits when its client goes away
    /// or its deadline passes, and a container must not be left half made by that.
    ///
    /// # Errors
    /// When the id is taken, or any step of the creation fails; nothing is left then.
    pub async fn create(&self, request: CreateRequest) -> Result<u32, TaskError> {
        let id = request.id.clone();
        match self.shared.slots().entry(id.clone()) {
            Entry::Occupied(_) => return Err(TaskError::Exists { of: Of::new(&id, &Who::Init) }),
            Entry::Vacant(slot) => slot.insert(Slot::Creating),
        };
        let forget = Forget { id: id.clone(), shared: Arc::downgrade(&self.shared) };
        let created = tokio::spawn(Arc::clone(&self.shared).create(request, forget));
        created.await.unwrap_or_else(|_| Err(TaskError::not_found(&id)))
    }

    /// Asks for a further process of a container.
    ///
    /// # Errors
    /// When the container does not run, or the id is taken; when what is to be run makes no sense.
    pub async fn exec(&self, id: &str, request: ExecRequest) -> Result<(), TaskError> {
        if let Err(source) = serde_json::from_slice::<oci_spec::runtime::Process>(&request.process) {
            return Err(TaskError::ExecProcess { exec_id: request.exec_id, source });
        }
        self.call(id, |answer| Call::Add(request, answer)).await
    }

    /// Has a process enter its program, and gives its pid. `exec_id` is empty for the container's first, here
    /// and in all that follows.
    ///
    /// # Errors
    /// When it was started or has ended before, or cannot enter it.
    pub async fn start(&self, id: &str, exec_id: &str) -> Result<u32, TaskError> {
        self.call(id, |answer| Call::Start(Who::from(exec_id), answer)).await
    }

    /// Where a process stands.
    ///
    /// # Errors
    /// When there is none.
    pub async fn state(&self, id: &str, exec_id: &str) -> Result<Snapshot, TaskError> {
        self.call(id, |answer| Call::State(Who::from(exec_id), answer)).await
    }

    /// Waits for the end of a process.
    ///
    /// # Errors
    /// When there is none, or it is deleted meanwhile.
    pub async fn wait(&self, id: &str, exec_id: &str) -> Result<Exit, TaskError> {
        self.call(id, |answer| Call::Wait(Who::from(exec_id), answer)).await
    }

    /// Signals a process.
    ///
    /// # Errors
    /// When it has ended, or an exec has not begun.
    pub async fn kill(&self, id: &str, exec_id: &str, signal: i32) -> Result<(), TaskError> {
        self.call(id, |answer| Call::Kill(Who::from(exec_id), signal, answer)).await
    }

    /// Signals all processes of a container.
    ///
    /// # Errors
    /// When its first has ended.
    pub async fn kill_all(&self, id: &str, signal: i32) -> Result<(), TaskError> {
        self.call(id, |answer| Call::KillAll(signal, answer)).await
    }

    /// Removes a container that has ended, or was never started; or an exec of that kind.
    ///
    /// # Errors
    /// When it lives.
    pub async fn delete(&self, id: &str, exec_id: &str) -> Result<(u32, Exit), TaskError> {
        self.call(id, |answer| Call::Delete(Who::from(exec_id), answer)).await
    }

    /// The processes of a container; never none before Delete.
    ///
    /// # Errors
    /// When there is no such container.
    pub async fn pids(&self, id: &str) -> Result<Vec<Listed>, TaskError> {
        self.call(id, Call::Pids).await
    }

    /// What the container's cgroup has counted; after its end too.
    ///
    /// # Errors
    /// When the cgroup cannot be read.
    pub async fn stats(&self, id: &str) -> Result<Stats, TaskError> {
        self.call(id, Call::Stats).await
    }

    /// Ends a process' stdin once the client's side is closed too.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn close_stdin(&self, id: &str, exec_id: &str) -> Result<(), TaskError> {
        self.call(id, |answer| Call::CloseStdin(Who::from(exec_id), answer)).await
    }

    /// Gives a process' terminal another size, in characters; nothing without a terminal.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn resize(&self, id: &str, exec_id: &str, size: (u16, u16)) -> Result<(), TaskError> {
        self.call(id, |answer| Call::Resize(Who::from(exec_id), size, answer)).await
    }

    /// Freezes all processes of a container.
    ///
    /// # Errors
    /// When it does not run, or the freezer fails.
    pub async fn pause(&self, id: &str) -> Result<(), TaskError> {
        self.call(id, Call::Pause).await
    }

    /// Lets all processes of a container go on.
    ///
    /// # Errors
    /// When it is not frozen, or the freezer fails.
    pub async fn resume(&self, id: &str) -> Result<(), TaskError> {
        self.call(id, Call::Resume).await
    }

    /// Changes the limits of a container; `resources` are those of the runtime-spec, as JSON.
    ///
    /// # Errors
    /// When it has ended, or a limit cannot be changed.
    pub async fn update(&self, id: &str, resources: &[u8]) -> Result<(), TaskError> {
        let resources = serde_json::from_slice(resources)
            .map_err(|source| TaskError::Resources { id: id.to_owned(), source })?;
        self.call(id, |answer| Call::Update(Box::new(resources), answer)).await
    }

    /// Ends and removes every container; for a server that was told to end.
    pub async fn end_all(&self) {
        let ids: Vec<String> = self.shared.slots().keys().cloned().collect();
        for id in ids {
            // Whichever call comes too late finds the container where it should be.
            for done in [self.kill(&id, "", libc::SIGKILL).await, self.wait(&id, "").await.map(drop)] {
                if let Err(error) = done {
                    ::log::debug!("{error}");
                }
            }
            if let Err(error) = self.delete(&id, "").await {
                ::log::warn!("{error}");
            }
        }
    }

    async fn call<T>(&self, id: &str, call: impl FnOnce(Answer<T>) -> Call) -> Result<T, TaskError> {
        let missing = || TaskError::not_found(id);
        let calls = match self.shared.slots().get(id) {
            Some(Slot::Live(calls)) => calls.clone(),
            Some(Slot::Creating) | None => return Err(missing()),
        };
        let (answer, answered) = oneshot::channel();
        calls.send(call(answer)).await.map_err(|_| missing())?;
        answered.await.map_err(|_| missing())?
    }
}
