//! containerd's gRPC API as a test wants it: one call, one answer, a deadline for each.

use containerd_client::services::v1::{
    containers_client::ContainersClient, content_client::ContentClient, diff_client::DiffClient,
    events_client::EventsClient, images_client::ImagesClient, namespaces_client::NamespacesClient,
    snapshots::snapshots_client::SnapshotsClient, tasks_client::TasksClient,
};
use std::future::Future;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// The namespace of everything a test makes.
pub(crate) const NAMESPACE: &str = "e2e";

/// No call of a healthy containerd takes this long.
const DEADLINE: Duration = Duration::from_secs(60);

/// A connection, and the thread that serves it.
pub(crate) struct Client {
    runtime: Runtime,
    channel: Mutex<Channel>,
    /// Held by whoever containerd must not go away for.
    steady: RwLock<()>,
}

impl Client {
    /// Connects to a containerd that answers.
    pub(crate) fn connect(socket: &Path) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let channel = Mutex::new(runtime.block_on(containerd_client::connect(socket)).expect("connect"));
        Self { runtime, channel, steady: RwLock::new(()) }
    }

    /// Connects anew, to a containerd that was restarted.
    pub(crate) fn reconnect(&self, socket: &Path) {
        let channel = self.runtime.block_on(containerd_client::connect(socket)).expect("connect");
        *self.channel.lock().unwrap() = channel;
    }

    /// Keeps containerd from being replaced meanwhile.
    pub(crate) fn steady(&self) -> RwLockReadGuard<'_, ()> {
        self.steady.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until containerd may be replaced.
    pub(crate) fn changing(&self) -> RwLockWriteGuard<'_, ()> {
        self.steady.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an answer.
    pub(crate) fn answer<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        self.runtime.block_on(call).map(Response::into_inner)
    }

    /// The runtime, for what goes on in the background.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn tasks(&self) -> TasksClient<Channel> {
        TasksClient::new(self.channel())
    }

    pub(crate) fn containers(&self) -> ContainersClient<Channel> {
        ContainersClient::new(self.channel())
    }

    pub(crate) fn images(&self) -> ImagesClient<Channel> {
        ImagesClient::new(self.channel())
    }

    pub(crate) fn content(&self) -> ContentClient<Channel> {
        ContentClient::new(self.channel())
    }

    pub(crate) fn snapshots(&self) -> SnapshotsClient<Channel> {
        SnapshotsClient::new(self.channel())
    }

    pub(crate) fn diffs(&self) -> DiffClient<Channel> {
        DiffClient::new(self.channel())
    }

    pub(crate) fn events(&self) -> EventsClient<Channel> {
        EventsClient::new(self.channel())
    }

    pub(crate) fn namespaces(&self) -> NamespacesClient<Channel> {
        NamespacesClient::new(self.channel())
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.lock().unwrap().clone()
    }
}

/// A request in our namespace, with a deadline that containerd passes on to the shim.
pub(crate) fn request<T>(message: T) -> Request<T> {
    let mut request = stream(message);
    request.set_timeout(DEADLINE);
    request
}

/// A request in our namespace whose answer goes on for as long as somebody listens.
pub(crate) fn stream<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", NAMESPACE.parse().expect("a header"));
    request
}
