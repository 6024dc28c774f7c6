//! Wasm and native containers in one pod.

use crate::{namespace, sidecar, tool};
use pinnace_e2e::{Node, places};
use std::fs;

#[test]
fn a_sidecar_shares_network_memory_and_processes_with_a_guest() {
    for runtime in places::oci_runtimes() {
        println!("{runtime}");
        sidecar_and_guest(&Node::configured_with_pods(&runtime));
    }
}

fn sidecar_and_guest(node: &Node) {
    let (guest, native) = (tool(node), sidecar(node));
    let pod = node.draft_pod().shared_pids().run().expect("a pod");
    let server = pod.draft(&guest).args(&["serve", "8080"]).start().expect("start");
    server.wait_for("listening");
    let script = "echo hello | /bin/busybox nc 127.0.0.1 8080; echo shared > /dev/shm/file; \
                  /bin/busybox tr '\\0' ' ' < /proc/1/cmdline";
    let asks = pod.draft(&native).args(&["sh", "-c", script]).run();
    assert_eq!(asks.code, 0, "{}", asks.output);
    // It sees the holder and the guest among its processes.
    assert_eq!(asks.output.trim(), format!("HELLO\npinnace-holder {}", pod.id()));
    assert_eq!(pod.draft(&guest).args(&["cat", "/dev/shm/file"]).run().output, "shared\n");

    let sleeper = pod.draft(&native).args(&["sleep", "1000"]).start().expect("start");
    for kind in ["net", "ipc", "uts", "pid"] {
        assert_eq!(namespace(sleeper.pid(), kind), namespace(server.pid(), kind), "{kind}");
    }
    server.stop(10).expect("stop");
    assert_eq!(server.wait(), 143);
    sleeper.stop(0).expect("stop");
    assert_eq!(sleeper.wait(), 137);
}

#[test]
fn an_init_container_prepares_what_a_guest_reads() {
    let node = Node::with_pods();
    let (guest, native) = (tool(&node), sidecar(&node));
    let volume = node.dir().join("volume");
    fs::create_dir(&volume).expect("a volume");
    let pod = node.draft_pod().run().expect("a pod");
    let init = pod.draft(&native).args(&["sh", "-c", "echo prepared > /work/file"]);
    assert_eq!(init.mount(&volume, "/work", false).run().code, 0);
    let reads = pod.draft(&guest).args(&["cat", "/work/file"]).mount(&volume, "/work", true).run();
    assert_eq!((reads.code, reads.output.as_str()), (0, "prepared\n"));
}
