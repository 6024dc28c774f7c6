//! What is left of a process' streams once it has ended: its last output, and who takes it.
//!
//! ```text
//!  terminal drains ──over, or DRAIN after Delete──▶ closed ──▶ the logger is stopped ──▶ gone
//! ```
//!
//! It runs by itself. A client that reads gets everything and then the end of the output; only then it calls Delete.

use super::fifo::Reader;
use super::logger::Logger;
use super::terminal::Copying;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long Delete waits for somebody who does not read what a terminal shows; as long as containerd's own shim.
const DRAIN: Duration = Duration::from_secs(10);

/// The last output. Dropped, it is lost and a logger is killed; [`Tail::stop`] is the gentle way.
#[derive(Debug)]
pub struct Tail {
    /// With what keeps the FIFO that it is shown in from breaking.
    terminal: Option<(Copying, [Option<Reader>; 2])>,
    logger: Option<Logger>,
}

impl Tail {
    pub(super) fn new(terminal: Option<(Copying, [Option<Reader>; 2])>, logger: Option<Logger>) -> Self {
        Self { terminal, logger }
    }

    /// Has all of it end, in at most 10 s for the terminal and 12 for the logger. What comes back is told, or
    /// closed, when it is gone.
    #[must_use]
    pub fn stop(self) -> oneshot::Receiver<()> {
        let (going, gone) = oneshot::channel();
        match (self.terminal, self.logger) {
            (None, None) => drop(going),
            (None, Some(logger)) => return logger.stop(),
            (Some((mut terminal, readers)), logger) => {
                tokio::spawn(async move {
                    if timeout(DRAIN, terminal.over()).await.is_err() {
                        log::warn!("nobody reads what a terminal shows: its last output is lost");
                    }
                    // The logger sees the end of its input.
                    drop((terminal, readers));
                    if let Some(logger) = logger {
                        // Its other end says nothing, it only goes away.
                        drop(logger.stop().await);
                    }
                    drop(going);
                });
            }
        }
        gone
    }
}
