//! Streams that a process has as they are.

use super::fifo::Reader;
use super::target::Target;
use super::{Logger, Owner, Request, StdioError, fifo};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// All ends of the three.
pub(super) struct Ends {
    /// The process'.
    pub(super) child: [OwnedFd; 3],
    /// A writer of the input.
    pub(super) stdin_writer: Option<OwnedFd>,
    /// Readers of the output.
    pub(super) readers: [Option<Reader>; 2],
    /// Who takes the output.
    pub(super) logger: Option<Logger>,
}

/// Opens them.
pub(super) fn open(request: &Request, owner: Owner<'_>) -> Result<Ends, StdioError> {
    let (stdin, stdin_writer) = match Target::input(&request.stdin)? {
        Some(path) => {
            let (reader, writer) = fifo::input(&path)?;
            fifo::block(&reader, &path)?;
            (reader, Some(writer))
        }
        None => (null()?, None),
    };
    let (stdout, stderr, readers, logger) = match Target::parse(&request.stdout)? {
        Target::Logger(program) => {
            let (logger, [stdout, stderr]) = Logger::start(program, owner)?;
            (stdout, stderr, [None, None], Some(logger))
        }
        Target::File(path) => {
            let stdout = append(&path)?;
            let stderr = stdout.try_clone().map_err(|source| StdioError::Open { path, source })?;
            (stdout, stderr, [None, None], None)
        }
        target => {
            let (stdout, stdout_reader) = output(target)?;
            let (stderr, stderr_reader) = output(Target::parse(&request.stderr)?)?;
            (stdout, stderr, [stdout_reader, stderr_reader], None)
        }
    };
    Ok(Ends { child: [stdin, stdout, stderr], stdin_writer, readers, logger })
}

/// The guest's output, and the server's own reader of it.
fn output(target: Target) -> Result<(OwnedFd, Option<Reader>), StdioError> {
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

/// Opens a file for what comes at its end.
pub(super) fn append(path: &Path) -> Result<OwnedFd, StdioError> {
    let failed = |source: io::Error| StdioError::Open { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
    }
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map(File::into).map_err(failed)
}
