//! Pods through the CRI, as a kubelet makes them: the pod's own container is a holder, the others are Wasm.
//!
//! `PINNACE_CONTAINERD` names the version; `cargo xtask test` runs everything once for each.

mod crash;
mod debug;
mod devices;
mod exec;
mod life;
mod many;
mod mixed;
mod namespaces;
mod network;
mod probe;
mod security;
mod stats;
mod users;
mod volumes;

use pinnace_e2e::{Node, places};
use pinnace_oci::build::Image;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The image of a program that does what its arguments say: `e2e/guests/tool.rs`.
fn tool(node: &Node) -> String {
    let wasm = fs::read(places::tools().join("tool.wasm")).expect("tool.wasm; run `cargo xtask tools`");
    let image = Image::rootfs().file("/tool.wasm", wasm, 0o755).directory("/tmp").entrypoint(["/tool.wasm"]);
    node.pod_image(&image)
}

/// The image of a sidecar that is a native program.
fn sidecar(node: &Node) -> String {
    let busybox = fs::read(places::tools().join("busybox")).expect("busybox; run `cargo xtask tools`");
    let image = Image::rootfs().file("/bin/busybox", busybox, 0o755).directory("/tmp").directory("/proc");
    node.pod_image(&image.directory("/dev").directory("/sys").entrypoint(["/bin/busybox"]))
}

/// A namespace of a process.
fn namespace(pid: u32, kind: &str) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace")
}

/// A line of `/proc/<pid>/status`.
fn status(pid: u32, key: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a command prints in some namespaces of a process.
fn within(pid: u32, flags: &[&str], command: &str) -> String {
    let busybox = places::tools().join("busybox");
    let output = Command::new(&busybox)
        .args(["nsenter", "-t", &pid.to_string()])
        .args(flags)
        .arg("--")
        .arg(&busybox)
        .args(["sh", "-c", command])
        .output()
        .expect("busybox");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}
