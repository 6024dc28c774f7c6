//! `make demo`: Wasm images on a real containerd, step by step, in front of the reader's eyes.
//!
//! Everything happens in a node of its own in a temporary directory; when it ends, the harness proves that
//! nothing of it is left, as it does after each test.

#![forbid(unsafe_code)]
#![allow(clippy::panic, reason = "a demonstration that does not show what it promises must fail")]

mod beside_runc;
mod show;

use pinnace_conformance::guests;
use pinnace_e2e::{Node, places};
use pinnace_oci::{WasmMedia, build};
use show::Show;
use std::fs;

fn main() {
    let node = Node::start();
    println!("A private containerd {} in {}\n", node.version(), node.dir().display());

    module_in_a_root_filesystem(&node);
    component_as_an_artifact(&node);
    program_written_in_rust(&node);
    module_that_traps(&node);
    beside_runc::compare(&node);

    drop(node);
    println!("Everything removed: no process, mount, cgroup, socket or file is left.");
}

fn module_in_a_root_filesystem(node: &Node) {
    let image =
        build::Image::rootfs().file("/hello.wasm", guests::hello_p1(), 0o755).entrypoint(["/hello.wasm"]);
    Show::new("hello", "A WASI preview 1 module, as a file in an ordinary root filesystem")
        .run(node, &image, 0);
}

fn component_as_an_artifact(node: &Node) {
    let image = build::Image::artifact(WasmMedia::Component, guests::hello_p2()).entrypoint(["hello"]);
    Show::new(
        "component",
        "A WASI preview 2 component, as an OCI artifact: one Wasm layer, no root filesystem",
    )
    .run(node, &image, 0);
}

fn program_written_in_rust(node: &Node) {
    let program = places::tools().join("report.wasm");
    let wasm = fs::read(&program).expect("the Rust guest; run `cargo xtask tools`");
    let data = node.dir().join("data");
    fs::create_dir(&data).expect("a directory to mount");
    fs::write(data.join("log.txt"), "wind nor-west, fresh\ncourse south by east\n").expect("a file to read");
    let image = build::Image::rootfs().file("/report.wasm", wasm, 0o755).entrypoint(["/report.wasm"]);
    Show::new("report", "A program written in Rust, with a mounted file, arguments and environment")
        .mount(&data, "/data")
        .env("GREETING=ahoy")
        .args(["/report.wasm", "/data/log.txt", "all", "well"])
        .run(node, &image, 0);
}

fn module_that_traps(node: &Node) {
    let image =
        build::Image::rootfs().file("/trap.wasm", guests::trap_p1(), 0o755).entrypoint(["/trap.wasm"]);
    Show::new("trap", "A module that traps: a backtrace by name, and exit code 134").run(node, &image, 134);
}
