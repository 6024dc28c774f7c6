//! The few devices of `/dev`, and the empty file that covers a masked one.
//!
//! They are bound after the whole tree was forbidden to have devices, each as one file, so they are the only
//! device nodes that can be opened, whatever the image or a volume holds.

use super::attr::{self, Change, Reach};
use super::path::{self, Leaf};
use crate::SandboxError;
use pinnace_plan::Device;
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Binds the host's `device` into the directory `dev`, where nothing else is yet.
pub(super) fn give(dev: BorrowedFd<'_>, device: Device) -> Result<(), SandboxError> {
    let (path, name) = paths(device);
    let place = |place| bind(path, place);
    path::open_or_make(dev, name, Leaf::File)
        .map_err(io::Error::from)
        .and_then(place)
        .map_err(|source| SandboxError::Device { device: path, source })
}

/// Binds the host's `/dev/null` over the file `place`: it reads as empty.
pub(super) fn cover(place: OwnedFd) -> io::Result<()> {
    bind("/dev/null", place)
}

fn bind(device: &str, place: OwnedFd) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, device, flags)?;
    let change = Change { set: attr::NO_SUID | attr::NO_EXEC, clear: attr::NO_DEV, private: true };
    attr::apply(tree.as_fd(), Reach::One, change)?;
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(tree, c"", place, c"", both)?)
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
