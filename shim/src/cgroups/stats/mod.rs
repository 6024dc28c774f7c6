//! What a container has used, as plain numbers.
//!
//! A file the kernel does not have (swap accounting off, a controller not enabled, an older kernel) leaves
//! its figures at zero or absent and costs no other figure. Only a cgroup that is gone is an error.

mod huge_pages;
mod v1;
mod v2;

pub use huge_pages::HugePages;
pub use v1::{BlockIo, BlockIoEntry, CpuV1, MemoryCounter, MemoryV1, OomControl, StatsV1};
pub use v2::{CpuV2, Io, MemoryEvents, MemoryV2, Pressure, PressureLine, StatsV2};

use super::discover::{Layout, Tree};
use super::{Cgroup, CgroupError, CgroupPath, files};
use rustix::fs::{Mode, OFlags, openat};
use std::os::fd::OwnedFd;

/// The figures of one cgroup.
#[derive(Debug, Clone, PartialEq)]
pub enum Stats {
    /// From the v1 hierarchies.
    V1(Box<StatsV1>),
    /// From the unified hierarchy.
    V2(Box<StatsV2>),
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pids {
    /// How many there are.
    pub current: u64,
    /// How many there may be; `None` without a limit.
    pub limit: Option<u64>,
}

impl Cgroup {
    /// Reads all figures. Works for as long as the directory is there, also when its processes are gone.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        let stats = match self.hierarchies.layout() {
            Layout::V1(_) => {
                let dir = |controller| Dir::open(self.hierarchies.tree_of(controller), &self.path);
                v1::read(dir).map(|stats| Stats::V1(Box::new(stats)))
            }
            Layout::V2 { tree, .. } => {
                let dir = Dir::open(Some(tree), &self.path);
                dir.exists().then(|| Stats::V2(Box::new(v2::read(&dir))))
            }
        };
        // systemd removes the directories of a scope one by one: what was read meanwhile is a part.
        stats.filter(|_| self.is_whole()).ok_or_else(|| CgroupError::Gone { path: self.path.clone() })
    }
}

/// A cgroup's directory in one tree, or none: then every file of it is missing.
struct Dir(Option<OwnedFd>);

impl Dir {
    fn open(tree: Option<&Tree>, path: &CgroupPath) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self(tree.and_then(|tree| openat(tree, path.relative(), flags, Mode::empty()).ok()))
    }

    fn exists(&self) -> bool {
        self.0.is_some()
    }

    fn text(&self, file: &str) -> Option<String> {
        self.0.as_ref().and_then(|dir| files::read(dir, file).ok())
    }

    /// A file with one number; `max` is the greatest there is.
    fn number(&self, file: &str) -> Option<u64> {
        let text = self.text(file)?;
        match text.trim() {
            "max" => Some(u64::MAX),
            number => number.parse().ok(),
        }
    }

    fn pids(&self) -> Option<Pids> {
        let current = self.number("pids.current")?;
        Some(Pids { current, limit: self.number("pids.max").filter(|&limit| limit != u64::MAX) })
    }
}

/// `name value` lines.
fn flat(content: &str) -> impl Iterator<Item = (&str, u64)> {
    content.lines().filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        Some((name, value.trim().parse().ok()?))
    })
}

/// The value of a name in `name value` lines, zero if it is not there.
pub(super) fn flat_value(content: &str, name: &str) -> u64 {
    flat(content).find(|(found, _)| *found == name).map_or(0, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_lines_pass_over_what_is_no_number() {
        let content = "a 1\nb\nc x\nab 7\n\nd 18446744073709551615\n";
        assert_eq!(flat_value(content, "a"), 1);
        assert_eq!(flat_value(content, "ab"), 7);
        assert_eq!(flat_value(content, "d"), u64::MAX);
        assert_eq!([flat_value(content, "b"), flat_value(content, "c"), flat_value(content, "z")], [0, 0, 0]);
    }
}
