//! A child process of the server's, held by its descriptor: never a stranger with the same pid.

pub(crate) mod launch;
pub(crate) mod orphans;
pub(crate) mod signal;
pub(crate) mod watch;

use orphans::Watched;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::unix::AsyncFd;

/// containerd's own word for an exit nobody saw.
const UNKNOWN: u32 = 255;

/// A child that is watched until it is reaped.
#[derive(Debug)]
pub struct Process {
    /// Its pid in the host's pid namespace.
    pub pid: i32,
    pidfd: AsyncFd<OwnedFd>,
    watched: Watched,
}

impl Process {
    /// Watches a child that nobody else reaps.
    ///
    /// # Errors
    /// When the kernel or the runtime refuses.
    pub fn watch(pid: i32, pidfd: OwnedFd) -> io::Result<Self> {
        Ok(Self { pid, pidfd: watch::readable(pidfd)?, watched: Watched::new(pid) })
    }

    /// Watches a child by its pid, which stays its own until it is reaped.
    ///
    /// # Errors
    /// As [`Self::watch`]; when there is no such process.
    pub fn of_pid(pid: i32) -> io::Result<Self> {
        let known = Pid::from_raw(pid).ok_or_else(|| io::Error::other("a child without a pid"))?;
        Self::watch(pid, pidfd_open(known, PidfdFlags::empty())?)
    }

    /// Whether it has not ended yet, so that its pid is its own.
    pub(crate) fn lives(&self) -> bool {
        let mut pidfds = [PollFd::new(self.pidfd.get_ref(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Anything else than "nothing to read" counts as an end.
        matches!(poll(&mut pidfds, Some(&now)), Ok(0))
    }

    /// Signals the process.
    ///
    /// # Errors
    /// `ESRCH` once it has been reaped; `EINVAL` for a number that is no signal.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        signal::send(self.pidfd.get_ref(), signal)
    }

    /// Waits until the process has ended, reaps it, and gives its status: 0 to 255, or 128 + n.
    pub async fn ended(&self) -> u32 {
        loop {
            // The pidfd is readable from the moment of death on; an error here would be a closed reactor.
            let Ok(mut ready) = self.pidfd.readable().await else {
                return UNKNOWN;
            };
            match rustix::process::waitid(
                WaitId::PidFd(self.pidfd.get_ref().as_fd()),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
            ) {
                Ok(Some(status)) => {
                    self.watched.over();
                    let exited = status.exit_status().and_then(|code| u32::try_from(code).ok());
                    let killed = status.terminating_signal().and_then(|signal| u32::try_from(signal).ok());
                    return exited.or(killed.map(|signal| 128 + signal)).unwrap_or(UNKNOWN);
                }
                Ok(None) => ready.clear_ready(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    self.watched.over();
                    log::error!("cannot reap process {}: {error}", self.pid);
                    return UNKNOWN;
                }
            }
        }
    }
}
