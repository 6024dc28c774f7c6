//! containerd is replaced by another version while containers run, and later by the old one again.
//!
//! ```text
//!  1.7 ─▶ 2.1 ─▶ 2.3 ─▶ 2.1 ─▶ 1.7      and 1.6 ─▶ 1.7 ─▶ 1.6
//! ```
//!
//! It needs several versions at once, so it is a test target of its own, run once and not once for each version.

use pinnace_conformance::guests;
use pinnace_e2e::{Container, Image, Node, State, places, until};
use pinnace_oci::build;
use rustix::process::{Pid, Signal, kill_process};

/// What was there before the first change, and is looked at after each.
struct Aboard<'node> {
    node: &'node Node,
    echo: Image,
    sleep: Image,
    /// Made under the first version, never started.
    created: Container<'node>,
    /// Made under the first version, and answering what it is told.
    talking: Container<'node>,
    said: String,
}

impl<'node> Aboard<'node> {
    fn new(node: &'node Node) -> Self {
        let echo = guest(node, guests::echo_stdin_p1());
        let sleep = guest(node, guests::sleep_p1());
        let created = node.container(&sleep).create().expect("create");
        let talking = node.container(&echo).with_stdin().create().expect("create");
        talking.start().expect("start");
        Self { node, echo, sleep, created, talking, said: String::new() }
    }

    fn ready(&self) -> Container<'node> {
        let container = self.node.container(&self.sleep).create().expect("create");
        container.start().expect("start");
        container.stdout().wait_for("ready");
        container
    }

    /// containerd goes, containers go on, and another version finds them as they are by then.
    fn becomes(&mut self, version: &str) {
        let before = self.node.version();
        eprintln!("containerd {before} becomes {version}");
        let running = self.ready();
        let mut ending = self.ready();
        let mut over = self.ready();
        over.kill(9).expect("kill");
        assert_eq!(over.wait(), 137);
        let engine = Pid::from_raw(ending.pid().cast_signed()).expect("a pid");
        let (talking, said) = (&mut self.talking, &mut self.said);
        self.node.becomes(version, Signal::TERM, || {
            kill_process(engine, Signal::INT).expect("kill");
            say(talking, said, &format!("while {before} is gone\n"));
        });

        // What ended before and what ended meanwhile.
        assert_eq!((over.state(), over.wait()), (State::Stopped, 137));
        assert_eq!(over.delete().expect("delete"), 137);
        assert_eq!(ending.wait(), 130);
        assert_eq!(ending.delete().expect("delete"), 130);
        // What runs: on the very process, and under the new one's orders.
        for container in [&self.talking, &running] {
            assert_eq!(container.state(), State::Running);
            assert_eq!(container.pids().expect("pids"), [container.pid()]);
            assert!(!container.metrics().expect("metrics").value.is_empty());
        }
        say(&mut self.talking, &mut self.said, &format!("under {version}\n"));
        running.kill(15).expect("kill");
        assert_eq!(running.wait(), 143);
        assert_eq!(self.created.state(), State::Created);
        // And a new one beside.
        let mut fresh = self.node.container(&self.echo).with_stdin().create().expect("create");
        fresh.start().expect("start");
        say(&mut fresh, &mut String::new(), "new\n");
        assert_ne!(fresh.cost()[0].pid, self.talking.cost()[0].pid, "a server of its own");
        fresh.close_stdin().expect("close");
        assert_eq!(fresh.wait(), 0);
        assert_eq!(fresh.delete().expect("delete"), 0);
    }

    /// The containers of the first version are ended by the last.
    fn leave(mut self) {
        self.created.start().expect("start");
        self.created.stdout().wait_for("ready");
        self.created.kill(15).expect("kill");
        assert_eq!(self.created.wait(), 143);
        self.talking.close_stdin().expect("close");
        assert_eq!(self.talking.wait(), 0);
        assert_eq!(self.talking.stdout().to_end(), self.said);
        assert_eq!(self.talking.delete().expect("delete"), 0);
    }
}

/// Says something to a container that echoes, and hears it.
fn say(container: &mut Container<'_>, said: &mut String, text: &str) {
    container.write(text);
    said.push_str(text);
    until("an echo of everything", || (container.stdout().so_far() == *said).then_some(()));
}

fn guest(node: &Node, wasm: Vec<u8>) -> Image {
    node.image(&build::Image::rootfs().file("/guest.wasm", wasm, 0o755).entrypoint(["/guest.wasm"]))
}

/// Goes through these versions, of each the one that was brought.
fn voyage(releases: &[(u32, u32)]) {
    let mut versions = releases.iter().map(|release| places::of_release(*release));
    let node = Node::start_version(&versions.next().expect("a first version"));
    let mut aboard = Aboard::new(&node);
    for version in versions {
        aboard.becomes(&version);
    }
    aboard.leave();
}

#[test]
fn containers_live_through_newer_versions_and_back() {
    voyage(&[(1, 7), (2, 1), (2, 3), (2, 1), (1, 7)]);
}

#[test]
fn containers_of_the_oldest_live_through_its_successor_and_back() {
    voyage(&[(1, 6), (1, 7), (1, 6)]);
}
