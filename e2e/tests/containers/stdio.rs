//! What goes in and comes out, and that nothing of it is lost.

use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::Node;
use rustix::process::Signal;
use std::fs;

#[test]
fn stdout_ends_when_the_guest_ends_and_not_at_delete() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    let container = node.container(&image).create().expect("create");
    container.start().expect("start");
    assert_eq!(container.stdout().to_end(), "hello from wasm\n");
    assert_eq!(container.stderr().to_end(), "");
    assert_eq!(container.wait(), 0);
}

#[test]
fn stdin_reaches_the_guest_until_it_is_closed() {
    let node = Node::start();
    for wasm in [guests::echo_stdin_p1(), guests::echo_stdin_p2()] {
        let image = guest(&node, wasm);
        let mut container = node.container(&image).with_stdin().create().expect("create");
        container.start().expect("start");
        container.write("first\n");
        container.stdout().wait_for("first\n");
        container.write("last\n");
        container.close_stdin().expect("close");
        assert_eq!(container.wait(), 0);
        assert_eq!(container.stdout().to_end(), "first\nlast\n");
    }
}

#[test]
fn without_stdin_a_guest_reads_the_end_at_once() {
    let node = Node::start();
    let image = guest(&node, guests::echo_stdin_p1());
    let ended = node.container(&image).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
}

#[test]
fn output_goes_to_a_file_that_is_appended_to() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    let log = node.dir().join("logs/deep/guest.log");
    for _ in 0..2 {
        let ended = node.container(&image).output_to(&format!("file://{}", log.display())).run();
        assert_eq!(ended.code, 0);
    }
    assert_eq!(fs::read_to_string(&log).expect("the log"), "hello from wasm\nhello from wasm\n");
}

#[test]
fn output_to_nowhere_disturbs_nobody() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    assert_eq!(node.container(&image).output_to("").run().code, 0);
}

#[test]
fn a_restart_of_containerd_loses_no_byte() {
    let node = Node::start();
    let image = guest(&node, guests::echo_stdin_p1());
    let mut container = node.container(&image).with_stdin().create().expect("create");
    container.start().expect("start");
    container.write("before\n");
    container.stdout().wait_for("before\n");
    node.restart(Signal::KILL);
    container.write("after\n");
    container.stdout().wait_for("after\n");
    container.close_stdin().expect("close");
    assert_eq!(container.wait(), 0);
    assert_eq!(container.stdout().to_end(), "before\nafter\n");
}

#[test]
fn much_output_arrives_whole() {
    let node = Node::start();
    let image = guest(&node, guests::cat_file_p1());
    let text = "all hands on deck\n".repeat(200_000);
    let file = node.dir().join("log.txt");
    fs::write(&file, &text).expect("a file");
    let ended =
        node.container(&image).bind(&file, "/log.txt", &["ro"]).args(["/guest.wasm", "/log.txt"]).run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout == text, "{} of {} bytes", ended.stdout.len(), text.len());
}
