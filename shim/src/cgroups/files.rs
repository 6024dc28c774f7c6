//! The kernel's small files, relative to an opened directory: four system calls to read one, three to write.

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
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

/// The directories below one, outer ones first; one that goes meanwhile is passed over. A container of the node's
/// OCI runtime makes as many as it likes: only the first [`MOST`] are found.
pub(super) fn directories_below(dir: impl AsFd, path: &str) -> Vec<String> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while next < found.len() {
        let above = found[next].clone();
        next += 1;
        // Two links, its own and its parent's, are one without directories: nearly every one.
        if statat(&dir, above.as_str(), AtFlags::empty()).is_ok_and(|stat| stat.st_nlink == 2) {
            continue;
        }
        let Ok(entries) = open(&dir, &above, OFlags::RDONLY | OFlags::DIRECTORY).and_then(Dir::new) else {
            continue;
        };
        let names = entries.flatten().filter(|entry| entry.file_type() == FileType::Directory);
        let names = names.filter_map(|entry| Some(entry.file_name().to_str().ok()?.to_owned()));
        let room = MOST.saturating_sub(found.len());
        let below = names.filter(|name| name != "." && name != "..").map(|name| format!("{above}/{name}"));
        found.extend(below.take(room));
    }
    found.remove(0);
    found
}

/// Most directories that are looked into below a container's.
const MOST: usize = 1024;
