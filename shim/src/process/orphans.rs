//! Processes that come to this server, their subreaper, when their own parent ends.
//!
//! ```text
//!  a native container's init, an exec in it      their parent, the OCI runtime, ends: they are Processes, watched
//!  what daemons leave behind, and whatever else  nobody watches it: reaped here
//! ```
//!
//! Both look alike until the server knows the pid of the first kind, which the OCI runtime tells in a file. So nothing is
//! reaped here while one is [`expected`]. The kernel shows the ended children one at a time; while that is one
//! that is watched, its owner's turn comes first, and then ours again.
//!
//! A child that another thread made (a compile process, a mount's helper) is not shown: that thread waits for it.

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// The children of this process: the kernel has one list of them, and so have we.
static FAMILY: Mutex<Family> = Mutex::new(Family { watched: BTreeSet::new(), expected: 0 });

/// Somebody may be reaped now who could not before.
static CHANGED: Notify = Notify::const_new();

struct Family {
    watched: BTreeSet<i32>,
    expected: usize,
}

fn family() -> MutexGuard<'static, Family> {
    FAMILY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While this is there, nobody is reaped who is not watched.
#[derive(Debug)]
pub(crate) struct Expected(());

/// Says that a process is to come that is going to be watched.
pub(crate) fn expected() -> Expected {
    family().expected += 1;
    Expected(())
}

impl Drop for Expected {
    fn drop(&mut self) {
        family().expected -= 1;
        CHANGED.notify_one();
    }
}

/// A child that has an owner, who waits for it and then says so, or lets go of it.
#[derive(Debug)]
pub(super) struct Watched {
    pid: i32,
    over: AtomicBool,
}

impl Watched {
    pub(super) fn new(pid: i32) -> Self {
        family().watched.insert(pid);
        Self { pid, over: AtomicBool::new(false) }
    }

    /// It was reaped: its pid may be another's.
    pub(super) fn over(&self) {
        if !self.over.swap(true, Ordering::Relaxed) {
            family().watched.remove(&self.pid);
            CHANGED.notify_one();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.over();
    }
}

/// Reaps orphans from now on; only the first call does something.
///
/// # Errors
/// When the runtime cannot hear of ended children.
pub(crate) fn reap_from_now() -> io::Result<()> {
    static BEGUN: OnceLock<()> = OnceLock::new();
    if BEGUN.get().is_none() {
        let ended = signal(SignalKind::child())?;
        BEGUN.get_or_init(|| drop(tokio::spawn(reap(ended))));
    }
    Ok(())
}

async fn reap(mut ended: Signal) {
    loop {
        while reap_one() {}
        tokio::select! {
            _ = ended.recv() => {}
            () = CHANGED.notified() => {}
        }
    }
}

/// Reaps the first ended child, if there is one and nobody else does.
fn reap_one() -> bool {
    // Only children of this thread, which is the one that orphans come to.
    let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::__WNOTHREAD;
    let first = waitid(Id::All, ended | WaitPidFlag::WNOWAIT).ok().and_then(|status| status.pid());
    let Some(pid) = first else { return false };
    let family = family();
    if family.expected > 0 || family.watched.contains(&pid.as_raw()) {
        return false;
    }
    waitid(Id::Pid(pid), ended).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Process;
    use nix::unistd::Pid;
    use std::process::Command;

    fn is_there(pid: i32) -> bool {
        std::path::Path::new(&format!("/proc/{pid}")).exists()
    }

    /// A child that has ended.
    #[expect(clippy::zombie_processes, reason = "the subject of these tests")]
    fn ended() -> i32 {
        let child = Command::new("/bin/true").spawn().expect("a child");
        let pid = Pid::from_raw(child.id().cast_signed());
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("it ends");
        pid.as_raw()
    }

    /// One test, for there is one family.
    #[test]
    fn only_those_are_reaped_who_have_no_owner_and_may_get_none() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let expectation = expected();
            let orphan = ended();
            assert!(!reap_one() && is_there(orphan), "it may be the one that is expected");
            let pid = ended();
            let process = Process::of_pid(pid).expect("watched");
            drop(expectation);
            assert!(reap_one() && !is_there(orphan));
            assert!(!reap_one() && is_there(pid), "it has an owner");
            assert_eq!(process.ended().await, 0);
            assert!(!is_there(pid) && !reap_one());
        });
    }
}
