//! The cage of compile processes on the machine's real hierarchies, v1 or v2. With `/bin/sh` as the compile program.
//! Needs root, and says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use pinnace_cache::{Cache, CacheError, Compiler, Input, obtain};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const MEMORY: u64 = 32 << 20;

/// A cache, and a control group for its compilations that nobody else has.
struct Place {
    cache: Cache,
    _temp: tempfile::TempDir,
    cgroup: PathBuf,
    waiting: Option<PipeWriter>,
    waited_for: PipeReader,
}

impl Place {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test makes cgroups: run it as root");
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::open(&temp.path().join("cache"), &temp.path().join("state"), u64::MAX).unwrap();
        let cgroup = PathBuf::from(format!("/pinnace-cage-{}-{number}", std::process::id()));
        let (waited_for, waiting) = pipe().unwrap();
        Self { cache, _temp: temp, cgroup, waiting: Some(waiting), waited_for }
    }

    /// Compiles by this script.
    fn compile(&self, script: &str) -> CacheError {
        let program = File::open("/bin/sh").unwrap();
        let args = ["sh", "-c", script].map(|arg| CString::new(arg).unwrap());
        let compiler = Compiler {
            program: program.as_fd(),
            args: &args,
            memory_bytes: MEMORY,
            cpus: 1,
            timeout: Duration::from_secs(300),
            concurrent: 1,
            waited_for: Some(self.waited_for.as_fd()),
            cgroup: Some(&self.cgroup),
        };
        let module = Input::copy(&b"module"[..], 1 << 20, "/app.wasm").unwrap();
        obtain(&self.cache, "0123456789abcdef", &module, compiler).expect_err("no script here compiles")
    }

    /// A directory in every hierarchy that has it.
    fn directories(&self, below: &str) -> Vec<PathBuf> {
        let name = self.cgroup.join(below);
        let name = name.strip_prefix("/").unwrap();
        let mut all = vec![Path::new("/sys/fs/cgroup").join(name)];
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            all.push(hierarchy.path().join(name));
        }
        all.retain(|directory| directory.is_dir());
        all
    }

    /// What a file of a running compilation says.
    fn file(&self, name: &str) -> Option<String> {
        let files = self.directories("0").into_iter().map(|directory| directory.join(name));
        let text = files.filter_map(|file| fs::read_to_string(file).ok()).next()?;
        Some(text.trim().to_owned())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for directory in ["0", ""].iter().flat_map(|below| self.directories(below)) {
            let _none = fs::remove_dir(directory);
        }
    }
}

fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        match condition() {
            Some(value) => return value,
            None => assert!(Instant::now() < end, "waited two minutes"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn limits_are_in_force_until_it_is_given_up_and_nothing_stays() {
    let mut place = Place::new();
    let waiting = place.waiting.take();
    let error = std::thread::scope(|scope| {
        let compiling = scope.spawn(|| place.compile("sleep 1000 & sleep 1000"));
        // The shell may become its last sleep.
        let procs = until(|| place.file("cgroup.procs").filter(|procs| procs.lines().count() >= 2));
        let (memory, others) = match unified() {
            true => (
                "memory.max",
                [
                    ("memory.swap.max", "0"),
                    ("memory.oom.group", "1"),
                    ("cpu.max", "100000 100000"),
                    ("pids.max", "17"),
                ],
            ),
            false => (
                "memory.limit_in_bytes",
                [
                    ("memory.memsw.limit_in_bytes", "33554432"),
                    ("cpu.cfs_period_us", "100000"),
                    ("cpu.cfs_quota_us", "100000"),
                    ("pids.max", "17"),
                ],
            ),
        };
        assert_eq!(place.file(memory).as_deref(), Some("33554432"));
        for (file, value) in others {
            // Not every kernel counts swap; without the file there is no limit.
            assert!(place.file(file).is_none_or(|found| found == value), "{file}: {:?}", place.file(file));
        }
        drop(waiting);
        let error = compiling.join().unwrap();
        for pid in procs.lines() {
            let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            assert!(!group.contains("pinnace-cage"), "{pid} lives on in {group}");
        }
        error
    });
    assert!(matches!(error, CacheError::GivenUp { .. }), "{error}");
    assert_eq!(place.directories(""), Vec::<PathBuf>::new());
}

#[test]
fn more_memory_is_death_and_told_as_that() {
    let place = Place::new();
    // tail keeps the last line, and /dev/zero has no end of line.
    let error = place.compile("tail /dev/zero");
    assert!(matches!(error, CacheError::OutOfMemory { bytes: MEMORY, .. }), "{error}");
    assert_eq!(place.directories(""), Vec::<PathBuf>::new());
}

/// A process in every directory of a group, until it is dropped.
struct Occupant(Child);

impl Occupant {
    fn of(directories: &[PathBuf]) -> Self {
        let occupant = Self(Command::new("sleep").arg("1000").spawn().unwrap());
        for directory in directories {
            fs::write(directory.join("cgroup.procs"), occupant.0.id().to_string()).unwrap();
        }
        occupant
    }
}

impl Drop for Occupant {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn a_group_with_processes_of_its_own_is_named_and_does_not_become_threaded() {
    let mut place = Place::new();
    let above = place.cgroup.clone();
    let made: Vec<PathBuf> = match unified() {
        true => vec![PathBuf::from(format!("/sys/fs/cgroup{}", above.display()))],
        false => ["memory", "cpu", "cpuacct", "pids"]
            .map(|tree| PathBuf::from(format!("/sys/fs/cgroup/{tree}{}", above.display())))
            .into_iter()
            .filter(|directory| directory.parent().is_some_and(Path::is_dir))
            .collect(),
    };
    made.iter().for_each(|directory| fs::create_dir(directory).unwrap());
    let occupant = Occupant::of(&made);
    place.cgroup = above.join("compile");
    let error = place.compile("exit 3");
    if unified() {
        let message = error.to_string();
        assert!(message.contains("memory") && message.contains("compile.cgroup"), "{message}");
        let kind = fs::read_to_string(made[0].join("cgroup.type")).unwrap();
        assert_eq!(kind, "domain\n");
    } else {
        assert!(matches!(error, CacheError::Died { .. }), "{error}");
    }
    drop(occupant);
    assert_eq!(place.directories("0"), Vec::<PathBuf>::new(), "what was begun is taken back");
    for directory in made {
        until(|| fs::remove_dir(&directory).ok().or_else(|| (!directory.exists()).then_some(())));
    }
}
