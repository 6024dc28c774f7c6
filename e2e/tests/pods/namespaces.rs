//! Which namespaces a pod's containers share with it, with each other, and with the node.

use crate::{namespace, status, tool, within};
use pinnace_e2e::Node;
use std::process::id as own;

/// The last number of a process' ids, that in its own pid namespace.
fn inner_pid(pid: u32) -> String {
    status(pid, "NSpid:").split(' ').next_back().unwrap_or_default().to_owned()
}

#[test]
fn containers_are_in_their_pod_s_namespaces() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().hostname("a-pod").run().expect("a pod");
    let (one, two) = (pod.draft(&image).args(&["sleep"]), pod.draft(&image).args(&["sleep"]));
    let (one, two) = (one.start().expect("start"), two.start().expect("start"));
    for kind in ["net", "ipc", "uts"] {
        let pods = namespace(pod.pid(), kind);
        assert_ne!(pods, namespace(own(), kind), "{kind}");
        assert_eq!(namespace(one.pid(), kind), pods, "{kind}");
        assert_eq!(namespace(two.pid(), kind), pods, "{kind}");
    }
    let pids = [pod.pid(), one.pid(), two.pid(), own()].map(|pid| namespace(pid, "pid"));
    for (index, pid) in pids.iter().enumerate() {
        assert!(!pids[..index].contains(pid), "{pids:?}");
    }
    assert_eq!(within(pod.pid(), &["-u"], "hostname"), "a-pod");
}

#[test]
fn a_shared_pid_namespace_has_the_holder_as_process_1() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().shared_pids().run().expect("a pod");
    let container = pod.draft(&image).args(&["sleep"]).start().expect("start");
    assert_eq!(namespace(container.pid(), "pid"), namespace(pod.pid(), "pid"));
    assert_eq!(inner_pid(pod.pid()), "1");
    assert_ne!(inner_pid(container.pid()), "1");
    container.stop(10).expect("stop");
    assert_eq!(container.wait(), 143);
}

#[test]
fn the_node_s_namespaces_are_shared_where_the_pod_says_so() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().host_network().host_pids().host_ipc().run().expect("a pod");
    let container = pod.draft(&image).args(&["sleep"]).start().expect("start");
    for kind in ["net", "ipc", "pid"] {
        assert_eq!(namespace(pod.pid(), kind), namespace(own(), kind), "{kind}");
        assert_eq!(namespace(container.pid(), kind), namespace(own(), kind), "{kind}");
    }
    container.stop(10).expect("stop");
    assert_eq!(container.wait(), 143);
}

#[test]
fn sysctls_are_the_pod_s() {
    let node = Node::with_pods();
    let draft = node.draft_pod().sysctl("net.ipv4.ip_unprivileged_port_start", "77");
    let pod = draft.sysctl("kernel.shmmax", "4242").run().expect("a pod");
    let read = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmax";
    assert_eq!(within(pod.pid(), &["-n", "-i"], read), "77\n4242");
}

#[test]
fn a_sysctl_of_the_node_is_refused() {
    let node = Node::with_pods();
    let refused = node.draft_pod().sysctl("kernel.core_pattern", "x").run().expect_err("refused");
    assert!(refused.message().contains("kernel.core_pattern"), "{refused}");
    node.expect_log("kernel.core_pattern");
}
