//! A file system where n more files, or n more pages, can be written.

use super::filesystem::{Filesystem, Of};
use super::{Group, Scarce, Steps};
use crate::{guest, native};
use pinnace_conformance::guests;
use pinnace_e2e::Node;

/// A container of a module that nobody knows yet, and of one that is known; a native one.
fn step_through(node: &Node, filesystem: &Filesystem, kept_by_others: usize) {
    let mut group = Group::new(node, &guest(node, guests::sleep_p1()));
    group.kept_by_others = kept_by_others;
    let group = group;
    let busybox = native::busybox(node);
    // What is told beside; an OCI runtime wants a place even to forget what it never made.
    let words = ["cannot remember", "no space left on device", "failed to delete dead shim"];
    words.into_iter().for_each(|text| node.expect_log(text));
    for (of, first) in [(Of::Files, 10), (Of::Bytes, 20)] {
        filesystem.of.set(of);
        let image = guest(node, guests::exit_code(first));
        for _ in 0..2 {
            group.step_through(filesystem, Steps(0, 1), first.into(), || group.draft(&image));
        }
        group.step_through(filesystem, Steps(0, 1), 3, || {
            native::shell(node, &busybox, "exit 3").annotation(super::GROUP, &group.id)
        });
    }
}

#[test]
fn the_state_directory() {
    let node = Node::start();
    let filesystem = Filesystem::at(&node, "pinnace/state");
    step_through(&node, &filesystem, 0);
}

#[test]
fn the_cache() {
    let node = Node::start();
    let filesystem = Filesystem::at(&node, "pinnace/cache");
    step_through(&node, &filesystem, 0);
}

#[test]
fn the_log() {
    let node = Node::start();
    let filesystem = Filesystem::at(&node, "logs");
    let image = guest(&node, guests::hello_p1());
    let file = filesystem.place().join("container.log");
    let url = format!("file://{}", file.display());
    filesystem.leave(0);
    filesystem.told(&node.container(&image).output_to(&url).create().expect_err("no place for a log"));
    assert!(!file.exists());
    // What a guest cannot write is its own affair, and what a terminal shows is lost.
    filesystem.restore();
    filesystem.of.set(Of::Bytes);
    for terminal in [false, true] {
        std::fs::write(&file, "x".repeat(4096)).expect("the log of another");
        filesystem.leave(0);
        let draft = node.container(&image).output_to(&url);
        let draft = if terminal { draft.with_terminal() } else { draft };
        node.expect_log("what a terminal shows is lost");
        let mut container = draft.create().expect("create");
        container.start().expect("start");
        container.wait();
        container.delete().expect("delete");
        assert_eq!(std::fs::metadata(&file).expect("a log").len(), 4096);
        filesystem.restore();
    }
    assert_eq!(node.container(&image).output_to(&url).run().code, 0);
}
