//! The container's files: the root, what is mounted below it, and what is hidden or held still.
//!
//! ```text
//!  private ─▶ root over "/" ─▶ mounts, in the spec's order ─▶ hidden and read-only paths
//!          ─▶ hooks, if there are any, which find the root in the bundle
//!          ─▶ the whole tree: no set-uid, no devices, no exec, private ─▶ the few devices
//!          ─▶ read-only root ─▶ pivot ─▶ the host's mounts go
//! ```
//!
//! All of it happens in a mount namespace that dies with the process: nothing is to be undone, whatever
//! fails. Until the pivot the new root lies over the host's `/`, reachable by descriptor only, and every
//! path below it is resolved with the root as ceiling (the module `path`).

pub(crate) mod attr;
mod bind;
mod dev;
mod hide;
pub(crate) mod kernel;
mod mountinfo;
mod node;
pub(crate) mod path;
mod query;
pub(crate) mod root;
pub(crate) mod tmpfs;

use crate::{SandboxError, descriptors};
use attr::{Change, Reach};
use kernel::KernelFileSystems;
use path::Leaf;
use pinnace_plan::{Device, Mount, MountFlags, MountKind};
use rustix::mount::{MoveMountFlags, move_mount};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is filled once the tree allows no devices.
#[derive(Default)]
pub(crate) struct Devices<'a> {
    devs: Vec<Dev<'a>>,
    nodes: Vec<node::Due<'a>>,
}

/// A `/dev` that was mounted.
struct Dev<'a> {
    mount: OwnedFd,
    devices: &'a [Device],
    read_only: bool,
    destination: &'a str,
}

/// Attaches the mounts below `root`, in order; the answer is what [`restrict_tree`] still has to fill.
pub(crate) fn attach_all<'a>(root: BorrowedFd<'_>, mounts: &'a [Mount]) -> Result<Devices<'a>, SandboxError> {
    let mut known = KernelFileSystems::default();
    let mut devices = Devices::default();
    for mount in mounts {
        let destination = mount.destination.as_str();
        if !destination.starts_with('/') || destination.split('/').all(|name| matches!(name, "" | "." | ".."))
        {
            return Err(SandboxError::Destination { destination: destination.to_owned() });
        }
        let read_only = if mount.read_only { attr::READ_ONLY } else { 0 };
        match &mount.kind {
            MountKind::Bind { source, recursive } => {
                let change = change(mount.flags, read_only);
                let bind = bind::Bind { source, destination, recursive: *recursive, change, ids: None };
                bind::mount(root, bind, &mut known)?;
            }
            MountKind::MappedBind { source, recursive, users, below } => {
                let change = change(mount.flags, read_only);
                let users = descriptors::take(*users, "the ids of a mount")?;
                let ids = Some(bind::Ids { users: users.as_fd(), below: *below });
                let bind = bind::Bind { source, destination, recursive: *recursive, change, ids };
                bind::mount(root, bind, &mut known)?;
            }
            MountKind::Tmpfs { options } => {
                let change = change(mount.flags, read_only);
                let tree = tmpfs::make(destination, options, change.set)?;
                drop(attach(root, destination, tree)?);
            }
            MountKind::Dev { devices: few, options } => {
                let tree = tmpfs::make(destination, options, change(mount.flags, 0).set)?;
                let mounted = attach(root, destination, tree)?;
                let (few, read_only) = (few.as_slice(), mount.read_only);
                devices.devs.push(Dev { mount: mounted, devices: few, read_only, destination });
            }
            MountKind::Node(node) => devices.nodes.push(node::expect(root, *node, destination)?),
        }
    }
    Ok(devices)
}

/// Forbids set-uid, devices, execution and propagation everywhere.
pub(crate) fn forbid(root: BorrowedFd<'_>) -> Result<(), SandboxError> {
    let everywhere = Change { set: attr::ALWAYS, clear: 0, private: true };
    attr::apply(root, Reach::Tree, everywhere)
        .map_err(|source| SandboxError::Restrict { destination: "/".to_owned(), source })
}

/// Forbids that everywhere, then gives the devices.
pub(crate) fn restrict_tree(root: BorrowedFd<'_>, devices: Devices<'_>) -> Result<(), SandboxError> {
    forbid(root)?;
    devices.nodes.iter().try_for_each(node::give)?;
    for dev in devices.devs {
        for &device in dev.devices {
            dev::give(dev.mount.as_fd(), device)?;
        }
        if dev.read_only {
            let change = Change { set: attr::READ_ONLY, ..Change::default() };
            attr::apply(dev.mount.as_fd(), Reach::One, change).map_err(|source| SandboxError::Restrict {
                destination: dev.destination.to_owned(),
                source,
            })?;
        }
    }
    Ok(())
}

pub(crate) use hide::{hold_still, mask};

/// Attaches the directory `tree` at `destination`.
fn attach(root: BorrowedFd<'_>, destination: &str, tree: OwnedFd) -> Result<OwnedFd, SandboxError> {
    let place = place(root, destination, Leaf::Directory)?;
    attach_at(place.as_fd(), &tree)
        .map_err(|source| SandboxError::Attach { destination: destination.to_owned(), source })?;
    Ok(tree)
}

/// The place to mount on, made if it is missing.
fn place(root: BorrowedFd<'_>, destination: &str, leaf: Leaf) -> Result<OwnedFd, SandboxError> {
    path::open_or_make(root, destination, leaf).map_err(|errno| SandboxError::MakeDestination {
        destination: destination.to_owned(),
        source: errno.into(),
    })
}

fn attach_at(place: BorrowedFd<'_>, tree: &OwnedFd) -> std::io::Result<()> {
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(tree, c"", place, c"", both)?)
}

/// The attributes of a mount as the spec wants it, without those that hold for all.
fn change(flags: MountFlags, set: u64) -> Change {
    let atime = match flags {
        MountFlags { no_atime: true, .. } => Some(libc::MOUNT_ATTR_NOATIME),
        MountFlags { relatime: true, .. } => Some(libc::MOUNT_ATTR_RELATIME),
        _ => None,
    };
    let symlinks = if flags.no_symfollow { libc::MOUNT_ATTR_NOSYMFOLLOW } else { 0 };
    Change {
        set: set | symlinks | atime.unwrap_or(0),
        clear: if atime.is_some() { libc::MOUNT_ATTR__ATIME } else { 0 },
        private: true,
    }
}

#[cfg(test)]
mod tests {
    use super::change;
    use pinnace_plan::MountFlags;

    #[test]
    fn access_times_are_replaced_not_added() {
        let flags = MountFlags { no_atime: true, relatime: true, no_symfollow: false };
        let change = change(flags, 0);
        assert_eq!((change.set, change.clear), (libc::MOUNT_ATTR_NOATIME, libc::MOUNT_ATTR__ATIME));
    }

    #[test]
    fn what_is_not_asked_for_stays() {
        let change = change(MountFlags::default(), super::attr::READ_ONLY);
        assert_eq!((change.set, change.clear, change.private), (libc::MOUNT_ATTR_RDONLY, 0, true));
    }
}
