//! Terminals of native containers, which their OCI runtime makes, and of execs of either kind.

use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::{Container, Draft, Image, Node, places};
use pinnace_oci::build;
use std::fs;

/// Tells the size of its window each time it changes, and ends with 7 when it is interrupted.
const WINDOW: &str = "trap '/bin/busybox stty size' WINCH; trap 'echo caught; exit 7' INT; \
                      /bin/busybox tty >/dev/null && echo ready; while :; do /bin/busybox sleep 0.1; done";

fn busybox(node: &Node) -> Image {
    let busybox = fs::read(places::tools().join("busybox")).expect("busybox; run `cargo xtask tools`");
    node.image(
        &build::Image::rootfs().file("/bin/busybox", busybox, 0o755).directory("/proc").directory("/dev"),
    )
}

fn shell<'node>(node: &'node Node, image: &Image, script: &str) -> Draft<'node> {
    node.container(image).args(["/bin/busybox", "sh", "-c", script]).with_terminal()
}

fn started(draft: Draft<'_>) -> Container<'_> {
    let container = draft.create().expect("create");
    container.start().expect("start");
    container
}

#[test]
fn a_native_process_learns_of_its_window_and_of_its_keys() {
    let node = Node::start();
    let image = busybox(&node);
    let mut container = started(shell(&node, &image, WINDOW));
    container.stdout().wait_for("ready\r\n");
    container.resize(132, 43).expect("resize");
    container.stdout().wait_for("43 132\r\n");
    container.resize(80, 24).expect("resize");
    container.stdout().wait_for("24 80\r\n");
    container.write("\x03");
    assert_eq!(container.wait(), 7);
    assert!(container.stdout().to_end().ends_with("^Ccaught\r\n"));
    container.delete().expect("delete");
}

#[test]
fn a_shell_is_talked_to() {
    let node = Node::start();
    let image = busybox(&node);
    let mut container = started(node.container(&image).args(["/bin/busybox", "sh"]).with_terminal());
    container.write("echo $((6 * 7)) things\n");
    container.stdout().wait_for("42 things\r\n");
    container.detach_stdin();
    container.attach_stdin();
    container.write("exit 5\n");
    assert_eq!(container.wait(), 5);
    container.delete().expect("delete");
}

#[test]
fn the_last_words_of_a_native_process_are_never_lost() {
    let node = Node::start();
    let image = busybox(&node);
    let script = "i=0; while [ $i -lt 500 ]; do echo line $i of the last words; i=$((i+1)); done";
    let expected: String = (0..500).map(|number| format!("line {number} of the last words\r\n")).collect();
    let mut container = started(shell(&node, &image, script));
    assert_eq!(container.wait(), 0);
    assert!(container.stdout().to_end() == expected);
    container.delete().expect("delete");
    let holding = started(shell(&node, &image, "echo ready; exec /bin/busybox sleep 1000"));
    holding.stdout().wait_for("ready");
    // One that has ended before anybody knows its terminal.
    for _ in 0..5 {
        let mut exec =
            holding.exec(["/bin/busybox", "echo", "brief"]).with_terminal().start().expect("start");
        assert_eq!(exec.wait(), 0);
        assert_eq!(exec.stdout().to_end(), "brief\r\n");
        exec.delete().expect("delete");
    }
}

#[test]
fn an_exec_has_a_terminal_of_its_own() {
    let node = Node::start();
    let image = busybox(&node);
    let container = started(shell(&node, &image, "echo ready; exec /bin/busybox sleep 1000"));
    container.stdout().wait_for("ready");
    let args = ["/bin/busybox", "sh", "-c", WINDOW];
    let mut exec = container.exec(args).with_terminal().start().expect("start");
    exec.stdout().wait_for("ready\r\n");
    exec.resize(100, 30).expect("resize");
    exec.stdout().wait_for("30 100\r\n");
    exec.write("\x03");
    assert_eq!(exec.wait(), 7);
    exec.delete().expect("delete");
}

#[test]
fn an_exec_of_a_guest_has_a_terminal_of_its_own() {
    let node = Node::start();
    let image = guest(&node, guests::terminal_p1());
    let mut container = started(node.container(&image).with_terminal());
    container.stdout().wait_for("yyy\r\n");
    let mut exec = container.exec(["/guest.wasm"]).with_terminal().start().expect("start");
    exec.stdout().wait_for("yyy\r\n");
    exec.resize(100, 30).expect("resize");
    exec.write("to the exec\n");
    exec.stdout().wait_for("to the exec\r\nto the exec\r\n");
    exec.write("\x03");
    assert_eq!(exec.wait(), 130);
    exec.delete().expect("delete");
    drop(exec);
    // The container's own is another one.
    container.write("to the container\n\x04");
    assert_eq!(container.wait(), 0);
    assert_eq!(container.stdout().to_end(), "yyy\r\nto the container\r\nto the container\r\n");
}
