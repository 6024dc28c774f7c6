//! FIFOs, opened without ever waiting for the other side.

use super::StdioError;
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, open};
use std::os::fd::OwnedFd;
use std::path::Path;

/// A reader that does not block yet, and the server's writer.
pub(super) fn input(path: &Path) -> Result<(OwnedFd, OwnedFd), StdioError> {
    // A reader that does not wait for a writer opens at once; then the writer has its peer.
    let reader = end(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let writer = end(path, OFlags::WRONLY | OFlags::NONBLOCK)?;
    Ok((reader, writer))
}

/// A writer that blocks, and the server's reader.
pub(super) fn output(path: &Path) -> Result<(OwnedFd, OwnedFd), StdioError> {
    let reader = end(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let writer = end(path, OFlags::WRONLY)?;
    Ok((writer, reader))
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
