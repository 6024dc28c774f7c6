//! Files and directories of the host, taken as detached clones of their mounts.
//!
//! A recursive bind is not cloned as a whole: the mounts below the source are listed and cloned one by one, so
//! that a kernel file system among them is never taken, rather than taken and removed again. The process
//! has its own mount namespace, all private, so the list cannot change on the way.

use super::attr::{self, Reach};
use super::kernel::KernelFileSystems;
use super::mountinfo;
use crate::SandboxError;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statx};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A host file or directory with what is mounted below it, attached nowhere yet.
pub(super) struct Source {
    /// The clone of the mount that the source is on, cut at the source.
    pub(super) top: OwnedFd,
    /// Whether it is a directory.
    pub(super) directory: bool,
    /// Clones of the mounts below, with their paths relative to the source, upper before lower.
    pub(super) below: Vec<(String, OwnedFd)>,
}

/// What to take.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) source: &'a str,
    pub(super) destination: &'a str,
    pub(super) recursive: bool,
    pub(super) change: attr::Change,
}

/// Takes the source of a bind mount.
pub(super) fn take(request: Request<'_>, known: &mut KernelFileSystems) -> Result<Source, SandboxError> {
    let open_failed = |errno: Errno| SandboxError::BindSource {
        path: request.source.to_owned(),
        destination: request.destination.to_owned(),
        source: errno.into(),
    };
    let origin = openat2(
        CWD,
        request.source,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        // A magic link (`/proc/<pid>/root`) would lead somewhere else than its path says.
        ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(open_failed)?;
    if let Some(filesystem) = known.name_of(origin.as_fd()).map_err(open_failed)? {
        return Err(SandboxError::KernelFileSystem {
            path: request.source.to_owned(),
            destination: request.destination.to_owned(),
            filesystem,
        });
    }
    let status = statx(&origin, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE).map_err(open_failed)?;
    let directory = u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFDIR;

    let top = clone(origin.as_fd(), request)?;
    let below =
        if directory && request.recursive { submounts(origin.as_fd(), request, known)? } else { Vec::new() };
    Ok(Source { top, directory, below })
}

/// Clones the mounts below `origin` that are to be seen.
fn submounts(
    origin: BorrowedFd<'_>,
    request: Request<'_>,
    known: &mut KernelFileSystems,
) -> Result<Vec<(String, OwnedFd)>, SandboxError> {
    let list_failed = |source| SandboxError::Submounts { path: request.source.to_owned(), source };
    let mut below: Vec<(String, OwnedFd)> = Vec::new();
    let mut hidden: Vec<String> = Vec::new();
    for mount in mountinfo::below(origin).map_err(list_failed)? {
        // What is below a kernel file system has no place to be mounted on any more.
        if hidden.iter().any(|path| mountinfo::relative_to(&mount.path, path).is_some()) {
            continue;
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let place = match openat2(origin, &mount.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
        {
            Ok(place) => place,
            // Another mount covers it, so it is not to be seen from here.
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(errno) => return Err(list_failed(errno.into())),
        };
        if mount_id(place.as_fd()).map_err(|errno| list_failed(errno.into()))? != mount.id {
            continue;
        }
        if known.name_of(place.as_fd()).map_err(|errno| list_failed(errno.into()))?.is_some() {
            hidden.push(mount.path);
            continue;
        }
        let tree = clone(place.as_fd(), request)?;
        below.push((mount.path, tree));
    }
    Ok(below)
}

/// A clone of the one mount `place` is on, cut at `place`, private and restricted.
fn clone(place: BorrowedFd<'_>, request: Request<'_>) -> Result<OwnedFd, SandboxError> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(place, c"", flags).map_err(|errno| SandboxError::CloneTree {
        path: request.source.to_owned(),
        destination: request.destination.to_owned(),
        source: errno.into(),
    })?;
    attr::apply(tree.as_fd(), Reach::One, request.change)
        .map_err(|source| SandboxError::Restrict { destination: request.destination.to_owned(), source })?;
    Ok(tree)
}

/// The number of the mount that `place` is on, as mountinfo has it.
pub(super) fn mount_id(place: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    Ok(statx(place, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}
