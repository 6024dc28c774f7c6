//! stdin: read when the guest reads and there is something to read.
//!
//! ```text
//!  readable now? ── yes ─▶ read, at most what is asked for
//!        └─ no ─▶ the event loop waits for it; what cannot be waited for (a file, /dev/null) is always readable
//! ```
//!
//! Nothing is read ahead: what the guest does not take stays in the pipe.

#![allow(unsafe_code, reason = "the event loop wants a promise that the descriptor stays open")]

use bytes::{Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;
use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

/// The most that one read takes.
const LONGEST: usize = 64 << 10;

/// The process's stdin. All streams of it share the one registration with the event loop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stdin {
    /// Made when the guest first waits. `None`: it cannot be waited for and is always readable.
    events: Arc<OnceLock<Option<AsyncFd<BorrowedFd<'static>>>>>,
}

impl Stdin {
    fn events(&self) -> Option<&AsyncFd<BorrowedFd<'static>>> {
        let register = || {
            // SAFETY: descriptor 0 is the process's for all its life: nothing in this program closes it.
            unsafe { AsyncFd::register_with_interest(stdin(), Interest::READABLE) }.ok()
        };
        self.events.get_or_init(register).as_ref()
    }

    /// Takes what is there, at most `size` bytes; empty at the end of input.
    fn take(&self, size: usize) -> io::Result<Bytes> {
        let mut buffer = BytesMut::zeroed(size.min(LONGEST));
        let length = rustix::io::retry_on_intr(|| rustix::io::read(stdin(), &mut buffer[..]))?;
        buffer.truncate(length);
        Ok(buffer.freeze())
    }
}

/// Whether a read would return at once: data, the end, or an error.
fn readable() -> bool {
    let mut input = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(rustix::io::retry_on_intr(|| poll(&mut input, Some(&now))), Ok(0))
}

impl IsTerminal for Stdin {
    fn is_terminal(&self) -> bool {
        rustix::termios::isatty(stdin())
    }
}

impl StdinStream for Stdin {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

impl InputStream for Stdin {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 || !readable() {
            return Ok(Bytes::new());
        }
        match self.take(size) {
            Ok(bytes) if bytes.is_empty() => Err(StreamError::Closed),
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Bytes::new()),
            Err(error) => Err(StreamError::LastOperationFailed(error.into())),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Stdin {
    async fn ready(&mut self) {
        while !readable() {
            let Some(events) = self.events() else { return };
            // An event tells of a change only, so it is forgotten before the look that decides.
            match events.readable().await {
                Ok(mut event) => event.clear_ready(),
                Err(_) => return,
            }
        }
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while !readable() {
            let Some(events) = self.events() else { break };
            ready!(events.poll_read_ready(context))?.clear_ready();
        }
        let bytes = self.take(buffer.remaining())?;
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}
