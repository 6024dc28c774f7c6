//! Scopes of a real systemd. For a machine that was booted with it (`cargo xtask test-cgroup2`), on v1 and v2 alike;
//! not among the tests of `cargo test`, for elsewhere every one of them fails.

use containerd_shim_protos::cgroups::metrics::Metrics as MetricsV1;
use containerd_shim_protos::protobuf::Message;
use pinnace_conformance::guests;
use pinnace_e2e::{Container, Draft, Image, Node, State, until};
use pinnace_oci::build;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

fn guest(node: &Node, wasm: Vec<u8>) -> Image {
    node.image(&build::Image::rootfs().file("/guest.wasm", wasm, 0o755).entrypoint(["/guest.wasm"]))
}

/// In a scope of this slice.
fn in_slice<'node>(draft: Draft<'node>, slice: &str) -> Draft<'node> {
    let path = format!("{slice}:pinnace:{}", draft.id());
    draft.edit(|spec| spec["linux"]["cgroupsPath"] = json!(path))
}

fn unit(id: &str) -> String {
    format!("pinnace-{id}.scope")
}

fn systemctl(words: &[&str]) -> String {
    let output = Command::new("systemctl").args(words).output().expect("systemctl");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A property of a unit.
fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--value", "--property", name, unit])
}

/// Whether systemd has the unit in memory.
fn is_loaded(unit: &str) -> bool {
    property(unit, "LoadState") != "not-found"
}

fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The directory of a container's cgroup where the memory controller's files are.
fn directory(container: &Container<'_>) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("its cgroups");
    let (mark, point) = if unified() { ("0::", "") } else { (":memory:", "memory") };
    let path = groups.lines().find_map(|line| line.split_once(mark)).expect("its memory cgroup").1;
    Path::new("/sys/fs/cgroup").join(point).join(path.trim_start_matches('/'))
}

fn value(container: &Container<'_>, file: &str) -> String {
    fs::read_to_string(directory(container).join(file)).expect(file).trim().to_owned()
}

#[test]
fn a_container_is_a_scope_in_its_slices_until_it_ends() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let slice = format!("{}.slice", node.name());
    let draft = in_slice(node.container(&image), &slice);
    let unit = unit(draft.id());
    let mut container = draft.create().expect("create");
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("its cgroups");
    let place = format!("/{unit}");
    // A v1 hierarchy with a controller, systemd's own, or the only one there is.
    for line in groups.lines().filter(|line| unified() || !line.starts_with("0::")) {
        assert!(line.ends_with(&place) && line.contains(&slice), "{groups}");
    }
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert_eq!(property(&unit, "Slice"), slice);
    assert_eq!(property(&unit, "Delegate"), "yes");
    container.start().expect("start");
    assert_eq!(container.pids().expect("pids"), [container.pid()]);
    container.kill(9).expect("kill");
    assert_eq!(container.wait(), 137);
    container.delete().expect("delete");
    until("a unit that is gone", || (!is_loaded(&unit)).then_some(()));
    systemctl(&["stop", &slice]);
}

#[test]
fn no_slice_is_the_systems_and_the_exit_code_is_the_guests() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(7));
    let draft = in_slice(node.container(&image), "");
    let unit = unit(draft.id());
    let container = draft.create().expect("create");
    assert_eq!(property(&unit, "Slice"), "system.slice");
    assert_eq!(container.run_to_end().code, 7);
}

#[test]
fn limits_stay_in_force_when_systemd_reloads() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let draft = in_slice(node.container(&image), "system.slice").edit(|spec| {
        spec["linux"]["resources"]["memory"] = json!({ "limit": 67_108_864 });
        spec["linux"]["resources"]["cpu"] = json!({ "shares": 512, "quota": 50_000, "period": 100_000 });
        spec["linux"]["resources"]["pids"] = json!({ "limit": 64 });
    });
    let unit = unit(draft.id());
    let container = draft.create().expect("create");
    let files: &[(&str, &str)] = match unified() {
        true => &[
            ("memory.max", "67108864"),
            ("cpu.weight", "59"),
            ("cpu.max", "50000 100000"),
            ("pids.max", "64"),
        ],
        false => &[("memory.limit_in_bytes", "67108864")],
    };
    for round in ["at first", "after a reload"] {
        for (file, expected) in files {
            assert_eq!(value(&container, file), *expected, "{file} {round}");
        }
        assert_eq!(property(&unit, "TasksMax"), "64");
        assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "500ms");
        systemctl(&["daemon-reload"]);
    }
    let memory = if unified() { "MemoryMax" } else { "MemoryLimit" };
    assert_eq!(property(&unit, memory), "67108864");
}

#[test]
fn an_update_stays_in_force_when_systemd_reloads_and_a_pause_too() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let draft = in_slice(node.container(&image).memory(64 << 20), "system.slice");
    let unit = unit(draft.id());
    let container = draft.create().expect("create");
    container.start().expect("start");
    let (file, memory) = match unified() {
        true => ("memory.max", "MemoryMax"),
        false => ("memory.limit_in_bytes", "MemoryLimit"),
    };
    let unlimited = if unified() { "max" } else { "9223372036854771712" };
    for (limit, in_file, told) in [
        (128 << 20, "134217728", "134217728"),
        (32 << 20, "33554432", "33554432"),
        (-1, unlimited, "infinity"),
    ] {
        container.update(&json!({ "memory": { "limit": limit }, "pids": { "limit": 33 } })).expect("update");
        container.pause().expect("pause");
        for round in ["at first", "after a reload"] {
            assert_eq!(value(&container, file), in_file, "{round}");
            assert_eq!(
                (property(&unit, memory), property(&unit, "TasksMax")),
                (told.to_owned(), "33".to_owned())
            );
            assert_eq!(container.state(), State::Paused, "{round}");
            systemctl(&["daemon-reload"]);
        }
        container.resume().expect("resume");
    }
}

#[test]
fn without_a_limit_systemds_own_is_none() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let draft = in_slice(node.container(&image), "system.slice");
    let unit = unit(draft.id());
    let _container = draft.create().expect("create");
    assert_eq!(property(&unit, "TasksMax"), "infinity");
}

#[test]
fn stats_are_there_until_delete_though_the_scope_is_not() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(3));
    let draft = in_slice(node.container(&image).memory(64 << 20), "system.slice");
    let unit = unit(draft.id());
    let container = draft.create().expect("create");
    container.start().expect("start");
    assert_eq!(container.wait(), 3);
    until("a scope that systemd has collected", || (!is_loaded(&unit)).then_some(()));
    let metrics = container.metrics().expect("metrics");
    if !unified() {
        let metrics = MetricsV1::parse_from_bytes(&metrics.value).expect("a message of its type");
        assert_eq!(metrics.memory().usage().limit(), 64 << 20);
        assert!(metrics.cpu().usage().total() > 0);
    }
    assert_eq!(container.pids().expect("pids"), [container.pid()]);
}

#[test]
fn the_same_name_can_be_had_again_at_once() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(0));
    let name = node.id();
    for _ in 0..10 {
        let path = format!("system.slice:pinnace:{name}");
        let draft = node.container(&image).edit(|spec| spec["linux"]["cgroupsPath"] = json!(path));
        assert_eq!(draft.run().code, 0);
    }
}

/// Another's scope of the same name as the container's, once it is in this state.
fn another(unit: &str, options: &[&str], state: &str) -> Child {
    let owner = Command::new("systemd-run")
        .args(["--scope", "--quiet", "--unit", unit])
        .args(options)
        .args(["sleep", "1000"])
        .spawn()
        .expect("systemd-run");
    until("a unit of the same name", || (property(unit, "ActiveState") == state).then_some(()));
    owner
}

#[test]
fn a_unit_that_lives_is_not_taken_wherever_it_is() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(0));
    for slice in ["system.slice", "machine.slice"] {
        let draft = in_slice(node.container(&image), "system.slice");
        let other = unit(draft.id());
        let mut owner = another(&other, &["--slice", slice], "active");
        let refused = draft.create().expect_err("a name that is taken");
        assert!(refused.message().contains(&other) && refused.message().contains("already"), "{refused}");
        assert_eq!(property(&other, "ActiveState"), "active", "the other one lives on");
        assert_eq!(owner.try_wait().expect("systemd-run"), None);
        systemctl(&["stop", &other]);
        owner.wait().expect("systemd-run");
    }
}

#[test]
fn a_unit_that_failed_gives_its_name_away() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(5));
    let draft = in_slice(node.container(&image), "system.slice");
    let other = unit(draft.id());
    let mut owner = another(&other, &["--property", "RuntimeMaxSec=1"], "failed");
    owner.wait().expect("systemd-run");
    assert_eq!(draft.run().code, 5);
}

#[test]
fn nobody_but_the_engine_is_there_once_create_has_answered() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = in_slice(node.container(&image), "system.slice").create().expect("create");
    assert_eq!(value(&container, "cgroup.procs"), container.pid().to_string());
    let server = container.cost()[0].pid;
    let children =
        fs::read_to_string(format!("/proc/{server}/task/{server}/children")).expect("its children");
    assert_eq!(children.trim(), container.pid().to_string(), "the placeholder is gone, and reaped");
}

#[test]
fn a_plain_path_in_the_servers_own_delegated_unit_is_left_alone_by_systemd() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(4));
    let groups = fs::read_to_string("/proc/self/cgroup").expect("our cgroups");
    let mark = if unified() { "0::" } else { ":name=systemd:" };
    let own = groups.lines().find_map(|line| line.split_once(mark)).expect("our unit").1;
    assert!(own.ends_with(".service"), "{own}");
    let inside = |memory: u64| {
        let draft = node.container(&image);
        let path = format!("{own}/{}", draft.id());
        let draft = if memory > 0 { draft.memory(memory) } else { draft };
        draft.edit(|spec| spec["linux"]["cgroupsPath"] = json!(path))
    };
    let container = inside(0).create().expect("create");
    systemctl(&["daemon-reload"]);
    assert_eq!(container.run_to_end().code, 4);
    if unified() {
        // The unit has processes, the server's among them, so it hands down no controller.
        let refused = inside(64 << 20).create().expect_err("a limit that cannot be had");
        assert!(
            refused.message().contains(own) && refused.message().contains("processes of its own"),
            "{refused}"
        );
    } else {
        let container = inside(64 << 20).create().expect("create");
        assert_eq!(value(&container, "memory.limit_in_bytes"), "67108864");
    }
}

#[test]
fn a_create_that_fails_leaves_no_unit() {
    let node = Node::start();
    let image = guest(&node, guests::big_initial_p1(2048));
    let draft = in_slice(node.container(&image).memory(96 << 20), "system.slice");
    let unit = unit(draft.id());
    let refused = draft.create().expect_err("too much memory");
    assert!(refused.message().contains("memory"), "{refused}");
    until("a unit that is gone", || (!is_loaded(&unit)).then_some(()));
}

#[test]
fn a_killed_server_leaves_no_unit() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let events = node.events();
    let draft = in_slice(node.container(&image), "system.slice");
    let unit = unit(draft.id());
    let container = draft.create().expect("create");
    container.start().expect("start");
    let server = rustix::process::Pid::from_raw(container.cost()[0].pid.cast_signed()).expect("a pid");
    rustix::process::kill_process(server, rustix::process::Signal::KILL).expect("kill the server");
    let exit = events.wait_for("exit", container.id()).exit().expect("an exit");
    assert_eq!(exit.exit_status, 137);
    until("a unit that is gone", || (!is_loaded(&unit)).then_some(()));
    container.forget();
}
