//! Bytes that lie in a file, or in memory, to be read when they are wanted.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A blob or document at rest.
#[derive(Debug, Clone)]
pub struct Stored {
    place: Place,
    size: u64,
}

#[derive(Debug, Clone)]
enum Place {
    File { file: Arc<File>, start: u64 },
    Memory(Arc<[u8]>),
}

impl Stored {
    pub(crate) fn in_file(file: Arc<File>, start: u64, size: u64) -> Self {
        Self { place: Place::File { file, start }, size }
    }

    pub(crate) fn in_memory(bytes: Vec<u8>) -> Self {
        Self { size: bytes.len() as u64, place: Place::Memory(bytes.into()) }
    }

    /// How many bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads from the beginning. The bytes are not checked here.
    pub fn reader(&self) -> impl Read + '_ {
        Reader { stored: self, came: 0 }
    }
}

struct Reader<'a> {
    stored: &'a Stored,
    came: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.stored.size - self.came).unwrap_or(usize::MAX);
        let wanted = room.len().min(left);
        let room = &mut room[..wanted];
        let length = match &self.stored.place {
            Place::File { file, start } => file.read_at(room, start + self.came)?,
            Place::Memory(bytes) => {
                let start = usize::try_from(self.came).map_err(io::Error::other)?;
                bytes.get(start..).unwrap_or_default().read(room)?
            }
        };
        self.came += length as u64;
        Ok(length)
    }
}
