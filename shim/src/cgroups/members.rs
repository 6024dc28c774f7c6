//! The processes in a cgroup: how one is born into it, and who they are.

use super::discover::{Layout, Tree};
use super::{Cgroup, CgroupError, Controller, files};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a child needs to be born in the cgroup. Opened before the clone, closed after it.
#[derive(Debug)]
pub enum Join {
    /// v1: the `tasks` file of each hierarchy; the child writes `0` into each while it has one thread.
    Tasks(Vec<OwnedFd>),
    /// v2: the directory, for `CLONE_INTO_CGROUP`.
    Into(OwnedFd),
}

impl Join {
    /// The descriptors, to borrow for [`Join::to_spawn`].
    #[must_use]
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Tasks(tasks) => tasks.iter().map(AsFd::as_fd).collect(),
            Self::Into(directory) => vec![directory.as_fd()],
        }
    }

    /// As the clone takes it; `fds` are those of [`Join::fds`].
    #[must_use]
    pub fn to_spawn<'a>(&'a self, fds: &'a [BorrowedFd<'a>]) -> pinnace_spawn::Join<'a> {
        match self {
            Self::Tasks(_) => pinnace_spawn::Join::Tasks(fds),
            Self::Into(directory) => pinnace_spawn::Join::Into(directory.as_fd()),
        }
    }
}

impl Cgroup {
    /// Opens what a child joins by.
    pub fn join(&self) -> Result<Join, CgroupError> {
        let opened = |tree: &Tree, name: &str, flags| {
            files::open(tree, name, flags).map_err(|errno| match errno {
                Errno::NOENT | Errno::NODEV => CgroupError::Gone { path: self.path.clone() },
                errno => CgroupError::Join { path: tree.whole(name), source: errno.into() },
            })
        };
        match self.hierarchies.layout() {
            Layout::V1(trees) => {
                let name = self.path.file("tasks");
                let tasks = trees.iter().map(|tree| opened(tree, &name, OFlags::WRONLY));
                Ok(Join::Tasks(tasks.collect::<Result<_, _>>()?))
            }
            Layout::V2 { tree, .. } => {
                Ok(Join::Into(opened(tree, self.path.relative(), OFlags::PATH | OFlags::DIRECTORY)?))
            }
        }
    }

    /// v1: puts a process back that somebody moved elsewhere in some hierarchies.
    pub(super) fn rejoin(&self, pid: i32) -> Result<(), CgroupError> {
        let name = self.path.file("cgroup.procs");
        for tree in self.hierarchies.trees() {
            let mut pids = BTreeSet::new();
            self.members(tree, &mut pids)?;
            if !pids.contains(&pid) {
                files::write(tree, &name, &pid.to_string())
                    .map_err(|errno| CgroupError::Join { path: tree.whole(&name), source: errno.into() })?;
            }
        }
        Ok(())
    }

    /// The processes in it, by the ids they have here, in ascending order.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        let trees = self.hierarchies.trees();
        // Any tree would do once the child has joined all; memory's is the one that matters most.
        let tree = self.hierarchies.tree_of(Controller::Memory).or(trees.first());
        let mut pids = BTreeSet::new();
        if let Some(tree) = tree {
            self.members(tree, &mut pids)?;
        }
        Ok(pids.into_iter().collect())
    }

    /// Those in any hierarchy; where it is gone, nobody is.
    pub(super) fn pids_everywhere(&self) -> Result<BTreeSet<i32>, CgroupError> {
        let mut pids = BTreeSet::new();
        for tree in self.hierarchies.trees() {
            match self.members(tree, &mut pids) {
                Ok(()) | Err(CgroupError::Gone { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pids)
    }

    /// Also those of the cgroups below, which a native container may have made.
    fn members(&self, tree: &Tree, pids: &mut BTreeSet<i32>) -> Result<(), CgroupError> {
        let mut read = |directory: &str| {
            let name = format!("{directory}/cgroup.procs");
            let list = files::read(tree, &name).map_err(|errno| self.unreadable(tree, &name, errno))?;
            pids.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()));
            Ok(())
        };
        read(self.path.relative())?;
        for below in files::directories_below(tree, self.path.relative()) {
            match read(&below) {
                Ok(()) | Err(CgroupError::Gone { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Why a file of it cannot be read.
    pub(super) fn unreadable(&self, tree: &Tree, name: &str, errno: Errno) -> CgroupError {
        match errno {
            Errno::NOENT | Errno::NODEV => CgroupError::Gone { path: self.path.clone() },
            errno => CgroupError::Read { path: tree.whole(name), source: errno.into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::Hierarchies;
    use std::fs;

    #[test]
    fn v1_joins_by_one_tasks_file_a_hierarchy_and_v2_by_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("c")).unwrap();
        fs::write(dir.path().join("c/tasks"), "").unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "").unwrap();
        let v1 = Hierarchies::v1_at(&[(&[Controller::Memory], dir.path()), (&[Controller::Cpu], dir.path())]);
        let join = Cgroup::open(&v1, "/c").unwrap().join().unwrap();
        assert!(matches!(&join, Join::Tasks(tasks) if tasks.len() == 2));
        assert!(matches!(join.to_spawn(&join.fds()), pinnace_spawn::Join::Tasks(fds) if fds.len() == 2));
        let v2 = Hierarchies::v2_at(dir.path());
        assert!(matches!(Cgroup::open(&v2, "/c").unwrap().join().unwrap(), Join::Into(_)));
        assert!(matches!(Cgroup::open(&v2, "/d").unwrap().join(), Err(CgroupError::Gone { .. })));
    }

    #[test]
    fn pids_of_cgroups_below_count() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("c/init.scope/deep")).unwrap();
        fs::create_dir_all(dir.path().join("c/going")).unwrap();
        for (directory, list) in [("c", "1\n"), ("c/init.scope", "5\n"), ("c/init.scope/deep", "3\n")] {
            fs::write(dir.path().join(directory).join("cgroup.procs"), list).unwrap();
        }
        let v1 = Hierarchies::v1_at(&[(&[Controller::Memory], dir.path())]);
        assert_eq!(Cgroup::open(&v1, "/c").unwrap().pids().unwrap(), [1, 3, 5]);
    }

    #[test]
    fn pids_are_read_and_a_missing_cgroup_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("c")).unwrap();
        fs::write(dir.path().join("c/cgroup.procs"), "31\n7\n").unwrap();
        let v1 = Hierarchies::v1_at(&[(&[Controller::Memory], dir.path())]);
        assert_eq!(Cgroup::open(&v1, "/c").unwrap().pids().unwrap(), [7, 31]);
        let gone = Cgroup::open(&v1, "/d").unwrap();
        assert!(matches!(gone.pids(), Err(CgroupError::Gone { .. })));
    }
}
