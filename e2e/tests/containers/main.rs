//! Pinnace on a real containerd, one module per theme. After each test the harness proves that nothing is left.
//!
//! `PINNACE_CONTAINERD` names the version; `cargo xtask test` runs everything once for each.

mod abandoned;
mod bad_input;
mod cgroups;
mod configuration;
mod crash;
mod devices;
mod events;
mod exec;
mod exhaust;
mod group_storm;
mod grouping;
mod handlers;
mod hooks;
mod hostile;
mod huge_pages;
mod identity;
mod image_forms;
mod kernel;
mod lifecycle;
mod logger;
mod memory;
mod native;
mod new_programs;
mod oom;
mod pause;
mod restart;
mod signals;
mod start_protocol;
mod stats;
mod stdio;
mod subtrees;
mod terminal;
mod terminal_ctr;
mod terminal_native;
mod update;
mod user_namespaces;
mod volume;

use pinnace_e2e::{Container, Draft, Image, Node};
use pinnace_oci::build;

/// An image with one guest in its root filesystem.
fn guest(node: &Node, wasm: Vec<u8>) -> Image {
    node.image(&build::Image::rootfs().file("/guest.wasm", wasm, 0o755).entrypoint(["/guest.wasm"]))
}

/// A running container of one guest that says "ready" when it runs.
fn ready(draft: Draft<'_>) -> Container<'_> {
    let container = draft.create().expect("create");
    container.start().expect("start");
    container.stdout().wait_for("ready");
    container
}
