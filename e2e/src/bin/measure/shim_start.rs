//! The shim's own start: what containerd execs before it can send Create.

use crate::contender::Contender;
use crate::sample::Sample;
use pinnace_e2e::{Node, leaks, places};
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const STARTS: usize = 20;

/// Execs `start` for new containers as containerd does, and times it to its end.
pub(crate) fn measure(node: &Node, contender: &Contender) -> Sample {
    let mut sample = Sample::default();
    for _ in 0..STARTS {
        let id = node.id();
        let bundle = node.dir().join(&id);
        fs::create_dir_all(&bundle).expect("a bundle");
        fs::write(bundle.join("config.json"), "{\"ociVersion\":\"1.1.0\"}").expect("a config.json");
        let mut start = command(node, contender, &id, &bundle);
        let began = Instant::now();
        let output = start.output().expect("start a shim");
        sample.add(began.elapsed());
        assert!(output.status.success(), "{}: {output:?}", contender.shim);
        end(node, &id);
        fs::remove_dir_all(&bundle).expect("remove a bundle");
    }
    sample
}

fn command(node: &Node, contender: &Contender, id: &str, bundle: &Path) -> Command {
    let containerd = places::containerd(&node.version());
    let places = [places::dist(), containerd.clone(), places::tools()];
    let mut command = Command::new(find(&places, contender.shim));
    command
        .args(["-namespace", "e2e", "-id", id, "-address"])
        .arg(node.socket())
        .arg("-publish-binary")
        .arg(containerd.join("containerd"))
        .arg("start")
        .env("PATH", env::join_paths(places).expect("a PATH"))
        .env("TTRPC_ADDRESS", node.dir().join("t.sock"))
        .env("MAX_SHIM_VERSION", "2")
        .env("PINNACE_CONFIG", node.dir().join("pinnace.toml"))
        .current_dir(bundle)
        .stdin(Stdio::null());
    command
}

/// Ends the server, whose container never comes.
fn end(node: &Node, id: &str) {
    for pid in leaks::processes(id, &[std::process::id(), node.containerd_pid()]) {
        if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
            let _gone = kill_process(pid, Signal::KILL);
        }
    }
    let _none = fs::remove_file(leaks::socket(&node.socket(), id));
}

/// Where containerd would find it.
fn find(places: &[PathBuf], name: &str) -> PathBuf {
    let found = places.iter().map(|dir| dir.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built; run `cargo xtask measure`"))
}
