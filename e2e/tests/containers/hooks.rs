//! OCI hooks of Wasm containers: when they run, what they see, what happens when one fails.

use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Draft, Node, State, places, until};
use pinnace_oci::build;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A hook that notes its moment, and what its script says besides.
fn noting(file: &Path, moment: &str, script: &str) -> Value {
    let script = format!("echo {moment} >>{}; {script}", file.display());
    json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
}

fn hooked<'node>(draft: Draft<'node>, hooks: Value) -> Draft<'node> {
    draft.edit(|spec| spec["hooks"] = hooks)
}

fn notes(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn file_in(node: &Node) -> PathBuf {
    node.dir().join("hooks")
}

#[test]
fn each_runs_in_its_moment() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(5));
    let file = file_in(&node);
    // The network namespace is the container's own, and there already: Docker before 28 fills it now.
    let sees = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); \
                [ $(readlink /proc/$pid/ns/net) != $(readlink /proc/self/ns/net) ]";
    let hooks = json!({
        "prestart": noting(&file, "prestart", sees),
        "createRuntime": noting(&file, "createRuntime", ""),
        "createContainer": noting(&file, "createContainer", ""),
        "poststart": noting(&file, "poststart", ""),
        "poststop": noting(&file, "poststop", ""),
    });
    let mut container = hooked(node.container(&image), hooks).create().expect("create");
    assert_eq!(notes(&file), ["prestart", "createRuntime", "createContainer"]);
    container.start().expect("start");
    assert_eq!(notes(&file)[3..], ["poststart"]);
    assert_eq!(container.wait(), 5);
    assert_eq!(notes(&file).len(), 4);
    container.delete().expect("delete");
    assert_eq!(notes(&file)[4..], ["poststop"]);
}

/// What tools that come by CDI do: links and files of theirs in the root, which they find by the bundle.
#[test]
fn one_in_the_container_s_namespaces_works_on_its_files() {
    let node = Node::start();
    let image = build::Image::rootfs()
        .file("/cat.wasm", guests::cat_file_p1(), 0o755)
        .file("/native", fs::read(places::tools().join("busybox")).expect("busybox"), 0o755)
        .directory("/volume");
    let image = node.image(&image);
    let (file, volume, mounted) = (file_in(&node), node.dir().join("volume"), node.dir().join("mounted"));
    for place in [&volume, &mounted] {
        fs::create_dir(place).expect("a directory");
    }
    let script = format!(
        "set -e
        state=$(cat)
        bundle=$(echo \"$state\" | sed 's/.*\"bundle\":\"\\([^\"]*\\).*/\\1/')
        root=$bundle/rootfs
        echo \"$state\" | grep -q '\"pid\":1,' || {{ echo \"pid: $state\" >&2; exit 11; }}
        echo \"$state\" | grep -q '\"status\":\"creating\"' || exit 12
        echo \"$state\" | grep -q '\"annotations\":{{[^}}]*\"of.the\":\"spec\"' || exit 13
        [ $(readlink /proc/self/ns/net) != {net} ] || exit 14
        [ $(readlink /proc/self/ns/mnt) != {mnt} ] || exit 15
        # The root with its mounts; its programs are none.
        echo inside >$root/volume/inside
        ! $root/native true 2>/dev/null || exit 16
        mkdir -p $root/made && ln -s made $root/link && echo by a hook >$root/link/file
        mkdir -p $root/bound && mount --bind {mounted} $root/bound && echo bound >{mounted}/file",
        net = fs::read_link("/proc/self/ns/net").expect("a namespace").display(),
        mnt = fs::read_link("/proc/self/ns/mnt").expect("a namespace").display(),
        mounted = mounted.display(),
    );
    for path in ["/link/file", "/bound/file"] {
        let hooks = json!({"createContainer": noting(&file, "createContainer", &script)});
        let draft = node.container(&image).args(["/cat.wasm", path]).bind(&volume, "/volume", &[]);
        let draft = hooked(draft, hooks).annotation("of.the", "spec");
        let ended = draft.run();
        let expected = if path == "/link/file" { "by a hook\n" } else { "bound\n" };
        assert_eq!((ended.code, ended.stdout.as_str()), (0, expected), "{}", ended.stderr);
    }
    assert_eq!(fs::read_to_string(volume.join("inside")).expect("written"), "inside\n");
    assert_eq!(notes(&file).len(), 2);
}

#[test]
fn one_that_fails_in_the_container_s_namespaces_fails_create() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let file = file_in(&node);
    let inner = |script: &str| noting(&file, "createContainer", script);
    let hooks = json!({"createContainer": inner("echo no ldconfig >&2; exit 7")});
    let error = hooked(node.container(&image), hooks).create().expect_err("create");
    for part in ["createContainer hook /bin/sh", "status 7", "no ldconfig"] {
        assert!(error.message().contains(part), "{error}");
    }
    let mut slow = inner("exec sleep 1000");
    slow[0]["timeout"] = json!(1);
    let error = hooked(node.container(&image), json!({"createContainer": slow})).create().expect_err("late");
    assert!(error.message().contains("did not end within its 1 s"), "{error}");
    let first =
        json!({"createRuntime": noting(&file, "createRuntime", "exit 3"), "createContainer": inner("")});
    let _refused = hooked(node.container(&image), first).create().expect_err("the first one fails");
    assert_eq!(notes(&file), ["createContainer", "createContainer", "createRuntime"], "the last did not run");
}

#[test]
fn one_that_fails_before_the_start_fails_create() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let file = file_in(&node);
    let hooks = json!({"createRuntime": noting(&file, "createRuntime", "echo no network >&2; exit 7")});
    let error = hooked(node.container(&image), hooks).create().expect_err("create");
    for part in ["createRuntime hook /bin/sh", "status 7", "no network"] {
        assert!(error.message().contains(part), "{error}");
    }
    let inside = json!({"startContainer": [{"path": "/bin/true"}]});
    let error = hooked(node.container(&image), inside).create().expect_err("create");
    assert!(error.message().contains("createContainer"), "the remedy: {error}");
}

#[test]
fn one_that_fails_after_the_start_ends_the_container() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let hooks = json!({"poststart": noting(&file_in(&node), "poststart", "exit 1")});
    let mut container = hooked(node.container(&image), hooks).create().expect("create");
    let error = container.start().expect_err("start");
    assert!(error.message().contains("poststart hook /bin/sh"), "{error}");
    assert_eq!(container.wait(), 137);
    assert_eq!(container.state(), State::Stopped);
    container.delete().expect("delete");
}

#[test]
fn the_last_ones_run_once_also_when_the_server_was_killed() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let file = file_in(&node);
    let events = node.events();
    let hooks = json!({"poststop": noting(&file, "poststop", "")});
    let container = ready(hooked(node.container(&image), hooks));
    let server = container.cost().first().expect("a server").pid;
    kill_process(Pid::from_raw(server.cast_signed()).expect("a pid"), Signal::KILL).expect("kill");
    let _deleted = events.wait_for("delete", container.id());
    until("the hook", || (notes(&file) == ["poststop"]).then_some(()));
    container.forget();
}
