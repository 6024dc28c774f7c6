//! The hierarchies of this machine, opened once per server.

use super::mounts::{self, Choice, Kind, Mount};
use super::{CgroupError, Controller, files};
use rustix::fs::{Mode, OFlags, open, stat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the kernel's trees are. Cloning shares the descriptors.
#[derive(Debug, Clone)]
pub struct Hierarchies(Arc<Layout>);

#[derive(Debug)]
pub(super) enum Layout {
    /// One tree for each controller or co-mounted group, in mount order; at least one.
    V1(Vec<Tree>),
    /// One tree for all.
    V2 {
        tree: Tree,
        /// `cgroup.controllers` of its root.
        available: Vec<String>,
    },
}

/// One hierarchy.
#[derive(Debug)]
pub(super) struct Tree {
    /// v1: what is mounted here; v2: empty, each directory says for itself.
    pub(super) controllers: Vec<Controller>,
    /// For messages, and for the few calls that take no descriptor.
    pub(super) point: PathBuf,
    root: OwnedFd,
    /// Whether a limit may be set on the mount's own root: so in a container or a cgroup namespace.
    pub(super) bounded_root: bool,
}

impl Hierarchies {
    /// Reads the mounts of this process and opens the hierarchies to use.
    pub fn discover() -> Result<Self, CgroupError> {
        let text = std::fs::read_to_string("/proc/self/mountinfo")
            .map_err(|source| CgroupError::Mountinfo { source })?;
        let visible = mounts::parse(&text).into_iter().filter(is_visible).collect();
        let layout = match mounts::choose(visible).ok_or(CgroupError::NoHierarchy)? {
            Choice::V1(chosen) => Layout::V1(chosen.into_iter().map(Tree::open).collect::<Result<_, _>>()?),
            Choice::V2(mount) => Layout::unified(Tree::open(mount)?)?,
        };
        Ok(Self(Arc::new(layout)))
    }

    /// Whether this is pure v2.
    #[must_use]
    pub fn is_unified(&self) -> bool {
        matches!(*self.0, Layout::V2 { .. })
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.0
    }

    /// Every tree a container has a directory in.
    pub(super) fn trees(&self) -> &[Tree] {
        match &*self.0 {
            Layout::V1(trees) => trees,
            Layout::V2 { tree, .. } => std::slice::from_ref(tree),
        }
    }

    /// Those in which we make nothing, but an OCI runtime does: v1 without controllers, v2 beside v1.
    pub(super) fn beside(&self) -> Vec<Tree> {
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let ours = |mount: &Mount| self.trees().iter().any(|tree| tree.point == mount.point);
        let others = mounts::parse(&text).into_iter().filter(|mount| is_visible(mount) && !ours(mount));
        others.filter_map(|mount| Tree::open(mount).ok()).collect()
    }

    /// The tree where a controller's files are.
    pub(super) fn tree_of(&self, controller: Controller) -> Option<&Tree> {
        match &*self.0 {
            Layout::V1(trees) => trees.iter().find(|tree| tree.controllers.contains(&controller)),
            Layout::V2 { tree, .. } => Some(tree),
        }
    }

    /// v1 below plain directories.
    #[cfg(test)]
    pub(super) fn v1_at(trees: &[(&[Controller], &std::path::Path)]) -> Self {
        let trees = trees.iter().map(|(controllers, point)| {
            Tree::at(controllers.to_vec(), point.to_path_buf()).expect("open the test's directory")
        });
        Self(Arc::new(Layout::V1(trees.collect())))
    }

    /// v2 below a plain directory.
    #[cfg(test)]
    pub(super) fn v2_at(point: &std::path::Path) -> Self {
        let tree = Tree::at(Vec::new(), point.to_path_buf()).expect("open the test's directory");
        Self(Arc::new(Layout::unified(tree).expect("read the test's cgroup.controllers")))
    }
}

impl Layout {
    fn unified(tree: Tree) -> Result<Self, CgroupError> {
        let available = files::read(&tree, "cgroup.controllers").map_err(|errno| CgroupError::Read {
            path: tree.point.join("cgroup.controllers"),
            source: errno.into(),
        })?;
        Ok(Self::V2 { tree, available: available.split_whitespace().map(str::to_owned).collect() })
    }
}

impl Tree {
    fn open(mount: Mount) -> Result<Self, CgroupError> {
        let controllers = match mount.kind {
            Kind::V1(controllers) => controllers,
            Kind::Named | Kind::V2 => Vec::new(),
        };
        Self::at(controllers, mount.point)
    }

    fn at(controllers: Vec<Controller>, point: PathBuf) -> Result<Self, CgroupError> {
        let root = open(&point, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| CgroupError::OpenHierarchy { path: point.clone(), source: errno.into() })?;
        // v1 keeps `release_agent` in the real root only; v2 has `memory.max` everywhere but there.
        let bounded_root = match controllers.is_empty() {
            false => files::open(&root, "release_agent", OFlags::PATH).is_err(),
            true => files::open(&root, "memory.max", OFlags::PATH).is_ok(),
        };
        Ok(Self { controllers, point, root, bounded_root })
    }

    /// The whole path of something in it, for messages.
    pub(super) fn whole(&self, relative: &str) -> PathBuf {
        self.point.join(relative)
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// A mount covered by a later one is still listed; what its path leads to then lies on another device.
fn is_visible(mount: &Mount) -> bool {
    stat(&mount.point)
        .is_ok_and(|found| (rustix::fs::major(found.st_dev), rustix::fs::minor(found.st_dev)) == mount.device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_that_is_covered_is_not_used() {
        let here = |device| Mount { point: "/proc/self".into(), device, kind: Kind::V2 };
        let found = stat("/proc/self").unwrap();
        let device = (rustix::fs::major(found.st_dev), rustix::fs::minor(found.st_dev));
        assert!(is_visible(&here(device)));
        assert!(!is_visible(&here((device.0, device.1 + 1))));
    }

    #[test]
    fn this_machine_has_hierarchies() {
        assert!(!Hierarchies::discover().unwrap().trees().is_empty());
    }
}
