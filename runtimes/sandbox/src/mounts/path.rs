//! Paths inside the new root, found and made without ever leaving it.
//!
//! Every step is resolved by the kernel with the root as both start and ceiling (`RESOLVE_IN_ROOT`): an absolute
//! symlink of the image starts again at the image's root, and `..` stops there. Nothing here looks at a
//! path as text to decide where it leads.

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, mkdirat, mknodat, openat2, readlinkat};
use rustix::io::{Errno, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// As many symlinks to nowhere are followed on one path as the kernel follows.
const MAX_LINKS: usize = 40;

/// What a missing last component becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// A directory, 0755.
    Directory,
    /// An empty file, 0644, to bind a file over.
    File,
}

/// Opens `path` below `root`.
pub(crate) fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Opens `path` below `root` as a place to mount on, and makes what is missing of it.
pub(crate) fn open_or_make(root: BorrowedFd<'_>, path: &str, leaf: Leaf) -> Result<OwnedFd> {
    follow(root, path, leaf, MAX_LINKS)
}

fn follow(root: BorrowedFd<'_>, path: &str, leaf: Leaf, links: usize) -> Result<OwnedFd> {
    match open(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => {}
        found_or_failed => return found_or_failed,
    }
    let path = path.trim_end_matches('/');
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    let above = format!("{above}/");
    if matches!(name, "" | ".") {
        return follow(root, &above, leaf, links);
    }
    let parent = follow(root, &above, Leaf::Directory, links)?;
    match make_one(parent.as_fd(), name, leaf) {
        // A symlink to nowhere is in the way: what it names is made, inside the root.
        Err(Errno::EXIST) => {
            let links = links.checked_sub(1).ok_or(Errno::LOOP)?;
            let target = readlinkat(&parent, name, Vec::new())?;
            let target = target.to_str().map_err(|_| Errno::ILSEQ)?;
            let start = if target.starts_with('/') { "" } else { above.as_str() };
            follow(root, &format!("{start}{target}"), leaf, links)
        }
        made_or_failed => made_or_failed,
    }
}

fn make_one(parent: BorrowedFd<'_>, name: &str, leaf: Leaf) -> Result<OwnedFd> {
    let (kind, mode) = (OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    match leaf {
        Leaf::Directory => mkdirat(parent, name, Mode::from_raw_mode(0o755))?,
        Leaf::File => mknodat(parent, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0)?,
    }
    // Somebody who shares the directory may have put something else there in between: not a symlink, then.
    openat2(parent, name, kind, mode, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
}

#[cfg(test)]
mod tests;
