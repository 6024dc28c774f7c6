//! What everybody knows of everything that lives: what may be killed, and what was.
//!
//! A mark is put before the kill, under the lock under which containers are announced: whoever finds no mark after a
//! call that failed was not killed.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// One container, or a pod's own.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its id; of a pod none until it has one.
    pub(crate) id: String,
    /// Those of one group have one server.
    pub(crate) group: String,
    /// Whether its server may be killed.
    pub(crate) spared: bool,
    /// Whether it is a pod's own.
    pub(crate) holder: bool,
    /// Its first process, 0 until that is known.
    pid: AtomicU32,
    killed: AtomicBool,
    orphaned: AtomicBool,
}

impl Entry {
    /// Its process is known.
    pub(crate) fn born(&self, pid: u32) {
        self.pid.store(pid, Ordering::SeqCst);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::SeqCst)
    }

    /// Its process was killed.
    pub(crate) fn killed(&self) -> bool {
        self.killed.load(Ordering::SeqCst)
    }

    /// Its server was killed.
    pub(crate) fn orphaned(&self) -> bool {
        self.orphaned.load(Ordering::SeqCst)
    }

    /// Marks its process as killed.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
    }

    /// Marks its server as killed.
    pub(crate) fn orphan(&self) {
        self.orphaned.store(true, Ordering::SeqCst);
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Board {
    entries: Mutex<Vec<Arc<Entry>>>,
    /// Odd while containerd is away, more by two after.
    epoch: AtomicU64,
}

impl Board {
    /// Announces a container that is about to be made.
    pub(crate) fn announce(&self, id: &str, group: &str, spared: bool, holder: bool) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            id: id.to_owned(),
            group: group.to_owned(),
            spared,
            holder,
            pid: AtomicU32::default(),
            killed: AtomicBool::default(),
            orphaned: AtomicBool::default(),
        });
        self.entries().push(Arc::clone(&entry));
        entry
    }

    /// It is gone.
    pub(crate) fn gone(&self, entry: &Arc<Entry>) {
        self.entries().retain(|other| !Arc::ptr_eq(other, entry));
    }

    /// Nobody is announced while this is held.
    pub(crate) fn entries(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.entries.lock().expect("nobody panics with it")
    }

    /// Which life of containerd this is.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// containerd goes, or has come back.
    pub(crate) fn turn(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }
}
