//! An image's configuration: what containerd and Docker make a container's process from.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Blob;
use crate::document::Platform;
use crate::{Digest, WasmMedia};

pub(crate) const OCI: &str = "application/vnd.oci.image.config.v1+json";
const WASM: &str = "application/vnd.wasm.config.v0+json";
/// Images are as old as their content, not as their build.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// What a container of the image gets unless its user says otherwise.
#[derive(Debug, Clone, Default)]
pub(super) struct Config {
    pub(super) entrypoint: Vec<String>,
    pub(super) cmd: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) workdir: String,
    pub(super) user: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) wasm: bool,
}

impl Config {
    /// Its media type and its bytes.
    pub(super) fn render(
        &self,
        platform: &Platform,
        diff_ids: &[Digest],
        layers: &[Blob],
    ) -> (&'static str, Vec<u8>) {
        let Platform { os, architecture } = platform;
        if self.wasm {
            let layers: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
            let config = json!({
                "created": CREATED, "architecture": architecture, "os": os, "layerDigests": layers,
            });
            return (WASM, config.to_string().into_bytes());
        }
        let config = json!({
            "created": CREATED, "architecture": architecture, "os": os, "config": self.process(),
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": layers.iter().map(history).collect::<Vec<_>>(),
        });
        (OCI, config.to_string().into_bytes())
    }

    /// Only what was set: an empty value means something else than an absent one to some readers.
    fn process(&self) -> Value {
        let all = [
            ("Entrypoint", json!(self.entrypoint)),
            ("Cmd", json!(self.cmd)),
            ("Env", json!(self.env)),
            ("WorkingDir", json!(self.workdir)),
            ("User", json!(self.user)),
            ("Labels", json!(self.labels)),
        ];
        let unset = |value: &Value| [json!([]), json!(""), json!({})].contains(value);
        let set = all.into_iter().filter(|(_, value)| !unset(value));
        Value::Object(set.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    }
}

/// A layer as history tells it. So the configuration names the Wasm layers too, which `diff_ids` must not count:
/// the CRI takes images of one configuration for one image, and would run the Wasm of the first it finds.
fn history(layer: &Blob) -> Value {
    let words = format!("{} {}", layer.media_type, layer.digest);
    json!({"created": CREATED, "created_by": words, "empty_layer": WasmMedia::of(layer.media_type).is_some()})
}
