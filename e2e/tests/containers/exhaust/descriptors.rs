//! A server that may open n more files.

use super::{Group, Scarce, Steps, tells};
use crate::{guest, native};
use pinnace_conformance::guests;
use pinnace_e2e::{Draft, Node, State, Status};
use pinnace_oci::{WasmMedia, build};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;
use std::collections::HashSet;
use std::fs;

/// The descriptors of a server.
struct Descriptors(Pid);

impl Descriptors {
    fn of(group: &Group<'_>) -> Self {
        // What the server says as long as it has none.
        group.node.expect_log("cannot accept a connection");
        Self(group.pid())
    }

    fn limit(&self, current: Option<u64>) {
        let maximum = getrlimit(Resource::Nofile).maximum;
        prlimit(Some(self.0), Resource::Nofile, Rlimit { current: current.or(maximum), maximum })
            .expect("a limit");
    }
}

impl Scarce for Descriptors {
    fn leave(&self, count: u64) {
        let names = fs::read_dir(format!("/proc/{}/fd", self.0.as_raw_pid())).expect("the server").flatten();
        let used: HashSet<u64> = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        // The limit is on numbers, and a new one gets the lowest that is free.
        let mut free = (0..).filter(|number| !used.contains(number));
        self.limit(free.nth(count as usize));
    }

    fn restore(&self) {
        self.limit(None);
    }

    #[track_caller]
    fn told(&self, status: &Status) {
        // An OCI runtime has words of its own.
        if !status.message().contains("too many open files") {
            tells(status, &["Too many open files", "LimitNOFILE"]);
        }
    }
}

/// What a container goes through with ever more descriptors. The first two steps are slow: connections wait.
fn step_through<'node>(group: &Group<'node>, stride: usize, draft: impl Fn() -> Draft<'node>) {
    group.step_through(&Descriptors::of(group), Steps(2, stride), 3, draft);
}

#[test]
fn a_module_that_is_not_known_yet_and_then_is() {
    let node = Node::start();
    let group = Group::new(&node, &guest(&node, guests::sleep_p1()));
    let image = guest(&node, guests::exit_code(3));
    step_through(&group, 7, || group.draft(&image));
    step_through(&group, 5, || group.draft(&image));
    step_through(&group, 6, || group.draft(&image).with_terminal());
}

#[test]
fn a_layer_of_an_image() {
    let node = Node::start();
    let group = Group::new(&node, &guest(&node, guests::sleep_p1()));
    let image = node.image(&build::Image::artifact(WasmMedia::Wasm, guests::exit_code(3)).entrypoint(["x"]));
    step_through(&group, 9, || group.draft(&image));
}

#[test]
fn a_native_container() {
    let node = Node::start();
    let image = native::busybox(&node);
    let group = Group::with(&node, native::shell(&node, &image, "echo ready; sleep 1000"));
    step_through(&group, 5, || native::shell(&node, &image, "exit 3").annotation(super::GROUP, &group.id));
    let shell = ["/bin/busybox", "sh", "-c", "exit 3"];
    group.step_through_exec(&Descriptors::of(&group), Steps(0, 4), 3, &shell);
}

#[test]
fn an_exec() {
    let node = Node::start();
    let image = build::Image::rootfs()
        .file("/guest.wasm", guests::sleep_p1(), 0o755)
        .file("/other.wasm", guests::exit_code(3), 0o755)
        .entrypoint(["/guest.wasm"]);
    let group = Group::new(&node, &node.image(&image));
    group.step_through_exec(&Descriptors::of(&group), Steps(0, 7), 3, &["/other.wasm"]);
}

#[test]
fn calls_of_a_container_that_runs() {
    let node = Node::start();
    let group = Group::new(&node, &guest(&node, guests::sleep_p1()));
    let (keeper, descriptors) = (&group.keeper, Descriptors::of(&group));
    let step = |action: &dyn Fn() -> Result<(), Status>| {
        group.step(&descriptors, Steps(0, 1), || (String::from("no container"), action()));
    };
    step(&|| keeper.pause());
    step(&|| keeper.resume());
    step(&|| keeper.update(&json!({ "memory": { "limit": 500 << 20 } })));
    descriptors.leave(0);
    // containerd keeps the reason to itself.
    assert!(keeper.metrics().is_err());
    // These need none.
    assert_eq!(keeper.state(), State::Running);
    assert!(keeper.pids().expect("pids").contains(&keeper.pid()));
    keeper.kill(9).expect("kill");
    assert_eq!(keeper.wait(), 137);
    descriptors.restore();
    assert!(keeper.metrics().is_ok());
}
