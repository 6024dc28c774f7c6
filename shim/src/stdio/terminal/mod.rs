//! A terminal: its master here, its other side (the slave) the process' 0, 1 and 2.
//!
//! ```text
//!   client ──▶ FIFO ──▶ chunk ──▶ master │ slave ──▶ 0        echo, lines, ^C, ^D: the kernel's, between the two
//!   client ◀── FIFO ◀── chunk ◀── master │ slave ◀── 1, 2
//!              file, logger ◀─┘
//!
//!   living ──the process ended──▶ draining ──no slave left, or BACKGROUND──▶ over: all is closed here
//!      └──dropped────────────────────┴──dropped─────────────────────────▶ over, at once
//! ```
//!
//! One task copies both ways and holds a chunk only while it is on its way: whoever does not read stops the
//! reading of the master, the pair fills up, the process waits. Nothing else waits.
//!
//! While the process lives the task holds a slave too, so that the terminal outlives a process that closes its own
//! for a time. What the process wrote last is in the kernel when it ends, and no read before the end of that
//! finds nothing. So draining is over when a read finds no slave any more; where processes in the background hold
//! one, soon after the first that finds nothing.
//!
//! The end of the input is the key for it (`^D`), since a terminal has no other.

mod copy;
mod master;
mod pair;
mod sink;
mod streams;

pub(super) use pair::{ends, open};
pub(super) use streams::{Beside, Streams, streams};

use super::StdioError;
use master::Master;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The terminal of a living process.
#[derive(Debug)]
pub(super) struct Terminal {
    master: Arc<Master>,
    ended: oneshot::Sender<()>,
    copying: Copying,
}

impl Terminal {
    /// Begins to copy.
    pub(super) fn new(master: OwnedFd, streams: Streams) -> Result<Self, StdioError> {
        let slave = pair::slave(&master)?;
        let master = Arc::new(Master::new(master)?);
        let (ended, told) = oneshot::channel();
        let copying = Copying(tokio::spawn(copy::copy(Arc::clone(&master), slave, streams, told)));
        Ok(Self { master, ended, copying })
    }

    /// Makes it as large as the client's window. If that is news, the process in the foreground gets SIGWINCH.
    pub(super) fn resize(&self, width: u16, height: u16) -> io::Result<()> {
        pair::resize(self.master.fd(), width, height)
    }

    /// The process has ended.
    pub(super) fn drain(self) -> Copying {
        // A task that is over already hears nothing.
        let _heard = self.ended.send(());
        self.copying
    }
}

/// The copying; dropped, it is over.
#[derive(Debug)]
pub(super) struct Copying(JoinHandle<()>);

impl Copying {
    /// Waits until it is over.
    pub(super) async fn over(&mut self) {
        if let Err(error) = (&mut self.0).await {
            log::error!("the copying of a terminal failed: {error}");
        }
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
