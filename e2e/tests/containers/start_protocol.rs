//! The shim's program, as each generation of containerd calls it.
//!
//! | containerd | stdin of `start` | stdout |
//! |---|---|---|
//! | 1.6 | options or nothing | the bare address |
//! | 1.7 to 2.2 | options or nothing | JSON with version, address, protocol |
//! | 2.3 | `BootstrapParams` | `BootstrapResult` |

use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult};
use containerd_shim_protos::protobuf::Message;
use pinnace_e2e::{Node, leaks, places, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A bundle, without containerd's own record of it.
struct Bundle<'node> {
    node: &'node Node,
    dir: PathBuf,
    id: String,
}

impl<'node> Bundle<'node> {
    fn new(node: &'node Node) -> Self {
        let id = node.id();
        let dir = node.dir().join(&id);
        fs::create_dir_all(dir.join("rootfs")).expect("a bundle");
        fs::write(dir.join("config.json"), "{\"ociVersion\":\"1.1.0\"}").expect("a config.json");
        Self { node, dir, id }
    }

    fn call(&self, action: &str, environment: &[(&str, &str)], stdin: &[u8]) -> Output {
        let socket = self.node.dir().join("t.sock");
        let mut shim = Command::new(places::dist().join("containerd-shim-wasm-v1"));
        shim.args(["-namespace", "e2e", "-id", &self.id, "-address"]).arg(self.node.socket());
        shim.arg("-publish-binary").arg(places::containerd(&self.node.version()).join("containerd"));
        if action == "delete" {
            shim.arg("-bundle").arg(&self.dir);
        }
        shim.arg(action)
            .env("TTRPC_ADDRESS", socket)
            .env("PINNACE_CONFIG", self.node.dir().join("pinnace.toml"))
            .env_remove("MAX_SHIM_VERSION")
            .envs(environment.iter().copied())
            .current_dir(&self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = shim.spawn().expect("start the shim");
        // A shim that does not read its stdin may have closed it.
        let _closed = child.stdin.take().expect("its stdin").write_all(stdin);
        child.wait_with_output().expect("the shim's answer")
    }

    /// `start`, whose answer must be on stdout and nothing on stderr.
    fn start(&self, environment: &[(&str, &str)], stdin: &[u8]) -> Vec<u8> {
        let output = self.call("start", environment, stdin);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "one byte on stderr spoils the answer");
        output.stdout
    }

    /// The process that `start` left behind.
    fn server(&self) -> Pid {
        let found = self.processes();
        assert_eq!(found.len(), 1, "one server: {found:?}");
        found[0]
    }

    fn processes(&self) -> Vec<Pid> {
        let found = leaks::processes(&self.id, &[std::process::id(), self.node.containerd_pid()]);
        found.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())).collect()
    }

    /// Ends the server by the signal that means shutdown, and waits until its socket is gone.
    fn end(&self, address: &str) {
        let socket = Path::new(address.strip_prefix("unix://").expect("a unix address"));
        let server = self.server();
        // The address is printed before the server has looked around; containerd sends no signal that early.
        until("a server that catches signals", || catches_sigterm(server).then_some(()));
        kill_process(server, Signal::TERM).expect("kill");
        until("the end of the server", || (!socket.exists()).then_some(()));
    }
}

impl Drop for Bundle<'_> {
    fn drop(&mut self) {
        for pid in self.processes() {
            // It goes by itself in a test that passes.
            let _gone = kill_process(pid, Signal::KILL);
        }
    }
}

fn catches_sigterm(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
    u64::from_str_radix(caught.trim(), 16).is_ok_and(|set| set & (1 << 14) != 0)
}

fn listening(address: &str) -> bool {
    address.strip_prefix("unix://").is_some_and(|socket| UnixStream::connect(socket).is_ok())
}

#[test]
fn containerd_1_6_gets_the_bare_address() {
    let node = Node::start();
    let bundle = Bundle::new(&node);
    let address = String::from_utf8(bundle.start(&[], b"")).expect("text");
    assert!(listening(&address), "{address:?}");
    assert_eq!(fs::read_to_string(bundle.dir.join("address")).expect("the address file"), address);
    assert_eq!(Path::new(address.trim_start_matches("unix://")), leaks::socket(&node.socket(), &bundle.id));
    bundle.end(&address);
}

#[test]
fn containerd_1_7_gets_json_of_version_2() {
    let node = Node::start();
    let bundle = Bundle::new(&node);
    let answer = bundle.start(&[("MAX_SHIM_VERSION", "2")], b"");
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!((&answer["version"], &answer["protocol"]), (&Value::from(2), &Value::from("ttrpc")));
    let address = answer["address"].as_str().expect("an address");
    assert!(listening(address));
    bundle.end(address);
}

#[test]
fn containerd_2_3_gets_a_bootstrap_result_of_version_3() {
    let node = Node::start();
    let bundle = Bundle::new(&node);
    let parameters = BootstrapParams {
        instance_id: bundle.id.clone(),
        namespace: "e2e".to_owned(),
        containerd_version: "v2.3.4".to_owned(),
        ..BootstrapParams::default()
    };
    let answer = bundle.start(&[("MAX_SHIM_VERSION", "2")], &parameters.write_to_bytes().expect("a message"));
    let answer = BootstrapResult::parse_from_bytes(&answer).expect("a BootstrapResult");
    assert_eq!((answer.version, answer.protocol.as_str()), (3, "ttrpc"));
    assert!(listening(&answer.address));
    bundle.end(&answer.address);
}

#[test]
fn a_second_start_of_a_group_gets_the_same_address() {
    let node = Node::start();
    let bundle = Bundle::new(&node);
    let first = bundle.start(&[], b"");
    assert_eq!(bundle.start(&[], b""), first);
    bundle.end(&String::from_utf8(first).expect("text"));
}

#[test]
fn a_socket_that_nobody_listens_on_is_replaced() {
    let node = Node::start();
    let bundle = Bundle::new(&node);
    let address = String::from_utf8(bundle.start(&[], b"")).expect("text");
    let socket = PathBuf::from(address.trim_start_matches("unix://"));
    kill_process(bundle.server(), Signal::KILL).expect("kill");
    until("a dead socket", || UnixStream::connect(&socket).is_err().then_some(()));
    assert_eq!(bundle.start(&[], b""), address.as_bytes());
    assert!(listening(&address));
    bundle.end(&address);
}

#[test]
fn delete_answers_for_what_never_was() {
    let node = Node::start();
    let bundle = Bundle::new(&node);
    let output = bundle.call("delete", &[], b"");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn version_and_info_are_told() {
    let shim = places::dist().join("containerd-shim-wasm-v1");
    for flag in ["-v", "-info"] {
        let output = Command::new(&shim).arg(flag).stdin(Stdio::null()).output().expect("start the shim");
        assert!(output.status.success() && !output.stdout.is_empty(), "{flag}: {output:?}");
        assert!(output.stderr.is_empty(), "{flag}: {output:?}");
    }
}
