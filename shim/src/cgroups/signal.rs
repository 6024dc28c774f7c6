//! Signals to all processes of a cgroup, and their end.
//!
//! A process is listed by its pid, which may be a stranger's by the time it is used. So its descriptor is opened and
//! the list is read once more: who is in it then is the one behind the descriptor. Those born meanwhile are
//! found by the next round.
//!
//! SIGKILL must reach everyone, however fast they multiply:
//!
//! ```text
//!  v2   cgroup.kill: all at once, also those frozen (Linux 5.14)
//!  v1   FROZEN: whoever comes by stops and makes no more ─▶ rounds ─▶ THAWED: they die on their first step
//! ```

use super::discover::Layout;
use super::{Cgroup, CgroupError, files};
use crate::process::signal;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Rounds of SIGKILL, a millisecond or more apart, before processes count as unkillable; and rounds in which new
/// ones may be found.
const ROUNDS: u32 = 64;

/// How many descriptors are open at once.
const AT_ONCE: usize = 32;

impl Cgroup {
    /// Ends every process with SIGKILL and waits until none is left; gone is empty, frozen is no obstacle.
    ///
    /// In every hierarchy: a server may have died while its child had joined some of them. It blocks for a
    /// few milliseconds, a second at the most: for `delete` and for what a dead engine left behind.
    ///
    /// # Errors
    /// When some outlive it.
    pub fn kill(&self) -> Result<(), CgroupError> {
        let mut last = None;
        for round in 0..ROUNDS {
            last = self.pids_everywhere()?.first().copied();
            if last.is_none() {
                return Ok(());
            }
            self.kill_all()?;
            std::thread::sleep(Duration::from_millis(u64::from(1 + round / 4)));
        }
        match last {
            Some(pid) => Err(CgroupError::Unkillable { path: self.path.clone(), pid }),
            None => Ok(()),
        }
    }

    /// Signals every process, those born meanwhile too. SIGKILL ends them also when they are frozen, and they are no
    /// longer frozen then. Nothing is waited for; nobody there, or the cgroup gone, is fine.
    ///
    /// # Errors
    /// For a number that is no signal.
    pub fn signal_all(&self, signal: i32) -> Result<(), CgroupError> {
        if signal == libc::SIGKILL { self.kill_all() } else { self.rounds(signal) }
    }

    fn kill_all(&self) -> Result<(), CgroupError> {
        if let Layout::V2 { tree, .. } = self.hierarchies.layout()
            && files::write(tree, &self.path.file("cgroup.kill"), "1").is_ok()
        {
            return Ok(());
        }
        self.hold();
        let done = self.rounds(libc::SIGKILL);
        self.release();
        done
    }

    fn rounds(&self, signal: i32) -> Result<(), CgroupError> {
        let mut told = BTreeSet::from([0, getpid().as_raw_nonzero().get()]);
        for _ in 0..ROUNDS {
            let fresh: Vec<i32> = self.pids_everywhere()?.difference(&told).copied().collect();
            if fresh.is_empty() {
                break;
            }
            for some in fresh.chunks(AT_ONCE) {
                self.tell(some, signal)?;
            }
            told.extend(fresh);
        }
        Ok(())
    }

    fn tell(&self, pids: &[i32], signal: i32) -> Result<(), CgroupError> {
        let opened = |pid: &i32| -> Option<(i32, OwnedFd)> {
            // One that cannot be opened has ended.
            Some((*pid, pidfd_open(Pid::from_raw(*pid)?, PidfdFlags::empty()).ok()?))
        };
        let opened: Vec<_> = pids.iter().filter_map(opened).collect();
        let members = self.pids_everywhere()?;
        for (_, pidfd) in opened.iter().filter(|(pid, _)| members.contains(pid)) {
            match signal::send(pidfd, signal) {
                Err(source) if source.raw_os_error() != Some(Errno::SRCH.raw_os_error()) => {
                    return Err(CgroupError::Signal { path: self.path.clone(), signal, source });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::{Controller, Hierarchies};
    use std::fs;
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::process::{Child, Command};

    /// A cgroup of plain files that lists this process' child.
    fn listed(dir: &Path, child: &Child) -> Cgroup {
        fs::create_dir(dir.join("c")).unwrap();
        fs::write(dir.join("c/cgroup.procs"), format!("0\n{}\n{}\n", child.id(), std::process::id()))
            .unwrap();
        let v1 = Hierarchies::v1_at(&[(&[Controller::Memory], dir), (&[Controller::Freezer], dir)]);
        Cgroup::open(&v1, "/c").unwrap()
    }

    #[test]
    fn everyone_is_signalled_but_ourselves() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let cgroup = listed(dir.path(), &child);
        let refused = cgroup.signal_all(500);
        assert!(matches!(refused, Err(CgroupError::Signal { signal: 500, .. })), "{refused:?}");
        cgroup.signal_all(libc::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        // It is listed still, as one is whose parent has not asked: nobody is there to signal.
        cgroup.signal_all(libc::SIGTERM).unwrap();
    }

    #[test]
    fn a_kill_on_v1_stops_them_before_and_lets_them_go_after() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let cgroup = listed(dir.path(), &child);
        fs::write(dir.path().join("c/freezer.state"), "").unwrap();
        cgroup.signal_all(libc::SIGKILL).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert_eq!(fs::read_to_string(dir.path().join("c/freezer.state")).unwrap(), "THAWED");
    }

    #[test]
    fn v2_kills_by_its_own_file_and_what_is_gone_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("c")).unwrap();
        for (name, content) in [("cgroup.controllers", ""), ("c/cgroup.procs", "0\n"), ("c/cgroup.kill", "")]
        {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let v2 = Hierarchies::v2_at(dir.path());
        Cgroup::open(&v2, "/c").unwrap().signal_all(libc::SIGKILL).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("c/cgroup.kill")).unwrap(), "1");
        let gone = Cgroup::open(&v2, "/d").unwrap();
        gone.kill().unwrap();
        gone.signal_all(libc::SIGTERM).unwrap();
    }
}
