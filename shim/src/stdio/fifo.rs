//! FIFOs, opened without ever waiting for the other side.

use super::StdioError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, open};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A reader that does not block yet, and the server's writer.
pub(super) fn input(path: &Path) -> Result<(OwnedFd, OwnedFd), StdioError> {
    // A reader that does not wait for a writer opens at once; then the writer has its peer.
    let reader = end(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let writer = end(path, OFlags::WRONLY | OFlags::NONBLOCK)?;
    Ok((reader, writer))
}

/// A writer that blocks, and the server's reader, for which the client may have to come first.
pub(super) fn output(path: &Path) -> Result<(OwnedFd, Reader), StdioError> {
    match end(path, OFlags::WRONLY | OFlags::NONBLOCK) {
        Ok(writer) => {
            block(&writer, path)?;
            Ok((writer, Reader::Open { _end: reader(path)? }))
        }
        Err(StdioError::Open { source, .. }) if source.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
            let peer = reader(path)?;
            let writer = end(path, OFlags::WRONLY)?;
            drop(peer);
            let failed = |source| StdioError::Open { path: path.to_owned(), source };
            let awaited = Awaited { path: path.to_owned(), writer: writer.try_clone().map_err(failed)? };
            Ok((writer, Reader::Awaited(awaited)))
        }
        Err(error) => Err(error),
    }
}

fn reader(path: &Path) -> Result<OwnedFd, StdioError> {
    end(path, OFlags::RDONLY | OFlags::NONBLOCK)
}

/// The server's own reader of an output.
///
/// It would hide from us whether the client has opened its own. One that has not by the time a quick guest has ended
/// finds an empty FIFO without a writer, loses the output, and waits in `open` for ever: so it is awaited, as it is by
/// containerd's own shim.
#[derive(Debug)]
pub(super) enum Reader {
    /// It keeps the FIFO from breaking.
    Open { _end: OwnedFd },
    /// The client's must come first.
    Awaited(Awaited),
}

/// A FIFO that the client has not opened.
#[derive(Debug)]
pub(super) struct Awaited {
    path: PathBuf,
    writer: OwnedFd,
}

/// How long a client may take that opens at all; it does so beside its call.
const COMING: Duration = Duration::from_secs(5);

/// Between two looks: nothing tells when it comes.
const PAUSE: Duration = Duration::from_millis(1);

impl Reader {
    /// Waits for the client. One that never comes is as one that has gone.
    pub(super) async fn ready(&mut self) -> Result<(), StdioError> {
        let Self::Awaited(Awaited { path, writer }) = self else { return Ok(()) };
        let until = Instant::now() + COMING;
        let mut pause = PAUSE;
        while !is_read(writer) && Instant::now() < until {
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE * 32);
        }
        *self = Self::Open { _end: reader(path)? };
        Ok(())
    }
}

/// Whether anybody has the other end.
fn is_read(writer: &OwnedFd) -> bool {
    let mut look = [PollFd::new(writer, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut look, Some(&at_once)).is_ok() && !look[0].revents().contains(PollFlags::ERR)
}

fn end(path: &Path, flags: OFlags) -> Result<OwnedFd, StdioError> {
    let failed = |errno: rustix::io::Errno| StdioError::Open { path: path.to_owned(), source: errno.into() };
    let fd = open(path, flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty()).map_err(failed)?;
    let stat = fstat(&fd).map_err(failed)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => Ok(fd),
        _ => Err(StdioError::NotFifo { path: path.to_owned() }),
    }
}

/// Makes reads wait.
pub(super) fn block(fd: &OwnedFd, path: &Path) -> Result<(), StdioError> {
    let failed = |errno: rustix::io::Errno| StdioError::Open { path: path.to_owned(), source: errno.into() };
    let flags = fcntl_getfl(fd).map_err(failed)?;
    fcntl_setfl(fd, flags - OFlags::NONBLOCK).map_err(failed)
}
