//! Cgroups above a container's own that somebody else uses: threaded, or with processes.

use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::{Container, Draft, Node, until};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// Whether the machine has v2 and nothing else.
fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Somebody's cgroup in every hierarchy, with a process of theirs, until it is dropped.
struct Theirs {
    path: String,
    directories: Vec<PathBuf>,
    process: Child,
}

impl Theirs {
    fn below(node: &Node, name: &str) -> Self {
        let path = format!("{}/{name}", node.cgroup_parent());
        let groups = fs::read_to_string("/proc/self/cgroup").expect("our cgroups");
        let hierarchies = groups.lines().filter_map(|line| line.split(':').nth(1));
        let hierarchies = hierarchies.filter(|list| list.is_empty() == unified() && !list.contains('='));
        let place = |list| Path::new("/sys/fs/cgroup").join(list).join(path.trim_start_matches('/'));
        let directories: Vec<_> = hierarchies.map(place).collect();
        let process = Command::new("sleep").arg("1000").spawn().expect("sleep");
        directories.iter().for_each(|directory| fs::create_dir_all(directory).expect("a cgroup"));
        Self { path, directories, process }
    }

    /// Puts their process into it, but for hierarchies in which nobody can be before more is set.
    fn occupy(&self) {
        let without_cpus = |directory: &Path| {
            let cpus = fs::read_to_string(directory.join("cpuset.cpus"));
            !unified() && cpus.is_ok_and(|cpus| cpus.trim().is_empty())
        };
        for directory in self.directories.iter().filter(|directory| !without_cpus(directory)) {
            fs::write(directory.join("cgroup.procs"), self.process.id().to_string()).expect("join");
        }
    }

    fn hold<'node>(&self, draft: Draft<'node>) -> Draft<'node> {
        let path = format!("{}/{}", self.path, draft.id());
        draft.edit(|spec| spec["linux"]["cgroupsPath"] = json!(path))
    }

    /// On v2, what it is.
    fn kind(&self) -> String {
        self.directories
            .first()
            .map(|one| fs::read_to_string(one.join("cgroup.type")).expect("its type"))
            .unwrap_or_default()
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
        for directory in &self.directories {
            until("an empty cgroup", || fs::remove_dir(directory).ok());
        }
    }
}

fn limit_of(container: &Container<'_>) -> String {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("its cgroups");
    let (mark, point, file) =
        if unified() { ("0::", "", "memory.max") } else { (":memory:", "memory", "memory.limit_in_bytes") };
    let path = groups.lines().find_map(|line| line.split_once(mark)).expect("its memory cgroup").1;
    let file = Path::new("/sys/fs/cgroup").join(point).join(path.trim_start_matches('/')).join(file);
    fs::read_to_string(file).expect("its limit").trim().to_owned()
}

#[test]
fn below_a_threaded_one_nothing_can_be_and_create_names_it() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(3));
    let theirs = Theirs::below(&node, "threaded");
    let draft = theirs.hold(node.container(&image));
    if !unified() {
        // v1 has threads wherever they like; there is nothing to refuse.
        assert_eq!(draft.run().code, 3);
        return;
    }
    fs::write(theirs.directories[0].join("cgroup.type"), "threaded").expect("threaded");
    let file = format!("{}/{}/cgroup.type", theirs.path, draft.id());
    let refused = draft.create().expect_err("a threaded cgroup").message().to_owned();
    // The one above became the root of the threaded ones, and is no place for others either.
    let named = format!("{} is threaded", node.cgroup_parent());
    for part in [&file, "domain invalid", &named, "cgroupsPath"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}

#[test]
fn below_one_with_processes_a_container_runs_and_only_limits_are_refused() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(3));
    let theirs = Theirs::below(&node, "occupied");
    theirs.occupy();
    assert_eq!(theirs.hold(node.container(&image)).run().code, 3);
    let limited = theirs.hold(node.container(&image).memory(64 << 20));
    if unified() {
        let refused = limited.create().expect_err("a limit that cannot be had").message().to_owned();
        assert!(refused.contains(&theirs.path) && refused.contains("processes of its own"), "{refused}");
        assert_eq!(theirs.kind(), "domain\n", "theirs is as it was");
    } else {
        let container = limited.create().expect("create");
        assert_eq!(limit_of(&container), (64 << 20).to_string());
        assert_eq!(container.run_to_end().code, 3);
    }
}
