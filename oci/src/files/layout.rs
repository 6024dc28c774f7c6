//! An OCI layout: a directory whose names lead nowhere out of it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{ReadError, Stored};

/// The directory.
#[derive(Debug)]
pub(super) struct Layout {
    directory: File,
}

impl Layout {
    pub(super) fn new(directory: File) -> Self {
        Self { directory }
    }

    /// The regular file of this name, if there is one. A link within the directory is followed, one out of it
    /// is as good as nothing; a FIFO or device is not opened to be read.
    pub(super) fn file(&self, path: &Path, name: &str) -> Result<Option<Stored>, ReadError> {
        let io = |source: io::Error| ReadError::Io { path: path.join(name), source };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = match rustix::fs::openat2(&self.directory, name, flags, Mode::empty(), resolve) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(io(error.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|error| io(error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Some(Stored::in_file(Arc::new(file.into()), 0, size)))
    }
}
