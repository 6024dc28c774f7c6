//! Where a terminal's output goes.

use crate::aside::aside;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use tokio::net::unix::pipe;

/// A place for output.
#[derive(Debug, Default)]
pub(super) enum Sink {
    /// Nowhere.
    #[default]
    Null,
    /// A FIFO, of which the server holds the reading end too, or a logger's pipe.
    Pipe(pipe::Sender),
    /// The end of a file. A disk may take its time, so a thread writes.
    File(Arc<File>),
}

impl Sink {
    /// Writes all of it, waiting for as long as it takes. What cannot be written is lost, and all that follows.
    pub(super) async fn write(&mut self, chunk: Vec<u8>) {
        let written = match self {
            Self::Null => Ok(()),
            Self::Pipe(writer) => all(writer, &chunk).await,
            Self::File(file) => {
                let file = Arc::clone(file);
                aside(move || file.as_ref().write_all(&chunk)).await.flatten()
            }
        };
        if let Err(error) = written {
            log::warn!("what a terminal shows is lost from here on: {error}");
            *self = Self::Null;
        }
    }
}

async fn all(writer: &pipe::Sender, mut chunk: &[u8]) -> io::Result<()> {
    while !chunk.is_empty() {
        writer.writable().await?;
        match writer.try_write(chunk) {
            Ok(written) => chunk = &chunk[written..],
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
