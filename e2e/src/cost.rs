//! What a running container costs: memory and threads of each of its processes.
//!
//! `Anonymous` is what a process has for itself: it counts nothing that other containers would share. PSS
//! divides what is shared among those who share it.

use std::fs;
use std::path::Path;

/// One process.
#[derive(Debug, Clone)]
pub struct Cost {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Private memory, in KiB.
    pub private: u64,
    /// Proportional share of all its memory, in KiB.
    pub pss: u64,
    /// How many threads it has.
    pub threads: u64,
}

/// A process, if it is still there.
#[must_use]
pub fn of(pid: u32) -> Option<Cost> {
    let dir = Path::new("/proc").join(pid.to_string());
    let memory = fs::read_to_string(dir.join("smaps_rollup")).ok()?;
    let status = fs::read_to_string(dir.join("status")).ok()?;
    Some(Cost {
        pid,
        name: line(&status, "Name:")?.to_owned(),
        private: number(&memory, "Anonymous:")?,
        pss: number(&memory, "Pss:")?,
        threads: number(&status, "Threads:")?,
    })
}

/// The shim that is the parent of a container's first process, and every process below it.
#[must_use]
pub fn family(init: u32) -> Vec<Cost> {
    let Some(shim) = parent(init) else { return Vec::new() };
    let mut pids = vec![shim];
    let mut next = 0;
    while let Some(&pid) = pids.get(next) {
        pids.extend(children(pid));
        next += 1;
    }
    pids.into_iter().filter_map(of).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    number(&status, "PPid:").and_then(|pid| u32::try_from(pid).ok())
}

/// The children of all its threads.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn number(text: &str, key: &str) -> Option<u64> {
    line(text, key)?.split_whitespace().next()?.parse().ok()
}

fn line<'text>(text: &'text str, key: &str) -> Option<&'text str> {
    text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_has_memory_and_threads() {
        let us = of(std::process::id()).expect("this process");
        assert!(us.private > 0 && us.pss >= us.private / 2 && us.threads >= 1);
    }
}
