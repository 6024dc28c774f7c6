//! What bounds a guest's memory, and how often the kernel had to kill for it.

use super::stats::flat_value;
use super::{Cgroup, Controller, files};
use rustix::fs::OFlags;
use rustix::io::pread;
use std::os::fd::OwnedFd;

/// From here on a limit of version 1 is none: it is the largest number of pages.
const NONE: u64 = 1 << 62;

impl Cgroup {
    /// The files to read the guest's ceiling from each time its memory grows, innermost first: this cgroup's
    /// and each ancestor's, down to the mount's own root where that can be limited too (in a container or a
    /// cgroup namespace). Opened read-only; an update of a limit is seen by the next read from offset 0.
    /// Empty where there is no memory controller.
    #[must_use]
    pub fn memory_limit_files(&self) -> Vec<OwnedFd> {
        let file = if self.hierarchies.is_unified() { "memory.max" } else { "memory.limit_in_bytes" };
        let Some(tree) = self.hierarchies.tree_of(Controller::Memory) else { return Vec::new() };
        let root = tree.bounded_root.then(|| file.to_owned());
        std::iter::once(self.path.file(file))
            .chain(self.path.ancestors().map(|parent| format!("{parent}/{file}")))
            .chain(root)
            .filter_map(|name| files::open(tree, &name, OFlags::RDONLY).ok())
            .collect()
    }

    /// The smallest of those limits; none without any.
    #[must_use]
    pub fn memory_limit(&self) -> Option<u64> {
        let numbers = self.memory_limit_files().into_iter().filter_map(|file| {
            let mut text = [0; 32];
            let length = pread(file, &mut text, 0).ok()?;
            std::str::from_utf8(&text[..length]).ok()?.trim().parse().ok()
        });
        // Version 1 has a number for none.
        numbers.min().filter(|limit| *limit < NONE)
    }

    /// How many processes the OOM killer has ended in it. None when the cgroup is gone: read it before
    /// [`Cgroup::remove`].
    #[must_use]
    pub fn oom_kills(&self) -> u64 {
        let file = if self.hierarchies.is_unified() { "memory.events" } else { "memory.oom_control" };
        self.hierarchies
            .tree_of(Controller::Memory)
            .and_then(|tree| files::read(tree, &self.path.file(file)).ok())
            .map_or(0, |content| flat_value(&content, "oom_kill"))
    }
}

#[cfg(test)]
mod tests {
    use crate::cgroups::{Cgroup, Controller, Hierarchies};
    use std::fs;
    use std::io::Read;

    fn read(fds: Vec<std::os::fd::OwnedFd>) -> Vec<String> {
        let text = |fd| {
            let mut text = String::new();
            fs::File::from(fd).read_to_string(&mut text).unwrap();
            text
        };
        fds.into_iter().map(text).collect()
    }

    #[test]
    fn v1_limits_are_innermost_first_and_the_real_root_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("pod/c")).unwrap();
        for (directory, value) in [("pod/c", "1"), ("pod", "2"), ("", "3")] {
            fs::write(dir.path().join(directory).join("memory.limit_in_bytes"), value).unwrap();
        }
        let limits = || {
            let hierarchies = Hierarchies::v1_at(&[(&[Controller::Memory], dir.path())]);
            read(Cgroup::open(&hierarchies, "/pod/c").unwrap().memory_limit_files())
        };
        assert_eq!(limits(), ["1", "2", "3"], "the root of a container's mount counts");
        let cgroup = |path| {
            let hierarchies = Hierarchies::v1_at(&[(&[Controller::Memory], dir.path())]);
            Cgroup::open(&hierarchies, path).unwrap()
        };
        assert_eq!((cgroup("/pod/c").memory_limit(), cgroup("/none").memory_limit()), (Some(1), Some(3)));
        fs::write(dir.path().join("release_agent"), "").unwrap();
        assert_eq!(limits(), ["1", "2"]);
    }

    #[test]
    fn v2_limits_skip_directories_without_the_controller() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        for (name, value) in
            [("cgroup.controllers", ""), ("a/b/c/memory.max", "max\n"), ("a/memory.max", "9\n")]
        {
            fs::write(dir.path().join(name), value).unwrap();
        }
        let cgroup = Cgroup::open(&Hierarchies::v2_at(dir.path()), "/a/b/c").unwrap();
        assert_eq!(read(cgroup.memory_limit_files()), ["max\n", "9\n"]);
    }

    #[test]
    fn oom_kills_are_read_from_either_version() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("c")).unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "").unwrap();
        fs::write(dir.path().join("c/memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
            .unwrap();
        fs::write(dir.path().join("c/memory.events"), "low 0\noom 5\noom_kill 3\noom_group_kill 1\n")
            .unwrap();
        let v1 = Hierarchies::v1_at(&[(&[Controller::Memory], dir.path())]);
        assert_eq!(Cgroup::open(&v1, "/c").unwrap().oom_kills(), 2);
        assert_eq!(Cgroup::open(&Hierarchies::v2_at(dir.path()), "/c").unwrap().oom_kills(), 3);
        assert_eq!(Cgroup::open(&v1, "/gone").unwrap().oom_kills(), 0);
    }
}
