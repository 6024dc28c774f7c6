//! The shim and its engines are replaced under running containers.
//!
//! ```text
//!  pinnace install          a directory for each version, one link moves: a server keeps the directory it began with
//!  a file renamed over      a server takes the new engine for what it makes from then on
//! ```

use crate::ready;
use pinnace_conformance::guests;
use pinnace_e2e::{Container, Draft, Image, Node, cost, places, until};
use pinnace_oci::build;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: [&str; 5] =
    ["containerd-shim-wasm-v1", "pinnace", "pinnace-holder", "pinnace-wasmtime", "pinnace-wasmtime-compile"];

/// A copy of the programs, each with some bytes more: so it is another one, with another fingerprint.
fn another_version(dir: &Path) {
    fs::create_dir(dir).expect("a directory");
    for program in PROGRAMS {
        let copy = dir.join(program);
        fs::copy(places::dist().join(program), &copy).expect("copy a program");
        let mut file = OpenOptions::new().append(true).open(&copy).expect("open a program");
        file.write_all(b"\nanother version\n").expect("write");
    }
}

/// Engines that run nothing.
fn broken_version(dir: &Path) {
    another_version(dir);
    for program in ["pinnace-holder", "pinnace-wasmtime", "pinnace-wasmtime-compile"] {
        fs::write(dir.join(program), "#!/bin/sh\nexit 9\n").expect("write");
        fs::set_permissions(dir.join(program), fs::Permissions::from_mode(0o755)).expect("chmod");
    }
}

fn install(node: &Node, from: &Path) -> PathBuf {
    let prefix = node.dir().join("installed");
    let output = Command::new(places::dist().join("pinnace"))
        .arg("install")
        .arg("--prefix")
        .arg(&prefix)
        .arg("--from")
        .arg(from)
        .output()
        .expect("pinnace");
    assert!(output.status.success(), "{output:?}");
    prefix.join("bin/containerd-shim-wasm-v1")
}

fn image(node: &Node) -> Image {
    let image = build::Image::rootfs()
        .file("/sleep.wasm", guests::sleep_p1(), 0o755)
        .file("/seven.wasm", guests::exit_code(7), 0o755)
        .file("/eight.wasm", guests::exit_code(8), 0o755)
        .file("/nine.wasm", guests::exit_code(9), 0o755);
    node.image(&image.entrypoint(["/sleep.wasm"]))
}

fn server(container: &Container<'_>) -> u32 {
    container.cost().first().expect("a server").pid
}

/// Every call that a running container gets.
fn serves(container: &Container<'_>) {
    assert_eq!(container.pids().expect("pids"), [container.pid()]);
    assert!(!container.metrics().expect("metrics").value.is_empty());
    container.pause().expect("pause");
    container.resume().expect("resume");
    // One that was compiled before, and one that is compiled now.
    assert_eq!(container.exec(["/seven.wasm"]).run().code, 7);
    assert_eq!(container.exec(["/eight.wasm"]).run().code, 8);
}

fn ends(mut container: Container<'_>) {
    container.kill(15).expect("kill");
    assert_eq!(container.wait(), 143);
    assert_eq!(container.delete().expect("delete"), 143);
}

#[test]
fn a_server_keeps_the_version_it_began_with_and_new_ones_begin_with_the_new() {
    let node = Node::start();
    let image = image(&node);
    let shim = install(&node, &places::dist());
    let group = node.id();
    let draft = || -> Draft<'_> { node.container(&image).runtime(&shim.display().to_string()) };
    let grouped = || draft().annotation("io.containerd.runc.v2.group", &group);
    let old = ready(grouped());
    assert_eq!(grouped().args(["/seven.wasm"]).run().code, 7);

    let broken = node.dir().join("broken");
    broken_version(&broken);
    install(&node, &broken);
    // The old one has programs that work.
    serves(&old);
    assert_eq!(grouped().args(["/nine.wasm"]).run().code, 9);
    let beside = ready(grouped());
    assert_eq!(server(&beside), server(&old));
    // The new one has none, and says so.
    let error = draft().create().expect_err("an engine that runs nothing");
    assert!(error.message().contains("pinnace-wasmtime-compile"), "{error}");

    let good = node.dir().join("good");
    another_version(&good);
    install(&node, &good);
    serves(&old);
    let new = ready(draft());
    assert_ne!(server(&new), server(&old));
    serves(&new);
    ends(beside);
    ends(new);

    // What a server of the old version leaves, the new version's `delete` cleans up.
    let (engine, shim) = (old.pid(), server(&old));
    kill_process(Pid::from_raw(shim.cast_signed()).expect("a pid"), Signal::KILL).expect("kill");
    until("the engine's end", || cost::of(engine).is_none().then_some(()));
    until("the end of the task", || old.process().is_err().then_some(()));
    old.forget();
}

#[test]
fn programs_that_are_renamed_over_serve_from_then_on() {
    let node = Node::start();
    let image = image(&node);
    let (flat, fresh) = (node.dir().join("flat"), node.dir().join("fresh"));
    fs::create_dir(&flat).expect("a directory");
    for program in PROGRAMS {
        fs::copy(places::dist().join(program), flat.join(program)).expect("copy a program");
    }
    let runtime = flat.join("containerd-shim-wasm-v1").display().to_string();
    let group = node.id();
    let draft = || node.container(&image).runtime(&runtime);
    let grouped = || draft().annotation("io.containerd.runc.v2.group", &group);
    let old = ready(grouped());
    assert_eq!(grouped().args(["/seven.wasm"]).run().code, 7);

    another_version(&fresh);
    for program in PROGRAMS {
        fs::rename(fresh.join(program), flat.join(program)).expect("rename over");
    }
    serves(&old);
    let beside = ready(grouped());
    assert_eq!(server(&beside), server(&old));
    let new = ready(draft());
    assert_ne!(server(&new), server(&old));
    serves(&new);
    [beside, new, old].into_iter().for_each(ends);
}
