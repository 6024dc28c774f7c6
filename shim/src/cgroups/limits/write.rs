//! Writing values: all of them, or what stood before.
//!
//! ```text
//!  values ─▶ each written ── EINVAL ─▶ once more, after the others ── refused ─▶ those before are put back, an error
//! ```
//!
//! The kernel checks a value against those that stand: memory may not exceed memory with swap, nor a cpu's quota
//! what its period allows above. Which of two comes first depends on what was before; so who is refused waits for
//! the others. A new container's values are not put back: its cgroup goes.

use super::value::{Value, Without, standing};
use crate::cgroups::discover::Tree;
use crate::cgroups::{Cgroup, CgroupError, files};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::path::PathBuf;

/// What stood in the files that were changed, in the order of the changes.
#[derive(Debug, Default)]
pub(in crate::cgroups) struct Before(Vec<Value>);

impl Before {
    /// The names of the changed files.
    pub(in crate::cgroups) fn files(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|value| value.file.as_str())
    }
}

/// A value that was refused: where, and why.
type Refused = (PathBuf, Errno);

impl Cgroup {
    /// Writes them, whatever stood before.
    pub(super) fn write(&self, values: Vec<Value>) -> Result<(), CgroupError> {
        self.write_each(values, |value| self.write_one(value))
    }

    /// Writes what differs from what stands; all, or nothing.
    pub(super) fn replace(&self, values: Vec<Value>) -> Result<Before, CgroupError> {
        let mut before = Before::default();
        match self.write_each(values, |value| self.replace_one(value, &mut before)) {
            Ok(()) => Ok(before),
            Err(error) => {
                self.put_back(before);
                Err(error)
            }
        }
    }

    /// Undoes changes, the last one first.
    pub(in crate::cgroups) fn put_back(&self, before: Before) {
        let values = before.0.into_iter().rev().collect();
        if let Err(error) = self.write(values) {
            log::warn!("a limit that was changed cannot be put back: {error}");
        }
    }

    fn write_each(
        &self,
        values: Vec<Value>,
        mut write: impl FnMut(&Value) -> Result<(), Refused>,
    ) -> Result<(), CgroupError> {
        let mut refused = Vec::new();
        for value in values {
            match write(&value) {
                Err((_, Errno::INVAL)) => refused.push(value),
                done => done.map_err(|refused| self.why(&value, refused))?,
            }
        }
        for value in refused {
            write(&value).map_err(|refused| self.why(&value, refused))?;
        }
        Ok(())
    }

    /// With the file in the error, for it may be the other of two.
    fn write_one(&self, value: &Value) -> Result<(), Refused> {
        // That the controller is there was looked at before.
        let Some(tree) = self.hierarchies.tree_of(value.controller) else { return Ok(()) };
        let write = |file: &str| {
            let name = self.path.file(file);
            files::write(tree, &name, &value.value).map_err(|errno| (tree.whole(&name), errno))
        };
        match (write(&value.file), value.without) {
            (Err((_, Errno::NOENT)), Without::PassOver) => Ok(()),
            (Err((_, Errno::NOENT)), Without::Take(other)) => write(other),
            (done, _) => done,
        }
    }

    fn replace_one(&self, value: &Value, before: &mut Before) -> Result<(), Refused> {
        let Some(tree) = self.hierarchies.tree_of(value.controller) else { return Ok(()) };
        let there = |file: &str| files::open(tree, &self.path.file(file), OFlags::PATH).is_ok();
        let file = match value.without {
            Without::Take(other) if !there(&value.file) => other,
            _ => &value.file,
        };
        // One that cannot be read (`memory.reclaim`) cannot be put back, but written.
        let stood = files::read(tree, &self.path.file(file)).ok();
        let stood = stood.map(|text| standing(file, &text, &value.value));
        if stood.as_ref() == Some(&value.value) {
            return Ok(());
        }
        let value = Value { file: file.to_owned(), ..value.clone() };
        self.write_one(&value)?;
        before.0.extend(stood.map(|stood| Value { value: stood, ..value }));
        Ok(())
    }

    fn why(&self, value: &Value, (path, errno): Refused) -> CgroupError {
        let Some(tree) = self.hierarchies.tree_of(value.controller) else {
            return CgroupError::Gone { path: self.path.clone() };
        };
        let number = |file: &str| self.number(tree, file);
        match (value.file.as_str(), errno) {
            (_, Errno::NODEV) => CgroupError::Gone { path: self.path.clone() },
            (_, Errno::NOENT) if files::open(tree, self.path.relative(), OFlags::PATH).is_err() => {
                CgroupError::Gone { path: self.path.clone() }
            }
            ("memory.limit_in_bytes" | "memory.memsw.limit_in_bytes", Errno::BUSY) => {
                let usage = number(&value.file.replace("limit", "usage")).unwrap_or_default();
                CgroupError::BelowUse { path, value: value.value.clone(), usage }
            }
            ("memory.limit_in_bytes", Errno::INVAL) => {
                match (number("memory.memsw.limit_in_bytes"), value.value.parse::<u64>()) {
                    (Some(together), Ok(limit)) if limit > together => {
                        CgroupError::AboveSwap { path, value: value.value.clone(), together }
                    }
                    _ => CgroupError::Write { path, value: value.value.clone(), source: errno.into() },
                }
            }
            (_, errno) => CgroupError::Write { path, value: value.value.clone(), source: errno.into() },
        }
    }

    pub(super) fn number(&self, tree: &Tree, file: &str) -> Option<u64> {
        files::read(tree, &self.path.file(file)).ok()?.trim().parse().ok()
    }

    /// Whether one of them lowers memory below what is in use: then the kernel takes its time to make room.
    pub(super) fn must_make_room(&self, values: &[Value]) -> bool {
        values.iter().any(|value| {
            let usage = match value.file.as_str() {
                "memory.max" | "memory.high" => "memory.current",
                "memory.limit_in_bytes" => "memory.usage_in_bytes",
                "memory.memsw.limit_in_bytes" => "memory.memsw.usage_in_bytes",
                _ => return false,
            };
            let usage = self.hierarchies.tree_of(value.controller).and_then(|tree| self.number(tree, usage));
            value.value.parse().is_ok_and(|limit: u64| usage.is_some_and(|usage| limit < usage))
        })
    }
}
