//! Who compiles, and who waits: one per key, a few per node, across processes.
//!
//! ```text
//!  Lock::acquire ── nobody has it ─────────────▶ Turn::Ours    the file is removed when it is dropped
//!       └── somebody has it ── wait for its end ▶ Turn::Over   with its verdict, if it left one
//! ```
//!
//! Locks are `flock`s, so any death releases them. The compile process inherits the key's lock: should the
//! server die, the next one waits until the compile process has died too. The descriptor it gets is read-only, so
//! a subverted compiler cannot write a verdict. A file that is removed stays readable to those who wait on it,
//! and whoever gets a lock on one that is no longer there by that name takes the next.

use crate::{CacheError, Key};
use rustix::{
    fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, openat, statat, unlinkat},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

/// Where locks are: the state directory, with its path for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) directory: BorrowedFd<'a>,
    pub(crate) path: &'a Path,
}

/// What came of asking for a key's lock.
pub(crate) enum Turn<'a> {
    /// It is ours.
    Ours(Lock<'a>),
    /// Another had it and has ended, with this verdict if it had one.
    Over(Option<String>),
}

/// The right to compile for one key.
pub(crate) struct Lock<'a> {
    file: OwnedFd,
    name: String,
    place: Place<'a>,
}

impl<'a> Lock<'a> {
    /// Takes the key's lock, or waits until who has it has ended.
    pub(crate) fn acquire(place: Place<'a>, key: &Key) -> Result<Turn<'a>, CacheError> {
        let name = format!("lock-{key}");
        loop {
            let file = open(place, &name)?;
            let failed = |error: Errno| failed("lock", place, &name, error);
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_named(&file, place, &name) => {
                    let lock = Lock { file, name, place };
                    // What a holder that was killed may have left is not ours.
                    lock.leave("");
                    return Ok(Turn::Ours(lock));
                }
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    retry(|| flock(&file, FlockOperation::LockExclusive)).map_err(failed)?;
                    let mut verdict = String::new();
                    // One that cannot be read is none: then we try ourselves.
                    let _ = File::from(file).take(16 * 1024).read_to_string(&mut verdict);
                    return Ok(Turn::Over((!verdict.is_empty()).then_some(verdict)));
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Leaves a verdict to those who wait. One that cannot be written only costs them their own attempt.
    pub(crate) fn leave(&self, verdict: &str) {
        let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let written = openat(self.place.directory, &self.name, flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|file| File::from(file).write_all(verdict.as_bytes()));
        if let Err(error) = written {
            log::debug!("cannot leave a verdict in {}: {error}", self.name);
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        let _ = unlinkat(self.place.directory, &self.name, AtFlags::empty());
    }
}

impl AsFd for Lock<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// One of the node's places for a running compile process.
pub(crate) struct Slot {
    _file: OwnedFd,
    /// Which one, from 0.
    pub(crate) number: u32,
}

/// How often a full queue is looked at. Any slot will do, so there is no single one to sleep on.
const QUEUE_PAUSE: Duration = Duration::from_millis(20);

impl Slot {
    /// Waits for one of `count` slots.
    pub(crate) fn acquire(place: Place<'_>, count: u32) -> Result<Self, CacheError> {
        loop {
            for number in 0..count.max(1) {
                if let Some(slot) = Self::take(place, number)? {
                    return Ok(slot);
                }
            }
            std::thread::sleep(QUEUE_PAUSE);
        }
    }

    /// Takes this slot, unless somebody has it.
    pub(crate) fn take(place: Place<'_>, number: u32) -> Result<Option<Self>, CacheError> {
        let name = format!("slot-{number}");
        let file = open(place, &name)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file, number })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(failed("lock", place, &name, error)),
        }
    }
}

fn open(place: Place<'_>, name: &str) -> Result<OwnedFd, CacheError> {
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(place.directory, name, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|error| failed("open", place, name, error))
}

/// Whether the file is still the one by that name.
fn is_named(file: &OwnedFd, place: Place<'_>, name: &str) -> bool {
    let named = statat(place.directory, name, AtFlags::SYMLINK_NOFOLLOW);
    matches!((fstat(file), named), (Ok(ours), Ok(named)) if ours.st_ino == named.st_ino && ours.st_dev == named.st_dev)
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

fn failed(step: &'static str, place: Place<'_>, name: &str, error: Errno) -> CacheError {
    CacheError::File { step, path: place.path.join(name), source: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;
    use std::{sync::mpsc, thread};

    fn with_place(test: impl FnOnce(Place<'_>)) {
        let temp = tempfile::tempdir().unwrap();
        let directory = File::open(temp.path()).unwrap();
        test(Place { directory: directory.as_fd(), path: temp.path() });
        let names: Vec<_> =
            std::fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().starts_with("lock-")), "{names:?}");
    }

    fn ours<'a>(place: Place<'a>, key: &Key) -> Lock<'a> {
        match Lock::acquire(place, key).unwrap() {
            Turn::Ours(lock) => lock,
            Turn::Over(_) => panic!("nobody had it"),
        }
    }

    fn key(byte: u8) -> Key {
        Key::new(Digest([byte; 32]), "0123456789abcdef")
    }

    #[test]
    fn one_has_it_and_the_others_get_its_verdict() {
        with_place(|place| {
            let lock = ours(place, &key(1));
            drop(ours(place, &key(2)));
            thread::scope(|scope| {
                let (say, heard) = mpsc::channel();
                for _ in 0..4 {
                    let say = say.clone();
                    scope.spawn(move || match Lock::acquire(place, &key(1)).unwrap() {
                        Turn::Over(verdict) => say.send(verdict).unwrap(),
                        Turn::Ours(_) => panic!("two at once"),
                    });
                }
                thread::sleep(Duration::from_millis(100));
                assert!(heard.try_recv().is_err());
                lock.leave("not Wasm");
                drop(lock);
                for _ in 0..4 {
                    assert_eq!(heard.recv().unwrap().as_deref(), Some("not Wasm"));
                }
            });
            drop(ours(place, &key(1)));
        });
    }

    #[test]
    fn a_verdict_of_a_dead_holder_is_not_taken_for_a_new_one() {
        with_place(|place| {
            // A server that was killed leaves its file, unlocked.
            std::fs::write(place.path.join(format!("lock-{}", key(1))), "old").unwrap();
            let lock = ours(place, &key(1));
            thread::scope(|scope| {
                let waiter = scope.spawn(move || Lock::acquire(place, &key(1)).unwrap());
                thread::sleep(Duration::from_millis(50));
                drop(lock);
                assert!(matches!(waiter.join().unwrap(), Turn::Over(None)));
            });
        });
    }

    #[test]
    fn no_more_than_the_slots_run() {
        with_place(|place| {
            let first = Slot::acquire(place, 2).unwrap();
            let second = Slot::acquire(place, 2).unwrap();
            assert_ne!(first.number, second.number);
            thread::scope(|scope| {
                let third = scope.spawn(move || Slot::acquire(place, 2).unwrap().number);
                thread::sleep(Duration::from_millis(60));
                assert!(!third.is_finished());
                let free = first.number;
                drop(first);
                assert_eq!(third.join().unwrap(), free);
            });
        });
    }
}
