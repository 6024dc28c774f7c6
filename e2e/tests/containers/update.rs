//! Update: limits that change before Start and while the guest runs, read back from the kernel's files.

use crate::kernel::{either, unified, value};
use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Code, Container, Node, State};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// Waits for a byte, asks for 16 MiB more and touches them, and says whether it got them; again and again.
const GROWER: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\30\00\00\00\06\00\00\00\36\00\00\00\06\00\00\00\3c\00\00\00\08\00\00\00\60\00\00\00\01\00\00\00")
  (data (i32.const 48) "ready\ngrown\nrefused\n")
  (func (export "_start") (local $before i32)
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))
    (loop $again
      (drop (call $fd_read (i32.const 0) (i32.const 24) (i32.const 1) (i32.const 100)))
      (if (i32.load (i32.const 100))
        (then
          (local.set $before (memory.grow (i32.const 256)))
          (if (i32.eq (local.get $before) (i32.const -1))
            (then (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 100))))
            (else
              (memory.fill (i32.shl (local.get $before) (i32.const 16)) (i32.const 1) (i32.const 0x1000000))
              (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 100)))))
          (br $again))))))"#;

/// A change, and what the kernel must say of it: v1's files, v2's.
type Row = (fn() -> Value, &'static [(&'static str, &'static str)], &'static [(&'static str, &'static str)]);

const ROWS: [Row; 9] = [
    (
        || json!({ "memory": { "limit": 100_663_296 } }),
        &[("memory.limit_in_bytes", "100663296")],
        &[("memory.max", "100663296")],
    ),
    (
        || json!({ "memory": { "limit": 201_326_592, "reservation": 33_554_432 } }),
        &[("memory.limit_in_bytes", "201326592"), ("memory.soft_limit_in_bytes", "33554432")],
        &[("memory.max", "201326592"), ("memory.low", "33554432")],
    ),
    (|| json!({ "cpu": { "shares": 512 } }), &[("cpu.shares", "512")], &[("cpu.weight", "59")]),
    (
        || json!({ "cpu": { "quota": 50_000, "period": 80_000 } }),
        &[("cpu.cfs_quota_us", "50000"), ("cpu.cfs_period_us", "80000")],
        &[("cpu.max", "50000 80000")],
    ),
    (
        || json!({ "cpu": { "quota": -1 } }),
        &[("cpu.cfs_quota_us", "-1"), ("cpu.cfs_period_us", "80000"), ("cpu.shares", "512")],
        &[("cpu.max", "max 80000"), ("cpu.weight", "59")],
    ),
    (
        || json!({ "cpu": { "cpus": "0", "mems": "0" } }),
        &[("cpuset.cpus", "0"), ("cpuset.mems", "0")],
        &[("cpuset.cpus", "0"), ("cpuset.mems", "0")],
    ),
    (|| json!({ "pids": { "limit": 77 } }), &[("pids.max", "77")], &[("pids.max", "77")]),
    (|| json!({ "pids": { "limit": -1 } }), &[("pids.max", "max")], &[("pids.max", "max")]),
    (
        || json!({ "memory": { "limit": -1 } }),
        &[("memory.limit_in_bytes", "9223372036854771712")],
        &[("memory.max", "max")],
    ),
];

fn in_force_one_by_one(container: &Container<'_>) {
    for (resources, v1, v2) in ROWS {
        let resources = resources();
        container.update(&resources).map_err(|refused| format!("{resources}: {refused}")).expect("update");
        for (file, expected) in if unified() { v2 } else { v1 } {
            assert_eq!(value(container, file), *expected, "{file} after {resources}");
        }
    }
}

#[test]
fn every_limit_can_be_changed_before_start_and_while_it_runs() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let mut container = node.container(&image).memory(64 * MIB).create().expect("create");
    in_force_one_by_one(&container);
    container.start().expect("start");
    container.stdout().wait_for("ready");
    in_force_one_by_one(&container);
    container.kill(15).expect("kill");
    assert_eq!(container.wait(), 143);
    let refused = container.update(&json!({ "pids": { "limit": 5 } })).expect_err("it has ended");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    container.delete().expect("delete");
    let gone = container.update(&json!({ "pids": { "limit": 5 } })).expect_err("it is gone");
    assert_eq!(gone.code(), Code::NotFound, "{gone}");
}

#[test]
fn v2_files_are_changed_by_their_own_names() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = ready(node.container(&image));
    let asked =
        container.update(&json!({ "unified": { "memory.high": "50331648", "memory.oom.group": "1" } }));
    if unified() {
        asked.expect("update");
        assert_eq!(value(&container, "memory.high"), "50331648");
        assert_eq!(value(&container, "memory.oom.group"), "1");
        let refused = container.update(&json!({ "unified": { "../memory.high": "1" } })).expect_err("a path");
        assert!(refused.message().contains("linux.resources.unified"), "{refused}");
    } else {
        let refused = asked.expect_err("v1 has none").message().to_owned();
        assert!(refused.contains("linux.resources.unified"), "{refused}");
    }
}

#[test]
fn an_update_that_cannot_be_done_wholly_is_not_done_and_names_the_file() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = ready(node.container(&image).memory(64 * MIB));
    let before = || {
        (
            either(&container, "memory.limit_in_bytes", "memory.max"),
            either(&container, "cpu.shares", "cpu.weight"),
        )
    };
    let stood = before();
    let half = json!({ "memory": { "limit": 134_217_728 }, "cpu": { "shares": 300, "cpus": "4000-4001" } });
    let refused = container.update(&half).expect_err("no such processor").message().to_owned();
    assert!(refused.contains("cpuset.cpus") && refused.contains("4000-4001"), "{refused}");
    assert_eq!(before(), stood);
    assert_eq!(container.state(), State::Running);
}

#[test]
fn the_guests_ceiling_follows_up_and_down() {
    let node = Node::start();
    let image = guest(&node, wat::parse_str(GROWER).expect("a module"));
    let mut container = node.container(&image).with_stdin().memory(64 * MIB).create().expect("create");
    container.start().expect("start");
    container.stdout().wait_for("ready");
    let mut said = "ready\n".to_owned();
    let mut grows = |container: &mut Container<'_>, word: &str| {
        container.write("x");
        said.push_str(word);
        container.stdout().wait_for(&said);
    };
    let limit = |container: &Container<'_>, bytes: u64| {
        container.update(&json!({ "memory": { "limit": bytes } })).expect("update");
    };
    for _ in 0..3 {
        grows(&mut container, "grown\n");
    }
    grows(&mut container, "refused\n");
    limit(&container, 128 * MIB);
    for _ in 0..4 {
        grows(&mut container, "grown\n");
    }
    grows(&mut container, "refused\n");
    limit(&container, 256 * MIB);
    grows(&mut container, "grown\n");
    // Above what it has, below what it would have next.
    limit(&container, 136 * MIB);
    grows(&mut container, "refused\n");
    container.update(&json!({ "memory": { "limit": -1 } })).expect("update");
    grows(&mut container, "grown\n");
    container.close_stdin().expect("close");
    assert_eq!(container.wait(), 0);
    container.delete().expect("delete");
}

#[test]
fn a_limit_below_what_the_guest_has_is_told_or_its_end() {
    let node = Node::start();
    let image = guest(&node, wat::parse_str(GROWER).expect("a module"));
    let events = node.events();
    let mut container = node.container(&image).with_stdin().memory(128 * MIB).create().expect("create");
    container.start().expect("start");
    container.write("xxx");
    container.stdout().wait_for("ready\ngrown\ngrown\ngrown\n");
    let lowered = container.update(&json!({ "memory": { "limit": 16 * MIB } }));
    if unified() {
        // The kernel makes room in the one way there is.
        lowered.expect("update");
        assert_eq!(container.wait(), 137);
        let _told = events.wait_for("oom", container.id());
    } else {
        let refused = lowered.expect_err("in use").message().to_owned();
        assert!(refused.contains("memory.limit_in_bytes") && refused.contains("in use"), "{refused}");
        assert_eq!(value(&container, "memory.limit_in_bytes"), (128 * MIB).to_string());
        container.close_stdin().expect("close");
        assert_eq!(container.wait(), 0);
    }
    container.delete().expect("delete");
}

#[test]
fn a_pods_limits_stand_above_and_are_left_alone() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    // As the kubelet has it: a class of service, a pod, a container.
    let draft = node.container(&image);
    let path = format!("{}/burstable/pod1/{}", node.cgroup_parent(), draft.id());
    let mut container =
        draft.edit(|spec| spec["linux"]["cgroupsPath"] = json!(path)).create().expect("create");
    let directory = crate::kernel::directory(&container, "memory");
    assert!(directory.ends_with(path.trim_start_matches('/')), "{}", directory.display());
    let pod = directory.parent().expect("the pod").join(if unified() {
        "memory.max"
    } else {
        "memory.limit_in_bytes"
    });
    std::fs::write(&pod, (48 * MIB).to_string()).expect("the pod's limit");
    container.start().expect("start");
    container.update(&json!({ "memory": { "limit": 256 * MIB }, "cpu": { "shares": 2 } })).expect("update");
    assert_eq!(std::fs::read_to_string(&pod).expect("the pod's limit").trim(), (48 * MIB).to_string());
    assert_eq!(either(&container, "cpu.shares", "cpu.weight"), if unified() { "1" } else { "2" });
    container.kill(9).expect("kill");
    assert_eq!(container.wait(), 137);
    container.delete().expect("delete");
    assert!(!directory.exists(), "the pod's directories were made for it");
}
