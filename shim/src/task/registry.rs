//! All containers of this server, by id.

use super::actor::{Actor, Answer, Call, Container};
use super::error::TaskError;
use super::request::{CreateRequest, Exit, Snapshot};
use crate::cgroups::Stats;
use crate::events::{Event, Publisher};
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
    host: Result<Host, HostError>,
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
        let born = spawn::create(host, &request).await.inspect_err(|_| log::detach(&request.bundle))?;
        let (id, pid) = (request.id, born.engine.pid.unsigned_abs());
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
            streams: request.stdio,
            stdio: Some(born.stdio),
            engine: born.engine,
            cgroup: born.cgroup,
        };
        let (calls, taken) = mpsc::channel(CALLS);
        self.slots().insert(id, Slot::Live(calls));
        tokio::spawn(Actor::new(container, self.events.clone(), forget).run(taken));
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
        Self { shared: Arc::new(Shared { host, events, slots: Mutex::default() }) }
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
            Entry::Occupied(_) => return Err(TaskError::Exists { id }),
            Entry::Vacant(slot) => slot.insert(Slot::Creating),
        };
        let forget = Forget { id: id.clone(), shared: Arc::downgrade(&self.shared) };
        let created = tokio::spawn(Arc::clone(&self.shared).create(request, forget));
        created.await.unwrap_or(Err(TaskError::NoSuchTask { id }))
    }

    /// Enters the guest and gives the pid.
    ///
    /// # Errors
    /// When it was started or has ended before, or the engine cannot enter it.
    pub async fn start(&self, id: &str) -> Result<u32, TaskError> {
        self.call(id, Call::Start).await
    }

    /// Where a container stands.
    ///
    /// # Errors
    /// When there is none.
    pub async fn state(&self, id: &str) -> Result<Snapshot, TaskError> {
        self.call(id, Call::State).await
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// When there is no such container, or it is deleted meanwhile.
    pub async fn wait(&self, id: &str) -> Result<Exit, TaskError> {
        self.call(id, Call::Wait).await
    }

    /// Signals the process.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn kill(&self, id: &str, signal: i32) -> Result<(), TaskError> {
        self.call(id, |answer| Call::Kill(signal, answer)).await
    }

    /// Removes a container that has ended, or was never started.
    ///
    /// # Errors
    /// When it lives.
    pub async fn delete(&self, id: &str) -> Result<(u32, Exit), TaskError> {
        self.call(id, Call::Delete).await
    }

    /// The processes of a container, in the host's pid namespace; never none before Delete.
    ///
    /// # Errors
    /// When there is no such container.
    pub async fn pids(&self, id: &str) -> Result<Vec<u32>, TaskError> {
        self.call(id, Call::Pids).await
    }

    /// What the container's cgroup has counted; after its end too.
    ///
    /// # Errors
    /// When the cgroup cannot be read.
    pub async fn stats(&self, id: &str) -> Result<Stats, TaskError> {
        self.call(id, Call::Stats).await
    }

    /// Ends the guest's stdin once the client's side is closed too.
    ///
    /// # Errors
    /// When there is no such container.
    pub async fn close_stdin(&self, id: &str) -> Result<(), TaskError> {
        self.call(id, Call::CloseStdin).await
    }

    /// Ends and removes every container; for a server that was told to end.
    pub async fn end_all(&self) {
        let ids: Vec<String> = self.shared.slots().keys().cloned().collect();
        for id in ids {
            // Whichever call comes too late finds the container where it should be.
            for done in [self.kill(&id, libc::SIGKILL).await, self.wait(&id).await.map(drop)] {
                if let Err(error) = done {
                    ::log::debug!("{error}");
                }
            }
            if let Err(error) = self.delete(&id).await {
                ::log::warn!("{error}");
            }
        }
    }

    async fn call<T>(&self, id: &str, call: impl FnOnce(Answer<T>) -> Call) -> Result<T, TaskError> {
        let missing = || TaskError::NoSuchTask { id: id.to_owned() };
        let calls = match self.shared.slots().get(id) {
            Some(Slot::Live(calls)) => calls.clone(),
            Some(Slot::Creating) | None => return Err(missing()),
        };
        let (answer, answered) = oneshot::channel();
        calls.send(call(answer)).await.map_err(|_| missing())?;
        answered.await.map_err(|_| missing())?
    }
}
