//! Stats and Pids: what the CRI and Docker read.

use crate::{guest, ready};
use containerd_shim_protos::cgroups::metrics::Metrics;
use containerd_shim_protos::protobuf::Message;
use pinnace_conformance::guests;
use pinnace_e2e::{Code, Container, Node, until};
use std::fs;

const LIMIT: u64 = 64 << 20;

fn metrics(container: &Container<'_>) -> Metrics {
    let any = container.metrics().expect("metrics");
    // This machine's hierarchies decide; on a unified one the message is another, and so is its reader.
    assert_eq!(any.type_url, "io.containerd.cgroups.v1.Metrics");
    Metrics::parse_from_bytes(&any.value).expect("a message of its type")
}

#[test]
fn a_running_container_shows_cpu_memory_and_processes() {
    let node = Node::start();
    let image = guest(&node, guests::busy_p1());
    let container = ready(node.container(&image).memory(LIMIT));
    let cpu = |container: &Container<'_>| metrics(container).cpu().usage().total();
    let before = cpu(&container);
    until("CPU time that grows", || (cpu(&container) > before + 20_000_000).then_some(()));
    let metrics = metrics(&container);
    assert_eq!(metrics.memory().usage().limit(), LIMIT);
    assert!((1..LIMIT).contains(&metrics.memory().usage().usage()));
    assert_eq!(metrics.pids().current(), 1);
    assert!(metrics.cpu().throttling.is_some(), "Docker reads it unasked");
    assert_eq!(container.pids().expect("pids"), [container.pid()]);
}

#[test]
fn stats_and_pids_are_there_until_delete() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(3));
    let container = node.container(&image).create().expect("create");
    assert_eq!(container.pids().expect("pids"), [container.pid()], "before Start");
    container.start().expect("start");
    assert_eq!(container.wait(), 3);
    assert!(metrics(&container).cpu().usage().total() > 0);
    assert_eq!(container.pids().expect("pids"), [container.pid()], "an empty list would be a leaked shim");
}

#[test]
fn what_is_deleted_has_no_stats() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(0));
    let mut container = node.container(&image).create().expect("create");
    container.delete().expect("delete");
    assert_eq!(container.process().expect_err("state").code(), Code::NotFound);
}

#[test]
fn the_engine_and_nobody_else_is_in_the_containers_cgroups() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = ready(node.container(&image));
    let own = format!("{}/{}", node.cgroup_parent(), container.id());
    let groups = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroups");
    let theirs = groups(container.pid());
    // `ID:CONTROLLERS:PATH`; a hierarchy without controllers neither limits nor counts.
    for line in theirs.lines().filter(|line| !line.contains("::") && !line.contains(":name=")) {
        assert!(line.ends_with(&own), "{line}");
    }
    let server = container.cost()[0].pid;
    assert!(!groups(server).contains(&own), "{}", groups(server));
}
