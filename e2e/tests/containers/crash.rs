//! When one of the processes dies by force.

use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Container, Node, PINNACE, State, cost, leaks, until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::process::Stdio;

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).expect("a pid"), Signal::KILL).expect("kill");
}

fn server(container: &Container<'_>) -> u32 {
    container.cost().first().expect("a server").pid
}

fn gone(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}

#[test]
fn the_death_of_an_engine_is_one_containers_exit() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let events = node.events();
    let (mut one, other) = (ready(node.container(&image)), ready(node.container(&image)));
    kill(one.pid());
    assert_eq!(one.wait(), 137);
    assert_eq!(other.state(), State::Running);
    one.delete().expect("delete");
    let _deleted = events.wait_for("delete", one.id());
    assert_eq!(events.topics(one.id()), ["create", "start", "exit", "delete"]);
}

#[test]
fn the_death_of_the_server_ends_its_engines_and_delete_takes_what_is_left() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let events = node.events();
    let container = ready(node.container(&image));
    kill(server(&container));
    until("the engine's end", || gone(container.pid()).then_some(()));
    let exit = events.wait_for("exit", container.id()).exit().expect("an exit");
    assert_eq!(exit.exit_status, 137);
    container.forget();
}

#[test]
fn the_death_of_the_server_before_start_leaves_nothing_either() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let events = node.events();
    let container = node.container(&image).create().expect("create");
    kill(server(&container));
    until("the engine's end", || gone(container.pid()).then_some(()));
    let _deleted = events.wait_for("delete", container.id());
    container.forget();
}

#[test]
fn the_death_of_server_and_containerd_together_is_cleaned_up_at_the_next_start() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = ready(node.container(&image));
    // What containerd says when it finds nobody behind a socket.
    node.expect_log("failed to load shim");
    node.while_down(Signal::KILL, || kill(server(&container)));
    until("the engine's end", || gone(container.pid()).then_some(()));
    until("the end of the task", || container.process().is_err().then_some(()));
    container.forget();
}

#[test]
fn what_a_server_that_dies_while_it_creates_leaves_the_next_compilation_takes_away() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let id = node.id();
    let cgroup = format!("{}/{id}", node.cgroup_parent());
    let runs = ["run", "--runtime", PINNACE, "--cgroup", &cgroup, image.name(), &id];
    let mut ctr =
        node.ctr().args(runs).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let ours = [std::process::id(), node.containerd_pid(), ctr.as_ref().expect("start ctr").id()];
    // The compile process, the engine, or neither yet: whatever there is when containerd has reached the server.
    node.expect_log("error=\"ttrpc: closed\"");
    let shim = until("a server that containerd is connected to", || {
        if !node.reached(&id) {
            return None;
        }
        let mut found = leaks::processes(&id, &ours).into_iter();
        found.find(|pid| cost::of(*pid).is_some_and(|process| process.name == "pinnace-shim"))
    });
    kill(shim);
    let status = ctr.as_mut().expect("start ctr").wait().expect("ctr's end");
    assert!(!status.success());
    let _gone = node.ctr().args(["tasks", "delete", "--force", &id]).output();
    let _gone = node.ctr().args(["containers", "delete", &id]).output();
    // containerd removes the bundle of a Create that failed while it executes `delete` there for the server that
    // died; now and then it is too late to do so, and the next start of this id would take the socket.
    node.expect_log("no such file or directory");
    let _taken = fs::remove_file(leaks::socket(&node.socket(), &id));
    // The cgroup of a compilation belongs to a place in the queue, not to a container.
    assert_eq!(node.container(&guest(&node, guests::exit_code(3))).run().code, 3);
}
