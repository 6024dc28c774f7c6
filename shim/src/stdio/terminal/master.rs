//! Reading and writing a master without ever blocking.

use super::super::StdioError;
use crate::process::watch;
use rustix::buffer::spare_capacity;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::io::unix::AsyncFd;

/// The most that is taken at once: what a pair holds in one direction, about.
const CHUNK: usize = 16 << 10;

/// The most that one read gives, about.
const READ: usize = 4 << 10;

/// A master under the runtime's eye.
#[derive(Debug)]
pub(super) struct Master(AsyncFd<OwnedFd>);

impl Master {
    pub(super) fn new(fd: OwnedFd) -> Result<Self, StdioError> {
        let flags = fcntl_getfl(&fd).and_then(|flags| fcntl_setfl(&fd, flags | OFlags::NONBLOCK));
        flags.map_err(|errno| StdioError::Terminal(errno.into()))?;
        watch::both_ways(fd).map(Self).map_err(StdioError::Terminal)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }

    /// Waits for output and takes what there is. An error is its end: no slave is left. Cancelled, it has taken
    /// nothing.
    pub(super) async fn read(&self) -> io::Result<Vec<u8>> {
        loop {
            let mut ready = self.0.readable().await?;
            if let Ok(taken) = ready.try_io(|fd| take(fd.get_ref())) {
                return taken;
            }
        }
    }

    /// Types `bytes`, waiting for room.
    pub(super) async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.0.writable().await?;
            match ready.try_io(|fd| rustix::io::write(fd.get_ref(), bytes).map_err(io::Error::from)) {
                Ok(Ok(written)) => bytes = &bytes[written..],
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_no_room) => {}
            }
        }
        Ok(())
    }
}

/// Takes a chunk, read by read, as long as there is room for a whole one.
fn take(master: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK);
    while chunk.len() <= CHUNK - READ {
        match rustix::io::read(master, spare_capacity(&mut chunk)) {
            Ok(1..) | Err(Errno::INTR) => {}
            // Whatever this is, it is there again the next time.
            _ if !chunk.is_empty() => break,
            Ok(0) => return Err(Errno::IO.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(chunk)
}
