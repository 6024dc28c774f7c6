//! A server in a cgroup where n more processes and threads can be made.

use super::{Cage, Group, Scarce, Steps, tells};
use crate::{guest, native};
use pinnace_conformance::guests;
use pinnace_e2e::{Draft, Node, Status};
use pinnace_oci::build;
use serde_json::json;
use std::path::Path;

/// The processes and threads of a server's cgroup.
struct Processes(Cage);

impl Processes {
    fn of(group: &Group<'_>) -> Self {
        Self(Cage::new(group, "pids"))
    }
}

impl Scarce for Processes {
    /// Beside the server's one thread.
    fn leave(&self, count: u64) {
        self.0.write("pids.max", &(1 + count).to_string());
    }

    fn restore(&self) {
        self.0.write("pids.max", "max");
    }

    #[track_caller]
    fn told(&self, status: &Status) {
        lacks_processes(status);
    }
}

#[track_caller]
fn lacks_processes(status: &Status) {
    // An OCI runtime has words of its own, or dies of it.
    if !status.message().contains("runc") {
        tells(status, &["Resource temporarily unavailable", "pids.max"]);
    }
}

fn step_through<'node>(group: &Group<'node>, stride: usize, draft: impl Fn() -> Draft<'node>) {
    group.step_through(&Processes::of(group), Steps(0, stride), 3, draft);
}

#[test]
fn a_module_that_is_not_known_yet() {
    let node = Node::start();
    let group = Group::new(&node, &guest(&node, guests::sleep_p1()));
    let image = guest(&node, guests::exit_code(3));
    step_through(&group, 1, || group.draft(&image));
    step_through(&group, 1, || group.draft(&image));
}

#[test]
fn a_user_namespace() {
    let node = Node::start();
    let group = Group::new(&node, &guest(&node, guests::sleep_p1()));
    let image = guest(&node, guests::exit_code(3));
    step_through(&group, 1, || {
        group.draft(&image).edit(|spec| {
            let ids = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
            spec["linux"]["uidMappings"] = ids.clone();
            spec["linux"]["gidMappings"] = ids;
            if let Some(namespaces) = spec["linux"]["namespaces"].as_array_mut() {
                namespaces.push(json!({ "type": "user" }));
            }
        })
    });
}

#[test]
fn a_native_container() {
    let node = Node::start();
    let group = Group::new(&node, &guest(&node, guests::sleep_p1()));
    let image = native::busybox(&node);
    step_through(&group, 3, || native::shell(&node, &image, "exit 3").annotation(super::GROUP, &group.id));
}

#[test]
fn a_logger_and_a_hook() {
    let node = Node::start();
    let group = Group::new(&node, &guest(&node, guests::sleep_p1()));
    let image = guest(&node, guests::exit_code(3));
    step_through(&group, 1, || {
        group.draft(&image).output_to("binary:///bin/cat").edit(|spec| {
            spec["hooks"] = json!({ "prestart": [{ "path": "/bin/true" }] });
        })
    });
}

#[test]
fn an_exec() {
    let node = Node::start();
    let image = build::Image::rootfs()
        .file("/guest.wasm", guests::sleep_p1(), 0o755)
        .file("/other.wasm", guests::exit_code(3), 0o755)
        .entrypoint(["/guest.wasm"]);
    let group = Group::new(&node, &node.image(&image));
    group.step_through_exec(&Processes::of(&group), Steps(0, 1), 3, &["/other.wasm"]);
}

/// The container's own limit. An engine has one thread; another process is refused on v2 only, for on v1 it moves in,
/// and the kernel counts who moves but stops nobody.
#[test]
fn a_container_that_may_have_one_process() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let draft =
        node.container(&image).edit(|spec| spec["linux"]["resources"]["pids"] = json!({ "limit": 1 }));
    let group = Group::with(&node, draft);
    let before = group.footprint();
    let mut exec = group.keeper.exec(["/guest.wasm"]).add().expect("an exec");
    let started = exec.start();
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        lacks_processes(&started.expect_err("no place for it"));
    } else {
        started.expect("moved in");
        exec.kill(9).expect("kill");
        assert_eq!(exec.wait(), 137);
    }
    exec.delete().expect("delete");
    let id = exec.id().to_owned();
    drop(exec);
    group.is_as(&before, &id);
    group.keeper.update(&json!({ "pids": { "limit": 2 } })).expect("update");
    let mut exec = group.keeper.exec(["/guest.wasm"]).start().expect("a place for it");
    exec.stdout().wait_for("ready");
    exec.kill(9).expect("kill");
    assert_eq!(exec.wait(), 137);
    exec.delete().expect("delete");
}
