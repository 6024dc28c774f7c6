//! Images in containerd: imported from an archive, unpacked into snapshots as a client of its API does it.
//!
//! `ctr images import` brings the content; unpacking is ours, because `ctr` looks for the machine's platform and a
//! Wasm image may have another.

use crate::client::{Client, request};
use containerd_client::services::v1::snapshots::{
    CommitSnapshotRequest, PrepareSnapshotRequest, StatSnapshotRequest,
};
use containerd_client::services::v1::{ApplyRequest, GetImageRequest, ReadContentRequest};
use containerd_client::types::Descriptor;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;

/// The snapshotter of all tests.
pub(crate) const SNAPSHOTTER: &str = "overlayfs";

/// An image in the node's containerd.
#[derive(Debug, Clone)]
pub struct Image {
    name: String,
    chain: String,
    config: Value,
}

impl Image {
    /// An image that containerd knows by this name, with all its layers unpacked.
    pub(crate) fn unpacked(client: &Client, name: &str) -> Self {
        let image = client
            .answer(client.images().get(request(GetImageRequest { name: name.to_owned() })))
            .expect("the imported image")
            .image;
        let target = image.and_then(|image| image.target).expect("an image's target");
        let mut document = read(client, &target.digest);
        if let Some(first) = document["manifests"].get(0) {
            document = read(client, text(&first["digest"]));
        }
        let config = read(client, text(&document["config"]["digest"]));
        let chain = unpack(client, &document["layers"], &config["rootfs"]["diff_ids"]);
        Self { name: name.to_owned(), chain, config }
    }

    /// The name it was imported under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The snapshot a container's root starts from; empty for an image without file system layers.
    pub(crate) fn chain(&self) -> &str {
        &self.chain
    }

    /// What the image runs if nobody says otherwise.
    pub(crate) fn command(&self) -> Vec<String> {
        let words = |key: &str| -> Vec<String> {
            let list = self.config["config"][key].as_array();
            list.into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        [words("Entrypoint"), words("Cmd")].concat()
    }
}

/// Applies each layer on the one below; returns the chain id of the last.
fn unpack(client: &Client, layers: &Value, diff_ids: &Value) -> String {
    let layers = layers.as_array().into_iter().flatten();
    let diff_ids = diff_ids.as_array().into_iter().flatten();
    let mut chain = String::new();
    for (layer, diff_id) in layers.zip(diff_ids) {
        let below = std::mem::take(&mut chain);
        let id = text(diff_id);
        chain = if below.is_empty() { id.to_owned() } else { digest(format!("{below} {id}").as_bytes()) };
        if !exists(client, &chain) {
            apply(client, layer, &below, &chain);
        }
    }
    chain
}

fn apply(client: &Client, layer: &Value, below: &str, name: &str) {
    let key = format!("extract {name}");
    let prepare = PrepareSnapshotRequest {
        snapshotter: SNAPSHOTTER.to_owned(),
        key: key.clone(),
        parent: below.to_owned(),
        labels: kept(),
    };
    let mounts =
        client.answer(client.snapshots().prepare(request(prepare))).expect("prepare a snapshot").mounts;
    let diff = Descriptor {
        media_type: text(&layer["mediaType"]).to_owned(),
        digest: text(&layer["digest"]).to_owned(),
        size: layer["size"].as_i64().expect("a layer's size"),
        ..Default::default()
    };
    let apply = ApplyRequest { diff: Some(diff), mounts, ..Default::default() };
    client.answer(client.diffs().apply(request(apply))).expect("apply a layer");
    let commit = CommitSnapshotRequest {
        snapshotter: SNAPSHOTTER.to_owned(),
        name: name.to_owned(),
        key,
        labels: kept(),
    };
    client.answer(client.snapshots().commit(request(commit))).expect("commit a snapshot");
}

/// A label against garbage collection: nothing refers to a snapshot between its making and its container.
pub(crate) fn kept() -> HashMap<String, String> {
    HashMap::from([("containerd.io/gc.root".to_owned(), "2026-01-01T00:00:00Z".to_owned())])
}

fn exists(client: &Client, key: &str) -> bool {
    let stat = StatSnapshotRequest { snapshotter: SNAPSHOTTER.to_owned(), key: key.to_owned() };
    client.answer(client.snapshots().stat(request(stat))).is_ok()
}

/// One JSON document of the content store.
fn read(client: &Client, digest: &str) -> Value {
    let read = ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 };
    let mut bytes = Vec::new();
    client.runtime().block_on(async {
        let mut parts = client.content().read(request(read)).await.expect("read content").into_inner();
        while let Some(part) = parts.message().await.expect("a part of a blob") {
            bytes.extend(part.data);
        }
    });
    serde_json::from_slice(&bytes).expect("a JSON document")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// `sha256:…` of some bytes.
fn digest(bytes: &[u8]) -> String {
    let mut name = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        let _infallible = write!(name, "{byte:02x}");
    }
    name
}
