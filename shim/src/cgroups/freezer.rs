//! Pause and resume: the kernel's freezer.
//!
//! ```text
//!        freeze                                             thaw
//!  v1  freezer.state = FROZEN ─▶ FREEZING ─▶ FROZEN          freezer.state = THAWED
//!                                  │ looked at again after a while: nothing tells of it
//!  v2  cgroup.freeze = 1 ─▶ frozen 1 in cgroup.events        cgroup.freeze = 0
//!                             │ the kernel wakes who polls that file
//! ```
//!
//! Every process of the cgroup and of those below it stops where it is; files, sockets and memory stay as they are.
//! One that is born meanwhile is born frozen. One that sleeps uninterruptibly (a disk or a network file system that
//! does not answer) freezes when it wakes, which is awaited for a while. Then, and when the caller stops waiting, all
//! are thawed again: a container is never half paused.
//!
//! A signal waits until the thaw. On v1 even SIGKILL does: [`Cgroup::thaw`] after it, and the process ends before it
//! runs any instruction of its own. On v2 what ends a process that has no handler for it, as SIGKILL, ends it at once.
//! [`Cgroup::kill`] and [`Cgroup::signal_all`] know both.
//!
//! systemd can freeze a unit, by writing the same files. It is not asked: nothing is remembered by it that a
//! `daemon-reload` would write over.

use super::discover::{Layout, Tree};
use super::{Cgroup, CgroupError, Controller, files};
use crate::process::watch;
use rustix::fs::OFlags;
use rustix::io::{Errno, pread, pwrite};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, timeout};

/// How long a process may sleep uninterruptibly before the attempt is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// v1: waits between looks, in milliseconds. After the last one all run for a moment and it begins anew: runc found
/// that some kernels stay at FREEZING else.
const LOOKS: [u64; 8] = [1, 1, 2, 4, 8, 16, 32, 64];

impl Cgroup {
    /// Stops every process in it, and answers once all stand still. Frozen already is frozen.
    ///
    /// # Errors
    /// [`CgroupError::NoFreezer`] where the kernel has none; [`CgroupError::NotFrozen`] when a process does not stop in
    /// time: all run again then, as they do when this future is dropped.
    pub async fn freeze(&self) -> Result<(), CgroupError> {
        let switch = self.switch(true)?;
        let undo = Undo(Some(&switch));
        let frozen = match self.hierarchies.layout() {
            Layout::V1(_) => switch.insist().await?,
            Layout::V2 { .. } => switch.wait_for_word().await?,
        };
        if !frozen {
            let path = switch.tree.whole(&switch.name);
            return Err(CgroupError::NotFrozen { path, waited: PATIENCE });
        }
        undo.forget();
        Ok(())
    }

    /// Lets every process go on; thawed already is thawed.
    ///
    /// # Errors
    /// Where the kernel has no freezer, or the cgroup is gone.
    #[expect(clippy::unused_async, reason = "the other half of freeze, and nothing to wait for")]
    pub async fn thaw(&self) -> Result<(), CgroupError> {
        self.switch(false)?.turn(false)
    }

    /// v1: has everyone stop who comes by, so that none is born while they are signalled.
    pub(super) fn hold(&self) {
        self.turn_v1(true);
    }

    /// v1: lets those who have a SIGKILL take it.
    pub(super) fn release(&self) {
        self.turn_v1(false);
    }

    /// What cannot be turned shows as a process that does not go.
    fn turn_v1(&self, on: bool) {
        if let Layout::V1(_) = self.hierarchies.layout()
            && let Ok(switch) = self.switch(on)
        {
            let _ = switch.turn(on);
        }
    }

    fn switch(&self, on: bool) -> Result<Switch<'_>, CgroupError> {
        let (file, words) = match self.hierarchies.layout() {
            Layout::V1(_) => ("freezer.state", ["THAWED", "FROZEN"]),
            Layout::V2 { .. } => ("cgroup.freeze", ["0", "1"]),
        };
        let tree = self.hierarchies.tree_of(Controller::Freezer);
        let tree = tree.ok_or_else(|| CgroupError::NoFreezer { path: self.path.clone() })?;
        let name = self.path.file(file);
        let file = files::open(tree, &name, OFlags::WRONLY)
            .map_err(|errno| self.not_turned(tree, &name, words[usize::from(on)], errno))?;
        Ok(Switch { cgroup: self, tree, name, words, file })
    }

    fn not_turned(&self, tree: &Tree, name: &str, value: &str, errno: Errno) -> CgroupError {
        match errno {
            Errno::NODEV => CgroupError::Gone { path: self.path.clone() },
            // The file, or the whole directory?
            Errno::NOENT => match files::open(tree, self.path.relative(), OFlags::PATH) {
                Ok(_) => CgroupError::NoFreezer { path: self.path.clone() },
                Err(_) => CgroupError::Gone { path: self.path.clone() },
            },
            errno => {
                CgroupError::Write { path: tree.whole(name), value: value.to_owned(), source: errno.into() }
            }
        }
    }
}

/// The file that freezes and thaws, open: who has frozen can thaw, whatever runs out meanwhile.
struct Switch<'a> {
    cgroup: &'a Cgroup,
    tree: &'a Tree,
    name: String,
    /// What is written to thaw and to freeze.
    words: [&'static str; 2],
    file: OwnedFd,
}

impl Switch<'_> {
    fn turn(&self, on: bool) -> Result<(), CgroupError> {
        let value = self.words[usize::from(on)];
        let written = pwrite(&self.file, value.as_bytes(), 0);
        written.map(drop).map_err(|errno| self.cgroup.not_turned(self.tree, &self.name, value, errno))
    }

    /// v1: whether all are frozen in time.
    async fn insist(&self) -> Result<bool, CgroupError> {
        let until = Instant::now() + PATIENCE;
        loop {
            for wait in LOOKS {
                self.turn(true)?;
                let state = files::read(self.tree, &self.name)
                    .map_err(|errno| self.cgroup.unreadable(self.tree, &self.name, errno))?;
                if state.trim() == self.words[1] {
                    return Ok(true);
                }
                if Instant::now() >= until {
                    return Ok(false);
                }
                sleep(Duration::from_millis(wait)).await;
            }
            self.turn(false)?;
            sleep(Duration::from_millis(LOOKS[0])).await;
        }
    }

    /// v2: whether all are frozen in time.
    async fn wait_for_word(&self) -> Result<bool, CgroupError> {
        let name = self.cgroup.path.file("cgroup.events");
        let failed = |errno| self.cgroup.unreadable(self.tree, &name, errno);
        let events = files::open(self.tree, &name, OFlags::RDONLY).map_err(failed)?;
        let events = watch::urgent(events)
            .map_err(|source| CgroupError::Watch { path: self.tree.whole(&name), source })?;
        self.turn(true)?;
        timeout(PATIENCE, frozen(&events)).await.map_or(Ok(false), |done| done.map(|()| true)).map_err(failed)
    }
}

/// Waits until `cgroup.events` says so.
async fn frozen(events: &AsyncFd<OwnedFd>) -> Result<(), Errno> {
    loop {
        let mut text = [0; 256];
        let length = pread(events.get_ref(), &mut text, 0)?;
        if text[..length].split(|byte| *byte == b'\n').any(|line| line == b"frozen 1") {
            return Ok(());
        }
        match events.ready(Interest::PRIORITY).await {
            Ok(mut woken) => woken.clear_ready(),
            // The runtime goes, and this future with it.
            Err(_) => return Err(Errno::CANCELED),
        }
    }
}

/// Thaws on drop, unless it is forgotten.
struct Undo<'a>(Option<&'a Switch<'a>>);

impl Undo<'_> {
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        match self.0.map(|switch| switch.turn(false)) {
            None | Some(Ok(()) | Err(CgroupError::Gone { .. } | CgroupError::NoFreezer { .. })) => {}
            Some(Err(error)) => log::warn!("a container that could not be paused may stay so: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::Hierarchies;
    use std::fs;
    use std::path::Path;

    fn v2(dir: &Path, files: &[(&str, &str)]) -> Cgroup {
        fs::create_dir(dir.join("c")).unwrap();
        fs::write(dir.join("cgroup.controllers"), "").unwrap();
        for (name, content) in files {
            fs::write(dir.join("c").join(name), content).unwrap();
        }
        Cgroup::open(&Hierarchies::v2_at(dir), "/c").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn v1_answers_once_it_reads_frozen_and_gives_up_thawed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("c")).unwrap();
        let state = dir.path().join("c/freezer.state");
        fs::write(&state, "THAWED").unwrap();
        let freezer = Hierarchies::v1_at(&[(&[Controller::Freezer], dir.path())]);
        let cgroup = Cgroup::open(&freezer, "/c").unwrap();
        cgroup.freeze().await.unwrap();
        assert_eq!(fs::read_to_string(&state).unwrap(), "FROZEN");
        cgroup.thaw().await.unwrap();
        assert_eq!(fs::read_to_string(&state).unwrap(), "THAWED");
        // A file that keeps nothing stays at what a kernel in trouble says.
        fs::remove_file(&state).unwrap();
        std::os::unix::fs::symlink("/dev/null", &state).unwrap();
        let error = cgroup.freeze().await.unwrap_err();
        assert!(matches!(&error, CgroupError::NotFrozen { path, .. } if *path == state), "{error}");
    }

    #[tokio::test]
    async fn without_a_freezer_it_is_told_and_what_is_gone_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Hierarchies::v1_at(&[(&[Controller::Memory], dir.path())]);
        let cgroup = Cgroup::open(&memory, "/c").unwrap();
        assert!(matches!(cgroup.freeze().await, Err(CgroupError::NoFreezer { .. })));
        let old = v2(dir.path(), &[]);
        assert!(matches!(old.thaw().await, Err(CgroupError::NoFreezer { .. })));
        let gone = Cgroup::open(&Hierarchies::v2_at(dir.path()), "/d").unwrap();
        assert!(matches!(gone.freeze().await, Err(CgroupError::Gone { .. })));
        assert!(matches!(gone.thaw().await, Err(CgroupError::Gone { .. })));
    }
}
