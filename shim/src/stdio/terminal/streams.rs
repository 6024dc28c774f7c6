//! The streams of a process with a terminal: they end in the server.

use super::super::fifo::Reader;
use super::super::target::Target;
use super::super::{Logger, Owner, Request, StdioError, direct, fifo};
use super::sink::Sink;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::net::unix::pipe;

/// What a terminal is copied to and from.
#[derive(Debug, Default)]
pub(in super::super) struct Streams {
    /// What is typed, if anything ever is.
    pub(super) input: Option<pipe::Receiver>,
    /// Where it is shown.
    pub(super) output: Sink,
}

/// What there is beside them.
pub(in super::super) struct Beside {
    /// Keeps the input from ending.
    pub(in super::super) stdin_writer: Option<OwnedFd>,
    /// Keeps the output's FIFO from breaking.
    pub(in super::super) reader: Option<Reader>,
    /// Takes the output.
    pub(in super::super) logger: Option<Logger>,
}

/// Opens them. An address for the error output is not looked
/// at: there is one screen.
pub(in super::super) fn streams(
    request: &Request,
    owner: Owner<'_>,
) -> Result<(Streams, Beside), StdioError> {
    let (input, stdin_writer) = match Target::input(&request.stdin)? {
        Some(path) => {
            let (reader, writer) = fifo::input(&path)?;
            (Some(pipe::Receiver::from_owned_fd(reader).map_err(StdioError::Watch)?), Some(writer))
        }
        None => (None, None),
    };
    let sender = |writer| pipe::Sender::from_owned_fd(writer).map_err(StdioError::Watch);
    let (output, reader, logger) = match Target::parse(&request.stdout)? {
        Target::Null => (Sink::Null, None, None),
        Target::Fifo(path) => {
            let (writer, reader) = fifo::output(&path)?;
            (Sink::Pipe(sender(writer)?), Some(reader), None)
        }
        Target::File(path) => (Sink::File(Arc::new(File::from(direct::append(&path)?))), None, None),
        Target::Logger(program) => {
            let (logger, [stdout, _stderr]) = Logger::start(program, owner)?;
            (Sink::Pipe(sender(stdout)?), None, Some(logger))
        }
    };
    Ok((Streams { input, output }, Beside { stdin_writer, reader, logger }))
}
