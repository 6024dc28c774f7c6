//! Paths inside the new root, found and made without ever leaving it.
//!
//! Every step is resolved by the kernel with the root as both start and ceiling (`RESOLVE_IN_ROOT`): an absolute
//! symlink of the image starts again at the image's root, and `..` stops there. Nothing here looks at a
//! path as text to decide where it leads.

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2, readlinkat};
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
    let mut path = path.to_owned();
    for _ in 0..=MAX_LINKS {
        match open(root, &path, OFlags::PATH) {
            Err(Errno::NOENT) => {}
            found_or_failed => return found_or_failed,
        }
        match make(root, &path, leaf)? {
            Made::Whole(place) => return Ok(place),
            // A symlink to nowhere was in the way: what it names is made, inside the root.
            Made::LeadsTo(target) => path = target,
        }
    }
    Err(Errno::LOOP)
}

enum Made {
    Whole(OwnedFd),
    LeadsTo(String),
}

fn make(root: BorrowedFd<'_>, path: &str, leaf: Leaf) -> Result<Made> {
    let names: Vec<&str> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    let mut here = open(root, "/", OFlags::PATH)?;
    let mut done = String::from("/");
    for (index, name) in names.iter().enumerate() {
        let next = format!("{done}{name}");
        here = match open(root, &next, OFlags::PATH) {
            Ok(there) => there,
            Err(Errno::NOENT) => {
                let last = index + 1 == names.len();
                match make_one(here.as_fd(), name, if last { leaf } else { Leaf::Directory }) {
                    Ok(made) => made,
                    Err(Errno::EXIST) => {
                        let target = readlinkat(&here, *name, Vec::new())?;
                        let target = target.to_str().map_err(|_| Errno::ILSEQ)?;
                        let rest = names[index + 1..].join("/");
                        let start = if target.starts_with('/') { "" } else { done.as_str() };
                        return Ok(Made::LeadsTo(format!("{start}{target}/{rest}")));
                    }
                    Err(errno) => return Err(errno),
                }
            }
            Err(errno) => return Err(errno),
        };
        done = next + "/";
    }
    Ok(Made::Whole(here))
}

fn make_one(parent: BorrowedFd<'_>, name: &str, leaf: Leaf) -> Result<OwnedFd> {
    let (kind, mode) = (OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    match leaf {
        Leaf::Directory => mkdirat(parent, name, Mode::from_raw_mode(0o755))?,
        Leaf::File => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            drop(rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644))?);
        }
    }
    // Somebody who shares the directory may have put something else there in between: not a symlink, then.
    openat2(parent, name, kind, mode, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
}

#[cfg(test)]
mod tests;
