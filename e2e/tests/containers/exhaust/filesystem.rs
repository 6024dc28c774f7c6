//! A file system of the test's own below a node's directory, as small as the test wants it.

use super::{Scarce, tells};
use pinnace_e2e::{Node, Status};
use rustix::fs::statvfs;
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What there can be too little of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    Files,
    Bytes,
}

/// A tmpfs. Dropped, it is unmounted.
pub(super) struct Filesystem {
    place: PathBuf,
    pub(super) of: Cell<Of>,
}

impl Filesystem {
    /// Mounts one at this place of a node.
    pub(super) fn at(node: &Node, place: &str) -> Self {
        let place = node.dir().join(place);
        fs::create_dir_all(&place).expect("a place");
        let filesystem = Self { place, of: Cell::new(Of::Files) };
        mount(&["-t", "tmpfs", "-o", &format!("{FILES},{BYTES},mode=700"), "tmpfs"], &filesystem.place);
        filesystem
    }

    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// Lets nobody write to it, or everybody.
    pub(super) fn read_only(&self, on: bool) {
        self.remount(if on { "ro" } else { "rw" });
    }

    fn remount(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}")], &self.place);
    }
}

/// Enough for every test.
const FILES: &str = "nr_inodes=100000";
const BYTES: &str = "size=256m";

impl Scarce for Filesystem {
    /// So many more files, or pages of 4 KiB.
    fn leave(&self, count: u64) {
        let seen = statvfs(&self.place).expect("a file system");
        match self.of.get() {
            Of::Files => self.remount(&format!("nr_inodes={}", seen.f_files - seen.f_ffree + count)),
            Of::Bytes => {
                // Of a size of nothing tmpfs makes none at all.
                let used = (seen.f_blocks - seen.f_bfree) * seen.f_frsize;
                self.remount(&format!("size={}", (used + count * 4096).max(1)));
            }
        }
    }

    fn restore(&self) {
        self.remount(&format!("{FILES},{BYTES}"));
    }

    #[track_caller]
    fn told(&self, status: &Status) {
        // containerd and an OCI runtime have words of their own.
        if !["no space left on device", "runc"].iter().any(|words| status.message().contains(words)) {
            tells(status, &["No space left on device", "make room"]);
            tells(status, &[&self.place.display().to_string()]);
        }
    }
}

impl Drop for Filesystem {
    fn drop(&mut self) {
        // A server may have it open for another moment.
        let done = Command::new("umount").arg("--lazy").arg(&self.place).status();
        if !std::thread::panicking() {
            assert!(done.expect("start umount").success());
        }
    }
}

#[track_caller]
fn mount(args: &[&str], place: &Path) {
    let output = Command::new("mount").args(args).arg(place).output().expect("start mount");
    assert!(output.status.success(), "mount {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
