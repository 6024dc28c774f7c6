//! Places where nothing can be written.

use super::filesystem::Filesystem;
use super::{Group, tells};
use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::{Draft, Image, Node, Status, leaks, places, until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

#[track_caller]
fn refused(draft: Draft<'_>, place: &Path) {
    let status = draft.create().expect_err("a place that cannot be written");
    tells(&status, &["Read-only file system", "remount", &place.display().to_string()]);
}

/// A guest that was compiled before runs without a word written to the cache or the state; another one cannot be compiled.
#[test]
fn the_state_directory_and_the_cache_of_a_server_that_runs() {
    for place in ["pinnace/state", "pinnace/cache"] {
        let node = Node::start();
        let filesystem = Filesystem::at(&node, place);
        let group = Group::new(&node, &guest(&node, guests::sleep_p1()));
        let (known, unknown) = (guest(&node, guests::exit_code(3)), guest(&node, guests::exit_code(4)));
        assert_eq!(group.draft(&known).run().code, 3);
        let before = group.footprint();
        filesystem.read_only(true);
        assert_eq!(group.draft(&known).run().code, 3);
        let draft = group.draft(&unknown);
        let id = draft.id().to_owned();
        refused(draft, filesystem.place());
        group.is_as(&before, &id);
        filesystem.read_only(false);
        assert_eq!(group.draft(&unknown).run().code, 4);
    }
}

#[test]
fn the_state_directory_and_the_cache_of_a_server_that_starts() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(3));
    for place in ["pinnace/state", "pinnace/cache"] {
        let filesystem = Filesystem::at(&node, place);
        filesystem.read_only(true);
        refused(node.container(&image), filesystem.place());
        filesystem.read_only(false);
        assert_eq!(node.container(&image).run().code, 3);
    }
}

/// `start` as containerd calls it, by hand.
fn start(node: &Node, id: &str, within: &[&str], bundle: &Path) -> std::process::Output {
    let shim = places::dist().join("containerd-shim-wasm-v1").display().to_string();
    let command: Vec<_> = within.iter().copied().chain([shim.as_str()]).collect();
    Command::new(command[0])
        .args(&command[1..])
        .args(["-namespace", "e2e", "-id", id, "-address"])
        .arg(node.socket())
        .args(["-publish-binary", "/bin/true", "start"])
        .env("TTRPC_ADDRESS", node.dir().join("t.sock"))
        .env("PINNACE_CONFIG", node.dir().join("pinnace.toml"))
        .current_dir(bundle)
        .stdin(Stdio::null())
        .output()
        .expect("start the shim")
}

#[test]
fn a_bundle() {
    let node = Node::start();
    let filesystem = Filesystem::at(&node, "bundle");
    let (id, bundle) = (node.id(), filesystem.place());
    fs::write(bundle.join("config.json"), "{\"ociVersion\":\"1.1.0\"}").expect("a config.json");
    filesystem.read_only(true);
    let output = start(&node, &id, &[], bundle);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(said.contains(&bundle.display().to_string()) && said.contains("remount"), "{said}");
    assert!(!leaks::socket(&node.socket(), &id).exists());
    until("no server", || node.traces_of(&id).is_empty().then_some(()));
}

/// As in a container that may not write there. Nothing else differs, and the guest says so.
#[test]
fn the_cgroups() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(3));
    let (group, bundle) = (node.id(), node.dir().join("bundle"));
    fs::create_dir(&bundle).expect("a bundle");
    fs::write(bundle.join("config.json"), "{\"ociVersion\":\"1.1.0\"}").expect("a config.json");
    // In a mount namespace of its own.
    let script = "for place in $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/self/mounts); do \
         mount -o remount,bind,ro $place || exit 1; done; exec \"$@\"";
    let within = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"];
    let output = start(&node, &group, &within, &bundle);
    assert!(output.status.success(), "{output:?}");
    let draft = |image: &Image| node.container(image).annotation(super::GROUP, &group);
    for _ in 0..2 {
        let draft = draft(&image);
        let id = draft.id().to_owned();
        let status: Status = draft.create().expect_err("cgroups that cannot be written");
        tells(&status, &["Read-only file system", "remount", "/sys/fs/cgroup"]);
        until("nothing of it", || node.traces_of(&id).is_empty().then_some(()));
    }
    let ours = [std::process::id(), node.containerd_pid()];
    for pid in leaks::processes(&group, &ours) {
        kill_process(Pid::from_raw(pid.cast_signed()).expect("a pid"), Signal::TERM).expect("kill");
    }
}
