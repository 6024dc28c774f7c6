//! A tag that moves: what it names at Create runs, and containerd's log has the digest of it.

use crate::case::saying;
use pinnace_e2e::{Node, Registry};
use pinnace_oci::build::Image;
use pinnace_oci::{Digest, WasmMedia};
use std::fs;

/// What two versions of a program print, and their images: alike but for the Wasm.
fn versions(make: fn(Vec<u8>) -> Image) -> [(&'static str, Image); 2] {
    ["first version.", "later version."].map(|says| (says, make(saying(says))))
}

fn artifact(wasm: Vec<u8>) -> Image {
    Image::artifact(WasmMedia::Wasm, wasm).entrypoint(["/app.wasm"])
}

fn rootfs(wasm: Vec<u8>) -> Image {
    Image::rootfs().file("/app.wasm", wasm, 0o755).entrypoint(["/app.wasm"])
}

fn archive(name: &str, image: &Image) -> (Vec<u8>, Digest) {
    let mut bytes = Vec::new();
    let digest = image.archive(name, &mut bytes).expect("an archive");
    (bytes, digest)
}

#[test]
fn a_moved_tag_is_resolved_at_create_and_its_digest_logged() {
    let node = Node::start();
    for (kind, make) in [("artifact", artifact as fn(_) -> _), ("rootfs", rootfs)] {
        let name = format!("docker.io/{}/{kind}:1", node.name());
        for (says, image) in versions(make) {
            let (_, digest) = archive(&name, &image);
            let ended = node.container(&node.image_named(&name, &image)).run();
            assert_eq!((ended.code, ended.stdout.trim_end()), (0, says), "{}", ended.stderr);
            // The files of a root filesystem were chosen by containerd, before the shim was asked.
            if kind == "artifact" {
                let log = fs::read_to_string(node.dir().join("containerd.log")).expect("containerd's log");
                assert!(
                    log.contains(&format!("image {name} is {digest}")),
                    "no digest of {says:?} in the log"
                );
            }
        }
    }
}

#[test]
fn a_pod_runs_what_its_tag_named_when_it_was_pulled_last() {
    let node = Node::with_cri();
    node.expect_log("reference for unknown type");
    let registry = Registry::start(&node);
    let pod = node.pod();
    for (name, make) in [("artifact:1", artifact as fn(_) -> _), ("rootfs:1", rootfs)] {
        // containerd 1.6 pulls no artifacts; see the table.
        if node.version().starts_with("1.6.") && name.starts_with("artifact") {
            continue;
        }
        for (says, image) in versions(make) {
            let name = registry.push(name, &archive(name, &image).0);
            pod.pull(&name).expect("pull");
            let ended = pod.run(&name, &[]).expect("run");
            assert_eq!((ended.code, ended.output.trim_end()), (0, says));
        }
    }
}
