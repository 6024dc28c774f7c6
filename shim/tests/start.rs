//! `start` as containerd 2.3 calls it: that protocol names the sockets' directory, so these tests need no root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use containerd_shim_protos::api::{ConnectRequest, ConnectResponse};
use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult};
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::ttrpc::context;
use containerd_shim_protos::{Client, TaskClient};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A node with nothing on it but sockets and bundles; its servers are killed at the end.
struct Node {
    directory: TempDir,
    servers: std::sync::Mutex<HashSet<u32>>,
}

impl Node {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), servers: Default::default() }
    }

    fn bundle(&self, id: &str, group: &str) -> PathBuf {
        let bundle = self.directory.path().join(id);
        fs::create_dir_all(&bundle).unwrap();
        let annotation = format!(r#"{{"annotations":{{"io.kubernetes.cri.sandbox-id":"{group}"}}}}"#);
        fs::write(bundle.join("config.json"), annotation).unwrap();
        bundle
    }

    fn sockets(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    fn execute(&self, id: &str, group: &str) -> Output {
        let parameters = BootstrapParams {
            instance_id: id.to_owned(),
            namespace: "test".to_owned(),
            socket_dir: Some(self.sockets().display().to_string()),
            ..BootstrapParams::default()
        };
        let mut child = Command::new(env!("CARGO_BIN_EXE_containerd-shim-wasm-v1"))
            .args([
                "-namespace",
                "test",
                "-address",
                "/nowhere",
                "-publish-binary",
                "/nowhere",
                "-id",
                id,
                "start",
            ])
            .current_dir(self.bundle(id, group))
            .env_remove("TTRPC_ADDRESS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&parameters.write_to_bytes().unwrap()).unwrap();
        // This reads both streams to their end: a server that kept one would hang it here.
        child.wait_with_output().unwrap()
    }

    fn start(&self, id: &str, group: &str) -> String {
        let output = self.execute(id, group);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(output.status.success());
        let result = BootstrapResult::parse_from_bytes(&output.stdout).unwrap();
        assert_eq!((result.version, result.protocol.as_str()), (3, "ttrpc"));
        assert_eq!(
            fs::read_to_string(self.directory.path().join(id).join("address")).unwrap(),
            result.address
        );
        result.address
    }

    /// The server at an address, by asking it.
    fn server(&self, address: &str) -> u32 {
        let client = TaskClient::new(Client::connect(address).unwrap());
        let time = context::with_duration(Duration::from_secs(10));
        let ConnectResponse { shim_pid, .. } = client.connect(time, &ConnectRequest::new()).unwrap();
        self.servers.lock().unwrap().insert(shim_pid);
        shim_pid
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for server in self.servers.get_mut().unwrap().drain() {
            let _ = kill(pid(server), Signal::SIGKILL);
        }
    }
}

fn pid(server: u32) -> Pid {
    Pid::from_raw(server.try_into().unwrap())
}

fn of_proc(pid: u32, what: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap()
}

fn status(pid: u32, key: &str) -> String {
    let status = of_proc(pid, "status");
    status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned()
}

#[test]
fn a_server_stands_on_its_own() {
    let node = Node::new();
    let server = node.server(&node.start("a", "a"));
    assert_eq!(of_proc(server, "comm").trim(), "pinnace-shim");
    assert_eq!(status(server, "Threads:"), "1");
    assert_eq!(
        u64::from_str_radix(&status(server, "SigIgn:"), 16).unwrap() & (1 << (libc::SIGPIPE - 1)),
        1 << 12
    );
    // Session and process group are its own: fields 5 and 6 of stat, after the name in parentheses.
    let stat = of_proc(server, "stat");
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!(fields[2..4], [server.to_string(), server.to_string()]);
    let link = |what: &str| fs::read_link(format!("/proc/{server}/{what}")).unwrap();
    assert_eq!(link("cwd"), PathBuf::from("/"));
    for number in 0..3 {
        assert_eq!(link(&format!("fd/{number}")), PathBuf::from("/dev/null"));
    }
    let score =
        |who: &str| fs::read_to_string(format!("/proc/{who}/oom_score_adj")).unwrap().trim().parse::<i32>();
    assert_eq!(score(&server.to_string()).unwrap(), (score("self").unwrap() + 1).min(1000));
}

#[test]
fn a_group_has_one_server_and_another_group_its_own() {
    let node = Node::new();
    let address = node.start("pod", "pod");
    let server = node.server(&address);
    assert_eq!(node.start("container", "pod"), address);
    assert_eq!(node.server(&address), server);
    let other = node.start("other", "other");
    assert_ne!(other, address);
    assert_ne!(node.server(&other), server);
}

#[test]
fn a_killed_server_is_replaced() {
    let node = Node::new();
    let address = node.start("a", "a");
    let server = node.server(&address);
    kill(pid(server), Signal::SIGKILL).unwrap();
    while fs::read_link(format!("/proc/{server}/cwd")).is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(node.start("a", "a"), address);
    assert_ne!(node.server(&address), server);
}

#[test]
fn starts_of_one_group_at_once_make_one_server() {
    for _ in 0..5 {
        let node = Node::new();
        let addresses: HashSet<_> = std::thread::scope(|scope| {
            let node = &node;
            let starts: Vec<_> =
                (0..8).map(|number| scope.spawn(move || node.start(&number.to_string(), "pod"))).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert_eq!(addresses.len(), 1);
        let server = node.server(addresses.iter().next().unwrap());
        // Nobody else came of it: the bundles name every server there could be.
        let sockets = node.sockets().display().to_string();
        assert_eq!(fs::read_dir(&sockets).unwrap().count(), 1);
        let listening = fs::read_to_string("/proc/net/unix").unwrap();
        let listening =
            listening.lines().filter(|line| line.contains(&sockets) && line.contains(" 00010000 "));
        assert_eq!(listening.count(), 1, "server {server}");
    }
}

#[test]
fn a_signal_ends_a_server_and_its_socket() {
    let node = Node::new();
    let address = node.start("a", "a");
    kill(pid(node.server(&address)), Signal::SIGTERM).unwrap();
    let begin = Instant::now();
    while fs::read_dir(node.sockets()).unwrap().count() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(10), "the socket is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_failing_start_says_one_line_and_leaves_no_socket() {
    let node = Node::new();
    let bundle = node.bundle("a", "a");
    fs::write(bundle.join("config.json"), "{").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_containerd-shim-wasm-v1"))
        .args(["-namespace", "test", "-address", "/nowhere", "-id", "a", "start"])
        .current_dir(&bundle)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("config.json") && message.lines().count() == 1, "{message}");
    assert!(!node.sockets().exists());
}
