//! OCI hooks of Wasm containers: when they run, what they see, what happens when one fails.

use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Draft, Node, State, until};
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
        "poststart": noting(&file, "poststart", ""),
        "poststop": noting(&file, "poststop", ""),
    });
    let mut container = hooked(node.container(&image), hooks).create().expect("create");
    assert_eq!(notes(&file), ["prestart", "createRuntime"]);
    container.start().expect("start");
    assert_eq!(notes(&file)[2..], ["poststart"]);
    assert_eq!(container.wait(), 5);
    assert_eq!(notes(&file).len(), 3);
    container.delete().expect("delete");
    assert_eq!(notes(&file)[3..], ["poststop"]);
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
    assert!(error.message().contains("createRuntime"), "the remedy: {error}");
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
