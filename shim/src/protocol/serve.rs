//! The server's socket: containerd's task service, and reservations by other starts.
//!
//! ```text
//!   containerd.task.v2.Task ─┐
//!   containerd.task.v3.Task ─┴▶ the one task service: the two differ in the package's name only
//!   …sandbox.v1.Sandbox ──────▶ no methods: everything answers Unimplemented (12). An unknown *service* would
//!                               answer InvalidArgument, which containerd does not take for "not there"
//!   pinnace.shim.v1.Group ────▶ Reserve(id)
//! ```
//!
//! Each connection and each call is a task of the current-thread runtime; no thread is started. A connection
//! that breaks ends its own calls and nothing else. **A call whose client is gone, or whose time is up, is
//! dropped where it waits**: what must be finished has to be a task of its own.

use super::expected::Expected;
use super::join::{METHOD, SERVICE};
use async_trait::async_trait;
use containerd_shim_protos::shim_async::{Task, create_task};
use containerd_shim_protos::ttrpc;
use containerd_shim_protos::ttrpc::r#async::transport::Listener;
use containerd_shim_protos::ttrpc::r#async::{MethodHandler, Server as TtrpcServer, Service, TtrpcContext};
use containerd_shim_protos::ttrpc::{Code, Request, Response, get_status};
use futures_core::Stream;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Sleep, sleep, timeout};

/// A server that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket does not go with the runtime.
    #[error("cannot wait for connections: {0}")]
    Listener(io::Error),
    /// ttrpc refuses.
    #[error("cannot serve: {0}")]
    Start(ttrpc::Error),
}

/// A server at work.
pub struct Server(TtrpcServer);

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Server")
    }
}

/// How long answers under way may take at the end.
const GRACE: Duration = Duration::from_secs(1);

/// Serves on `listener`; must be called inside the runtime.
///
/// # Errors
/// When the listener cannot be waited on.
pub async fn serve(
    listener: StdListener,
    task: Arc<dyn Task + Send + Sync>,
    expected: Expected,
) -> Result<Server, ServeError> {
    listener.set_nonblocking(true).map_err(ServeError::Listener)?;
    let listener = UnixListener::from_std(listener).map_err(ServeError::Listener)?;
    let mut services = HashMap::new();
    for version in ["containerd.task.v2.Task", "containerd.task.v3.Task"] {
        services.extend(create_task(task.clone()).into_values().map(|service| (version.to_owned(), service)));
    }
    services.insert("containerd.runtime.sandbox.v1.Sandbox".to_owned(), service([]));
    services.insert(SERVICE.to_owned(), service([(METHOD, Box::new(Reserve(expected)))]));
    let mut server =
        TtrpcServer::new().add_listener(Listener::new(Incoming::new(listener))).register_service(services);
    server.start().await.map_err(ServeError::Start)?;
    Ok(Server(server))
}

impl Server {
    /// Takes no more connections, lets answers under way be written, closes all.
    pub async fn shutdown(mut self) {
        // Calls that wait for a container's end would hold it for ttrpc's own five seconds.
        let _ = timeout(GRACE, self.0.shutdown()).await;
    }
}

type Method = Box<dyn MethodHandler + Send + Sync>;

fn service<const N: usize>(methods: [(&str, Method); N]) -> Service {
    let methods = methods.into_iter().map(|(name, method)| (name.to_owned(), method)).collect();
    Service { methods, streams: HashMap::new() }
}

/// Another `start` of the group keeps this server from leaving.
struct Reserve(Expected);

#[async_trait]
impl MethodHandler for Reserve {
    async fn handler(&self, _: TtrpcContext, request: Request) -> ttrpc::Result<Response> {
        let id = String::from_utf8_lossy(&request.payload);
        let status = match self.0.expect(&id) {
            true => get_status(Code::OK, ""),
            false => get_status(Code::FAILED_PRECONDITION, "this server is about to exit"),
        };
        // An `Err` here would be answered as Unknown.
        let mut response = Response::new();
        response.set_status(status);
        Ok(response)
    }
}

/// Connections as they come. One descriptor is kept for when there is no other left: so somebody can still connect,
/// and hears from a Create what is missing. Where none can be accepted it waits a little: ttrpc would ask again at
/// once, for ever.
struct Incoming {
    listener: UnixListener,
    spare: Option<File>,
    pause: Option<Pin<Box<Sleep>>>,
}

const PAUSE: Duration = Duration::from_secs(1);

impl Incoming {
    fn new(listener: UnixListener) -> Self {
        Self { listener, spare: spare(), pause: None }
    }
}

/// A descriptor of nothing.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

impl Stream for Incoming {
    type Item = io::Result<UnixStream>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(context)) {
                Ok((stream, _)) => {
                    self.spare = self.spare.take().or_else(spare);
                    return Poll::Ready(Some(Ok(stream)));
                }
                Err(error) if lacks_descriptors(&error) && self.spare.take().is_some() => {}
                Err(error) => {
                    log::error!("cannot accept a connection: {error}");
                    self.pause = Some(Box::pin(sleep(PAUSE)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
