//! Paths of the image that are hidden, or held as they are. What does not exist needs neither.

use super::attr::{self, Change, Reach};
use super::{attach_at, dev, path, tmpfs};
use crate::SandboxError;
use rustix::fs::{FileType, OFlags, fstat};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Covers each path: a directory by an empty read-only one, anything else by the empty file.
pub(crate) fn mask(root: BorrowedFd<'_>, paths: &[String]) -> Result<(), SandboxError> {
    for path in paths {
        let failed = |source| SandboxError::Mask { path: path.clone(), source };
        let Some(place) = existing(root, path).map_err(failed)? else { continue };
        let kind = fstat(&place).map_err(|errno| failed(errno.into()))?.st_mode;
        if FileType::from_raw_mode(kind) == FileType::Directory {
            let empty = tmpfs::make(path, &[], attr::READ_ONLY)?;
            attach_at(place.as_fd(), &empty).map_err(failed)?;
        } else {
            dev::cover(place.as_fd()).map_err(failed)?;
        }
    }
    Ok(())
}

/// Makes each path and all that is mounted below it read-only.
pub(crate) fn hold_still(root: BorrowedFd<'_>, paths: &[String]) -> Result<(), SandboxError> {
    for path in paths {
        let failed = |source| SandboxError::ReadOnlyPath { path: path.clone(), source };
        let Some(place) = existing(root, path).map_err(failed)? else { continue };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH
            | OpenTreeFlags::AT_RECURSIVE;
        let tree = open_tree(&place, c"", flags).map_err(|errno| failed(errno.into()))?;
        let change = Change { set: attr::READ_ONLY, ..Change::default() };
        attr::apply(tree.as_fd(), Reach::Tree, change).map_err(failed)?;
        attach_at(place.as_fd(), &tree).map_err(failed)?;
    }
    Ok(())
}

fn existing(root: BorrowedFd<'_>, path: &str) -> io::Result<Option<OwnedFd>> {
    match path::open(root, path, OFlags::PATH) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
