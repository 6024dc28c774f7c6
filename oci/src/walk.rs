//! From an image's target to its Wasm layer, one document at a time, without input and output.
//!
//! ```text
//!  target ─▶ index ─▶ (index …, at most four) ─▶ manifest ─▶ no Wasm layer: None
//!     └──────────────────────────────────────────▶           one: the layer
//!                                                            two: refused, naming both
//! ```
//!
//! With a title only the layers of that title count.

use serde::{Deserialize, Serialize};

use crate::choose::candidates;
use crate::document::{Descriptor, Document, Entry, MAX_DOCUMENT};
use crate::error::Defect;
use crate::media::Kind;
use crate::{Digest, WasmMedia};

/// Real images have one index, or one that holds another; a chain of them only costs time.
pub(crate) const MAX_INDEXES: usize = 4;

/// The Wasm layer of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasmLayer {
    /// The sha256 of the module.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What it is declared to be.
    pub media: WasmMedia,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Read the first of these that is there, and go on with it.
    Read(Vec<Descriptor>),
    /// The image has this configuration, and this layer or none.
    Done { config: Option<Digest>, layer: Option<WasmLayer> },
}

/// How far a walk has come, and what for.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    indexes: usize,
    title: Option<String>,
}

impl Walk {
    /// For the layer of a title.
    pub(crate) fn titled(title: &str) -> Self {
        Self { indexes: 0, title: Some(title.to_owned()) }
    }

    /// Takes the bytes of the document that `descriptor` points at.
    pub(crate) fn step(&mut self, descriptor: &Descriptor, bytes: &[u8]) -> Result<Step, Defect> {
        match Document::read(descriptor, bytes)? {
            Document::Index(_) if self.indexes == MAX_INDEXES => Err(Defect::Nested { limit: MAX_INDEXES }),
            Document::Index(entries) => {
                self.indexes += 1;
                Ok(Step::Read(candidates(&entries)?))
            }
            Document::Manifest { config, layers } => {
                Ok(Step::Done { config, layer: wasm_layer(&layers, self.title.as_deref())? })
            }
        }
    }
}

/// Checks a document before it is read: what it is called in messages.
pub(crate) fn readable(descriptor: &Descriptor) -> Result<&'static str, Defect> {
    let kind = Kind::of(&descriptor.media_type).ok_or_else(|| Defect::unknown(descriptor))?;
    let Descriptor { digest, size, .. } = *descriptor;
    if size > MAX_DOCUMENT {
        return Err(Defect::LargeDocument { digest, size, limit: MAX_DOCUMENT });
    }
    Ok(kind.name())
}

fn wasm_layer(layers: &[Entry], title: Option<&str>) -> Result<Option<WasmLayer>, Defect> {
    let mut found = None;
    for layer in layers.iter().filter(|layer| title.is_none() || layer.title() == title) {
        let Some(media) = WasmMedia::of(&layer.media_type) else { continue };
        let Descriptor { digest, size, .. } = layer.descriptor().map_err(Defect::Digest)?;
        if let Some(WasmLayer { digest: first, .. }) = found.replace(WasmLayer { digest, size, media }) {
            return Err(Defect::TwoWasmLayers { first, second: digest });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    fn step(media_type: &str, document: &Value) -> Result<Step, Defect> {
        Walk::default().step(&descriptor(media_type), document.to_string().as_bytes())
    }

    fn descriptor(media_type: &str) -> Descriptor {
        Descriptor { media_type: media_type.to_owned(), digest: Digest::of(b"document"), size: 1 }
    }

    fn layer(media_type: &str, content: &str) -> Value {
        json!({"mediaType": media_type, "digest": Digest::of(content.as_bytes()), "size": content.len()})
    }

    fn manifest(layers: &[Value]) -> Value {
        json!({"schemaVersion": 2, "config": {}, "layers": layers})
    }

    const TAR: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

    #[test]
    fn the_one_wasm_layer_is_found_among_others() {
        for media in ["application/wasm", "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm"] {
            let document = manifest(&[layer(TAR, "root"), layer(media, "wasm"), layer("text/plain", "x")]);
            for media_type in [MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"] {
                let Ok(Step::Done { layer: Some(found), .. }) = step(media_type, &document) else {
                    panic!("no layer")
                };
                assert_eq!((found.digest, found.size), (Digest::of(b"wasm"), 4));
                assert_eq!(found.media.as_str(), media);
            }
        }
    }

    #[test]
    fn an_image_without_wasm_layers_has_none() {
        // A foreign digest in a layer that is not followed is nobody's concern.
        let strange = json!({"mediaType": TAR, "digest": "sha512:00", "size": 1});
        for layers in [vec![], vec![layer(TAR, "root")], vec![strange]] {
            assert!(matches!(step(MANIFEST, &manifest(&layers)), Ok(Step::Done { layer: None, .. })));
        }
    }

    #[test]
    fn a_title_chooses_among_wasm_layers() {
        let titled = |title: &str, content: &str| {
            let mut layer = layer("application/wasm", content);
            layer["annotations"] = json!({"org.opencontainers.image.title": title});
            layer
        };
        let mut tar = titled("psql.wasm", "root");
        tar["mediaType"] = TAR.into();
        let document = manifest(&[
            tar,
            titled("psql.wasm", "psql"),
            titled("dump.wasm", "dump"),
            layer("application/wasm", "untitled"),
            titled("twice", "one"),
            titled("twice", "two"),
        ]);
        let found = |title: &str| {
            let walked = Walk::titled(title).step(&descriptor(MANIFEST), document.to_string().as_bytes());
            walked.map(|step| match step {
                Step::Done { layer, .. } => layer.map(|layer| layer.digest),
                Step::Read(_) => panic!("a manifest ends the walk"),
            })
        };
        assert_eq!(found("psql.wasm").unwrap(), Some(Digest::of(b"psql")));
        assert_eq!(found("dump.wasm").unwrap(), Some(Digest::of(b"dump")));
        for other in ["PSQL.wasm", "/psql.wasm", "psql", ""] {
            assert_eq!(found(other).unwrap(), None, "{other}");
        }
        assert!(matches!(found("twice"), Err(Defect::TwoWasmLayers { .. })));
    }

    #[test]
    fn two_wasm_layers_are_refused_by_name() {
        let wasm = |content| layer("application/wasm", content);
        for (first, second) in [("a", "b"), ("a", "a")] {
            let refused =
                step(MANIFEST, &manifest(&[wasm(first), layer(TAR, "root"), wasm(second)])).unwrap_err();
            let message = refused.to_string();
            for content in [first, second] {
                assert!(message.contains(&Digest::of(content.as_bytes()).to_string()), "{message}");
            }
        }
    }

    #[test]
    fn an_index_leads_on_and_a_chain_of_them_ends() {
        let entry = layer(INDEX, "next");
        let document = json!({"manifests": [entry]});
        let mut walk = Walk::default();
        for _ in 0..MAX_INDEXES {
            let Ok(Step::Read(next)) = walk.step(&descriptor(INDEX), document.to_string().as_bytes()) else {
                panic!("the walk ended")
            };
            assert_eq!(next[0].digest, Digest::of(b"next"));
        }
        let refused = walk.step(&descriptor(INDEX), document.to_string().as_bytes());
        assert!(matches!(refused, Err(Defect::Nested { .. })));
    }

    #[test]
    fn a_document_of_two_kinds_is_refused() {
        let both = json!({"manifests": [], "layers": [], "config": {}});
        let lying = json!({"mediaType": INDEX, "config": {}, "layers": []});
        for (media_type, document) in [
            (MANIFEST, &both),
            (INDEX, &both),
            (MANIFEST, &lying),
            (INDEX, &manifest(&[])),
            (MANIFEST, &json!({"layers": []})),
            (MANIFEST, &json!({})),
            (MANIFEST, &json!({"config": {}, "layers": null})),
        ] {
            assert!(matches!(step(media_type, document), Err(Defect::Ambiguous { .. })), "{document}");
        }
    }

    #[test]
    fn hostile_fields_are_refused_in_few_words() {
        let flood = "x".repeat(1 << 20);
        for layer in [
            json!({"mediaType": "application/wasm", "digest": flood, "size": 1}),
            json!({"mediaType": "application/wasm", "digest": "sha256:../../etc/passwd", "size": 1}),
            json!({"mediaType": "application/wasm", "digest": Digest::of(b""), "size": -1}),
            json!({"mediaType": "application/wasm", "digest": Digest::of(b""), "size": flood}),
            json!({"mediaType": "application/wasm", "digest": Digest::of(b""), "size": 1e300}),
            json!({"mediaType": ["application/wasm"], "digest": Digest::of(b""), "size": 1}),
            json!({"mediaType": "application/wasm", "size": 1}),
            json!(flood),
        ] {
            let message = step(MANIFEST, &manifest(&[layer])).unwrap_err().to_string();
            assert!(message.len() < 600 && !message.contains('\n'), "{message}");
        }
        assert!(
            matches!(step(&flood, &json!({})), Err(Defect::Unknown { media_type, .. }) if media_type.len() == 100)
        );
    }

    #[test]
    fn deep_json_is_refused_and_not_recursed_into() {
        let deep = format!("{{\"config\": {}", "[".repeat(1 << 20));
        assert!(matches!(
            Walk::default().step(&descriptor(MANIFEST), deep.as_bytes()),
            Err(Defect::Malformed { .. })
        ));
    }

    #[test]
    fn a_large_document_is_refused_before_it_is_read() {
        let large = Descriptor { size: MAX_DOCUMENT + 1, ..descriptor(MANIFEST) };
        assert!(matches!(readable(&large), Err(Defect::LargeDocument { .. })));
        assert!(readable(&Descriptor { size: MAX_DOCUMENT, ..descriptor(MANIFEST) }).is_ok());
        assert!(matches!(readable(&descriptor("application/wasm")), Err(Defect::Unknown { .. })));
    }

    /// JSON that looks like an image until it does not.
    fn json_like() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            Just(json!(MANIFEST)),
            Just(json!(INDEX)),
            Just(json!("application/wasm")),
            Just(json!(Digest::of(b"x"))),
            any::<i64>().prop_map(|number| json!(number)),
            any::<f64>().prop_map(|number| json!(number)),
            ".*".prop_map(|text| json!(text)),
            Just(Value::Null),
        ];
        let key = prop_oneof![
            "(mediaType|digest|size|layers|manifests|config|platform|os|architecture|annotations)",
            ".*",
        ];
        word.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::btree_map(key.clone(), inner, 0..6)
                    .prop_map(|object| Value::Object(object.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..512), index in any::<bool>()) {
            let media_type = if index { INDEX } else { MANIFEST };
            let _refused_or_not = Walk::default().step(&descriptor(media_type), &bytes);
        }

        #[test]
        fn no_json_makes_it_panic_or_babble(document in json_like(), index in any::<bool>()) {
            if let Err(defect) = step(if index { INDEX } else { MANIFEST }, &document) {
                prop_assert!(defect.to_string().len() < 1000);
            }
        }
    }
}
