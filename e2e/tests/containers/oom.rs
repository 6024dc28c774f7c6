//! TaskOOM: told when the kernel's OOM killer ends a process of the container, whichever, and for nothing else.

use crate::ready;
use pinnace_e2e::{Container, Draft, Image, Node, State, places, until};
use pinnace_oci::build;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

const LIMIT: u64 = 24 << 20;

fn busybox(node: &Node) -> Image {
    let busybox = fs::read(places::tools().join("busybox")).expect("busybox; run `cargo xtask tools`");
    node.image(&build::Image::rootfs().file("/bin/busybox", busybox, 0o755).directory("/proc"))
}

fn shell<'node>(node: &'node Node, image: &Image, script: &str) -> Draft<'node> {
    let draft = node.container(image).args(["/bin/busybox", "sh", "-c", script]);
    draft.edit(|spec| spec["linux"]["resources"]["memory"] = json!({ "limit": LIMIT, "swap": LIMIT }))
}

/// Ends with a line that grows for ever.
const EATS: &str = "/bin/busybox tail /dev/zero";

/// A native container's root has no devices of its own here, so the host's is bound.
fn with_zero(draft: Draft<'_>) -> Draft<'_> {
    draft.bind("/dev/zero".as_ref(), "/dev/zero", &["rbind", "ro"])
}

fn finish(container: &mut Container<'_>) {
    container.kill(9).expect("kill");
    assert_eq!(container.wait(), 137);
    container.delete().expect("delete");
}

#[test]
fn a_child_that_is_killed_is_told_and_its_parent_goes_on() {
    let node = Node::start();
    let image = busybox(&node);
    let events = node.events();
    let script = format!("echo ready; {EATS}; echo over $?; while :; do /bin/busybox sleep 1; done");
    let mut container = ready(with_zero(shell(&node, &image, &script)));
    container.stdout().wait_for("over 137");
    let _told = events.wait_for("oom", container.id());
    assert_eq!(container.state(), State::Running);
    finish(&mut container);
    let _deleted = events.wait_for("delete", container.id());
    assert_eq!(events.topics(container.id()), ["create", "start", "oom", "exit", "delete"]);
}

#[test]
fn a_first_process_that_is_killed_is_told_before_its_exit_and_once() {
    let node = Node::start();
    let image = busybox(&node);
    let events = node.events();
    let mut container = ready(with_zero(shell(&node, &image, &format!("echo ready; exec {EATS}"))));
    assert_eq!(container.wait(), 137);
    container.delete().expect("delete");
    let _deleted = events.wait_for("delete", container.id());
    assert_eq!(events.topics(container.id()), ["create", "start", "oom", "exit", "delete"]);
}

#[test]
fn other_deaths_by_sigkill_are_not() {
    let node = Node::start();
    let image = busybox(&node);
    let events = node.events();
    let script = "/bin/busybox sh -c 'kill -9 $$'; echo ready $?; while :; do /bin/busybox sleep 1; done";
    let mut container = ready(shell(&node, &image, script));
    container.stdout().wait_for("ready 137");
    finish(&mut container);
    let _deleted = events.wait_for("delete", container.id());
    assert_eq!(events.topics(container.id()), ["create", "start", "exit", "delete"]);
}

/// Without a limit of its own, below a cgroup that has one.
fn in_the_pod<'node>(node: &Node, draft: Draft<'node>) -> Draft<'node> {
    let path = format!("{}/pod/{}", node.cgroup_parent(), draft.id());
    draft.edit(|spec| {
        spec["linux"]["cgroupsPath"] = json!(path);
        spec["linux"]["resources"]["memory"] = json!({});
    })
}

#[test]
fn the_pods_limit_is_told_of_whom_it_ended() {
    let node = Node::start();
    let image = busybox(&node);
    let events = node.events();
    let mut calm =
        ready(in_the_pod(&node, shell(&node, &image, "echo ready; while :; do /bin/busybox sleep 1; done")));
    let directory = crate::kernel::directory(&calm, "memory");
    let file = if crate::kernel::unified() { "memory.max" } else { "memory.limit_in_bytes" };
    fs::write(directory.parent().expect("the pod").join(file), LIMIT.to_string()).expect("the pod's limit");
    let mut greedy =
        ready(in_the_pod(&node, with_zero(shell(&node, &image, &format!("echo ready; exec {EATS}")))));
    assert_eq!(greedy.wait(), 137);
    let _told = events.wait_for("oom", greedy.id());
    greedy.delete().expect("delete");
    until("the neighbour", || (calm.state() == State::Running).then_some(()));
    finish(&mut calm);
    let _deleted = events.wait_for("delete", calm.id());
    assert_eq!(events.topics(calm.id()), ["create", "start", "exit", "delete"]);
    // runc leaves what it makes above a container, for the kubelet makes it elsewhere.
    let below = directory.parent().and_then(|pod| pod.strip_prefix("/sys/fs/cgroup").ok());
    let below = below.expect("a path").to_owned();
    let below =
        if crate::kernel::unified() { below } else { below.components().skip(1).collect::<PathBuf>() };
    for tree in fs::read_dir("/sys/fs/cgroup").expect("trees").flatten() {
        drop(fs::remove_dir(tree.path().join(&below)));
    }
    drop(fs::remove_dir(Path::new("/sys/fs/cgroup").join(&below)));
}
