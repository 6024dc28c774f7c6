//! A process' three streams, opened so that nothing ever passes through this server.
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
//! blocks never: the server's end comes first, and then the other side has its peer.
//!
//! The guest's ends are the server's only until the process is born ([`Stdio::release_child_ends`]). So the
//! client sees the end of the output when the process ends; the rest goes with [`Stdio`], at process exit,
//! because the client waits for that end before it calls Delete. A logger stays until then ([`Stdio::into_logger`]).

mod error;
mod fifo;
mod logger;
mod target;

pub use error::StdioError;
pub use logger::{Logger, Owner};

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use target::Target;

/// The streams as containerd asks for them: paths or URIs, empty for none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Where the input comes from.
    pub stdin: String,
    /// Where the output goes.
    pub stdout: String,
    /// Where the error output goes.
    pub stderr: String,
    /// Whether the process gets a terminal.
    pub terminal: bool,
}

/// The streams of one process.
#[derive(Debug)]
pub struct Stdio {
    /// What the process is born with, until it is born.
    child: Option<[OwnedFd; 3]>,
    /// Keeps the guest's input from ending.
    stdin_writer: Option<OwnedFd>,
    /// Keep the guest's output from breaking.
    _readers: [Option<OwnedFd>; 2],
    /// Takes the guest's output.
    logger: Option<Logger>,
}

impl Stdio {
    /// Opens all streams. A logger is started, but [not ready](Self::ready) yet.
    ///
    /// # Errors
    /// When a path cannot be opened, is not a FIFO where one is needed, or asks for what is not supported; when a
    /// logger cannot be run.
    pub fn open(request: &Request, owner: Owner<'_>) -> Result<Self, StdioError> {
        if request.terminal {
            return Err(StdioError::Terminal);
        }
        let (stdin, stdin_writer) = input(&request.stdin)?;
        let mut opened = Self { child: None, stdin_writer, _readers: [None, None], logger: None };
        let (stdout, stderr) = match Target::parse(&request.stdout)? {
            Target::Logger(program) => {
                let (logger, [stdout, stderr]) = Logger::start(program, owner)?;
                opened.logger = Some(logger);
                (stdout, stderr)
            }
            Target::File(path) => {
                let stdout = append(&path)?;
                let stderr = stdout.try_clone().map_err(|source| StdioError::Open { path, source })?;
                (stdout, stderr)
            }
            target => {
                let (stdout, stdout_reader) = output(target)?;
                let (stderr, stderr_reader) = output(Target::parse(&request.stderr)?)?;
                opened._readers = [stdout_reader, stderr_reader];
                (stdout, stderr)
            }
        };
        opened.child = Some([stdin, stdout, stderr]);
        Ok(opened)
    }

    /// Waits until the logger, if there is one, takes the output.
    ///
    /// # Errors
    /// When it dies before, or takes too long.
    pub async fn ready(&mut self) -> Result<(), StdioError> {
        match &mut self.logger {
            Some(logger) => logger.ready(logger::READY).await,
            None => Ok(()),
        }
    }

    /// Closes everything here; gives the logger, which may have to read on.
    #[must_use]
    pub fn into_logger(self) -> Option<Logger> {
        self.logger
    }

    /// The process' ends; once they are released, the server's own streams, which are `/dev/null`.
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

    /// Lets the input end once the client has closed its side too.
    pub fn close_stdin(&mut self) {
        self.stdin_writer = None;
    }
}

fn own_streams() -> [BorrowedFd<'static>; 3] {
    [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()]
}

/// The guest's input, and the server's own writer of it.
fn input(address: &str) -> Result<(OwnedFd, Option<OwnedFd>), StdioError> {
    match Target::parse(address)? {
        Target::Null => Ok((null()?, None)),
        Target::Fifo(path) => {
            let (reader, writer) = fifo::input(&path)?;
            Ok((reader, Some(writer)))
        }
        Target::File(path) => Err(StdioError::InputFile { path }),
        Target::Logger(program) => Err(StdioError::InputLogger { path: program.path }),
    }
}

/// The guest's output, and the server's own reader of it.
fn output(target: Target) -> Result<(OwnedFd, Option<OwnedFd>), StdioError> {
    match target {
        Target::Null => Ok((null()?, None)),
        Target::Fifo(path) => {
            let (writer, reader) = fifo::output(&path)?;
            Ok((writer, Some(reader)))
        }
        Target::File(path) => Ok((append(&path)?, None)),
        Target::Logger(program) => Err(StdioError::StderrLogger { path: program.path }),
    }
}

fn null() -> Result<OwnedFd, StdioError> {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/null");
    opened.map(File::into).map_err(|source| StdioError::Open { path: "/dev/null".into(), source })
}

fn append(path: &Path) -> Result<OwnedFd, StdioError> {
    let failed = |source: io::Error| StdioError::Open { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
    }
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map(File::into).map_err(failed)
}

#[cfg(test)]
mod tests;
