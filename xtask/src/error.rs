//! What can go wrong, one variant per step, and how it is told.

use std::error::Error as _;
use std::path::PathBuf;
use std::process::ExitStatus;

/// A developer command that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A program could not be started at all.
    #[error("{program}: could not be started; is it installed?")]
    Start {
        /// The program's name.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program ended with an error; what it printed stands above.
    #[error("{program}: {status}")]
    Failed {
        /// The program and its arguments.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A file or directory could not be made, read or moved.
    #[error("{path}: {step} failed")]
    File {
        /// What was tried.
        step: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What ran in a guest failed; what it printed stands above.
    #[error("a guest's job failed: exit code {code}")]
    Guest {
        /// The job's exit code.
        code: u8,
    },
    /// Something the command cannot do without is missing.
    #[error("{what} is missing; {remedy}")]
    Missing {
        /// What.
        what: String,
        /// What to do.
        remedy: String,
    },
}

impl Error {
    /// An [`Error::File`] maker for `map_err`.
    pub(crate) fn file(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { step, path, source }
    }
}

/// Prints an error with its causes, on one line.
pub(crate) fn print(error: &Error) {
    let mut line = format!("error: {error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        line.push_str(&format!(": {source}"));
        cause = source.source();
    }
    eprintln!("{line}");
}
