//! What can be wrong with a stream.

use std::io;
use std::path::PathBuf;

/// Why a process' streams could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// A path that cannot be opened.
    #[error("cannot open the stream {}: {source}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else lies where a FIFO must be.
    #[error("the stream {} is not a FIFO; give a FIFO, or file:// for a plain file", path.display())]
    NotFifo {
        /// The path.
        path: PathBuf,
    },
    /// A plain file as input.
    #[error("the input {} is a plain file; give a FIFO", path.display())]
    InputFile {
        /// The path.
        path: PathBuf,
    },
    /// A program as input.
    #[error("the input cannot come from a logger ({}); give a FIFO", path.display())]
    InputLogger {
        /// The program.
        path: PathBuf,
    },
    /// A logger for the error output alone.
    #[error("stderr goes where stdout goes when that is a logger: name {} for stdout", path.display())]
    StderrLogger {
        /// The program.
        path: PathBuf,
    },
    /// An argument of a logger that cannot be understood.
    #[error("the argument {pair:?} of the logger {} is not percent-encoded as a URI's query is", path.display())]
    LoggerArgument {
        /// The program.
        path: PathBuf,
        /// The argument as it was written.
        pair: String,
    },
    /// A logger that cannot be run.
    #[error("cannot run the logger {}: {source}; name an executable of this host by its absolute path", path.display())]
    Logger {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A logger that will not be ready.
    #[error(
        "the logger {} closed descriptor 5, or died, without having written a byte to it, as binary-v2:// wants it",
        path.display()
    )]
    LoggerNotReady {
        /// The program.
        path: PathBuf,
    },
    /// A logger that takes too long.
    #[error(
        "the logger {} was not ready within {seconds} s: it must write a byte to descriptor 5, or close it",
        path.display()
    )]
    LoggerLate {
        /// The program.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A URI that is none.
    #[error("the stream {address:?} has no absolute path after its scheme")]
    Path {
        /// The whole address.
        address: String,
    },
    /// A scheme not served.
    #[error("streams by {scheme}:// are not supported; use a FIFO, file:// or binary://")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// No terminal.
    #[error(
        "cannot make a terminal with /dev/ptmx: {0}; devpts must be mounted, and kernel.pty.max high enough"
    )]
    Terminal(io::Error),
    /// A terminal without its other side.
    #[error("cannot open the other side of a terminal: {0}")]
    OtherSide(io::Error),
    /// A terminal's stream.
    #[error("cannot watch a stream of a terminal: {0}")]
    Watch(io::Error),
    /// No socket for a terminal.
    #[error("cannot listen for the OCI runtime's terminal at {}: {source}", path.display())]
    Console {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing came.
    #[error("the OCI runtime sent no terminal to {}: {source}", path.display())]
    NoConsole {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StdioError {
    /// Whether the caller asked for something that is not there yet, rather than made a mistake.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Scheme { .. })
    }
}
