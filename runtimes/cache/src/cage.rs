//! The control group of one compile process: the node's own, limited, gone with the process.
//!
//! ```text
//!  <hierarchy><compile.cgroup>/<slot>     v1: memory, cpu, cpuacct, pids, as far as mounted; v2: the one tree
//!  make ─▶ limit ─▶ born in it ─▶ (killed) ─▶ remove: refuses while anything still lives in it
//! ```
//!
//! A slot has one holder, so a directory found there is a dead holder's: it is made anew, or used if it dies just now. The memory limit must
//! hold or nothing is compiled; the other limits are set where the kernel has them.

use crate::hierarchy::{Trees, hand_down};
use crate::lock::{Place, Slot};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    time::Duration,
};

/// A control group that could not be made, limited or removed.
#[derive(Debug, thiserror::Error)]
pub enum CageError {
    /// Nowhere to make one.
    #[error("no memory control group is mounted on this node, so compilations cannot be limited: mount one")]
    NoHierarchy,
    /// The memory controller is not handed down to it.
    #[error(
        "the control group {} has no memory controller: one above it does not hand it down in cgroup.subtree_control, \
         or has processes of its own; `compile.cgroup` of the node names where compilations run",
        path.display()
    )]
    NoMemory {
        /// The control group.
        path: PathBuf,
    },
    /// A step on one of its files failed.
    #[error("cannot {step} {}: {source}; `compile.cgroup` of the node names where compilations run", path.display())]
    Step {
        /// What was to be done.
        step: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What one compilation may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) memory: u64,
    pub(crate) cpus: u32,
}

/// Processes and threads of one compilation, beside one per processor.
const SPARE_THREADS: u32 = 16;

/// The control group of one slot.
#[derive(Debug)]
pub(crate) struct Cage {
    trees: Trees,
    /// The same group in every tree.
    directories: Vec<PathBuf>,
}

impl Cage {
    /// Makes and limits the group of a slot.
    pub(crate) fn make(cgroup: &Path, slot: u32, bounds: Bounds) -> Result<Self, CageError> {
        let trees = Trees::discover()?;
        let below = cgroup.join(slot.to_string());
        let cage = Self { directories: trees.directories(&below), trees };
        match cage.furnish(cgroup, bounds) {
            Ok(()) => Ok(cage),
            Err(error) => {
                // The error that led here is the one to tell.
                let _ = cage.remove();
                Err(error)
            }
        }
    }

    fn furnish(&self, cgroup: &Path, bounds: Bounds) -> Result<(), CageError> {
        for directory in &self.directories {
            // A dead holder's still counts what was killed in it.
            let _ = fs::remove_dir(directory);
            make_directory(directory)?;
        }
        if let Trees::V2(root) = &self.trees {
            hand_down(root, cgroup);
        }
        self.limit(bounds)
    }

    /// What a child is born into.
    pub(crate) fn entrance(&self) -> Result<Entrance, CageError> {
        let open = |path: PathBuf, write: bool| {
            OpenOptions::new().read(!write).write(write).open(&path).map_err(step("open", &path))
        };
        match &self.trees {
            Trees::V1(_) => {
                let tasks = self.directories.iter().map(|directory| open(directory.join("tasks"), true));
                Ok(Entrance::Tasks(tasks.collect::<Result<_, _>>()?))
            }
            Trees::V2(_) => {
                let directory = self.directories.first().cloned().unwrap_or_default();
                Ok(Entrance::Into(open(directory, false)?))
            }
        }
    }

    /// Whether the kernel killed something in it for want of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        let files = ["memory.events", "memory.oom_control"];
        let texts = self.directories.iter().flat_map(|directory| files.map(|file| directory.join(file)));
        texts.filter_map(|path| fs::read_to_string(path).ok()).any(|text| {
            text.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count != "0"))
        })
    }

    /// Removes it: proof that nothing in it lives any more. What does is killed first.
    pub(crate) fn remove(self) -> Result<(), CageError> {
        for directory in &self.directories {
            remove_directory(directory)?;
            // The one above goes with its last slot; others may be at work in it.
            let _ = directory.parent().map(fs::remove_dir);
        }
        Ok(())
    }

    fn limit(&self, bounds: Bounds) -> Result<(), CageError> {
        let quota = u64::from(bounds.cpus) * 100_000;
        let threads = bounds.cpus + SPARE_THREADS;
        let (memory, others) = match &self.trees {
            Trees::V1(_) => (
                "memory.limit_in_bytes",
                vec![
                    ("memory.memsw.limit_in_bytes", bounds.memory.to_string()),
                    ("cpu.cfs_period_us", "100000".into()),
                    ("cpu.cfs_quota_us", quota.to_string()),
                    ("pids.max", threads.to_string()),
                ],
            ),
            Trees::V2(_) => (
                "memory.max",
                vec![
                    ("memory.swap.max", "0".into()),
                    ("memory.oom.group", "1".into()),
                    ("cpu.max", format!("{quota} 100000")),
                    ("pids.max", threads.to_string()),
                ],
            ),
        };
        let path = self.file(memory).ok_or_else(|| match self.directories.first() {
            Some(path) => CageError::NoMemory { path: path.clone() },
            None => CageError::NoHierarchy,
        })?;
        fs::write(&path, bounds.memory.to_string()).map_err(step("write", &path))?;
        for (name, value) in others {
            if let Some(path) = self.file(name)
                && let Err(error) = fs::write(&path, value)
            {
                log::warn!("cannot write {}: {error}; compilations run without this limit", path.display());
            }
        }
        Ok(())
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        self.directories.iter().map(|directory| directory.join(name)).find(|path| path.exists())
    }
}

/// The opened files by which a child is born in a cage.
pub(crate) enum Entrance {
    Tasks(Vec<File>),
    Into(File),
}

impl Entrance {
    /// The descriptors, for [`Entrance::join`].
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Tasks(files) => files.iter().map(AsFd::as_fd).collect(),
            Self::Into(file) => vec![file.as_fd()],
        }
    }

    pub(crate) fn join<'a>(&self, descriptors: &'a [BorrowedFd<'a>]) -> pinnace_spawn::Join<'a> {
        match (self, descriptors.first()) {
            (Self::Into(_), Some(directory)) => pinnace_spawn::Join::Into(*directory),
            _ => pinnace_spawn::Join::Tasks(descriptors),
        }
    }
}

/// Removes the groups of slots whose server was killed while it compiled. Those of slots that somebody has stay: one
/// may be about to be entered. `state` is the directory that the cache was opened with.
pub fn sweep(cgroup: &Path, state: &Path) {
    let Ok(trees) = Trees::discover() else { return };
    sweep_directories(&trees.directories(cgroup), state);
}

fn sweep_directories(directories: &[PathBuf], state: &Path) {
    let Ok(opened) = File::open(state) else { return };
    let place = Place { directory: opened.as_fd(), path: state };
    for directory in directories {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(Ok(Some(_slot))) = number.map(|number| Slot::take(place, number)) {
                let _ = fs::remove_dir(entry.path());
            }
        }
        let _ = fs::remove_dir(directory);
    }
}

/// Makes a directory whose parent another compilation may be removing at this moment.
fn make_directory(directory: &Path) -> Result<(), CageError> {
    let mut made = Ok(());
    for _ in 0..10 {
        made = fs::create_dir_all(directory);
        match &made {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            _ => break,
        }
    }
    made.map_err(step("make", directory))
}

/// Removes a group, killing what is in it until nothing is.
fn remove_directory(directory: &Path) -> Result<(), CageError> {
    let mut pause = Duration::from_millis(1);
    loop {
        match fs::remove_dir(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && pause < Duration::from_secs(1) => {
                kill_all(directory);
                std::thread::sleep(pause);
                pause *= 2;
            }
            Err(source) => return Err(step("remove", directory)(source)),
        }
    }
}

fn kill_all(directory: &Path) {
    if fs::write(directory.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    let pids = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in pids.lines().filter_map(|line| rustix::process::Pid::from_raw(line.parse().ok()?)) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

pub(crate) fn step(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CageError {
    let path = path.to_owned();
    move |source| CageError::Step { step, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_of_slots_that_nobody_has_are_swept_away() {
        let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let groups = ["0", "1", "somebody's"].map(|name| tree.path().join(name));
        groups.iter().for_each(|group| fs::create_dir(group).unwrap());
        let opened = File::open(state.path()).unwrap();
        let held = Slot::take(Place { directory: opened.as_fd(), path: state.path() }, 0).unwrap();
        sweep_directories(&[tree.path().to_owned()], state.path());
        assert_eq!(groups.each_ref().map(|group| group.exists()), [true, false, true]);
        drop(held);
        // A child of another test holds our descriptors, and with them the lock, until it executes its program.
        let swept = (0..1000).any(|_| {
            sweep_directories(&[tree.path().to_owned()], state.path());
            std::thread::sleep(Duration::from_millis(10));
            !groups[0].exists()
        });
        assert!(swept);
    }
}
