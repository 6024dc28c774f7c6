//! Pods with a user namespace of their own (`hostUsers: false`).

use crate::{namespace, status, tool, within};
use pinnace_e2e::{Node, places};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn a_pod_has_a_user_namespace_that_its_containers_join() {
    let node = Node::with_pods();
    let image = tool(&node);
    let draft = node.draft_pod().hostname("a-pod").sysctl("net.ipv4.ip_unprivileged_port_start", "77");
    let pod = draft.users(200_000, 65_536).run().expect("a pod");
    let users = namespace(pod.pid(), "user");
    if places::release(&node.version()) < (1, 7) {
        // The field is newer than this containerd, and passed over.
        assert_eq!(users, namespace(std::process::id(), "user"));
        return;
    }
    assert_ne!(users, namespace(std::process::id(), "user"));
    let read = "hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
    assert_eq!(within(pod.pid(), &["-n", "-u"], read), "a-pod\n77");
    let container = pod.draft(&image).args(&["serve", "80"]).start().expect("start");
    assert_eq!(namespace(container.pid(), "user"), users);
    assert_eq!(status(container.pid(), "Uid:"), "200000 200000 200000 200000");
    let asks = pod.draft(&image).args(&["ask", "127.0.0.1:80", "hello"]).run();
    assert_eq!((asks.code, asks.output.as_str()), (0, "HELLO\n"));
    let volume = node.dir().join("volume");
    fs::create_dir(&volume).expect("a volume");
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o777)).expect("chmod");
    let draft = pod.draft(&image).args(&["write", "/volume/file", "text"]).mount(&volume, "/volume", false);
    assert_eq!(draft.run().code, 0);
    // Whose ids a kubelet has mapped for the mount finds its own there; nobody has here.
    assert_eq!(volume.join("file").metadata().expect("the file").uid(), 200_000);
}
