//! Removing a cgroup, and the parents that were made for it.

use super::create::MADE;
use super::discover::Tree;
use super::systemd::is_managed;
use super::{Cgroup, CgroupError};
use rustix::fs::{AtFlags, getxattr, unlinkat};
use rustix::io::Errno;
use std::time::Duration;

/// Waits between tries to remove a directory whose last process is just leaving: 127 ms in all.
const WAITS: [Duration; 7] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
    Duration::from_millis(16),
    Duration::from_millis(32),
    Duration::from_millis(64),
];

impl Cgroup {
    /// Removes the directory from every hierarchy, also after one of them failed; the first failure is told.
    /// Gone already is removed. Its processes must have ended ([`Cgroup::kill`]).
    pub fn remove(&self) -> Result<(), CgroupError> {
        self.remove_where(|_| true)
    }

    /// Removes what nobody used; a scope's directories where systemd keeps them are left to it, for it would take a
    /// unit for alive that lost them while it looked away.
    pub fn give_up(&self) -> Result<(), CgroupError> {
        self.remove_where(|tree| !self.is_scope() || !is_managed(tree))
    }

    /// Removes the directories that an OCI runtime which died made in hierarchies that are not ours; systemd keeps
    /// those of a scope.
    pub fn remove_beside(&self) {
        let beside = if self.is_scope() { Vec::new() } else { self.hierarchies.beside() };
        for tree in beside {
            if let Err(error) = self.remove_from(&tree) {
                log::debug!("{error}");
            }
        }
    }

    fn remove_where(&self, ours: impl Fn(&Tree) -> bool) -> Result<(), CgroupError> {
        let mut result = Ok(());
        for tree in self.hierarchies.trees().iter().filter(|tree| ours(tree)) {
            result = result.and(self.remove_from(tree));
        }
        result
    }

    pub(super) fn remove_from(&self, tree: &Tree) -> Result<(), CgroupError> {
        let mut waits = WAITS.iter();
        loop {
            match unlinkat(tree, self.path.relative(), AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT | Errno::NODEV) => break,
                // A process that was waited for may still be on its way out of the cgroup.
                Err(Errno::BUSY) if let Some(wait) = waits.next() => std::thread::sleep(*wait),
                Err(errno) => {
                    let path = tree.whole(self.path.relative());
                    return Err(CgroupError::Remove { path, source: errno.into() });
                }
            }
        }
        self.remove_parents(tree);
        Ok(())
    }

    /// Innermost first, as long as a parent carries our mark and is empty. A parent in use is not an error:
    /// whoever empties it removes it.
    fn remove_parents(&self, tree: &Tree) {
        for parent in self.path.ancestors() {
            let ours = getxattr(tree.whole(parent), MADE, &mut [0_u8; 8]).is_ok();
            if !ours || unlinkat(tree, parent, AtFlags::REMOVEDIR).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cgroups::{Cgroup, CgroupError, Controller, Hierarchies};
    use std::fs;

    #[test]
    fn what_is_gone_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let hierarchies = Hierarchies::v1_at(&[(&[Controller::Memory], dir.path())]);
        Cgroup::open(&hierarchies, "/a/b").unwrap().remove().unwrap();
    }

    #[test]
    fn one_failure_does_not_keep_the_other_hierarchies() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(one.path().join("c/inner")).unwrap();
        fs::create_dir(two.path().join("c")).unwrap();
        let hierarchies =
            Hierarchies::v1_at(&[(&[Controller::Memory], one.path()), (&[Controller::Pids], two.path())]);
        let error = Cgroup::open(&hierarchies, "/c").unwrap().remove().unwrap_err();
        assert!(
            matches!(&error, CgroupError::Remove { path, .. } if *path == one.path().join("c")),
            "{error}"
        );
        assert!(!two.path().join("c").exists());
    }

    #[test]
    fn a_parent_without_the_mark_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let hierarchies = Hierarchies::v1_at(&[(&[Controller::Memory], dir.path())]);
        Cgroup::open(&hierarchies, "/a/b").unwrap().remove().unwrap();
        assert!(dir.path().join("a").is_dir());
    }
}
