//! From an image of any form to one that runs everywhere.
//!
//! ```text
//!  image ─▶ the entry the shim would take ─▶ its layers of files, as they are ─┐
//!                                  Wasm layer ─▶ a layer with that file ───────┤ diff_ids by reading them
//!           its configuration, for linux/<architecture> ◀──────────────────────┘
//!              └─▶ one manifest, or an index with one per architecture over the same layers
//! ```
//!
//! The module goes where the entrypoint looks for it, so that entrypoint, arguments and environment stay as
//! they are; an image without an entrypoint gets [`MAIN`]. What would become false is left out: the history,
//! the platform's variant. Attestations are left out too: they are about other manifests.

use serde_json::{Map, Value, json};

use crate::Digest;
use crate::build::{Blob, Blobs, BuildError, OCI_CONFIG, Package, TAR, Tree, add_index, add_manifest};
use crate::document::Platform;
use crate::files::{self, Image, Manifest, Packing, Program, ReadError, Rootfs, Store};
use crate::support::ConfigKind;

/// Where the module goes in an image that names no entrypoint.
pub const MAIN: &str = "/main.wasm";

/// The architectures that nodes have, unless the user names others.
#[must_use]
pub fn everywhere() -> Vec<Platform> {
    let linux =
        |architecture: &str| Platform { os: "linux".to_owned(), architecture: architecture.to_owned() };
    vec![linux("amd64"), linux("arm64")]
}

/// Why an image could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new one could not be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Nothing in it is Wasm.
    #[error("the image has nothing to convert: {0}")]
    NoWasm(files::Nothing),
    /// The module cannot stand where the entrypoint points.
    #[error(
        "the module cannot become the file {path:?}, to which the entrypoint points: it is a directory or leads in circles; build the image with another entrypoint"
    )]
    Place {
        /// What the entrypoint says.
        path: String,
    },
}

/// Makes the image that runs everywhere: one manifest for one platform, an index for several.
///
/// # Errors
/// When the image cannot be read, or has no Wasm.
pub fn portable(store: &Store, image: &Image, platforms: &[Platform]) -> Result<Package, ConvertError> {
    let manifest = meant(image).ok_or(ConvertError::NoWasm(files::Nothing::NoCommand))?;
    let rootfs = Rootfs::read(store, manifest)?;
    let program = Program::find(store, manifest, &rootfs)?;
    let mut blobs = Blobs::default();
    let mut parts = Parts::kept(store, manifest, &rootfs, &mut blobs)?;
    let mut entrypoint = None;
    match program {
        Program::Nothing(why) => return Err(ConvertError::NoWasm(why)),
        Program::File { .. } => {}
        Program::Layer { wasm, .. } => {
            let path = place(manifest, &rootfs)?;
            if files::command(manifest).is_none() {
                entrypoint = Some(MAIN);
            }
            let mut tree = Tree::default();
            tree.file_above(&path, wasm.bytes, 0o755, |path| rootfs.has_directory(path));
            let layer = blobs.add(TAR, tree.tar()?);
            parts.diff_ids.push(layer.digest);
            parts.layers.push(layer);
        }
    }
    let mut entries = Vec::new();
    for platform in platforms {
        let config = configuration(manifest, platform, &parts.diff_ids, entrypoint);
        let config = blobs.add(OCI_CONFIG, config.to_string().into_bytes());
        if platform.os == "linux" {
            blobs.for_docker(&config, &parts.layers);
        }
        let manifest = add_manifest(&mut blobs, &config, &parts.layers, &manifest.annotations);
        entries.push((manifest, platform));
    }
    let target = match entries.as_slice() {
        [(single, _)] => single.clone(),
        several => {
            let entries: Vec<_> = several.iter().map(|(blob, platform)| blob.entry(platform)).collect();
            add_index(&mut blobs, &entries)
        }
    };
    Ok(blobs.finish(target))
}

/// The manifest that the shim would take, whatever machine this is: Wasm's platforms first, then linux.
#[must_use]
pub fn meant(image: &Image) -> Option<&Manifest> {
    let rank =
        |manifest: &&Manifest| match (manifest.platform.os.as_str(), manifest.platform.architecture.as_str())
        {
            ("wasip2", "wasm" | "wasm32") => 0,
            ("wasip1", "wasm" | "wasm32") => 1,
            ("wasi", "wasm" | "wasm32") => 2,
            ("linux", _) => 3,
            _ => 4,
        };
    image.manifests.iter().min_by_key(rank)
}

/// The layers of the new image and their diff_ids.
#[derive(Debug, Default)]
struct Parts {
    layers: Vec<Blob>,
    diff_ids: Vec<Digest>,
}

impl Parts {
    fn kept(
        store: &Store,
        manifest: &Manifest,
        rootfs: &Rootfs,
        blobs: &mut Blobs,
    ) -> Result<Self, ConvertError> {
        let mut parts = Self::default();
        for (descriptor, scanned) in manifest.files().zip(rootfs.scanned()) {
            parts.diff_ids.push(scanned.diff_id);
            let stored = store.blob("layer", descriptor)?;
            parts.layers.push(blobs.keep(Packing::media_type(scanned.packing), stored, descriptor.clone()));
        }
        Ok(parts)
    }
}

/// Where the entrypoint looks for the module: over what stands there, else where it looks last.
fn place(manifest: &Manifest, rootfs: &Rootfs) -> Result<String, ConvertError> {
    let program = files::command(manifest).unwrap_or_else(|| MAIN.to_owned());
    let mut candidates = files::candidates(manifest, &program);
    let taken = files::candidates(manifest, &program).find(|path| rootfs.has_file(path));
    let path = taken.or_else(|| candidates.next_back()).and_then(|path| rootfs.resolve(&path, true));
    match path {
        Some(path) if !path.is_empty() && !rootfs.has_directory(&path) => Ok(path),
        _ => Err(ConvertError::Place { path: program.chars().take(100).collect() }),
    }
}

fn configuration(
    manifest: &Manifest,
    platform: &Platform,
    diff_ids: &[Digest],
    entrypoint: Option<&str>,
) -> Value {
    let mut config = manifest.config.value.clone();
    if manifest.config.kind() == ConfigKind::Wasm {
        config.retain(|name, _| ["created", "author"].contains(&name.as_str()));
    }
    for stale in ["history", "variant", "os.version", "os.features"] {
        config.remove(stale);
    }
    let Platform { os, architecture } = platform;
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    config.extend([
        ("os".to_owned(), json!(os)),
        ("architecture".to_owned(), json!(architecture)),
        ("rootfs".to_owned(), rootfs),
    ]);
    let process = config.entry("config").or_insert_with(|| json!({}));
    if !process.is_object() {
        *process = Value::Object(Map::new());
    }
    if let (Some(entrypoint), Some(process)) = (entrypoint, process.as_object_mut()) {
        process.insert("Entrypoint".to_owned(), json!([entrypoint]));
    }
    Value::Object(config)
}
