//! Descriptors under tokio's eye.

#![allow(unsafe_code, reason = "tokio asks for a promise that a descriptor stays open while it is watched")]

use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor until it can be read.
///
/// # Errors
/// When the kernel or the runtime refuses.
pub(crate) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open until it is dropped, and the AsyncFd owns it and deregisters it before that.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(io::Error::from)
}

/// Watches a file of the kernel that says urgently when it has changed: one of a cgroup.
///
/// # Errors
/// When the kernel or the runtime refuses.
pub(crate) fn urgent(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: as above.
    unsafe { AsyncFd::register_with_interest(fd, Interest::PRIORITY) }.map_err(io::Error::from)
}

/// Watches a descriptor until it can be read, and until it can be written.
///
/// # Errors
/// When the kernel or the runtime refuses.
pub(crate) fn both_ways(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: as above.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}
