#![allow(clippy::panic, reason = "tests")]

use super::{Leaf, open, open_or_make};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A directory `image` to be the root, beside a directory `outside` that must stay empty.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().expect("a temporary directory"));
        fs::create_dir(tree.image()).expect("image");
        fs::create_dir(tree.outside()).expect("outside");
        tree
    }

    fn image(&self) -> std::path::PathBuf {
        self.0.path().join("image")
    }

    fn outside(&self) -> std::path::PathBuf {
        self.0.path().join("outside")
    }

    fn make(&self, path: &str, leaf: Leaf) -> Result<(), Errno> {
        let root = fs::File::open(self.image()).expect("root");
        open_or_make(root.as_fd(), path, leaf).map(drop)
    }

    fn assert_nothing_outside(&self) {
        assert_eq!(fs::read_dir(self.outside()).expect("outside").count(), 0);
        assert_eq!(fs::read_dir(self.0.path()).expect("tree").count(), 2);
    }
}

#[test]
fn what_is_missing_is_made() {
    let tree = Tree::new();
    tree.make("/a/b//c/", Leaf::Directory).expect("directory");
    tree.make("/a/./x/file", Leaf::File).expect("file");
    assert!(tree.image().join("a/b/c").is_dir());
    assert!(tree.image().join("a/x/file").is_file());
    tree.make("/a/x/file", Leaf::File).expect("the same again");
    tree.make("/./b/.", Leaf::Directory).expect("dots");
    tree.make("", Leaf::Directory).expect("the root itself");
    assert!(tree.image().join("b").is_dir());
}

#[test]
fn a_symlink_to_the_outside_leads_inside() {
    let tree = Tree::new();
    let outside = tree.outside();
    symlink(&outside, tree.image().join("absolute")).expect("symlink");
    symlink("../outside", tree.image().join("relative")).expect("symlink");
    symlink("/../../../../etc", tree.image().join("upward")).expect("symlink");
    for name in ["absolute", "relative", "upward"] {
        tree.make(&format!("/{name}/made"), Leaf::Directory).expect(name);
    }
    tree.assert_nothing_outside();
    assert!(tree.image().join(outside.strip_prefix("/").expect("absolute")).join("made").is_dir());
    assert!(tree.image().join("outside/made").is_dir());
    assert!(tree.image().join("etc/made").is_dir());
    assert!(!Path::new("/etc/made").exists());
}

#[test]
fn a_symlink_to_nowhere_at_the_end_is_followed_inside() {
    let tree = Tree::new();
    symlink("/run/target", tree.image().join("link")).expect("symlink");
    tree.make("/link", Leaf::File).expect("file");
    assert!(tree.image().join("run/target").is_file());
}

#[test]
fn dots_stop_at_the_root() {
    let tree = Tree::new();
    tree.make("/../../made", Leaf::Directory).expect("dots");
    assert!(tree.image().join("made").is_dir());
    tree.assert_nothing_outside();
}

#[test]
fn loops_end() {
    let tree = Tree::new();
    symlink("b", tree.image().join("a")).expect("symlink");
    symlink("a", tree.image().join("b")).expect("symlink");
    assert_eq!(tree.make("/a/x", Leaf::Directory), Err(Errno::LOOP));
    // One that grows with every step.
    symlink("grow/grow", tree.image().join("grow")).expect("symlink");
    assert_eq!(tree.make("/grow", Leaf::Directory), Err(Errno::LOOP));
}

#[test]
fn a_file_on_the_way_is_an_error() {
    let tree = Tree::new();
    fs::write(tree.image().join("file"), "").expect("file");
    assert_eq!(tree.make("/file/x", Leaf::Directory), Err(Errno::NOTDIR));
}

#[test]
fn magic_links_are_not_followed() {
    let root = fs::File::open("/").expect("/");
    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root));
    assert_eq!(open(root.as_fd(), &link, OFlags::PATH).map(drop), Err(Errno::LOOP));
}
