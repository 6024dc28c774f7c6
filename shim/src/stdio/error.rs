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
    /// A URI that is none.
    #[error("the stream {address:?} has no absolute path after its scheme")]
    Path {
        /// The whole address.
        address: String,
    },
    /// A scheme not served.
    #[error("streams by {scheme}:// are not supported yet; use a FIFO or file://")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A terminal.
    #[error("a terminal is not supported yet; start the container without one")]
    Terminal,
}

impl StdioError {
    /// Whether the caller asked for something that is not there yet, rather than made a mistake.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Scheme { .. } | Self::Terminal)
    }
}
