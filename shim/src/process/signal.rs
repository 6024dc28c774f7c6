//! Signals by number, sent by descriptor.

#![allow(unsafe_code, reason = "real-time signals have no name, so rustix takes them only on our word")]

use rustix::process::Signal;
use std::io;
use std::os::fd::AsFd;

/// The real-time signals that a C library leaves to programs; stop signals of images may be among them.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// Signals the process behind a pidfd, which is never a stranger with the same pid.
///
/// # Errors
/// `ESRCH` once it has been reaped; `InvalidInput` for a number that is no signal.
pub(crate) fn send(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    let signal = match Signal::from_named_raw(signal) {
        Some(signal) => signal,
        // SAFETY: the signal is only sent to another process; no handler of ours is concerned.
        None if REAL_TIME.contains(&signal) => unsafe { Signal::from_raw_unchecked(signal) },
        None => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{signal} is no signal"))),
    };
    Ok(rustix::process::pidfd_send_signal(pidfd, signal)?)
}
