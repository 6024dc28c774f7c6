//! Security contexts of pods and containers.

use crate::{status, tool};
use pinnace_e2e::Node;

#[test]
fn users_and_groups_are_those_of_the_contexts() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().group(2000).seccomp().run().expect("a pod");
    assert_eq!(status(pod.pid(), "CapEff:"), "0000000000000000");
    assert_eq!(
        (status(pod.pid(), "Seccomp:").as_str(), status(pod.pid(), "NoNewPrivs:").as_str()),
        ("2", "1")
    );
    let draft = pod.draft(&image).args(&["sleep"]).user(1000, 3000).group(2000).seccomp();
    let container = draft.start().expect("start");
    let pid = container.pid();
    assert_eq!(status(pid, "Uid:"), "1000 1000 1000 1000");
    assert_eq!(status(pid, "Gid:"), "3000 3000 3000 3000");
    let groups = status(pid, "Groups:");
    assert!(groups.split(' ').any(|group| group == "2000"), "{groups}");
    assert_eq!(status(pid, "Seccomp:"), "2");
}

#[test]
fn a_volume_s_files_belong_to_the_container_s_user() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let node = Node::with_pods();
    let image = tool(&node);
    let volume = node.dir().join("volume");
    std::fs::create_dir(&volume).expect("a volume");
    // As a kubelet prepares an emptyDir for an fsGroup.
    std::os::unix::fs::chown(&volume, Some(0), Some(2000)).expect("chown");
    std::fs::set_permissions(&volume, std::fs::Permissions::from_mode(0o2775)).expect("chmod");
    let pod = node.draft_pod().group(2000).run().expect("a pod");
    let write = ["write", "/volume/file", "text"];
    let draft = pod.draft(&image).args(&write).user(1000, 3000).mount(&volume, "/volume", false);
    assert_eq!(draft.group(2000).run().code, 0);
    let file = volume.join("file").metadata().expect("the file");
    assert_eq!((file.uid(), file.gid()), (1000, 2000));
    // Without the group it may not.
    let draft = pod.draft(&image).args(&["write", "/volume/other", "text"]).user(1001, 3000);
    assert_eq!(draft.mount(&volume, "/volume", false).run().code, 1);
}

#[test]
fn a_read_only_root_is_one() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().run().expect("a pod");
    let writes = || pod.draft(&image).args(&["write", "/tmp/file", "text"]);
    assert_eq!(writes().run().code, 0);
    assert_eq!(writes().read_only().run().code, 1);
}

#[test]
fn capabilities_are_added_and_dropped() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().run().expect("a pod");
    let bit =
        |pid, bit: u32| u64::from_str_radix(&status(pid, "CapEff:"), 16).expect("a set") >> bit & 1 == 1;
    let (chown, net_admin) = (0, 12);
    let usual = pod.draft(&image).args(&["sleep"]).start().expect("start");
    assert!(bit(usual.pid(), chown) && !bit(usual.pid(), net_admin));
    let draft = pod.draft(&image).args(&["sleep"]).capabilities(&["NET_ADMIN"], &["CHOWN"]);
    let other = draft.start().expect("start");
    assert!(!bit(other.pid(), chown) && bit(other.pid(), net_admin));
    let draft = pod.draft(&image).args(&["sleep"]).capabilities(&[], &["ALL"]);
    assert_eq!(status(draft.start().expect("start").pid(), "CapEff:"), "0000000000000000");
}

#[test]
fn a_seccomp_profile_of_the_node_s_takes_away_what_a_guest_would_do() {
    let node = Node::with_pods();
    let image = tool(&node);
    let file = node.dir().join("no-sockets.json");
    let call = serde_json::json!({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13});
    let profile = serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [call]});
    std::fs::write(&file, profile.to_string()).expect("a profile");
    let pod = node.draft_pod().run().expect("a pod");
    let serves = || pod.draft(&image).args(&["serve", "8080"]);
    let ended = serves().seccomp_file(&file).run();
    assert_eq!(ended.code, 1);
    assert!(ended.output.contains("ermission denied"), "{}", ended.output);
    // What it allows beyond our own list stays forbidden: the guest runs on that.
    serves().start().expect("start").wait_for("listening");
}
