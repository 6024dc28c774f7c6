//! A file system where n more files, or n more pages, can be written.

use super::filesystem::{Filesystem, Of};
use super::{Group, Scarce, Steps};
use crate::{guest, native};
use pinnace_conformance::guests;
use pinnace_e2e::{Node, within};
use std::path::PathBuf;
use std::time::Duration;

/// A container of a module that nobody knows yet, and of one that is known; a native one. Begins with so many files,
/// and pages.
fn step_through(group: &Group<'_>, filesystem: &Filesystem, files: u64, pages: u64) {
    let node = group.node;
    let busybox = native::busybox(node);
    // What is told beside; an OCI runtime wants a place even to forget what it never made.
    let words = ["cannot remember", "no space left on device", "failed to delete"];
    words.into_iter().for_each(|text| node.expect_log(text));
    for (of, first, code) in [(Of::Files, files, 10), (Of::Bytes, pages, 20)] {
        filesystem.of.set(of);
        let image = guest(node, guests::exit_code(code));
        for _ in 0..2 {
            group.step_through(filesystem, Steps(first, 2), code.into(), || group.draft(&image));
        }
        group.step_through(filesystem, Steps(first, 2), 3, || {
            native::shell(node, &busybox, "exit 3").annotation(super::GROUP, &group.id)
        });
    }
}

#[test]
fn the_state_directory() {
    let node = Node::start();
    let filesystem = Filesystem::at(&node, "pinnace/state");
    let group = Group::new(&node, &guest(&node, guests::sleep_p1()));
    step_through(&group, &filesystem, 0, 0);
}

#[test]
fn the_cache() {
    let node = Node::start();
    let filesystem = Filesystem::at(&node, "pinnace/cache");
    let group = Group::new(&node, &guest(&node, guests::sleep_p1()));
    step_through(&group, &filesystem, 0, 0);
}

#[test]
fn the_bundles() {
    let node = Node::start();
    let filesystem = Filesystem::at(&node, "state/io.containerd.runtime.v2.task/e2e");
    let mut group = Group::new(&node, &guest(&node, guests::sleep_p1()));
    // containerd keeps the connection to a server whose address it could not note (`bootstrap.json`).
    group.kept_by_others = 6;
    // Before that it is containerd that fails, and the server waits half a minute for a container that does not come.
    step_through(&group, &filesystem, 8, 4);
    let server = PathBuf::from(format!("/proc/{}", group.server));
    drop(group);
    let gone = within(Duration::from_secs(60), || (!server.exists()).then_some(()));
    assert!(gone.is_some(), "the server is still there");
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
