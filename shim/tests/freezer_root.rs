//! Pause and resume on the machine's real freezer. Needs root, and says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(dead_code, reason = "the place serves several tests")]

mod place;

use pinnace_shim::cgroups::{Cgroup, CgroupError};
use pinnace_spawn::Child;
use place::{Place, shell, start, wait};
use std::fs;
use std::time::{Duration, Instant};

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Processor time of a process and of the children it has waited for, in ticks.
fn ticks(child: &Child) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.pid)).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..15].iter().map(|number| number.parse::<u64>().unwrap()).sum()
}

/// Waits until it has worked for a while.
fn works(child: &Child) {
    let before = ticks(child);
    let until = Instant::now() + Duration::from_secs(60);
    while ticks(child) < before + 2 {
        assert!(Instant::now() < until, "it stands still");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What it does in the next tenth of a second must be nothing.
fn stands_still(child: &Child) {
    let before = ticks(child);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(ticks(child), before);
}

fn busy(cgroup: &Cgroup) -> Child {
    let child = shell(cgroup, "while :; do :; done");
    works(&child);
    child
}

#[test]
fn what_is_frozen_stands_still_and_goes_on() {
    let place = Place::new();
    let cgroup = place.create("pod/container");
    let child = busy(&cgroup);
    for _ in 0..3 {
        block_on(cgroup.freeze()).unwrap();
        block_on(cgroup.freeze()).unwrap();
        stands_still(&child);
        block_on(cgroup.thaw()).unwrap();
        block_on(cgroup.thaw()).unwrap();
        works(&child);
    }
    cgroup.kill().unwrap();
    wait(&child);
    cgroup.remove().unwrap();
}

#[test]
fn one_that_starts_others_all_the_time_is_frozen_with_them() {
    let place = Place::new();
    let cgroup = place.create("container");
    let child = shell(&cgroup, "while :; do /bin/true; /bin/true & done");
    works(&child);
    for _ in 0..10 {
        block_on(cgroup.freeze()).unwrap();
        let pids = cgroup.pids().unwrap();
        stands_still(&child);
        assert_eq!(cgroup.pids().unwrap(), pids, "nobody is born, nobody ends");
        block_on(cgroup.thaw()).unwrap();
        works(&child);
    }
    cgroup.kill().unwrap();
    wait(&child);
    cgroup.remove().unwrap();
}

#[test]
fn what_is_born_into_a_frozen_one_is_frozen() {
    let place = Place::new();
    let cgroup = place.create("container");
    let first = start(&cgroup, "/bin/sleep", &["sleep", "100"]);
    block_on(cgroup.freeze()).unwrap();
    let (born, birth) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let second = &cgroup;
        scope.spawn(move || born.send(start(second, "/bin/sleep", &["sleep", "100"])).unwrap());
        let early = birth.recv_timeout(Duration::from_millis(100));
        assert!(early.is_err(), "it ran its program in a frozen cgroup");
        block_on(cgroup.thaw()).unwrap();
        let second = birth.recv_timeout(Duration::from_secs(60)).unwrap();
        cgroup.kill().unwrap();
        wait(&second);
    });
    wait(&first);
    cgroup.remove().unwrap();
}

#[test]
fn what_is_frozen_dies_by_every_way_of_killing_and_nothing_stays_frozen() {
    let place = Place::new();
    type Way = fn(&Cgroup, &Child);
    let ways: [Way; 3] = [
        |cgroup, _| cgroup.kill().unwrap(),
        |cgroup, _| cgroup.signal_all(9).unwrap(),
        |cgroup, child| {
            let pid = rustix::process::Pid::from_raw(child.pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            block_on(cgroup.thaw()).unwrap();
        },
    ];
    for way in ways {
        let cgroup = place.create("container");
        let child = busy(&cgroup);
        block_on(cgroup.freeze()).unwrap();
        let before = ticks(&child);
        way(&cgroup, &child);
        assert_eq!(wait(&child).terminating_signal(), Some(9));
        assert!(before > 0);
        cgroup.remove().unwrap();
    }
}

#[test]
fn a_signal_reaches_all_and_those_frozen_when_they_are_thawed() {
    let place = Place::new();
    let cgroup = place.create("container");
    let children: Vec<Child> = (0..40).map(|_| start(&cgroup, "/bin/sleep", &["sleep", "100"])).collect();
    block_on(cgroup.freeze()).unwrap();
    cgroup.signal_all(15).unwrap();
    // v2 lets go who is ended by it.
    if !place.hierarchies.is_unified() {
        assert_eq!(cgroup.pids().unwrap().len(), 40, "a signal waits for the thaw");
    }
    block_on(cgroup.thaw()).unwrap();
    for child in &children {
        assert_eq!(wait(child).terminating_signal(), Some(15));
    }
    cgroup.remove().unwrap();
}

#[test]
fn a_fork_bomb_does_not_outrun_one_kill_of_all() {
    let place = Place::new();
    let cgroup = place.create("container");
    cgroup.limit(&place::resources(r#"{"pids":{"limit":60}}"#)).unwrap();
    let child = shell(&cgroup, "f() { f & f; }; while :; do (f) 2>/dev/null; done");
    let until = Instant::now() + Duration::from_secs(60);
    while cgroup.pids().unwrap().len() < 30 {
        assert!(Instant::now() < until, "no bomb");
        std::thread::sleep(Duration::from_millis(1));
    }
    cgroup.signal_all(9).unwrap();
    wait(&child);
    while !cgroup.pids().unwrap().is_empty() {
        assert!(Instant::now() < until, "{:?} outlived it", cgroup.pids());
        std::thread::sleep(Duration::from_millis(1));
    }
    cgroup.remove().unwrap();
}

#[test]
fn what_is_gone_is_told_and_an_attempt_that_is_dropped_leaves_all_running() {
    let place = Place::new();
    let cgroup = place.create("container");
    let child = busy(&cgroup);
    block_on(async {
        // Polled once at the most, which may be enough to freeze it.
        let attempt = tokio::time::timeout(Duration::ZERO, cgroup.freeze()).await;
        if attempt.is_ok() {
            cgroup.thaw().await.unwrap();
        }
    });
    works(&child);
    cgroup.kill().unwrap();
    wait(&child);
    cgroup.remove().unwrap();
    assert!(matches!(block_on(cgroup.freeze()), Err(CgroupError::Gone { .. })));
    assert!(matches!(block_on(cgroup.thaw()), Err(CgroupError::Gone { .. })));
}
