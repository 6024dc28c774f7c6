//! The server: everything put together, from the socket it was started with to its last breath.
//!
//! ```text
//!  host opened, runtime made, services bound ──▶ serving
//!     Shutdown and no container left ──▶ retire ──▶ refused while one is expected: asked again when that lapses
//!                                          └──▶ socket removed ──▶ answers written ──▶ events flushed ──▶ end
//!     SIGTERM, SIGINT ──▶ every engine killed, its exit told ──▶ as above
//! ```
//!
//! A node that is set up wrongly (configuration, cache, cgroups) has a server all the same: every Create
//! answers with what is wrong, where its user can read it.

use crate::aside;
use crate::events::Publisher;
use crate::log;
use crate::protocol::expected::PATIENCE;
use crate::protocol::serve::{ServeError, serve};
use crate::protocol::start::Served;
use crate::protocol::task::TaskService;
use crate::spawn::Host;
use crate::task::Tasks;
use ::log::LevelFilter;
use std::ffi::OsStr;
use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::sleep;

/// A server that could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No runtime.
    #[error("cannot make a runtime: {0}")]
    Runtime(io::Error),
    /// No signals.
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
    /// No services.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// How long the end of a compilation may take that was given up: milliseconds, or a busy machine's seconds.
const COMPILE_END: Duration = Duration::from_secs(10);

/// How long the last events may take.
const FLUSH: Duration = Duration::from_secs(5);

/// Serves until the last container is gone and containerd says so. `program` is the name the shim was called by.
///
/// # Errors
/// When it cannot begin.
pub fn run(served: Served, program: &OsStr) -> Result<(), ServerError> {
    let host = Host::open(program, Path::new(&served.request.grpc_address), &served.namespace);
    let level = host.as_ref().map_or(LevelFilter::Info, Host::log_level);
    log::init(if served.request.debug { LevelFilter::Debug } else { level });
    log::attach(&served.bundle);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServerError::Runtime)?;
    let done = runtime.block_on(live(served, host));
    drop(runtime);
    // Nobody waits for a compilation any more, so it is being ended, and its cgroup removed. A thread that waits for
    // another server's would hold us back longer.
    aside::finish(COMPILE_END);
    done
}

async fn live(served: Served, host: Result<Host, crate::spawn::HostError>) -> Result<(), ServerError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServerError::Signals)?;
    let events = Publisher::new(&served.request.ttrpc_address, &served.namespace);
    let tasks = Tasks::new(host, events.clone());
    let shutdown = Arc::new(Notify::new());
    let service = TaskService::new(tasks.clone(), served.expected.clone(), Arc::clone(&shutdown));
    let server = serve(served.listener, Arc::new(service), served.expected.clone()).await?;

    // A server whose first container never comes (its containerd died) leaves by itself.
    let mut lapse = Some(PATIENCE);
    loop {
        let told_by_signal = tokio::select! {
            () = shutdown.notified() => false,
            () = async { match lapse { Some(wait) => sleep(wait).await, None => pending().await } } => false,
            _ = terminate.recv() => true,
            _ = interrupt.recv() => true,
        };
        if told_by_signal {
            tasks.end_all().await;
            served.expected.leave(served.address.path());
            break;
        }
        lapse = match tasks.is_empty() {
            true => match served.expected.retire(served.address.path()) {
                Ok(()) => break,
                Err(wait) => Some(wait),
            },
            // Their last Delete is followed by Shutdown.
            false => None,
        };
    }
    server.shutdown().await;
    if !events.flush(FLUSH).await {
        ::log::warn!("some events were not delivered before the end");
    }
    Ok(())
}
