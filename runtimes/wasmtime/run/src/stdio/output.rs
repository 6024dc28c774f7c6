//! stdout and stderr: every write of the guest is one write of the process.
//!
//! A full pipe stops the guest, as it stops a native process; a signal still ends it. A pipe that nobody
//! reads is an error to the guest.

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::stdio;
use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// What the guest may write at once.
const PERMIT: usize = 64 << 10;

/// One of the two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    descriptor: BorrowedFd<'static>,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self { descriptor: stdio::stdout() }
    }

    pub(crate) fn stderr() -> Self {
        Self { descriptor: stdio::stderr() }
    }

    /// Writes something, waiting for room if the other end made the descriptor non-blocking.
    fn write_some(self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(self.descriptor, bytes) {
                Ok(written) => return Ok(written),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let mut room = [PollFd::from_borrowed_fd(self.descriptor, PollFlags::OUT)];
                    rustix::io::retry_on_intr(|| poll(&mut room, None))?;
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        rustix::termios::isatty(self.descriptor)
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(*self)
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(*self)
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut left = &bytes[..];
        while !left.is_empty() {
            match self.write_some(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(StreamError::Closed),
                Err(error) => return Err(StreamError::LastOperationFailed(error.into())),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write_some(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
