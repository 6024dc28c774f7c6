//! The harness itself, on a runtime that is known to work: what it shows is true, and it sees what is left.

use pinnace_e2e::{Draft, Image, Node, RUNC, State, leaks};
use pinnace_oci::build;
use rustix::process::Signal;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;

fn busybox(node: &Node) -> Image {
    let program =
        fs::read(pinnace_e2e::places::tools().join("busybox")).expect("busybox; run `cargo xtask tools`");
    node.image(&build::Image::rootfs().file("/bin/busybox", program, 0o755).directory("/tmp"))
}

fn shell<'node>(node: &'node Node, image: &Image, script: &str) -> Draft<'node> {
    node.container(image).runtime(RUNC).args(["/bin/busybox", "sh", "-c", script])
}

#[test]
fn a_container_runs_and_its_output_and_code_are_seen() {
    let node = Node::start();
    let image = busybox(&node);
    let ended = shell(&node, &image, "echo out; echo err >&2; exit 7").run();
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (7, "out\n", "err\n"));
}

#[test]
fn stdin_reaches_a_container_until_it_is_closed() {
    let node = Node::start();
    let image = busybox(&node);
    let mut container = shell(&node, &image, "/bin/busybox cat").with_stdin().create().expect("create");
    container.start().expect("start");
    container.write("hello\n");
    container.stdout().wait_for("hello\n");
    container.close_stdin().expect("close");
    assert_eq!(container.wait(), 0);
    container.delete().expect("delete");
}

#[test]
fn containers_live_through_a_restart_of_containerd() {
    let node = Node::start();
    let image = busybox(&node);
    let mut container = shell(&node, &image, "echo up; sleep 1000").create().expect("create");
    container.start().expect("start");
    container.stdout().wait_for("up");
    node.restart(Signal::TERM);
    assert_eq!(container.state(), State::Running);
    container.kill(9).expect("kill");
    assert_eq!(container.wait(), 137);
    container.delete().expect("delete");
}

#[test]
fn events_are_heard_in_their_order() {
    let node = Node::start();
    let image = busybox(&node);
    let events = node.events();
    let draft = shell(&node, &image, "exit 3");
    let id = draft.id().to_owned();
    assert_eq!(draft.run().code, 3);
    // Not the deletion: runc's shim of containerd 2.1 loses it now and then, when it shuts down.
    let exited = events.wait_for("exit", &id);
    assert_eq!(exited.exit().map(|event| event.exit_status), Some(3));
    assert_eq!(events.topics(&id)[..3], ["create", "start", "exit"]);
}

#[test]
#[should_panic(expected = "left behind")]
fn what_is_left_behind_is_seen() {
    let node = Node::start();
    fs::write(node.dir().join("io/forgotten"), "").expect("a file");
}

#[test]
#[should_panic(expected = "left behind:\n  process")]
fn a_process_that_is_left_is_seen() {
    let node = Node::start();
    let mut sleeper = Command::new("sleep").arg("3600").current_dir(node.dir()).spawn().expect("start sleep");
    let caught = catch_unwind(AssertUnwindSafe(|| drop(node)));
    sleeper.kill().expect("kill sleep");
    sleeper.wait().expect("wait for sleep");
    resume_unwind(caught.expect_err("a leak"));
}

#[test]
#[should_panic(expected = "left behind:\n  mount")]
fn a_mount_that_is_left_is_seen() {
    let node = Node::start();
    let place = node.dir().join("io");
    let mount =
        |args: &[&str]| Command::new(args[0]).args(&args[1..]).arg(&place).status().expect("start mount");
    assert!(mount(&["mount", "-t", "tmpfs", "tmpfs"]).success());
    let caught = catch_unwind(AssertUnwindSafe(|| drop(node)));
    assert!(mount(&["umount"]).success());
    // The node could not remove its directory around the mount.
    fs::remove_dir_all(place.parent().expect("the node's directory")).expect("remove it");
    resume_unwind(caught.expect_err("a leak"));
}

#[test]
#[should_panic(expected = "left behind:\n  socket")]
fn a_socket_that_is_left_is_seen() {
    let node = Node::start();
    let socket = leaks::socket(&node.socket(), &node.id());
    fs::create_dir_all(socket.parent().expect("a directory")).expect("the directory of sockets");
    fs::write(&socket, "").expect("a socket's name");
    let caught = catch_unwind(AssertUnwindSafe(|| drop(node)));
    fs::remove_file(&socket).expect("remove it");
    resume_unwind(caught.expect_err("a leak"));
}

#[test]
#[should_panic(expected = "containerd's log")]
fn a_warning_that_nobody_declared_is_seen() {
    let node = Node::start();
    let image = busybox(&node);
    let refused = node.container(&image).runtime("io.containerd.nobody.v1").create();
    assert!(refused.is_err());
    fs::write(node.dir().join("containerd.log"), "level=error msg=made-up\n").expect("a log");
}
