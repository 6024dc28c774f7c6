//! Pause and Resume: nothing of a container moves in between, and it can still be ended.

use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Code, Container, Node, State, Status, until};
use pinnace_oci::build;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::time::Duration;

/// Prints "ready", then "tick" every two milliseconds.
const TICKER: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\06\00\00\00\26\00\00\00\05\00\00\00")
  (data (i32.const 32) "ready\ntick\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (i32.store (i32.const 80) (i32.const 1))
    (i64.store (i32.const 88) (i64.const 2000000))
    (loop $again
      (drop (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 16)))
      (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))
      (br $again))))"#;

fn ticker(node: &Node) -> Container<'_> {
    let image = guest(node, wat::parse_str(TICKER).expect("a module"));
    ready(node.container(&image))
}

fn ticks(container: &Container<'_>) -> usize {
    container.stdout().so_far().matches("tick").count()
}

fn goes_on(container: &Container<'_>) {
    let before = ticks(container);
    until("the guest's output", || (ticks(container) > before + 3).then_some(()));
}

fn refused(done: Result<(), Status>) -> Code {
    done.expect_err("a refusal").code()
}

#[test]
fn a_paused_guest_stands_still_and_goes_on() {
    let node = Node::start();
    let events = node.events();
    let mut container = ticker(&node);
    for _ in 0..3 {
        goes_on(&container);
        container.pause().expect("pause");
        assert_eq!(container.state(), State::Paused);
        // What it wrote last may still be on its way here.
        let still = || (ticks(&container), std::thread::sleep(Duration::from_millis(100)), ticks(&container));
        until("silence", || Some(still()).filter(|(before, (), after)| before == after));
        container.resume().expect("resume");
        assert_eq!(container.state(), State::Running);
        goes_on(&container);
    }
    container.kill(15).expect("kill");
    assert_eq!(container.wait(), 143);
    container.delete().expect("delete");
    let _deleted = events.wait_for("delete", container.id());
    let mut expected = vec!["create", "start"];
    expected.extend(["paused", "resumed"].repeat(3));
    expected.extend(["exit", "delete"]);
    assert_eq!(events.topics(container.id()), expected);
}

#[test]
fn a_paused_container_is_asked_and_updated_but_its_state_changes_only_by_resume_and_kill() {
    let node = Node::start();
    // containerd 2.3 logs what it was answered.
    node.expect_log("must be stopped before it is deleted");
    let mut container = ticker(&node);
    assert_eq!(refused(container.resume()), Code::FailedPrecondition, "it runs");
    container.pause().expect("pause");
    assert_eq!(refused(container.pause()), Code::FailedPrecondition, "it is paused");
    assert_ne!(refused(container.start().map(drop)), Code::Ok);
    assert_eq!(refused(container.delete_task().map(drop)), Code::FailedPrecondition);
    assert_eq!(container.pids().expect("pids"), [container.pid()]);
    container.metrics().expect("metrics");
    container.update(&serde_json::json!({ "pids": { "limit": 40 } })).expect("update");
    assert_eq!(crate::kernel::value(&container, "pids.max"), "40");
    assert_eq!(container.state(), State::Paused);
    // A signal is for later.
    container.kill(15).expect("kill");
    container.resume().expect("resume");
    assert_eq!(container.wait(), 143);
    assert_ne!(refused(container.pause()), Code::Ok, "it has ended");
    container.delete().expect("delete");
}

#[test]
fn an_exec_is_paused_with_it_and_none_is_begun() {
    let node = Node::start();
    let ticks = wat::parse_str(TICKER).expect("a module");
    let image = build::Image::rootfs()
        .file("/guest.wasm", guests::sleep_p1(), 0o755)
        .file("/tick.wasm", ticks, 0o644)
        .entrypoint(["/guest.wasm"]);
    let image = node.image(&image);
    let container = ready(node.container(&image));
    let mut running = container.exec(["/tick.wasm"]).start().expect("start");
    running.stdout().wait_for("tick");
    let mut waiting = container.exec(["/tick.wasm"]).add().expect("add");
    container.pause().expect("pause");
    let heard = || running.stdout().so_far().len();
    let still = || (heard(), std::thread::sleep(Duration::from_millis(100)), heard());
    until("silence", || Some(still()).filter(|(before, (), after)| before == after));
    assert_eq!(refused(waiting.start().map(drop)), Code::FailedPrecondition);
    let before = heard();
    container.resume().expect("resume");
    until("the exec's output", || (heard() > before).then_some(()));
    waiting.start().expect("start");
    waiting.stdout().wait_for("tick");
    for exec in [&mut running, &mut waiting] {
        exec.kill(9).expect("kill");
        assert_eq!(exec.wait(), 137);
        exec.delete().expect("delete");
    }
    container.kill(9).expect("kill");
    assert_eq!(container.wait(), 137);
}

#[test]
fn a_container_that_was_not_started_is_not_paused() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = node.container(&image).create().expect("create");
    assert_eq!(refused(container.pause()), Code::FailedPrecondition);
    container.start().expect("start");
    container.stdout().wait_for("ready");
}

#[test]
fn a_paused_guest_is_killed_at_once_and_writes_nothing_more() {
    let node = Node::start();
    let events = node.events();
    for _ in 0..3 {
        let mut container = ticker(&node);
        goes_on(&container);
        container.pause().expect("pause");
        container.kill(9).expect("kill");
        assert_eq!(container.wait(), 137);
        assert_eq!(container.state(), State::Stopped);
        container.delete().expect("delete");
        let _deleted = events.wait_for("delete", container.id());
        let topics = events.topics(container.id());
        assert!(!topics.contains(&"oom".to_owned()), "{topics:?}");
        let exits = topics.iter().filter(|topic| *topic == "exit").count();
        assert_eq!((exits, topics.last().map(String::as_str)), (1, Some("delete")), "{topics:?}");
    }
}

#[test]
fn the_death_of_the_server_leaves_nothing_of_a_paused_container() {
    let node = Node::start();
    let events = node.events();
    let container = ticker(&node);
    container.pause().expect("pause");
    let server = container.cost()[0].pid.cast_signed();
    kill_process(Pid::from_raw(server).expect("a pid"), Signal::KILL).expect("kill");
    assert_eq!(events.wait_for("exit", container.id()).exit().expect("an exit").exit_status, 137);
    let process = format!("/proc/{}", container.pid());
    until("the engine's end", || fs::metadata(&process).is_err().then_some(()));
    container.forget();
}

#[test]
fn a_containerd_that_restarts_finds_it_paused() {
    let node = Node::start();
    let mut container = ticker(&node);
    container.pause().expect("pause");
    node.restart(Signal::KILL);
    assert_eq!(container.state(), State::Paused);
    container.resume().expect("resume");
    goes_on(&container);
    container.kill(9).expect("kill");
    assert_eq!(container.wait(), 137);
    container.delete().expect("delete");
}
