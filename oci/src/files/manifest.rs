//! The images of a store, down to each platform's configuration and layers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{LayerKind, Program, ReadError, Store};
use crate::choose::host_architecture;
use crate::document::{Descriptor, Document, Entry, Platform, shortened};
use crate::error::Defect;
use crate::media::Kind;
use crate::support::{Carrier, ConfigKind, Form, Wrapping};
use crate::walk::{MAX_INDEXES, readable};

/// Images have a dozen platforms.
const MAX_DOCUMENTS: usize = 256;

/// An image's name and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name it would be imported under, or its tag if that is all the file says.
    pub name: Option<String>,
    /// Its index or manifest.
    pub target: Descriptor,
}

/// One image: all that it has for any platform.
#[derive(Debug)]
pub struct Image {
    /// What stands around the manifests.
    pub wrapping: Wrapping,
    /// The manifests that are there, in the image's order, without attestations.
    pub manifests: Vec<Manifest>,
    /// The platforms of an index whose manifests the file does not hold.
    pub absent: Vec<Platform>,
}

/// One platform's image.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Itself.
    pub descriptor: Descriptor,
    /// The platform that the index names, else the configuration's.
    pub platform: Platform,
    /// The configuration.
    pub config: Config,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// What is said about it.
    pub annotations: BTreeMap<String, String>,
}

/// One layer.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Itself.
    pub descriptor: Descriptor,
    /// What it is declared to be.
    pub kind: LayerKind,
}

/// A configuration, with all its fields.
#[derive(Debug, Clone)]
pub struct Config {
    /// Itself.
    pub descriptor: Descriptor,
    pub(crate) value: Map<String, Value>,
}

#[derive(Deserialize)]
struct Top {
    manifests: Vec<TopEntry>,
}

#[derive(Deserialize)]
struct TopEntry {
    #[serde(flatten)]
    entry: Entry,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Written {
    config: Entry,
    layers: Vec<Entry>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Store {
    /// The images by name, in the file's order.
    ///
    /// # Errors
    /// When the file at the top cannot be read.
    pub fn images(&self) -> Result<Vec<Named>, ReadError> {
        if let Some(docker) = self.docker() {
            return Ok(docker.images.clone());
        }
        let name = "index.json";
        let Top { manifests } = self.json(name, &self.need(name, crate::document::MAX_DOCUMENT)?)?;
        manifests
            .into_iter()
            .map(|TopEntry { entry, annotations }| {
                let target = entry.descriptor().map_err(|digest| self.defective(Defect::Digest(digest)))?;
                let names = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
                let name = names.iter().find_map(|name| annotations.get(*name)).cloned();
                Ok(Named { name, target })
            })
            .collect()
    }

    /// Everything that an image has.
    ///
    /// # Errors
    /// When a document is missing, too large, malformed or not what its digest says.
    pub fn image(&self, named: &Named) -> Result<Image, ReadError> {
        let mut image = Image { wrapping: Wrapping::Manifest, manifests: Vec::new(), absent: Vec::new() };
        let mut next = vec![(named.target.clone(), None, 0)];
        let mut documents = 0;
        while let Some((descriptor, platform, depth)) = next.pop() {
            documents += 1;
            if documents > MAX_DOCUMENTS {
                return Err(ReadError::Documents { path: self.path().to_owned(), limit: MAX_DOCUMENTS });
            }
            if depth > 0 && !self.has(&descriptor)? {
                let unnamed = || Platform { os: "unnamed".to_owned(), architecture: String::new() };
                image.absent.push(platform.unwrap_or_else(unnamed));
                continue;
            }
            let what = readable(&descriptor).map_err(|defect| self.defective(defect))?;
            let bytes = self.document(what, &descriptor)?;
            match Document::read(&descriptor, &bytes).map_err(|defect| self.defective(defect))? {
                Document::Index(_) if depth == MAX_INDEXES => {
                    return Err(self.defective(Defect::Nested { limit: MAX_INDEXES }));
                }
                Document::Index(entries) => {
                    image.enter(&entries);
                    for entry in entries.into_iter().rev().filter(|entry| !entry.is_attestation()) {
                        let child =
                            entry.descriptor().map_err(|digest| self.defective(Defect::Digest(digest)))?;
                        next.push((child, entry.platform, depth + 1));
                    }
                }
                Document::Manifest { .. } => {
                    image.manifests.push(self.manifest(descriptor, platform, &bytes)?)
                }
            }
        }
        if image.manifests.is_empty() {
            let digest = named.target.digest;
            return Err(self.defective(Defect::Absent { what: "every manifest of index", digest }));
        }
        Ok(image)
    }

    fn manifest(
        &self,
        descriptor: Descriptor,
        platform: Option<Platform>,
        bytes: &[u8],
    ) -> Result<Manifest, ReadError> {
        let malformed = |what, digest, error: &serde_json::Error| {
            self.defective(Defect::Malformed { what, digest, reason: shortened(error) })
        };
        let Written { config, layers, annotations } = serde_json::from_slice(bytes)
            .map_err(|error| malformed(Kind::Manifest.name(), descriptor.digest, &error))?;
        let bad = |digest| self.defective(Defect::Digest(digest));
        let config = config.descriptor().map_err(bad)?;
        let bytes = self.document("configuration", &config)?;
        let value = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            // An artifact's configuration may be anything, also nothing.
            Err(_) if kind(&config.media_type) == ConfigKind::Wasm => Map::new(),
            Err(error) => return Err(malformed("configuration", config.digest, &error)),
        };
        let config = Config { descriptor: config, value };
        let layer = |entry: Entry| {
            let descriptor = entry.descriptor().map_err(bad)?;
            Ok(Layer { kind: LayerKind::of(&descriptor.media_type), descriptor })
        };
        let layers = layers.into_iter().map(layer).collect::<Result<_, ReadError>>()?;
        let platform = platform.unwrap_or_else(|| config.platform());
        Ok(Manifest { descriptor, platform, config, layers, annotations: annotations.unwrap_or_default() })
    }
}

impl Image {
    /// The manifest that clients on this machine take unless they are told a platform: linux on this
    /// architecture, else the one that [`crate::convert::meant`] names.
    #[must_use]
    pub fn taken(&self) -> Option<&Manifest> {
        let host = |manifest: &&Manifest| {
            manifest.platform.os == "linux" && manifest.platform.architecture == host_architecture()
        };
        self.manifests.iter().find(host).or_else(|| crate::convert::meant(self))
    }

    fn enter(&mut self, entries: &[Entry]) {
        let attested = self.wrapping == Wrapping::Attested || entries.iter().any(Entry::is_attestation);
        self.wrapping = if attested { Wrapping::Attested } else { Wrapping::Index };
    }

    /// The form of one of the manifests; none without Wasm.
    #[must_use]
    pub fn form(&self, manifest: &Manifest, program: &Program) -> Option<Form> {
        let carrier = match program {
            Program::File { wasm, .. } if wasm.text => Carrier::Text,
            Program::File { .. } => Carrier::File,
            Program::Layer { media, .. } => Carrier::Layer(*media),
            Program::Nothing(_) => return None,
        };
        Some(Form {
            carrier,
            config: manifest.config.kind(),
            platform: manifest.platform.clone(),
            wrapping: self.wrapping,
            files: manifest.layers.iter().any(|layer| layer.kind == LayerKind::Files),
        })
    }
}

impl Manifest {
    /// The layers that give files, lowest first.
    pub fn files(&self) -> impl Iterator<Item = &Descriptor> {
        let files = self.layers.iter().filter(|layer| layer.kind == LayerKind::Files);
        files.map(|layer| &layer.descriptor)
    }
}

fn kind(media_type: &str) -> ConfigKind {
    match media_type {
        "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json" => {
            ConfigKind::Image
        }
        _ => ConfigKind::Wasm,
    }
}

impl Config {
    /// What clients make of it.
    #[must_use]
    pub fn kind(&self) -> ConfigKind {
        kind(&self.descriptor.media_type)
    }

    /// `os/architecture`, empty words where it says nothing.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let word = |key| self.value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Platform { os: word("os"), architecture: word("architecture") }
    }

    /// `ENTRYPOINT`.
    #[must_use]
    pub fn entrypoint(&self) -> Vec<String> {
        self.words("Entrypoint")
    }

    /// `CMD`.
    #[must_use]
    pub fn cmd(&self) -> Vec<String> {
        self.words("Cmd")
    }

    /// The environment, `NAME=VALUE` each.
    #[must_use]
    pub fn env(&self) -> Vec<String> {
        self.words("Env")
    }

    /// `WORKDIR`, else the root.
    #[must_use]
    pub fn workdir(&self) -> String {
        let set = self.process("WorkingDir").and_then(Value::as_str).filter(|path| !path.is_empty());
        set.unwrap_or("/").to_owned()
    }

    /// `USER`, if it is set.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.process("User").and_then(Value::as_str).filter(|user| !user.is_empty())
    }

    /// Labels by name.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.process("Labels").and_then(Value::as_object);
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        labels.into_iter().flatten().filter_map(text).collect()
    }

    fn words(&self, key: &str) -> Vec<String> {
        words(self.process(key))
    }

    fn process(&self, key: &str) -> Option<&Value> {
        self.value.get("config")?.get(key)
    }
}

fn words(list: Option<&Value>) -> Vec<String> {
    let words = list.and_then(Value::as_array).into_iter().flatten();
    words.filter_map(|word| word.as_str().map(str::to_owned)).collect()
}
