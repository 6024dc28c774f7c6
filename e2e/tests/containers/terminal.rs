//! A terminal: what is typed, shown, cut and resized, by a client that comes and goes.

use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::{Container, Draft, Node, State, until};
use rustix::process::Signal;
use std::fs;
use std::time::Duration;

/// A guest that runs on a terminal and has said what its streams are.
fn on_a_terminal(draft: Draft<'_>) -> Container<'_> {
    let container = draft.with_terminal().create().expect("create");
    container.start().expect("start");
    container.stdout().wait_for("yyy\r\n");
    container
}

/// The processor time a process has had, in ticks.
pub(crate) fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum()
}

#[test]
fn a_guest_knows_it_and_reads_what_is_typed_by_lines() {
    let node = Node::start();
    for wasm in [guests::terminal_p1(), guests::terminal_p2()] {
        let image = guest(&node, wasm);
        let mut container = on_a_terminal(node.container(&image));
        let process = container.process().expect("a state");
        assert!(
            process.terminal && process.stderr.is_empty() && process.stdout.ends_with("-out"),
            "{process:?}"
        );
        // A key that takes back what was typed.
        container.write("ahx\x7foy\n");
        container.stdout().wait_for("ahx\x08 \x08oy\r\nahoy\r\n");
        container.write("\x04");
        assert_eq!(container.wait(), 0);
        assert_eq!(container.stdout().to_end(), "yyy\r\nahx\x08 \x08oy\r\nahoy\r\n");
        let without = node.container(&image).run();
        assert_eq!(without.stdout, "nnn\n");
    }
}

#[test]
fn its_keys_end_a_guest() {
    let node = Node::start();
    let busy = guest(&node, guests::busy_p1());
    let asleep = guest(&node, guests::sleep_p2());
    for (image, key, code) in [(&busy, "\x03", 130), (&asleep, "\x1c", 131), (&asleep, "\x03", 130)] {
        let mut container = node.container(image).with_terminal().create().expect("create");
        container.start().expect("start");
        container.stdout().wait_for("ready");
        container.write(key);
        assert_eq!(container.wait(), code);
    }
}

#[test]
fn whoever_runs_it_and_wherever_it_may_be_typed_on() {
    let node = Node::start();
    let image = guest(&node, guests::terminal_p1());
    let mut container = on_a_terminal(
        node.container(&image)
            .edit(|spec| spec["process"]["user"] = serde_json::json!({ "uid": 4711, "gid": 4711 })),
    );
    container.write("aye\n\x04");
    assert_eq!(container.wait(), 0);
    assert_eq!(container.stdout().to_end(), "yyy\r\naye\r\naye\r\n");
}

#[test]
fn a_window_that_changes_disturbs_no_guest() {
    let node = Node::start();
    let image = guest(&node, guests::terminal_p1());
    let mut container = on_a_terminal(node.container(&image));
    for (width, height) in [(80, 24), (132, 43), (0, 0), (65535, 65535)] {
        container.resize(width, height).expect("resize");
    }
    container.write("still here\n");
    container.stdout().wait_for("still here\r\nstill here\r\n");
    container.kill(9).expect("kill");
    assert_eq!(container.wait(), 137);
    container.resize(80, 24).expect("nothing to resize any more");
    // Without a terminal there never was.
    let without = node.container(&image).with_stdin().create().expect("create");
    without.start().expect("start");
    without.resize(80, 24).expect("nothing to resize");
}

#[test]
fn a_client_that_detaches_and_attaches_finds_the_guest_as_it_was() {
    let node = Node::start();
    let image = guest(&node, guests::terminal_p1());
    let mut container = on_a_terminal(node.container(&image));
    for word in ["first", "second", "third"] {
        container.detach_stdin();
        // Its end is nobody's, unless CloseIO says so.
        assert!(!container.stdout().ends_within(Duration::from_millis(100)));
        container.attach_stdin();
        container.write(&format!("{word}\n"));
        container.stdout().wait_for(&format!("{word}\r\n{word}\r\n"));
    }
    container.close_stdin().expect("close");
    assert_eq!(container.wait(), 0);
}

#[test]
fn close_io_is_the_end_that_a_user_types() {
    let node = Node::start();
    for wasm in [guests::terminal_p1(), guests::terminal_p2()] {
        let image = guest(&node, wasm);
        let mut container = on_a_terminal(node.container(&image));
        container.write("part of a line");
        container.close_stdin().expect("close");
        assert_eq!(container.wait(), 0);
        let shown = container.stdout().to_end();
        assert!(shown.ends_with("part of a line"), "{shown:?}");
    }
}

#[test]
fn a_stdin_that_nobody_opens_waits() {
    let node = Node::start();
    let image = guest(&node, guests::terminal_p1());
    let draft = node.container(&image).with_terminal();
    let mut container = draft.create().expect("create");
    container.detach_stdin();
    container.start().expect("start");
    container.stdout().wait_for("yyy\r\n");
    let pid = container.pid();
    let before = ticks(pid);
    assert!(!container.stdout().ends_within(Duration::from_secs(1)));
    // It sleeps, with one thread, and so does the server.
    assert!(ticks(pid) - before <= 2, "a guest that waits for its terminal spins");
    let costs = container.cost();
    assert!(costs.iter().all(|cost| cost.threads == 1), "{costs:?}");
    assert_eq!(container.state(), State::Running);
    container.close_stdin().expect("close");
    assert_eq!(container.wait(), 0);
}

#[test]
fn a_restart_of_containerd_loses_nothing() {
    let node = Node::start();
    let image = guest(&node, guests::terminal_p1());
    let mut container = on_a_terminal(node.container(&image));
    node.while_down(Signal::KILL, || container.write("while it is down\n"));
    container.write("after\n\x04");
    assert_eq!(container.wait(), 0);
    let shown = container.stdout().to_end();
    assert_eq!(shown, "yyy\r\nwhile it is down\r\nwhile it is down\r\nafter\r\nafter\r\n");
}

#[test]
fn a_file_gets_what_it_shows() {
    let node = Node::start();
    let image = guest(&node, guests::terminal_p1());
    let log = node.dir().join("logs/deep/terminal.log");
    let draft = node.container(&image).with_terminal().output_to(&format!("file://{}", log.display()));
    let mut container = draft.create().expect("create");
    container.start().expect("start");
    let read = || fs::read_to_string(&log).unwrap_or_default();
    until("its first word", || (read() == "yyy\r\n").then_some(()));
    container.write("noted\n");
    until("what is shown", || read().ends_with("noted\r\nnoted\r\n").then_some(()));
    container.kill(9).expect("kill");
    assert_eq!(container.wait(), 137);
    container.delete().expect("delete");
    assert_eq!(read(), "yyy\r\nnoted\r\nnoted\r\n");
}

#[test]
fn a_terminal_that_nobody_sees_is_one() {
    let node = Node::start();
    let image = guest(&node, guests::terminal_p1());
    let mut container = node.container(&image).with_terminal().output_to("").create().expect("create");
    container.start().expect("start");
    container.write("into the dark\n\x04");
    assert_eq!(container.wait(), 0);
    container.delete().expect("delete");
}

#[test]
fn one_whose_create_fails_leaves_nothing() {
    let node = Node::start();
    let image = guest(&node, guests::missing_import_p1());
    let terminals = || fs::read_dir("/dev/pts").expect("devpts").count();
    let before = terminals();
    for _ in 0..3 {
        node.container(&image).with_terminal().create().expect_err("an import that is missing");
    }
    until("the terminals' end", || (terminals() <= before).then_some(()));
}
