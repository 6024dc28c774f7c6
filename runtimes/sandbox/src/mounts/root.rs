//! Into the new root, out of the host's.

use super::attr::{self, Change, Reach};
use crate::SandboxError;
use rustix::fs::CWD;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, UnmountFlags, mount_change, move_mount, unmount};
use rustix::process::{chdir, fchdir, pivot_root};
use std::os::fd::BorrowedFd;

/// Cuts this namespace off the host's, in both directions.
pub(crate) fn make_private() -> Result<(), SandboxError> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|errno| SandboxError::PrivateMounts(errno.into()))
}

/// Lays the detached `root` over the host's `/`, where no directory of ours is needed for it.
///
/// Whoever holds `/` still sees the host's; the new root is reached by its descriptor only.
pub(crate) fn attach(root: BorrowedFd<'_>) -> Result<(), SandboxError> {
    move_mount(root, c"", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|errno| SandboxError::AttachRoot(errno.into()))
}

/// Makes the root itself read-only; what is mounted below stays as it is.
pub(crate) fn make_read_only(root: BorrowedFd<'_>) -> Result<(), SandboxError> {
    let change = Change { set: attr::READ_ONLY, ..Change::default() };
    attr::apply(root, Reach::One, change)
        .map_err(|source| SandboxError::Restrict { destination: "/".to_owned(), source })
}

/// Makes `root` the `/` of the process and lets go of everything of the host's.
pub(crate) fn enter(root: BorrowedFd<'_>) -> Result<(), SandboxError> {
    let pivot = |errno: rustix::io::Errno| SandboxError::Pivot(errno.into());
    fchdir(root).map_err(pivot)?;
    // The old root goes on top of the new one: no directory is needed for it, and "." is it now.
    pivot_root(".", ".").map_err(pivot)?;
    unmount(".", UnmountFlags::DETACH).map_err(|errno| SandboxError::DetachHost(errno.into()))?;
    chdir("/").map_err(pivot)
}
