//! The kernel's small files, relative to an opened directory: four system calls to read one, three to write.

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, read as read_some};
use std::os::fd::{AsFd, OwnedFd};

/// Opens an existing file.
pub(super) fn open(dir: impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(dir, path, flags | OFlags::CLOEXEC, Mode::empty())
}

/// Reads a file whole. Bytes that are not text become replacement characters.
pub(super) fn read(dir: impl AsFd, path: &str) -> Result<String, Errno> {
    let file = open(dir, path, OFlags::RDONLY)?;
    let mut content = vec![0; 4096];
    let mut filled = 0;
    loop {
        if filled == content.len() {
            content.resize(filled * 2, 0);
        }
        match read_some(&file, &mut content[filled..])? {
            0 => break,
            some => filled += some,
        }
    }
    content.truncate(filled);
    Ok(String::from_utf8(content).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
}

/// Writes a value at once: a kernel file takes each write as one value.
pub(super) fn write(dir: impl AsFd, path: &str, value: &str) -> Result<(), Errno> {
    let file = open(dir, path, OFlags::WRONLY)?;
    rustix::io::write(file, value.as_bytes()).map(drop)
}
