//! The container's root, in the host's mount table: an OCI runtime takes a path and nothing else.

use super::NativeError;
use crate::task::RootMount;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MoveMountFlags, UnmountFlags};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Mounts what was made detached.
pub(super) fn attach(root: OwnedFd, mounts: &[RootMount], target: &Path) -> Result<(), NativeError> {
    let failed = |errno: Errno| NativeError::file("mount the root on", target)(errno.into());
    rustix::mount::move_mount(&root, c"", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(failed)?;
    // A bind was made as a clone, which has no options of its own yet.
    let read_only =
        |mount: &RootMount| mount.kind == "bind" && mount.options.iter().any(|option| option == "ro");
    if mounts.last().is_some_and(read_only) {
        let flags = MountFlags::BIND | MountFlags::RDONLY;
        if let Err(errno) = rustix::mount::mount_remount(target, flags, c"") {
            detach(target)?;
            return Err(failed(errno));
        }
    }
    Ok(())
}

/// Unmounts it, whoever is still busy in it; gone already is done.
pub(super) fn detach(target: &Path) -> Result<(), NativeError> {
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    match rustix::mount::unmount(target, flags) {
        // Not a mount point, or not there.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(errno) => Err(NativeError::file("unmount", target)(errno.into())),
    }
}
