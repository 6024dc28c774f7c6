//! Stats and Pids: what the CRI and Docker read.

use crate::{guest, ready};
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::{cgroups, cgroups_v2};
use pinnace_conformance::guests;
use pinnace_e2e::{Code, Container, Node, until};
use std::fs;

const LIMIT: u64 = 64 << 20;

/// What both messages tell; the machine's hierarchies decide which it is.
struct Figures {
    /// Nanoseconds.
    cpu: u64,
    memory: u64,
    memory_limit: u64,
    processes: u64,
}

fn figures(container: &Container<'_>) -> Figures {
    let any = container.metrics().expect("metrics");
    if any.type_url == "io.containerd.cgroups.v1.Metrics" {
        let metrics = cgroups::metrics::Metrics::parse_from_bytes(&any.value).expect("a message of v1");
        assert!(metrics.cpu().throttling.is_some(), "Docker reads it unasked");
        return Figures {
            cpu: metrics.cpu().usage().total(),
            memory: metrics.memory().usage().usage(),
            memory_limit: metrics.memory().usage().limit(),
            processes: metrics.pids().current(),
        };
    }
    assert_eq!(any.type_url, "io.containerd.cgroups.v2.Metrics");
    let metrics = cgroups_v2::metrics::Metrics::parse_from_bytes(&any.value).expect("a message of v2");
    Figures {
        cpu: metrics.cpu().usage_usec() * 1000,
        memory: metrics.memory().usage(),
        memory_limit: metrics.memory().usage_limit(),
        processes: metrics.pids().current(),
    }
}

#[test]
fn a_running_container_shows_cpu_memory_and_processes() {
    let node = Node::start();
    let image = guest(&node, guests::busy_p1());
    let container = ready(node.container(&image).memory(LIMIT));
    let before = figures(&container).cpu;
    until("CPU time that grows", || (figures(&container).cpu > before + 20_000_000).then_some(()));
    let figures = figures(&container);
    assert_eq!(figures.memory_limit, LIMIT);
    assert!((1..LIMIT).contains(&figures.memory));
    assert_eq!(figures.processes, 1);
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
    assert!(figures(&container).cpu > 0);
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
    // `ID:CONTROLLERS:PATH`; one without controllers neither limits nor counts beside others that have them.
    let alone = theirs.lines().count() == 1;
    for line in theirs.lines().filter(|line| alone || !(line.contains("::") || line.contains(":name="))) {
        assert!(line.ends_with(&own), "{line}");
    }
    let server = container.cost()[0].pid;
    assert!(!groups(server).contains(&own), "{}", groups(server));
}
