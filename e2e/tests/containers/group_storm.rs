//! Servers of one group that are started and killed many times at once: never two, never none that was promised.
//!
//! containerd executes `start` for every container and `delete` after every death, each a process of its own; what
//! they do to the one socket of a group must come out right in any order.

use pinnace_e2e::{Node, leaks, places, until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// As many starts at once, and how often.
const STARTS: usize = 100;
const ROUNDS: usize = 3;

/// A group of bundles, without containerd's own record of them.
struct Group<'node> {
    node: &'node Node,
    id: String,
}

impl Group<'_> {
    /// Makes a bundle of the group.
    fn bundle(&self, number: usize) -> PathBuf {
        let dir = self.node.dir().join(format!("{}-{number}", self.id));
        fs::create_dir_all(&dir).expect("a bundle");
        let group = format!("{{\"io.containerd.runc.v2.group\":\"{}\"}}", self.id);
        let spec = format!("{{\"ociVersion\":\"1.1.0\",\"annotations\":{group}}}");
        fs::write(dir.join("config.json"), spec).expect("a config.json");
        dir
    }

    fn call(&self, bundle: &Path, action: &str) -> Output {
        let id = bundle.file_name().expect("a name");
        let mut shim = Command::new(places::dist().join("containerd-shim-wasm-v1"));
        shim.args(["-namespace", "e2e", "-id"]).arg(id).arg("-address").arg(self.node.socket());
        shim.arg("-publish-binary").arg("/bin/true").arg("-bundle").arg(bundle).arg(action);
        shim.env("TTRPC_ADDRESS", self.node.dir().join("t.sock"))
            .env("PINNACE_CONFIG", self.node.dir().join("pinnace.toml"))
            .current_dir(bundle)
            .stdin(Stdio::null());
        shim.output().expect("start the shim")
    }

    /// Its servers: they carry the command line of the `start` that they were forked from, which is a child of ours.
    fn servers(&self) -> Vec<Pid> {
        let entries = fs::read_dir("/proc").expect("processes").flatten();
        let found = entries.filter_map(|entry| {
            let words = fs::read(entry.path().join("cmdline")).ok()?;
            let words = String::from_utf8_lossy(&words).into_owned();
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let ours = format!("\nPPid:\t{}\n", std::process::id());
            let is_server = words.contains(&self.id)
                && words.trim_end_matches('\0').ends_with("start")
                && !status.contains(&ours)
                && !status.contains("\nState:\tZ");
            is_server.then(|| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).flatten()
        });
        found.collect()
    }

    fn socket(&self) -> PathBuf {
        leaks::socket(&self.node.socket(), &self.id)
    }
}

#[test]
fn of_many_starts_and_deaths_one_server_comes_out() {
    let node = Node::start();
    let group = Group { node: &node, id: node.id() };
    let bundles: Vec<_> = (0..STARTS).map(|number| group.bundle(number)).collect();
    for round in 0..ROUNDS {
        let over = AtomicBool::new(false);
        let failed: Vec<_> = thread::scope(|scope| {
            let killer = scope.spawn(|| {
                let mut killed = 0;
                while !over.load(Ordering::Relaxed) {
                    for server in group.servers() {
                        killed += usize::from(kill_process(server, Signal::KILL).is_ok());
                        // As containerd does for each container of a server that is gone.
                        for bundle in bundles.iter().skip(killed % STARTS).take(4) {
                            let deleted = group.call(bundle, "delete");
                            assert!(deleted.status.success(), "{deleted:?}");
                        }
                    }
                }
                killed
            });
            let starts: Vec<_> =
                bundles.iter().map(|bundle| scope.spawn(|| group.call(bundle, "start"))).collect();
            let answers: Vec<_> = starts.into_iter().map(|start| start.join().expect("no panic")).collect();
            over.store(true, Ordering::Relaxed);
            assert!(killer.join().expect("no panic") > 0, "nobody was killed in round {round}");
            answers
                .into_iter()
                .filter(|answer| !answer.status.success() || !answer.stderr.is_empty())
                .collect()
        });
        assert!(failed.is_empty(), "{} of {STARTS} starts in round {round}: {failed:?}", failed.len());

        // Whoever is left is the one behind the socket; one more start joins it, or begins anew.
        let started = group.call(&bundles[0], "start");
        assert!(started.status.success(), "{started:?}");
        let servers = group.servers();
        assert_eq!(servers.len(), 1, "one server: {servers:?}");
        assert!(UnixStream::connect(group.socket()).is_ok(), "its socket was lost");
        // A delete of another container leaves it its socket.
        assert!(group.call(&bundles[1], "delete").status.success());
        assert!(UnixStream::connect(group.socket()).is_ok(), "its socket was taken");
        kill_process(servers[0], Signal::KILL).expect("kill");
        until("its end", || group.servers().is_empty().then_some(()));
        assert!(group.call(&bundles[0], "delete").status.success());
        assert!(!group.socket().exists(), "a dead server's socket is removed");
    }
}
