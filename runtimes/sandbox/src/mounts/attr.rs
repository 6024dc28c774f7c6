//! `mount_setattr`: restrictions of mounts, one or a whole tree in one call.
#![allow(unsafe_code, reason = "mount_setattr has no safe wrapper in rustix or nix")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What holds on every mount of a container, `/dev`'s devices apart.
pub(crate) const ALWAYS: u64 = NO_SUID | NO_DEV | NO_EXEC;
pub(crate) const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
pub(crate) const NO_SUID: u64 = libc::MOUNT_ATTR_NOSUID;
pub(crate) const NO_DEV: u64 = libc::MOUNT_ATTR_NODEV;
pub(crate) const NO_EXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// Which mounts a change is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The one mount.
    One,
    /// It and all below it.
    Tree,
}

/// Changes to the attributes of a mount.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    /// Attributes to set.
    pub(crate) set: u64,
    /// Attributes to clear; done before setting.
    pub(crate) clear: u64,
    /// Whether nothing that is mounted elsewhere later comes in, nor goes out.
    pub(crate) private: bool,
}

/// Applies `change` to the mount whose root `mount` refers to.
pub(crate) fn apply(mount: BorrowedFd<'_>, reach: Reach, change: Change) -> io::Result<()> {
    let propagation = if change.private { libc::MS_PRIVATE } else { 0 };
    let attributes =
        libc::mount_attr { attr_set: change.set, attr_clr: change.clear, propagation, userns_fd: 0 };
    set(mount, reach, attributes)
}

/// Has the owners of the files of a detached mount pass through the maps of the user namespace `users`.
pub(crate) fn map_ids(mount: BorrowedFd<'_>, users: BorrowedFd<'_>) -> io::Result<()> {
    let userns_fd = users.as_raw_fd() as u64;
    let attributes =
        libc::mount_attr { attr_set: libc::MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd };
    set(mount, Reach::One, attributes)
}

fn set(mount: BorrowedFd<'_>, reach: Reach, attributes: libc::mount_attr) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | if reach == Reach::Tree { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, the structure lives over the call and its size is the one passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
