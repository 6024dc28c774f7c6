//! Into the files of a container that lives, as another process of it.
//!
//! ```text
//!  setns(mount namespace) ─▶ root and working directory are the topmost mount on the namespace's root
//!                         ─▶ the container's first process has the same root? ─ no ─▶ refused
//!  (the user and its rights)
//!  the program can be read ─▶ (Landlock)
//! ```
//!
//! The namespace is restricted already: nothing in it is a program, a device or set-uid, and what the spec hides or
//! holds still is hidden and still. The kernel takes the process out of every directory of the host's. But where it
//! puts it is the namespace's root, and that is the host's if the server lives in a `chroot`, or a mount that covers
//! the container's root: hence the look.
//!
//! Joining needs rights over the host's user namespace, which owns the mounts: after the container's own is entered
//! it is refused.

use crate::mounts::path;
use crate::{SandboxError, descriptors};
use pinnace_plan::{Living, Program};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, openat, statx};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;

/// Joins the mount namespace, and closes its descriptor and that of the root.
pub(crate) fn join(living: &Living) -> Result<(), SandboxError> {
    let namespace = descriptors::take(living.namespace, "the mount namespace")?;
    let root = descriptors::take(living.root, "the container's root")?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
        .map_err(|errno| SandboxError::JoinMounts(errno.into()))?;
    let failed = |errno: Errno| SandboxError::CompareRoots(errno.into());
    let here = openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    match place(&here).map_err(failed)? == place(&root).map_err(failed)? {
        true => Ok(()),
        false => Err(SandboxError::OtherRoot),
    }
}

/// The mount that a directory is on, and the directory. While both are held open no number is used again.
fn place(directory: impl AsFd) -> Result<(u64, u32, u32, u64), Errno> {
    let wanted = StatxFlags::MNT_ID | StatxFlags::INO;
    let seen = statx(directory, c"", AtFlags::EMPTY_PATH, wanted)?;
    Ok((seen.stx_mnt_id, seen.stx_dev_major, seen.stx_dev_minor, seen.stx_ino))
}

/// Fails if the user, whom the process is by now, cannot read the program that the server found.
pub(crate) fn readable(program: &Program, uid: u32) -> Result<(), SandboxError> {
    let root = openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    // Something else may stand there by now: a FIFO would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = root.and_then(|root| path::open(root.as_fd(), &program.path, flags));
    opened.map(drop).map_err(|errno| SandboxError::Program {
        name: program.name.clone(),
        path: program.path.clone(),
        uid,
        // The words by which clients know it.
        reason: if errno == Errno::NOENT { "no such file or directory" } else { "permission denied" },
        source: errno.into(),
    })
}
