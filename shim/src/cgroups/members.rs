//! The processes in a cgroup: how one is born into it, who they are, how they are ended.

use super::discover::{Layout, Tree};
use super::{Cgroup, CgroupError, Controller, files};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

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

/// Rounds of SIGKILL, a millisecond or more apart, before processes count as unkillable.
const ROUNDS: u32 = 64;

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

    /// Ends every process with SIGKILL and waits until none is left; gone is empty.
    ///
    /// In every hierarchy: a server may have died while its child had joined some of them. It blocks for a
    /// few milliseconds, a second at the most: for `delete` and for what a dead engine left behind.
    pub fn kill(&self) -> Result<(), CgroupError> {
        let mut last = None;
        for round in 0..ROUNDS {
            let pids = self.pids_everywhere()?;
            last = pids.first().copied();
            if last.is_none() {
                return Ok(());
            }
            self.kill_once(&pids);
            std::thread::sleep(Duration::from_millis(u64::from(1 + round / 4)));
        }
        match last {
            Some(pid) => Err(CgroupError::Unkillable { path: self.path.clone(), pid }),
            None => Ok(()),
        }
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

    /// v2 does it in one step that no fork escapes (Linux 5.14); else one by one, and the next round finds
    /// what was forked meanwhile.
    fn kill_once(&self, pids: &BTreeSet<i32>) {
        if let Layout::V2 { tree, .. } = self.hierarchies.layout()
            && files::write(tree, &self.path.file("cgroup.kill"), "1").is_ok()
        {
            return;
        }
        // v1 delivers no signal, not even this one, to what is frozen.
        if let Layout::V1(_) = self.hierarchies.layout()
            && let Some(tree) = self.hierarchies.tree_of(Controller::Freezer)
        {
            let _ = files::write(tree, &self.path.file("freezer.state"), "THAWED");
        }
        // Zero is a process outside our pid namespace, and as an argument of kill our own group.
        for pid in pids.iter().filter_map(|&pid| Pid::from_raw(pid)).filter(|&pid| pid != getpid()) {
            // ESRCH: it ended by itself. Anything else shows as a member that stays.
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    fn members(&self, tree: &Tree, pids: &mut BTreeSet<i32>) -> Result<(), CgroupError> {
        let name = self.path.file("cgroup.procs");
        match files::read(tree, &name) {
            Ok(list) => pids.extend(list.lines().filter_map(|line| line.parse::<i32>().ok())),
            Err(Errno::NOENT | Errno::NODEV) => return Err(CgroupError::Gone { path: self.path.clone() }),
            Err(errno) => return Err(CgroupError::Read { path: tree.whole(&name), source: errno.into() }),
        }
        Ok(())
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
    fn pids_are_read_and_a_missing_cgroup_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("c")).unwrap();
        fs::write(dir.path().join("c/cgroup.procs"), "31\n7\n").unwrap();
        let v1 = Hierarchies::v1_at(&[(&[Controller::Memory], dir.path())]);
        assert_eq!(Cgroup::open(&v1, "/c").unwrap().pids().unwrap(), [7, 31]);
        let gone = Cgroup::open(&v1, "/d").unwrap();
        assert!(matches!(gone.pids(), Err(CgroupError::Gone { .. })));
        gone.kill().unwrap();
    }

    #[test]
    fn v2_kills_by_its_own_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("c")).unwrap();
        for (name, content) in [("cgroup.controllers", ""), ("c/cgroup.procs", "0\n"), ("c/cgroup.kill", "")]
        {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let cgroup = Cgroup::open(&Hierarchies::v2_at(dir.path()), "/c").unwrap();
        cgroup.kill_once(&cgroup.pids().unwrap().into_iter().collect());
        assert_eq!(fs::read_to_string(dir.path().join("c/cgroup.kill")).unwrap(), "1");
    }
}
