//! Cgroups on the machine's real hierarchies, below `/pinnace-test-<pid>-<n>`. Needs root, and says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(dead_code, reason = "the place serves several tests")]

mod place;

use pinnace_shim::cgroups::{Cgroup, CgroupError, Join, Stats};
use pinnace_spawn::Child;
use place::{Place, resources, shell, start, wait};
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn sleeper(cgroup: &Cgroup) -> Child {
    start(cgroup, "/bin/sleep", &["sleep", "100"])
}

#[test]
fn a_process_is_born_in_every_hierarchy_counted_killed_and_nothing_stays() {
    let place = Place::new();
    let cgroup = place.create("pod/container");
    let child = sleeper(&cgroup);
    assert_eq!(cgroup.pids().unwrap(), [child.pid]);
    let joined = fs::read_to_string(format!("/proc/{}/cgroup", child.pid)).unwrap();
    let whole = place.path("pod/container");
    let expected = match cgroup.join().unwrap() {
        Join::Tasks(tasks) => tasks.len(),
        Join::Into(_) => 1,
    };
    assert_eq!(joined.lines().filter(|line| line.ends_with(&whole)).count(), expected, "{joined}");
    let other = Cgroup::create(&place.hierarchies, &whole);
    assert!(matches!(other, Err(CgroupError::Occupied { .. })), "{other:?}");
    assert_eq!(cgroup.pids().unwrap(), [child.pid], "the refusal changed nothing");

    let restarted = Cgroup::open(&place.hierarchies, &whole).unwrap();
    restarted.kill().unwrap();
    assert_eq!(wait(&child).terminating_signal(), Some(9));
    match restarted.stats().unwrap() {
        Stats::V1(stats) => assert!(stats.cpu.total > 0 && stats.memory.unwrap().usage.limit > 0),
        Stats::V2(stats) => assert!(stats.cpu.usage_usec > 0),
    }
    restarted.remove().unwrap();
    restarted.remove().unwrap();
    assert!(matches!(cgroup.stats(), Err(CgroupError::Gone { .. })));
    assert!(matches!(cgroup.join(), Err(CgroupError::Gone { .. })));
    assert_eq!(place.directories(), Vec::<PathBuf>::new(), "parents that were made are gone too");
}

#[test]
fn limits_are_in_force_and_the_ceiling_files_see_an_update() {
    let place = Place::new();
    let cgroup = place.create("pod/container");
    cgroup
        .limit(&resources(
            r#"{"memory":{"limit":33554432},"cpu":{"shares":512,"quota":50000,"period":100000},
                "pids":{"limit":100},"devices":[{"allow":false,"access":"rwm"}]}"#,
        ))
        .unwrap();
    let files = cgroup.memory_limit_files();
    assert_eq!(files.len(), 3, "container, pod and the test's own, not the root");
    let mut innermost = fs::File::from(files.into_iter().next().unwrap());
    let mut ceiling = || {
        let mut text = String::new();
        std::io::Seek::rewind(&mut innermost).unwrap();
        innermost.read_to_string(&mut text).unwrap();
        text.trim().to_owned()
    };
    assert_eq!(ceiling(), "33554432");
    cgroup.limit(&resources(r#"{"memory":{"limit":67108864}}"#)).unwrap();
    assert_eq!(ceiling(), "67108864");
    match cgroup.stats().unwrap() {
        Stats::V1(stats) => {
            assert_eq!(stats.memory.unwrap().usage.limit, 67_108_864);
            assert_eq!(stats.pids.unwrap().limit, Some(100));
        }
        Stats::V2(stats) => assert_eq!(stats.memory.unwrap().limit, 67_108_864),
    }
    cgroup.remove().unwrap();
}

#[test]
fn a_refused_value_is_named_with_its_file() {
    let place = Place::new();
    let cgroup = place.create("container");
    let error = cgroup.limit(&resources(r#"{"cpu":{"cpus":"4000-4001"}}"#)).unwrap_err().to_string();
    assert!(error.contains("4000-4001") && error.contains("cpuset.cpus"), "{error}");
    cgroup.remove().unwrap();
}

#[test]
fn an_out_of_memory_kill_is_counted() {
    let place = Place::new();
    let cgroup = place.create("container");
    cgroup.limit(&resources(r#"{"memory":{"limit":8388608}}"#)).unwrap();
    assert_eq!(cgroup.oom_kills(), 0);
    // tail keeps the last line, and /dev/zero has no end of line.
    let child = start(&cgroup, "/usr/bin/tail", &["tail", "/dev/zero"]);
    assert_eq!(wait(&child).terminating_signal(), Some(9));
    assert_eq!(cgroup.oom_kills(), 1);
    cgroup.remove().unwrap();
}

#[test]
fn a_parent_that_another_made_stays() {
    let place = Place::new();
    let pod = place.create("pod");
    let container = place.create("pod/container");
    container.remove().unwrap();
    assert!(pod.stats().is_ok(), "the pod's own cgroup is not a parent that was made for the container");
    pod.remove().unwrap();
}

#[test]
fn servers_racing_under_one_parent_neither_fail_nor_leak() {
    let place = Place::new();
    let until = Instant::now() + Duration::from_secs(2);
    std::thread::scope(|scope| {
        for server in 0..4 {
            let place = &place;
            scope.spawn(move || {
                while Instant::now() < until {
                    place.create(&format!("shared/c{server}")).remove().unwrap();
                }
            });
        }
    });
    assert_eq!(place.directories(), Vec::<PathBuf>::new());
}

#[test]
fn what_is_frozen_can_be_killed() {
    let place = Place::new();
    let cgroup = place.create("container");
    let child = sleeper(&cgroup);
    for (file, value) in [("freezer/{}/freezer.state", "FROZEN"), ("{}/cgroup.freeze", "1")] {
        let file = format!("/sys/fs/cgroup/{}", file.replace("{}", cgroup.path().relative()));
        if fs::exists(&file).unwrap() {
            fs::write(file, value).unwrap();
        }
    }
    cgroup.kill().unwrap();
    assert_eq!(wait(&child).terminating_signal(), Some(9));
    cgroup.remove().unwrap();
}

#[test]
fn a_fork_bomb_does_not_outrun_kill() {
    let place = Place::new();
    let cgroup = place.create("container");
    cgroup.limit(&resources(r#"{"pids":{"limit":60}}"#)).unwrap();
    let child = shell(&cgroup, "f() { f & f; }; while :; do (f) 2>/dev/null; done");
    std::thread::sleep(Duration::from_millis(100));
    cgroup.kill().unwrap();
    wait(&child);
    cgroup.remove().unwrap();
}
