//! Limits that change while a container lives, read back from the kernel's own files. Needs root, and says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(dead_code, reason = "the place serves several tests")]

mod place;

use pinnace_shim::cgroups::{Cgroup, CgroupError};
use place::{Place, file, resources, shell, start, value, wait};
use std::time::{Duration, Instant};

fn update(cgroup: &Cgroup, json: &str) -> Result<(), CgroupError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(cgroup.update(&resources(json)))
}

/// A file's name on either version: v1's, v2's.
fn either(cgroup: &Cgroup, v1: &str, v2: &str) -> String {
    value(cgroup, if file(cgroup, v1).is_some() { v1 } else { v2 })
}

fn memory_limit(cgroup: &Cgroup) -> String {
    either(cgroup, "memory.limit_in_bytes", "memory.max")
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < end, "no {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What it uses.
fn memory_use(cgroup: &Cgroup) -> u64 {
    either(cgroup, "memory.usage_in_bytes", "memory.current").parse().unwrap()
}

/// A shell that holds some 40 MB that nobody can take from it.
fn holder(cgroup: &Cgroup) -> pinnace_spawn::Child {
    let child =
        shell(cgroup, "x=$(head -c 40000000 /dev/zero | tr '\\000' x); while :; do sleep 1; done; echo $x");
    until("use of memory", || memory_use(cgroup) > 40_000_000 && cgroup.pids().unwrap().len() == 2);
    child
}

#[test]
fn what_an_update_names_is_in_force_and_the_rest_stays() {
    let place = Place::new();
    let cgroup = place.create("pod/container");
    cgroup
        .limit(&resources(
            r#"{"memory":{"limit":67108864},"cpu":{"shares":512,"quota":50000,"period":100000},"pids":{"limit":50}}"#,
        ))
        .unwrap();
    let child = start(&cgroup, "/bin/sleep", &["sleep", "100"]);
    let v1 = file(&cgroup, "memory.limit_in_bytes").is_some();
    let quota = |cgroup: &Cgroup| match v1 {
        true => format!("{} {}", value(cgroup, "cpu.cfs_quota_us"), value(cgroup, "cpu.cfs_period_us")),
        false => value(cgroup, "cpu.max"),
    };
    let shares = |cgroup: &Cgroup| either(cgroup, "cpu.shares", "cpu.weight");

    update(&cgroup, r#"{"memory":{"limit":33554432}}"#).unwrap();
    assert_eq!(memory_limit(&cgroup), "33554432");
    assert_eq!((quota(&cgroup), value(&cgroup, "pids.max")), ("50000 100000".to_owned(), "50".to_owned()));

    update(&cgroup, r#"{"cpu":{"period":50000}}"#).unwrap();
    assert_eq!(quota(&cgroup), "50000 50000");
    update(&cgroup, r#"{"cpu":{"quota":20000,"shares":1024}}"#).unwrap();
    assert_eq!(
        (quota(&cgroup), shares(&cgroup)),
        ("20000 50000".to_owned(), if v1 { "1024" } else { "100" }.to_owned())
    );
    update(&cgroup, r#"{"cpu":{"quota":-1},"pids":{"limit":-1}}"#).unwrap();
    assert!(["-1 50000", "max 50000"].contains(&quota(&cgroup).as_str()), "{}", quota(&cgroup));
    assert_eq!(value(&cgroup, "pids.max"), "max");
    update(&cgroup, r#"{"memory":{"limit":-1}}"#).unwrap();
    assert!(["9223372036854771712", "max"].contains(&memory_limit(&cgroup).as_str()));

    cgroup.kill().unwrap();
    wait(&child);
    cgroup.remove().unwrap();
    let gone = update(&cgroup, r#"{"memory":{"limit":33554432}}"#);
    assert!(matches!(gone, Err(CgroupError::Gone { .. })), "{gone:?}");
}

#[test]
fn memory_and_swap_go_up_and_down_in_whatever_order_the_kernel_wants() {
    let place = Place::new();
    let cgroup = place.create("container");
    let v1 = file(&cgroup, "memory.limit_in_bytes").is_some();
    let counts_swap =
        file(&cgroup, "memory.memsw.limit_in_bytes").or(file(&cgroup, "memory.swap.max")).is_some();
    for (limit, swap) in [(64_u64, 128_u64), (256, 512), (32, 32), (96, 96), (16, 48)] {
        let (limit, swap) = (limit << 20, swap << 20);
        let asked = update(&cgroup, &format!(r#"{{"memory":{{"limit":{limit},"swap":{swap}}}}}"#));
        if !counts_swap && (v1 || limit != swap) {
            let error = asked.unwrap_err().to_string();
            assert!(
                error.contains("memory.memsw.limit_in_bytes") || error.contains("memory.swap.max"),
                "{error}"
            );
            continue;
        }
        asked.unwrap();
        assert_eq!(memory_limit(&cgroup), limit.to_string());
        if counts_swap {
            let expected = if v1 { swap } else { swap - limit };
            let found = either(&cgroup, "memory.memsw.limit_in_bytes", "memory.swap.max");
            assert_eq!(found, expected.to_string());
        }
    }
    if v1 && counts_swap {
        let error = update(&cgroup, r#"{"memory":{"limit":1073741824}}"#).unwrap_err();
        assert!(matches!(error, CgroupError::AboveSwap { together: 50_331_648, .. }), "{error}");
    }
    cgroup.remove().unwrap();
}

#[test]
fn an_update_that_fails_half_way_changes_nothing() {
    let place = Place::new();
    let cgroup = place.create("container");
    cgroup
        .limit(&resources(r#"{"memory":{"limit":67108864},"cpu":{"quota":50000,"period":100000}}"#))
        .unwrap();
    let files = [
        "memory.limit_in_bytes",
        "memory.soft_limit_in_bytes",
        "memory.max",
        "memory.low",
        "memory.swap.max",
        "cpu.cfs_quota_us",
        "cpu.cfs_period_us",
        "cpu.shares",
        "cpu.max",
        "cpu.weight",
        "cpuset.cpus",
        "pids.max",
    ];
    let all = || files.map(|name| file(&cgroup, name).map(|path| std::fs::read_to_string(path).unwrap()));
    let before = all();
    // The processor comes after memory and quota, and is one that no machine has.
    let half = r#"{"memory":{"limit":33554432,"reservation":16777216},
        "cpu":{"shares":256,"quota":70000,"period":80000,"cpus":"4000-4001"},"pids":{"limit":9}}"#;
    let error = update(&cgroup, half).unwrap_err().to_string();
    assert!(error.contains("cpuset.cpus") && error.contains("4000-4001"), "{error}");
    assert_eq!(all(), before);
    cgroup.remove().unwrap();
}

#[test]
fn a_limit_below_what_is_used_is_told_or_enforced_as_the_kernel_does() {
    let place = Place::new();
    let cgroup = place.create("container");
    cgroup.limit(&resources(r#"{"memory":{"limit":134217728}}"#)).unwrap();
    let child = holder(&cgroup);
    let asked = update(&cgroup, r#"{"memory":{"limit":16777216,"checkBeforeUpdate":true}}"#).unwrap_err();
    assert!(matches!(asked, CgroupError::BelowUse { usage: 40_000_000.., .. }), "{asked}");
    assert_eq!(memory_limit(&cgroup), "134217728");
    let lowered = update(&cgroup, r#"{"memory":{"limit":16777216},"cpu":{"shares":256}}"#);
    if file(&cgroup, "memory.limit_in_bytes").is_some() {
        let error = lowered.unwrap_err();
        assert!(matches!(error, CgroupError::BelowUse { usage: 40_000_000.., .. }), "{error}");
        assert!(error.to_string().contains("memory.limit_in_bytes"), "{error}");
        assert_eq!(
            (memory_limit(&cgroup).as_str(), value(&cgroup, "cpu.shares").as_str()),
            ("134217728", "1024")
        );
        assert_eq!(cgroup.oom_kills(), 0);
    } else {
        lowered.unwrap();
        assert_eq!(memory_limit(&cgroup), "16777216");
        until("kill", || cgroup.oom_kills() > 0);
    }
    cgroup.kill().unwrap();
    wait(&child);
    cgroup.remove().unwrap();
}

#[test]
fn what_is_paused_can_be_updated() {
    let place = Place::new();
    let cgroup = place.create("container");
    let child = shell(&cgroup, "while :; do :; done");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(cgroup.freeze()).unwrap();
    update(&cgroup, r#"{"memory":{"limit":33554432},"cpu":{"shares":256},"pids":{"limit":7}}"#).unwrap();
    assert_eq!((memory_limit(&cgroup).as_str(), value(&cgroup, "pids.max").as_str()), ("33554432", "7"));
    runtime.block_on(cgroup.thaw()).unwrap();
    cgroup.kill().unwrap();
    wait(&child);
    cgroup.remove().unwrap();
}

#[test]
fn ten_thousand_looks_at_the_figures_leave_nothing_behind() {
    let place = Place::new();
    let cgroup = place.create("container");
    let private = || {
        let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
    };
    (0..500).for_each(|_| drop(cgroup.stats().unwrap()));
    let (before, open) = (private(), std::fs::read_dir("/proc/self/fd").unwrap().count());
    (0..10_000).for_each(|_| drop(cgroup.stats().unwrap()));
    // Other tests of this program open some, too.
    assert!(std::fs::read_dir("/proc/self/fd").unwrap().count() < open + 100);
    assert!(private() < before + 4096, "{} kB, before {before} kB", private());
    cgroup.remove().unwrap();
}
