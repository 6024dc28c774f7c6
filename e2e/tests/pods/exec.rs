//! Commands in a container of a pod whose containers see each other's processes.

use crate::{namespace, status, tool};
use pinnace_e2e::{Node, until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// The process of this pid namespace that has this word among its arguments.
fn found(pids: &Path, word: &str) -> Option<u32> {
    let all = fs::read_dir("/proc").expect("processes").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|&byte| byte == 0).any(|one| one == word.as_bytes())
            && fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|own| own == pids)
    })
}

/// Once a command has written the file that it names, ends it, or another process in its place.
fn ends_one(pids: PathBuf, root: u32, file: &'static str, other: Option<u32>) -> thread::JoinHandle<u32> {
    thread::spawn(move || {
        until("the command", || fs::exists(format!("/proc/{root}/root{file}")).ok()?.then_some(()));
        let pid = found(&pids, file).expect("its process");
        let target = Pid::from_raw(other.unwrap_or(pid).cast_signed()).expect("a pid");
        kill_process(target, Signal::KILL).expect("kill");
        pid
    })
}

#[test]
fn with_processes_shared_a_command_runs_ends_and_is_killed_alone() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().shared_pids().run().expect("a pod");
    let up = ["env", "UP", "then", "sleep"];
    let container = pod.draft(&image).args(&up).start().expect("start");
    let beside = pod.draft(&image).args(&up).start().expect("start");
    container.wait_for("UP=");
    beside.wait_for("UP=");
    let pids = namespace(pod.pid(), "pid");

    let done = container.exec(&["/tool.wasm", "env", "WHO"]).expect("exec");
    assert_eq!((done.code, done.output.as_str()), (0, "WHO=\n"));
    assert_eq!(container.exec(&["/tool.wasm", "cat", "/nowhere"]).expect("exec").code, 1);

    let killer = ends_one(pids.clone(), container.pid(), "/tmp/killed", None);
    let killed = container.exec(&["/tool.wasm", "write", "/tmp/killed", "x", "then", "sleep"]).expect("exec");
    assert_eq!(killed.code, 137, "{}", killed.output);
    assert_ne!(killer.join().expect("the killer"), container.pid());
    assert_eq!((container.ended(), beside.ended()), (None, None));

    // No kernel ends it with the container: its first process is not the namespace's.
    let killer = ends_one(pids.clone(), container.pid(), "/tmp/orphan", Some(container.pid()));
    let orphan = container.exec(&["/tool.wasm", "write", "/tmp/orphan", "x", "then", "sleep"]).expect("exec");
    assert_eq!(orphan.code, 137, "{}", orphan.output);
    assert_eq!(container.wait(), 137);
    let pid = killer.join().expect("the killer");
    until("its end", || (found(&pids, "/tmp/orphan") != Some(pid)).then_some(()));
    assert_eq!(beside.ended(), None);
    assert_eq!(status(beside.pid(), "NSpid:").split(' ').count(), 2);
    assert_eq!(beside.exec(&["/tool.wasm", "env", "WHO"]).expect("exec").code, 0);
}
