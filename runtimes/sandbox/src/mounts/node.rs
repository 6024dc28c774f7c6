//! Devices that the spec gives by their numbers.
//!
//! No mount of the container has devices, so each node is made on a tmpfs of its own, attached nowhere, and bound as one
//! file. The places for them are made with the mounts, before anything becomes read-only.

use super::attr::{self, Change, Reach};
use super::{attach_at, path, place};
use crate::SandboxError;
use pinnace_plan::Node;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid, chmodat, chownat, makedev, mknodat};
use rustix::mount::{OpenTreeFlags, open_tree};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A place, and the node that is to be there once the tree allows no devices.
pub(super) struct Due<'a> {
    place: OwnedFd,
    node: Node,
    destination: &'a str,
}

/// Makes the place.
pub(super) fn expect<'a>(
    root: BorrowedFd<'_>,
    node: Node,
    destination: &'a str,
) -> Result<Due<'a>, SandboxError> {
    Ok(Due { place: place(root, destination, path::Leaf::File)?, node, destination })
}

/// Puts the node there.
pub(super) fn give(due: &Due<'_>) -> Result<(), SandboxError> {
    let destination = || due.destination.to_owned();
    let tmpfs = super::tmpfs::make(due.destination, &[], 0)?;
    let made = make(tmpfs.as_fd(), due.node);
    made.and_then(|node| attach_at(due.place.as_fd(), &node)).map_err(|source| SandboxError::Node {
        destination: destination(),
        major: due.node.major,
        minor: due.node.minor,
        source,
    })
}

fn make(tmpfs: BorrowedFd<'_>, node: Node) -> io::Result<OwnedFd> {
    const NAME: &str = "node";
    let kind = if node.block { FileType::BlockDevice } else { FileType::CharacterDevice };
    let mode = Mode::from_raw_mode(node.mode);
    mknodat(tmpfs, NAME, kind, mode, makedev(node.major, node.minor))?;
    // The umask took some away.
    chmodat(tmpfs, NAME, mode, AtFlags::empty())?;
    let (uid, gid) = (Uid::from_raw(node.uid), Gid::from_raw(node.gid));
    chownat(tmpfs, NAME, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    let tree = open_tree(tmpfs, NAME, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let change = Change { set: attr::NO_SUID | attr::NO_EXEC, clear: attr::NO_DEV, private: true };
    attr::apply(tree.as_fd(), Reach::One, change)?;
    Ok(tree)
}
