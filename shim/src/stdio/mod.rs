//! A process' three streams. Without a terminal nothing ever passes through this server:
//!
//! ```text
//!   client ──write──▶ FIFO ──read──▶ guest's 0      the server keeps a writer until CloseIO: only then EOF
//!   guest's 1, 2 ──write──▶ FIFO ──read──▶ client   the server keeps a reader: a restarting containerd loses
//!                                                   nothing and the guest gets no SIGPIPE, it only waits
//!   guest's 1, 2 ──append──▶ file                   `file://`: both streams in one file
//!   guest's 1, 2 ──write──▶ pipes ──read──▶ logger   `binary://`: a program of the host's, see [`logger`]
//! ```
//!
//! The guest's own ends block, so a slow reader slows the guest down and never gives it EAGAIN. Opening
//! blocks never. Before the process is made its client is awaited ([`Stdio::ready`]): of a guest that ends before that
//! has opened the FIFOs nothing would be heard.
//!
//! With a terminal the same streams end here, and the server copies between them and the terminal: see [`terminal`].
//! It is made here ([`Stdio::open`]), or by an OCI runtime that sends it ([`Stdio::expect`], [`ConsoleSocket`],
//! [`Stdio::adopt`]).
//!
//! ```text
//!   open ─▶ ready ─▶ child_fds, release_child_ends ─▶ resize, close_stdin ─▶ finish ─▶ Tail::stop
//!           logger    the process is born              while it lives         it ended   Delete
//! ```
//!
//! The guest's ends are the server's only until the process is born ([`Stdio::release_child_ends`]). So the
//! client sees the end of the output when the process ends; the rest goes with [`Stdio::finish`], at process exit,
//! because the client waits for that end before it calls Delete. What was written last is in the [`Tail`]: a
//! terminal's client and a logger may read on until [`Tail::stop`] is over. Neither keeps the exit waiting.

mod console;
mod direct;
mod error;
mod fifo;
mod logger;
mod tail;
mod target;
mod terminal;

pub use console::ConsoleSocket;
pub use error::StdioError;
pub use logger::Owner;
pub use tail::Tail;

use direct::Ends;
use fifo::Reader;
use logger::Logger;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use terminal::{Beside, Streams, Terminal};

/// The streams as containerd asks for them: paths or URIs, empty for none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Where the input comes from.
    pub stdin: String,
    /// Where the output goes.
    pub stdout: String,
    /// Where the error output goes; a terminal has none.
    pub stderr: String,
    /// Whether the process gets a terminal.
    pub terminal: bool,
}

/// The streams of one process. Dropped, all of it is closed, and a logger is killed.
#[derive(Debug)]
pub struct Stdio {
    /// What the process is born with, until it is born.
    child: Option<[OwnedFd; 3]>,
    /// Keeps the guest's input from ending.
    stdin_writer: Option<OwnedFd>,
    /// Keep FIFOs of the output from breaking.
    readers: [Option<Reader>; 2],
    /// What stands between the guest's output and its end.
    way: Way,
    /// Takes the guest's output.
    logger: Option<Logger>,
}

/// How the output goes.
#[derive(Debug)]
enum Way {
    /// By itself.
    Direct,
    /// Through a terminal that is still to come.
    Expected(Streams),
    /// Through a terminal.
    Terminal(Terminal),
}

impl Stdio {
    /// Opens all streams, and makes the terminal. A logger is started, but [not ready](Self::ready) yet.
    ///
    /// # Errors
    /// When a path cannot be opened, is not a FIFO where one is needed, or asks for what is not supported; when a
    /// logger cannot be run, or no terminal is to be had.
    pub fn open(request: &Request, owner: Owner<'_>) -> Result<Self, StdioError> {
        let mut stdio = Self::expect(request, owner)?;
        if request.terminal {
            let master = terminal::open()?;
            stdio.child = Some(terminal::ends(&master)?);
            stdio.adopt(master)?;
        }
        Ok(stdio)
    }

    /// [Opens](Self::open) all streams but the terminal, for a process whose terminal somebody else makes, and
    /// puts in its place; [`Stdio::adopt`] follows.
    ///
    /// # Errors
    /// As for [`Stdio::open`].
    pub fn expect(request: &Request, owner: Owner<'_>) -> Result<Self, StdioError> {
        if request.terminal {
            let (streams, Beside { stdin_writer, reader, logger }) = terminal::streams(request, owner)?;
            let (way, readers) = (Way::Expected(streams), [reader, None]);
            return Ok(Self { child: None, stdin_writer, readers, way, logger });
        }
        let Ends { child, stdin_writer, readers, logger } = direct::open(request, owner)?;
        Ok(Self { child: Some(child), stdin_writer, readers, way: Way::Direct, logger })
    }

    /// Begins to copy between the streams and the terminal with this master.
    ///
    /// # Errors
    /// When it is no such thing, or cannot be watched. If no terminal is expected it is only closed.
    pub fn adopt(&mut self, master: OwnedFd) -> Result<(), StdioError> {
        if let Way::Expected(streams) = &mut self.way {
            self.way = Way::Terminal(Terminal::new(master, std::mem::take(streams))?);
        }
        Ok(())
    }

    /// Waits until somebody takes the output: the logger, if there is one, or the client, which may still be about to
    /// open its FIFOs.
    ///
    /// # Errors
    /// When a logger dies before, or takes too long.
    pub async fn ready(&mut self) -> Result<(), StdioError> {
        for reader in self.readers.iter_mut().flatten() {
            reader.ready().await?;
        }
        match &mut self.logger {
            Some(logger) => logger.ready(logger::READY).await,
            None => Ok(()),
        }
    }

    /// The process' ends; where there are none (released, or a terminal that somebody else puts in place), the
    /// server's own streams, which are `/dev/null`.
    #[must_use]
    pub fn child_fds(&self) -> [BorrowedFd<'_>; 3] {
        match &self.child {
            Some(ends) => ends.each_ref().map(AsFd::as_fd),
            None => own_streams(),
        }
    }

    /// Closes the process' ends here: from now on only the process holds them.
    pub fn release_child_ends(&mut self) {
        self.child = None;
    }

    /// Makes the terminal as large as the client's window; nothing without one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn resize(&self, width: u16, height: u16) -> io::Result<()> {
        match &self.way {
            Way::Terminal(terminal) => terminal.resize(width, height),
            Way::Direct | Way::Expected(_) => Ok(()),
        }
    }

    /// Lets the input end once the client has closed its side too.
    pub fn close_stdin(&mut self) {
        self.stdin_writer = None;
    }

    /// The process has ended: closes everything here that its last output does not need.
    #[must_use]
    pub fn finish(self) -> Tail {
        let terminal = match self.way {
            Way::Terminal(terminal) => Some((terminal.drain(), self.readers)),
            Way::Direct | Way::Expected(_) => None,
        };
        Tail::new(terminal, self.logger)
    }
}

fn own_streams() -> [BorrowedFd<'static>; 3] {
    [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()]
}

#[cfg(test)]
mod tests;
