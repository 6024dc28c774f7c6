//! Into the new root, out of the host's.

use super::attr::{self, Change, Reach};
use super::kernel::KernelFileSystems;
use super::query;
use crate::SandboxError;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, move_mount, open_tree,
    unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Cuts this namespace off the host's, in both directions.
pub(crate) fn make_private() -> Result<(), SandboxError> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|errno| SandboxError::PrivateMounts(errno.into()))
}

/// Lays the detached `root` over the host's `/`, where no directory of ours is needed for it; the answer is
/// the root to go on with.
///
/// Only its own mount is taken: what somebody mounted on it, a `/proc` for one, stays behind. Whoever
/// holds `/` still sees the host's; the new root is reached by its descriptor only.
pub(crate) fn attach(root: OwnedFd) -> Result<OwnedFd, SandboxError> {
    let failed = |errno: Errno| SandboxError::AttachRoot(errno.into());
    lay_over(root.as_fd()).map_err(failed)?;
    // Now that it is in a namespace, the kernel tells what it is.
    if let Some(filesystem) = KernelFileSystems::default().name_of(root.as_fd()).map_err(failed)? {
        return Err(SandboxError::RootIsKernelFileSystem { filesystem });
    }
    // An older kernel does not tell.
    if query::nothing_on(root.as_fd()).unwrap_or(false) {
        return Ok(root);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let own = open_tree(&root, c"", flags | OpenTreeFlags::AT_EMPTY_PATH).map_err(failed)?;
    take_off(root.as_fd()).map_err(failed)?;
    lay_over(own.as_fd()).map_err(failed)?;
    Ok(own)
}

fn lay_over(root: BorrowedFd<'_>) -> rustix::io::Result<()> {
    move_mount(root, c"", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Moves the root from over `/` to `place`, where programs of the host's look for it.
pub(crate) fn show(root: BorrowedFd<'_>, place: &str) -> io::Result<()> {
    Ok(move_mount(root, c"", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Makes the root itself read-only; what is mounted below stays as it is.
pub(crate) fn make_read_only(root: BorrowedFd<'_>) -> Result<(), SandboxError> {
    let change = Change { set: attr::READ_ONLY, ..Change::default() };
    attr::apply(root, Reach::One, change)
        .map_err(|source| SandboxError::Restrict { destination: "/".to_owned(), source })
}

/// Makes `root` the `/` of the process and lets go of everything of the host's.
pub(crate) fn enter(root: BorrowedFd<'_>) -> Result<(), SandboxError> {
    let pivot = |errno: Errno| SandboxError::Pivot(errno.into());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let host = openat(CWD, "/", flags, Mode::empty()).map_err(pivot)?;
    fchdir(root).map_err(pivot)?;
    // The old root goes on top of the new one: no directory is needed for it.
    pivot_root(".", ".").map_err(pivot)?;
    fchdir(&host).map_err(pivot)?;
    take_all_off(".").map_err(|errno| SandboxError::DetachHost(errno.into()))?;
    chdir("/").map_err(pivot)
}

/// Unmounts an attached mount with all that is on it, by the descriptor of its root.
pub(super) fn take_off(mount: BorrowedFd<'_>) -> rustix::io::Result<()> {
    take_all_off(&format!("/proc/self/fd/{}", mount.as_raw_fd()))
}

/// Unmounts what `path` leads to. What lies exactly over its root goes first, for the kernel takes the topmost; so
/// it is asked until there is nothing of it left.
fn take_all_off(path: &str) -> rustix::io::Result<()> {
    unmount(path, UnmountFlags::DETACH)?;
    loop {
        match unmount(path, UnmountFlags::DETACH) {
            Ok(()) => {}
            // The mount itself is in no namespace any more.
            Err(Errno::INVAL) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
}
