//! Files and directories of the host, as clones of their mounts.
//!
//! A recursive bind takes what is mounted below the source along, but never a kernel file system. Most
//! sources have nothing below: the whole is cloned, and the kernel asked. If there is something, the clone goes
//! away again, and the mounts below are listed and cloned one by one, so that only what is known to hold files
//! is ever taken. The process has its own mount namespace, all private: nothing changes on the way.

use super::attr::{self, Reach};
use super::kernel::KernelFileSystems;
use super::path::{self, Leaf};
use super::root::take_off;
use super::{attach_at, mountinfo, place, query};
use crate::SandboxError;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statx};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What to bind.
#[derive(Clone, Copy)]
pub(super) struct Bind<'a> {
    pub(super) source: &'a str,
    pub(super) destination: &'a str,
    pub(super) recursive: bool,
    pub(super) change: attr::Change,
    pub(super) ids: Option<Ids<'a>>,
}

/// How the owners of its files are mapped.
#[derive(Clone, Copy)]
pub(super) struct Ids<'a> {
    /// By the maps of this user namespace.
    pub(super) users: BorrowedFd<'a>,
    /// On the mounts below the source too.
    pub(super) below: bool,
}

/// Binds below `root`.
pub(super) fn mount(
    root: BorrowedFd<'_>,
    bind: Bind<'_>,
    known: &mut KernelFileSystems,
) -> Result<(), SandboxError> {
    let (origin, directory) = open(bind, known)?;
    let place = place(root, bind.destination, if directory { Leaf::Directory } else { Leaf::File })?;
    let attach_failed = |source| SandboxError::Attach { destination: bind.destination.to_owned(), source };
    let whole = directory && bind.recursive;

    // What is below is mapped one by one, since one mount that cannot be would fail all.
    if whole && !bind.ids.is_some_and(|ids| ids.below) && query::available() {
        let top = clone(origin.as_fd(), bind, Reach::Tree, Level::Top)?;
        attach_at(place.as_fd(), &top).map_err(attach_failed)?;
        if query::nothing_on(top.as_fd()).map_err(attach_failed)? {
            return Ok(());
        }
        take_off(top.as_fd()).map_err(|errno| attach_failed(errno.into()))?;
    }
    let top = clone(origin.as_fd(), bind, Reach::One, Level::Top)?;
    attach_at(place.as_fd(), &top).map_err(attach_failed)?;
    if whole {
        for (below, tree) in submounts(origin.as_fd(), bind, known)? {
            let destination = format!("{}/{below}", bind.destination);
            // With the bind as ceiling: a symlink in it must not lead elsewhere in the container.
            let place = path::open(top.as_fd(), &below, OFlags::PATH).map_err(|errno| {
                SandboxError::MakeDestination { destination: destination.clone(), source: errno.into() }
            })?;
            attach_at(place.as_fd(), &tree).map_err(|source| SandboxError::Attach { destination, source })?;
        }
    }
    Ok(())
}

/// Opens the source, and tells whether it is a directory. One on a kernel file system is refused.
fn open(bind: Bind<'_>, known: &mut KernelFileSystems) -> Result<(OwnedFd, bool), SandboxError> {
    let failed = |errno: Errno| SandboxError::BindSource {
        path: bind.source.to_owned(),
        destination: bind.destination.to_owned(),
        source: errno.into(),
    };
    // A magic link (`/proc/<pid>/root`) would lead somewhere else than its path says.
    let resolve = ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let origin = openat2(CWD, bind.source, flags, Mode::empty(), resolve).map_err(failed)?;
    if let Some(filesystem) = known.name_of(origin.as_fd()).map_err(failed)? {
        return Err(SandboxError::KernelFileSystem {
            path: bind.source.to_owned(),
            destination: bind.destination.to_owned(),
            filesystem,
        });
    }
    let status = statx(&origin, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE).map_err(failed)?;
    let directory = u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFDIR;
    Ok((origin, directory))
}

/// Clones the mounts below `origin` that are to be seen.
fn submounts(
    origin: BorrowedFd<'_>,
    bind: Bind<'_>,
    known: &mut KernelFileSystems,
) -> Result<Vec<(String, OwnedFd)>, SandboxError> {
    let list_failed = |source| SandboxError::Submounts { path: bind.source.to_owned(), source };
    let mut below: Vec<(String, OwnedFd)> = Vec::new();
    let mut hidden: Vec<String> = Vec::new();
    for path in mountinfo::below(origin).map_err(list_failed)? {
        // What is below a kernel file system has no place to be mounted on any more.
        if hidden.iter().any(|hidden| mountinfo::relative_to(&path, hidden).is_some()) {
            continue;
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let place = match openat2(origin, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Ok(place) => place,
            // Another mount covers it.
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(errno) => return Err(list_failed(errno.into())),
        };
        if known.name_of(place.as_fd()).map_err(|errno| list_failed(errno.into()))?.is_some() {
            hidden.push(path);
            continue;
        }
        let tree = clone(place.as_fd(), bind, Reach::One, Level::Below)?;
        below.push((path, tree));
    }
    Ok(below)
}

/// Where in a bind a mount is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    Below,
}

/// A clone of the mount `origin` is on, or of it and all below, cut at `origin`, private and restricted.
fn clone(
    origin: BorrowedFd<'_>,
    bind: Bind<'_>,
    reach: Reach,
    level: Level,
) -> Result<OwnedFd, SandboxError> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, reach == Reach::Tree);
    let tree = open_tree(origin, c"", flags).map_err(|errno| SandboxError::CloneTree {
        path: bind.source.to_owned(),
        destination: bind.destination.to_owned(),
        source: errno.into(),
    })?;
    attr::apply(tree.as_fd(), reach, bind.change)
        .map_err(|source| SandboxError::Restrict { destination: bind.destination.to_owned(), source })?;
    if let Some(ids) = bind.ids.filter(|ids| ids.below || level == Level::Top) {
        attr::map_ids(tree.as_fd(), ids.users)
            .map_err(|source| SandboxError::MapIds { destination: bind.destination.to_owned(), source })?;
    }
    Ok(tree)
}
