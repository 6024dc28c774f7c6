//! Devices by CDI: what a specification on the node says arrives in Wasm and in native containers.

use crate::{sidecar, tool};
use pinnace_e2e::{Node, places};
use serde_json::json;
use std::fs;

/// A specification with everything that vendors use.
fn specify(node: &Node) {
    let files = node.dir().join("unit");
    fs::create_dir(&files).expect("a directory");
    fs::write(files.join("library"), "of the vendor\n").expect("a file");
    // As theirs do, it finds the root by the bundle that the state names.
    let script =
        "bundle=$(sed 's/.*\"bundle\":\"\\([^\"]*\\).*/\\1/'); echo by a hook >$bundle/rootfs/tmp/hooked";
    let edits = json!({
        "env": ["UNIT=one"],
        "deviceNodes": [{"path": "/dev/unit", "hostPath": "/dev/full", "permissions": "rw"}],
        "mounts": [{"hostPath": files, "containerPath": "/unit", "options": ["ro", "nosuid", "nodev", "bind"]}],
        "hooks": [{"hookName": "createContainer", "path": "/bin/sh", "args": ["sh", "-c", script]}],
    });
    let devices = json!([{"name": "one", "containerEdits": edits}]);
    let specification = json!({"cdiVersion": "0.5.0", "kind": "example.com/unit", "devices": devices});
    fs::create_dir(node.dir().join("cdi")).expect("a directory");
    fs::write(node.dir().join("cdi/unit.json"), specification.to_string()).expect("a specification");
}

#[test]
fn what_cdi_says_arrives_in_either_kind_of_container() {
    let node = Node::with_pods();
    let (guest, native) = (tool(&node), sidecar(&node));
    specify(&node);
    let pod = node.draft_pod().run().expect("a pod");
    let words =
        ["env", "UNIT", "then", "cat", "/unit/library", "/tmp/hooked", "then", "write", "/dev/unit", "x"];
    let guest = pod.draft(&guest).args(&words).device("example.com/unit=one").run();
    let script = "echo UNIT=$UNIT; cat /unit/library /tmp/hooked && echo x >/dev/unit";
    let native = pod.draft(&native).args(&["sh", "-c", script]).device("example.com/unit=one").run();
    for ended in [guest, native] {
        assert_eq!(ended.code, 1, "{}", ended.output);
        if places::release(&node.version()) < (1, 7) {
            // The field is newer than this containerd, and passed over.
            assert!(ended.output.contains("UNIT=\n"), "{}", ended.output);
            continue;
        }
        // What goes to stderr may be told before.
        for line in ["UNIT=one\n", "of the vendor\n", "by a hook\n"] {
            assert!(ended.output.contains(line), "{line} in {}", ended.output);
        }
        // A file would have taken it. A component is not told why its stream failed.
        let full = ["No space left", "I/O error"].iter().any(|why| ended.output.contains(why));
        assert!(full, "the device: {}", ended.output);
    }
}

#[test]
fn who_is_privileged_has_the_devices_of_the_node() {
    use std::os::unix::fs::FileTypeExt;
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().privileged().run().expect("a pod");
    let ended = pod.draft(&image).args(&["ls", "/dev"]).privileged().run();
    assert_eq!(ended.code, 0, "{}", ended.output);
    let all = fs::read_dir("/dev").expect("the node's").flatten();
    let devices = all.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_char_device()));
    // One that belongs to a terminal is none of the node's.
    let names = devices.map(|entry| entry.file_name().to_string_lossy().into_owned());
    for name in names.filter(|name| name != "console") {
        assert!(ended.output.lines().any(|line| line == name), "{name} in {}", ended.output);
    }
    let usual = pod.draft(&image).args(&["ls", "/dev"]).run();
    assert!(!usual.output.lines().any(|line| line == "tty"), "{}", usual.output);
}
