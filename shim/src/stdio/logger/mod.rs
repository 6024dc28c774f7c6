//! A program of the host's that takes a process' output: `binary://` and `binary-v2://`.
//!
//! ```text
//!   guest's 1 ──write──▶ pipe ──read──▶ logger's 3     no byte passes through the server, and it holds no end:
//!   guest's 2 ──write──▶ pipe ──read──▶ logger's 4     the logger sees the end of the output with the guest's
//!   server ◀──a byte, or the end── pipe ── logger's 5   "ready": Create waits for it, but not for ever
//!
//!   starting ──ready──▶ logging ──the guest ended, Delete──▶ DRAIN ──SIGTERM──▶ FLUSH ──SIGKILL──▶ gone
//!      └──late, dead, Create failed──▶ SIGKILL        (a logger that ends by itself is gone wherever it is)
//! ```
//!
//! It is the operator's program, not the image's: it runs as the server does, outside the container's namespaces
//! and cgroup, in a session of its own. If it dies, the guest gets EPIPE; if it does not read, the guest waits.
//! One task owns the process and reaps it; [`Logger`] is the handle.

mod launch;
mod program;

pub(super) use program::{Program, Readiness};

use super::StdioError;
use crate::process::Process;
use rustix::pipe::{PipeFlags, pipe_with};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a logger may take to be ready.
pub(super) const READY: Duration = Duration::from_secs(10);

/// How long a logger may read what is left in the pipes before it is told to end.
const DRAIN: Duration = Duration::from_secs(2);

/// How long it may take to end then. With [`DRAIN`] it is what containerd's own shim gives.
const FLUSH: Duration = Duration::from_secs(10);

/// How long the kernel may take to end it.
const DEATH: Duration = Duration::from_secs(1);

/// Whose output a logger takes, as its environment says.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// containerd's namespace.
    pub namespace: &'a str,
    /// The container.
    pub id: &'a str,
}

/// A logger that runs. Dropped, it is killed; [`Logger::stop`] is the gentle way.
#[derive(Debug)]
pub(super) struct Logger {
    path: PathBuf,
    readiness: Readiness,
    ready: Option<pipe::Receiver>,
    orders: oneshot::Sender<()>,
    gone: oneshot::Receiver<()>,
}

impl Logger {
    /// Starts the program; gives the guest's two ends too.
    pub(super) fn start(program: Program, owner: Owner<'_>) -> Result<(Self, [OwnedFd; 2]), StdioError> {
        let path = program.path.clone();
        let failed = |source: io::Error| StdioError::Logger { path: path.clone(), source };
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed(errno.into()));
        let ((stdout, guests_stdout), (stderr, guests_stderr), (ready, ready_writer)) =
            (pipe()?, pipe()?, pipe()?);
        let ready = pipe::Receiver::from_owned_fd(ready).map_err(failed)?;
        let process = launch::launch(&program, owner, [stdout.as_fd(), stderr.as_fd(), ready_writer.as_fd()])
            .map_err(failed)?;
        let (orders, ordered) = oneshot::channel();
        let (going, gone) = oneshot::channel();
        let name = format!("logger {} of container {}", path.display(), owner.id);
        tokio::spawn(guard(process, name, ordered, going));
        let readiness = program.readiness;
        Ok((Self { path, readiness, ready: Some(ready), orders, gone }, [guests_stdout, guests_stderr]))
    }

    /// Waits until it says that it is ready.
    pub(super) async fn ready(&mut self, limit: Duration) -> Result<(), StdioError> {
        let Some(mut pipe) = self.ready.take() else { return Ok(()) };
        let path = || self.path.clone();
        match timeout(limit, pipe.read(&mut [0; 1])).await {
            Ok(Ok(0)) if self.readiness == Readiness::Byte => {
                Err(StdioError::LoggerNotReady { path: path() })
            }
            Ok(Ok(_)) => Ok(()),
            Ok(Err(source)) => Err(StdioError::Logger { path: path(), source }),
            Err(_elapsed) => Err(StdioError::LoggerLate { path: path(), seconds: limit.as_secs() }),
        }
    }

    /// Has it end, now that its input has ended. What comes back is told, or closed, when it is gone.
    #[must_use]
    pub(super) fn stop(self) -> oneshot::Receiver<()> {
        // A logger that is gone already hears nothing.
        let _heard = self.orders.send(());
        self.gone
    }
}

/// Owns the process: until it ends, or is to be ended.
async fn guard(process: Process, name: String, ordered: oneshot::Receiver<()>, going: oneshot::Sender<()>) {
    let signal = |signal: i32| {
        if let Err(error) = process.signal(signal) {
            log::debug!("{name} is gone already: {error}");
        }
    };
    let ended = tokio::select! {
        status = process.ended() => Some(status),
        order = ordered => match order {
            Ok(()) => match timeout(DRAIN, process.ended()).await {
                Ok(status) => Some(status),
                Err(_elapsed) => {
                    signal(libc::SIGTERM);
                    timeout(FLUSH, process.ended()).await.ok().map(|_told| 0)
                }
            },
            Err(_dropped) => None,
        },
    };
    match ended {
        Some(0) => {}
        Some(status) => log::warn!("{name} ended with status {status}: what it had not read is lost"),
        None => {
            signal(libc::SIGKILL);
            if timeout(DEATH, process.ended()).await.is_err() {
                log::warn!("{name} was killed and is not dead yet");
                drop(going);
                process.ended().await;
                return;
            }
        }
    }
    drop(going);
}

#[cfg(test)]
mod tests;
