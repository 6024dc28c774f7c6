//! Two images of one configuration that differ in their Wasm layer alone, as builders make them that tell no
//! history: `diff_ids` must not count such a layer.
//!
//! ```text
//!  ctr, API   the image that is named
//!  CRI        knows an image by its configuration, and hands the first of its names on:
//!             2.x tells in an annotation which was named, and that one runs;  1.7 does not: the first runs
//! ```

use crate::case::saying;
use crate::ways;
use pinnace_e2e::{Node, Registry};
use pinnace_oci::Digest;
use serde_json::{Value, json};

/// What the versions print. Both have one length, and so have their modules.
const VERSIONS: [&str; 2] = ["first version.", "later version."];

/// How containerd 1.6 refuses Wasm layers; see the table.
const REFUSAL: &str = "mismatched image rootfs and manifest layers";

/// `app:first`, `app:later`: in this order for the CRI, too.
fn tag(says: &str) -> String {
    format!("app:{}", &says[..5])
}

/// An archive of another builder's: nothing but the layer's digest in the manifest tells its content.
fn archive(name: &str, wasm: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, bytes).expect("a file of an archive");
    };
    let mut add = |media_type: &str, bytes: &[u8]| -> Value {
        let digest = Digest::of(bytes);
        put(&format!("blobs/sha256/{}", digest.hex()), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    let config = json!({
        "os": "wasip1", "architecture": "wasm",
        "config": {"Entrypoint": ["/app.wasm"]}, "rootfs": {"type": "layers", "diff_ids": []},
    });
    let config = add("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let layer = add("application/wasm", wasm);
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer]});
    let mut target = add(media_type, manifest.to_string().as_bytes());
    target["annotations"] = json!({"io.containerd.image.name": name});
    put("index.json", json!({"schemaVersion": 2, "manifests": [target]}).to_string().as_bytes());
    put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    tar.into_inner().expect("an archive")
}

#[test]
fn a_pod_runs_the_image_it_names_where_containerd_tells_which() {
    let node = Node::with_cri();
    node.expect_log("reference for unknown type");
    let registry = Registry::start(&node);
    let pod = node.pod();
    let names = VERSIONS.map(|says| registry.push(&tag(says), &archive("app", &saying(says))));
    if node.refuses_layers() {
        node.expect_log("PullImage");
        let refused = pod.pull(&names[0]).expect_err("a refusal");
        assert!(refused.message().contains(REFUSAL), "{refused}");
        return;
    }
    for name in &names {
        pod.pull(name).expect("pull");
    }
    let first_runs = node.version().starts_with("1.");
    for (name, says) in names.iter().zip(VERSIONS) {
        let ended = pod.run(name, &[]).expect("run");
        let runs = if first_runs { VERSIONS[0] } else { says };
        assert_eq!((ended.code, ended.output.trim_end()), (0, runs), "{name}");
    }
}

#[test]
fn ctr_runs_the_image_it_names() {
    let node = Node::start();
    let names = VERSIONS.map(|says| {
        let name = format!("docker.io/library/{}", tag(says));
        let imported = ways::import(&node, &[], &[], &archive(&name, &saying(says)));
        (name, says, imported)
    });
    for (name, says, imported) in names {
        match imported {
            Err(refused) => assert!(node.refuses_layers() && refused.contains(REFUSAL), "{refused}"),
            Ok(()) => assert_eq!(ways::run(&node, &[], &name, &[]).expect("run").trim_end(), says),
        }
    }
}
