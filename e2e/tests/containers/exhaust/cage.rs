//! A cgroup of the test's own around a server, on either version.

use super::Group;
use std::fs;
use std::path::{Path, PathBuf};

/// A cgroup with a server in it. Dropped, it lets the server go.
pub(super) struct Cage {
    root: PathBuf,
    dir: PathBuf,
}

impl Cage {
    /// Puts the server of a group where this controller counts for it alone.
    pub(super) fn new(group: &Group<'_>, controller: &str) -> Self {
        let unified = Path::new("/sys/fs/cgroup");
        let own = unified.join(controller);
        let root = if own.is_dir() { own } else { unified.to_owned() };
        let parent = root.join(group.node.name());
        let dir = parent.join("server");
        fs::create_dir_all(&dir).expect("a cgroup");
        for above in [&root, &parent] {
            // Version 1 has none.
            let _none = fs::write(above.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        let cage = Self { root, dir };
        cage.write("cgroup.procs", &group.server.to_string());
        cage
    }

    pub(super) fn write(&self, file: &str, value: &str) {
        fs::write(self.dir.join(file), value).expect(file);
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        for pid in fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default().lines() {
            // It may end just now.
            let _gone = fs::write(self.root.join("cgroup.procs"), pid);
        }
        let _left = fs::remove_dir(&self.dir);
    }
}
