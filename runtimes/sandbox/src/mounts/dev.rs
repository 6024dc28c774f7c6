//! The few devices of `/dev`, and the empty file that covers a masked one.
//!
//! They are bound after the whole tree was forbidden to have devices, each as one file, so they are the only
//! device nodes that can be opened, whatever the image or a volume holds.

use super::attach_at;
use super::attr::{self, Change, Reach};
use crate::SandboxError;
use pinnace_plan::Device;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Binds the host's `device` into `dev`, a fresh tmpfs that nobody else writes to.
pub(super) fn give(dev: BorrowedFd<'_>, device: Device) -> Result<(), SandboxError> {
    let (path, name) = paths(device);
    let failed = |source| SandboxError::Device { device: path, source };
    mknodat(dev, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0)
        .map_err(|errno| failed(errno.into()))?;
    let tree = take(path).map_err(failed)?;
    move_mount(tree, c"", dev, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|errno| failed(errno.into()))
}

/// Binds the host's `/dev/null` over the file `place`: it reads as empty.
pub(super) fn cover(place: BorrowedFd<'_>) -> io::Result<()> {
    attach_at(place, &take("/dev/null")?)
}

/// A clone of one device file of the host, which may be used as one.
fn take(device: &str) -> io::Result<OwnedFd> {
    let tree = open_tree(CWD, device, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let change = Change { set: attr::NO_SUID | attr::NO_EXEC, clear: attr::NO_DEV, private: true };
    attr::apply(tree.as_fd(), Reach::One, change)?;
    Ok(tree)
}

fn paths(device: Device) -> (&'static str, &'static str) {
    match device {
        Device::Null => ("/dev/null", "null"),
        Device::Zero => ("/dev/zero", "zero"),
        Device::Full => ("/dev/full", "full"),
        Device::Random => ("/dev/random", "random"),
        Device::Urandom => ("/dev/urandom", "urandom"),
    }
}
