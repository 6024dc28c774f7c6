//! The OOM killer, heard of while a container lives. Needs root, and says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(dead_code, reason = "the place serves several tests")]

mod place;

use pinnace_shim::cgroups::{Cgroup, OomWatch};
use pinnace_spawn::Child;
use place::{Place, resources, shell, start, wait};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// As long as an emulated machine may need.
const PATIENCE: Duration = Duration::from_secs(120);

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn limited(place: &Place, name: &str, bytes: u64) -> Cgroup {
    let cgroup = place.create(name);
    cgroup.limit(&resources(&format!(r#"{{"memory":{{"limit":{bytes},"swap":{bytes}}}}}"#))).unwrap();
    cgroup
}

/// tail keeps the last line, and /dev/zero has no end of line.
fn eater(cgroup: &Cgroup) -> Child {
    start(cgroup, "/usr/bin/tail", &["tail", "/dev/zero"])
}

async fn kills(watch: &mut OomWatch) -> u64 {
    timeout(PATIENCE, watch.next()).await.expect("word of a kill").expect("the cgroup is there")
}

/// Nothing is told while something else is.
async fn silent(watch: &mut OomWatch) {
    let told = timeout(Duration::from_millis(50), watch.next()).await;
    assert!(told.is_err(), "{told:?}");
}

fn finish(cgroup: &Cgroup, children: &[Child]) {
    cgroup.kill().unwrap();
    for child in children {
        wait(child);
    }
    cgroup.remove().unwrap();
}

#[test]
fn a_child_that_is_killed_is_told_once_while_the_first_process_goes_on() {
    let place = Place::new();
    let cgroup = limited(&place, "pod/container", 16 << 20);
    let first = start(&cgroup, "/bin/sleep", &["sleep", "100"]);
    run(async {
        let mut watch = cgroup.watch_oom().unwrap();
        silent(&mut watch).await;
        for _ in 0..3 {
            let eater = eater(&cgroup);
            assert_eq!(kills(&mut watch).await, 1);
            assert_eq!(wait(&eater).terminating_signal(), Some(9));
            silent(&mut watch).await;
        }
        assert_eq!(cgroup.pids().unwrap(), [first.pid]);
        // Whoever begins to watch hears of what comes, not of what was.
        silent(&mut cgroup.watch_oom().unwrap()).await;
    });
    finish(&cgroup, &[first]);
}

#[test]
fn what_happened_before_it_was_asked_is_told_then() {
    let place = Place::new();
    let cgroup = limited(&place, "container", 16 << 20);
    run(async {
        let mut watch = cgroup.watch_oom().unwrap();
        let eaters = [eater(&cgroup), eater(&cgroup)];
        eaters.iter().for_each(|eater| assert_eq!(wait(eater).terminating_signal(), Some(9)));
        let mut told = 0;
        while told < 2 {
            told += kills(&mut watch).await;
        }
        silent(&mut watch).await;
    });
    cgroup.remove().unwrap();
}

#[test]
fn a_watch_that_is_asked_for_moments_misses_nothing() {
    let place = Place::new();
    let cgroup = limited(&place, "container", 16 << 20);
    run(async {
        let mut watch = cgroup.watch_oom().unwrap();
        for _ in 0..5 {
            let eater = eater(&cgroup);
            let until = Instant::now() + PATIENCE;
            while timeout(Duration::from_micros(100), watch.next()).await != Ok(Some(1)) {
                assert!(Instant::now() < until, "no word of a kill");
            }
            wait(&eater);
        }
    });
    cgroup.remove().unwrap();
}

#[test]
fn a_death_by_signal_a_neighbours_oom_and_the_removal_are_none() {
    let place = Place::new();
    let pod = limited(&place, "pod", 24 << 20);
    let cgroup = place.create("pod/container");
    let neighbour = place.create("pod/neighbour");
    let first = start(&cgroup, "/bin/sleep", &["sleep", "100"]);
    run(async {
        let mut watch = cgroup.watch_oom().unwrap();
        let killed = shell(&cgroup, "kill -9 $$");
        wait(&killed);
        silent(&mut watch).await;
        // The pod's limit is hit: an event for all in it, the largest is killed.
        let eater = eater(&neighbour);
        assert_eq!(wait(&eater).terminating_signal(), Some(9));
        silent(&mut watch).await;
        assert_eq!((cgroup.oom_kills(), neighbour.oom_kills()), (0, 1));
        finish(&cgroup, &[first]);
        // v1 says that it is gone, v2 says nothing.
        let end = timeout(Duration::from_secs(3), watch.next()).await;
        assert!(matches!(end, Ok(None) | Err(_)), "{end:?}");
        assert!(cgroup.watch_oom().is_err());
    });
    neighbour.remove().unwrap();
    pod.remove().unwrap();
}
