//! Create, Start, State, Wait, Kill, Delete: what each answers in each state.

use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Code, Container, Node, State, until};
use serde_json::json;
use std::fs;

#[test]
fn the_exit_code_is_the_guests_own() {
    let node = Node::start();
    for code in [0, 1, 42, 137, 255] {
        let image = guest(&node, guests::exit_code(code));
        assert_eq!(node.container(&image).run().code, u32::from(code));
    }
}

#[test]
fn a_trap_is_134_with_a_backtrace_that_names_functions() {
    let node = Node::start();
    for wasm in [guests::trap_p1(), guests::trap_p2()] {
        let image = guest(&node, wasm);
        let ended = node.container(&image).run();
        assert_eq!(ended.code, 134, "{}", ended.stderr);
        assert!(ended.stderr.contains("open_the_valve"), "{}", ended.stderr);
        assert!(ended.stderr.contains("start_the_pump"), "{}", ended.stderr);
    }
}

#[test]
fn every_state_is_told_until_delete() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let mut container = node.container(&image).create().expect("create");
    assert_eq!(container.state(), State::Created);
    assert_eq!(container.start().expect("start"), container.pid());
    assert_eq!(container.state(), State::Running);
    container.kill(15).expect("kill");
    assert_eq!(container.wait(), 143);
    let stopped = container.process().expect("state");
    assert_eq!(stopped.status(), State::Stopped);
    assert_eq!((stopped.pid, stopped.exit_status), (container.pid(), 143));
    assert!(stopped.exited_at.is_some_and(|time| time.seconds > 0));
    assert_eq!(container.wait(), 143, "Wait answers at once for a stopped container");
    assert_eq!(container.delete().expect("delete"), 143);
}

#[test]
fn a_second_start_is_refused() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = ready(node.container(&image));
    assert_eq!(container.start().expect_err("a second start").code(), Code::FailedPrecondition);
    assert_eq!(container.state(), State::Running);
}

#[test]
fn a_running_container_is_not_deleted() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let mut container = ready(node.container(&image));
    // containerd 2.3 tells it in its log too.
    node.expect_log("must be stopped before it is deleted");
    assert_eq!(container.delete().expect_err("delete").code(), Code::FailedPrecondition);
    assert_eq!(container.state(), State::Running);
}

#[test]
fn a_signal_to_what_is_gone_finds_nothing() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(0));
    let container = node.container(&image).create().expect("create");
    container.start().expect("start");
    assert_eq!(container.wait(), 0);
    assert_eq!(container.kill(15).expect_err("kill").code(), Code::NotFound);
}

#[test]
fn a_container_killed_before_its_start_is_stopped_and_cannot_be_started() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    let mut container = node.container(&image).create().expect("create");
    container.kill(9).expect("kill");
    assert_eq!(container.wait(), 137);
    assert_eq!(container.state(), State::Stopped);
    assert_eq!(container.start().expect_err("start").code(), Code::FailedPrecondition);
    assert_eq!(container.stdout().so_far(), "");
    assert_eq!(container.delete().expect("delete"), 137);
}

#[test]
fn a_container_that_was_never_started_can_be_deleted() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    let mut container = node.container(&image).create().expect("create");
    container.delete().expect("delete");
}

#[test]
fn many_run_at_once() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let containers: Vec<Container> = (0..12).map(|_| ready(node.container(&image))).collect();
    assert!(containers.iter().all(|container| container.state() == State::Running));
    for container in &containers {
        container.kill(15).expect("kill");
    }
    assert!(containers.iter().all(|container| container.wait() == 143));
}

#[test]
fn a_stand_alone_container_rests_as_two_processes_of_one_thread_each() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = ready(node.container(&image));
    let cost = container.cost();
    assert_eq!(cost.len(), 2, "the server and the engine: {cost:?}");
    assert_eq!(cost[1].threads, 1, "the engine: {cost:?}");
    // Hashing a module is a blocking job beside the server's own thread, which goes when it idles.
    until("a server of one thread", || {
        container.cost().iter().all(|process| process.threads == 1).then_some(())
    });
}

#[test]
fn what_cannot_be_done_says_so() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = ready(node.container(&image));
    let output = node.ctr().args(["tasks", "checkpoint", container.id()]).output().expect("start ctr");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("checkpoint of a Wasm container"), "{told}");
    assert_eq!(container.state(), State::Running);
}

#[test]
fn the_server_is_a_little_more_expendable_than_containerd_and_the_engine_as_the_spec_says() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = ready(node.container(&image).edit(|spec| spec["process"]["oomScoreAdj"] = json!(789)));
    let score = |pid: u32| -> i32 {
        let text = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("a score");
        text.trim().parse().expect("a number")
    };
    let server = container.cost()[0].pid;
    assert_eq!(score(server), score(node.containerd_pid()) + 1);
    assert_eq!(score(container.pid()), 789);
}
