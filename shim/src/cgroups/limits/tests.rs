use super::*;
use crate::cgroups::Hierarchies;
use std::fs;
use std::path::Path;

fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).expect("the test's resources")
}

/// A recorded-like v2 leaf with these controllers; kernel files hold what a new cgroup has.
fn v2(dir: &Path, controllers: &str) -> Cgroup {
    fs::create_dir_all(dir.join("c")).unwrap();
    fs::write(dir.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
    fs::write(dir.join("c/cgroup.controllers"), controllers).unwrap();
    for file in [
        "memory.max",
        "memory.low",
        "memory.swap.max",
        "memory.oom.group",
        "cpu.weight",
        "cpu.max",
        "pids.max",
    ] {
        fs::write(dir.join("c").join(file), "").unwrap();
    }
    Cgroup::open(&Hierarchies::v2_at(dir), "/c").unwrap()
}

fn v1_memory(dir: &Path) -> Cgroup {
    Cgroup::open(&Hierarchies::v1_at(&[(&[Controller::Memory], dir)]), "/c").unwrap()
}

#[test]
fn v2_writes_limits_and_unified() {
    let dir = tempfile::tempdir().unwrap();
    let cgroup = v2(dir.path(), "cpu memory pids");
    cgroup
        .limit(&resources(
            r#"{"devices":[{"allow":false,"access":"rwm"}],
                "memory":{"limit":67108864,"swap":67108864,"kernel":5,"kernelTCP":6},
                "cpu":{"shares":1024,"quota":50000,"period":100000},"pids":{"limit":100},
                "unified":{"memory.oom.group":"1"}}"#,
        ))
        .unwrap();
    let value = |file: &str| fs::read_to_string(dir.path().join("c").join(file)).unwrap();
    assert_eq!(value("memory.max"), "67108864");
    assert_eq!(value("cpu.max"), "50000 100000");
    assert_eq!(value("cpu.weight"), "100");
    assert_eq!(value("pids.max"), "100");
    assert_eq!(value("memory.oom.group"), "1");
}

#[test]
fn a_missing_controller_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let cgroup = v2(dir.path(), "memory");
    for (json, controller) in [
        (r#"{"pids":{"limit":5}}"#, "pids"),
        (r#"{"blockIO":{"weight":100}}"#, "io"),
        (r#"{"cpu":{"cpus":"0"}}"#, "cpuset"),
        (r#"{"hugepageLimits":[{"pageSize":"2MB","limit":0}]}"#, "hugetlb"),
        (r#"{"network":{"classID":7}}"#, "net_cls"),
        (r#"{"unified":{"cpu.weight":"5"}}"#, "cpu"),
    ] {
        match cgroup.limit(&resources(json)) {
            Err(CgroupError::MissingController { controller: missing, .. }) => {
                assert_eq!(missing, controller)
            }
            other => panic!("{json}: {other:?}"),
        }
    }
    let error =
        v1_memory(dir.path()).limit(&resources(r#"{"hugepageLimits":[{"pageSize":"2MB","limit":0}]}"#));
    assert!(error.unwrap_err().to_string().contains("hugetlb"));
}

#[test]
fn a_spec_without_limits_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing of this directory exists: any look at it would fail.
    let cgroup = v1_memory(dir.path());
    for json in [
        "{}",
        r#"{"devices":[{"allow":false,"access":"rwm"}]}"#,
        r#"{"memory":{"limit":0,"disableOOMKiller":false},"cpu":{"shares":0,"cpus":""},"blockIO":{"weight":0}}"#,
        r#"{"hugepageLimits":[],"unified":{},"network":{"classID":0}}"#,
    ] {
        cgroup.limit(&resources(json)).unwrap();
    }
}

#[test]
fn what_would_be_passed_over_silently_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let cgroup = v1_memory(dir.path());
    for json in [
        r#"{"unified":{"memory.high":"1"}}"#,
        r#"{"cpu":{"shares":1}}"#,
        r#"{"cpu":{"shares":262145}}"#,
        r#"{"blockIO":{"leafWeight":5}}"#,
        r#"{"rdma":{"mlx5_1":{"hcaHandles":3}}}"#,
    ] {
        let error = cgroup.limit(&resources(json)).unwrap_err();
        assert!(matches!(error, CgroupError::BadLimit { .. }), "{json}: {error}");
    }
}

#[test]
fn a_unified_key_cannot_leave_the_cgroup() {
    let dir = tempfile::tempdir().unwrap();
    let cgroup = v2(dir.path(), "memory");
    for key in ["../memory.max", "/etc/x.y", "memory", ".x", "memory."] {
        let json = format!(r#"{{"unified":{{"{key}":"1"}}}}"#);
        assert!(matches!(cgroup.limit(&resources(&json)), Err(CgroupError::BadLimit { .. })), "{key}");
    }
}

#[test]
fn quotas_and_periods_that_the_kernel_does_not_take_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let cgroup = v2(dir.path(), "cpu memory pids");
    for (json, part) in [
        (r#"{"cpu":{"quota":10,"period":100000}}"#, "cpu.quota is \"10\""),
        (r#"{"cpu":{"quota":999}}"#, "1000"),
        (r#"{"cpu":{"quota":5000,"period":999}}"#, "cpu.period is \"999\""),
        (r#"{"cpu":{"period":1000001}}"#, "1000000"),
    ] {
        let error = cgroup.limit(&resources(json)).unwrap_err().to_string();
        assert!(error.contains(part), "{json}: {error}");
    }
    for json in [
        r#"{"cpu":{"quota":-1,"period":100000}}"#,
        r#"{"cpu":{"quota":0,"period":0}}"#,
        r#"{"cpu":{"quota":1000}}"#,
    ] {
        cgroup.limit(&resources(json)).unwrap();
    }
}

#[test]
fn a_controller_that_is_not_handed_down_is_told_with_who_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    file("cgroup.controllers", "cpu memory pids\n");
    file("cgroup.procs", "1\n2\n");
    file("a/cgroup.controllers", "memory pids\n");
    file("a/cgroup.procs", "7\n");
    file("a/b/cgroup.controllers", "memory\n");
    let cgroup = Cgroup::open(&Hierarchies::v2_at(dir.path()), "/a/b").unwrap();
    let error = |json: &str| cgroup.limit(&resources(json)).unwrap_err();
    match error(r#"{"pids":{"limit":5}}"#) {
        CgroupError::HeldBack { parent, controller, .. } => {
            assert_eq!((parent, controller.as_str()), (dir.path().join("a"), "pids"));
        }
        other => panic!("{other}"),
    }
    for (json, missing) in [
        // The root may have processes: what it has and does not hand down has another reason.
        (r#"{"cpu":{"shares":5}}"#, "cpu"),
        (r#"{"blockIO":{"weight":100}}"#, "io"),
    ] {
        match error(json) {
            CgroupError::MissingController { controller, place, .. } => {
                assert_eq!((controller.as_str(), place), (missing, dir.path().display().to_string()));
            }
            other => panic!("{other}"),
        }
    }
}

/// A v1 memory cgroup of plain files.
fn v1_with(dir: &Path, files: &[(&str, &str)]) -> Cgroup {
    fs::create_dir_all(dir.join("c")).unwrap();
    for (name, content) in files {
        fs::write(dir.join("c").join(name), content).unwrap();
    }
    let controllers = [Controller::Memory, Controller::Cpu, Controller::Pids, Controller::Blkio];
    Cgroup::open(&Hierarchies::v1_at(&[(&controllers, dir)]), "/c").unwrap()
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let cgroup = v1_with(
        dir.path(),
        &[
            ("memory.limit_in_bytes", "9\n"),
            ("cpu.shares", "1024\n"),
            ("pids.max", "max\n"),
            ("cpu.idle", "1\n"),
        ],
    );
    cgroup
        .update(&resources(r#"{"memory":{"limit":7},"cpu":{"idle":0},"pids":{"limit":-1}}"#))
        .await
        .unwrap();
    let value = |file: &str| fs::read_to_string(dir.path().join("c").join(file)).unwrap().trim().to_owned();
    assert_eq!(value("memory.limit_in_bytes"), "7");
    assert_eq!(value("cpu.idle"), "0");
    assert_eq!(value("cpu.shares"), "1024");
    assert_eq!(value("pids.max"), "max", "what stands is not written");
    cgroup.update(&resources("{}")).await.unwrap();
}

#[tokio::test]
async fn an_update_that_fails_half_way_puts_back_what_stood() {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        ("memory.limit_in_bytes", "9\n"),
        ("memory.soft_limit_in_bytes", "8\n"),
        ("cpu.shares", "1024\n"),
        ("blkio.bfq.weight", "100\n"),
    ];
    let cgroup = v1_with(dir.path(), &files);
    // pids.max is not there, and comes after those two.
    let half = r#"{"memory":{"limit":7,"reservation":6},"cpu":{"shares":512},"pids":{"limit":5}}"#;
    let error = cgroup.update(&resources(half)).await.unwrap_err().to_string();
    assert!(error.contains("c/pids.max") && error.contains("\"5\""), "{error}");
    for (name, content) in files {
        let now = fs::read_to_string(dir.path().join("c").join(name)).unwrap();
        assert_eq!(now.trim(), content.trim(), "{name}");
    }
    cgroup.update(&resources(r#"{"blockIO":{"weight":200}}"#)).await.unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("c/blkio.bfq.weight")).unwrap().trim(), "200");
}

#[tokio::test]
async fn a_limit_below_use_is_refused_before_when_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let cgroup =
        v1_with(dir.path(), &[("memory.limit_in_bytes", "9000\n"), ("memory.usage_in_bytes", "5000\n")]);
    let asked = r#"{"memory":{"limit":4999,"checkBeforeUpdate":true}}"#;
    let error = cgroup.update(&resources(asked)).await.unwrap_err();
    assert!(matches!(error, CgroupError::BelowUse { usage: 5000, .. }), "{error}");
    cgroup.update(&resources(r#"{"memory":{"limit":5000,"checkBeforeUpdate":true}}"#)).await.unwrap();
    // Without the question the kernel makes room, on a thread.
    cgroup.update(&resources(r#"{"memory":{"limit":4000}}"#)).await.unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("c/memory.limit_in_bytes")).unwrap().trim(), "4000");
}

#[tokio::test]
async fn an_update_of_what_is_gone_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let update = resources(r#"{"memory":{"limit":7}}"#);
    let error = v1_memory(dir.path()).update(&update).await.unwrap_err();
    assert!(matches!(error, CgroupError::Gone { .. }), "{error}");
    fs::write(dir.path().join("cgroup.controllers"), "memory\n").unwrap();
    let v2 = Cgroup::open(&Hierarchies::v2_at(dir.path()), "/d").unwrap();
    let error = v2.update(&update).await.unwrap_err();
    assert!(matches!(error, CgroupError::Gone { .. }), "{error}");
}

#[test]
fn what_v2_has_no_file_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let cgroup = v2(dir.path(), "cpu memory io");
    for json in [
        r#"{"memory":{"swap":5}}"#,
        r#"{"memory":{"limit":6,"swap":5}}"#,
        r#"{"memory":{"limit":-1,"swap":5}}"#,
        r#"{"memory":{"disableOOMKiller":true}}"#,
        r#"{"cpu":{"realtimeRuntime":5}}"#,
        r#"{"blockIO":{"leafWeight":5}}"#,
    ] {
        let error = cgroup.limit(&resources(json)).unwrap_err();
        assert!(matches!(error, CgroupError::BadLimit { .. }), "{json}: {error}");
    }
    assert!(matches!(
        check(&resources(r#"{"hugepageLimits":[{"pageSize":"../2MB","limit":0}]}"#)),
        Err(CgroupError::BadLimit { .. })
    ));
}
