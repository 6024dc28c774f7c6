//! What a pod's containers reach, and by which names.

use crate::tool;
use pinnace_e2e::Node;

#[test]
fn containers_of_a_pod_reach_each_other_by_localhost() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().run().expect("a pod");
    let server = pod.draft(&image).args(&["serve", "8080"]).start().expect("start");
    let asks = pod.draft(&image).args(&["ask", "127.0.0.1:8080", "hello"]).run();
    assert_eq!((asks.code, asks.output.as_str()), (0, "HELLO\n"));
    server.stop(10).expect("stop");
    assert_eq!(server.wait(), 143);
}

#[test]
fn pods_reach_each_other_by_their_addresses() {
    let node = Node::with_pods();
    let image = tool(&node);
    let (one, two) = (node.draft_pod().run().expect("a pod"), node.draft_pod().run().expect("a pod"));
    let server = one.draft(&image).args(&["serve", "80"]).start().expect("start");
    server.wait_for("listening");
    let address = format!("{}:80", one.address());
    let asks = two.draft(&image).args(&["ask", &address, "hello"]).run();
    assert_eq!((asks.code, asks.output.as_str()), (0, "HELLO\n"));
    // Its own loopback has no such server.
    let refused = two.draft(&image).args(&["cat", "/etc/hostname"]).run();
    assert_eq!(refused.code, 0, "{}", refused.output);
}

#[test]
fn names_are_the_pod_s() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().hostname("a-pod").dns("192.0.2.53", "cluster.local").run().expect("a pod");
    // A kubelet brings its own; this one is as containerd makes it.
    let files = ["cat", "/etc/hostname", "/etc/resolv.conf", "/etc/hosts"];
    let ended = pod.draft(&image).args(&files).run();
    assert_eq!(ended.code, 0, "{}", ended.output);
    for line in ["a-pod\n", "search cluster.local\n", "nameserver 192.0.2.53\n", "localhost"] {
        assert!(ended.output.contains(line), "{line:?} in {}", ended.output);
    }
}
