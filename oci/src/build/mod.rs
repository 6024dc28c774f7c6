//! Making images, as OCI archives that `ctr image import` and `docker load` take.
//!
//! ```text
//!  Image::rootfs()     files ──▶ one tar layer ─┐  config: os/arch, entrypoint, env, …
//!  Image::artifact()   Wasm ──▶ a Wasm layer ───┤  (diff_ids count tar layers only)
//!                                               ▼
//!                       manifest ──▶ [index of several] ──▶ Package ──▶ archive or layout, named
//! ```
//!
//! The same image is the same bytes, always: entries in order, times at the epoch, owner root, nothing
//! compressed. Wasm layers stay out of `diff_ids`, since containerd refuses an image whose `diff_ids` do
//! not count the layers that it unpacks.
//!
//! The builder makes what it is told to, bad images too: two Wasm layers, a digest that is not the
//! content's. Refusing them is the reader's work, and its tests need them.

mod config;
mod package;
mod tree;

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::choose::host_architecture;
use crate::document::Platform;
use crate::error::Defect;
use crate::{Digest, WasmMedia};
use config::Config;
pub(crate) use config::OCI as OCI_CONFIG;
pub use package::Package;
pub(crate) use package::{Blob, Blobs};
pub(crate) use tree::Tree;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A path in the image that no tar header can carry, or that climbs out with `..`.
    #[error("cannot put {path:?} into an image layer: {source}")]
    Layer {
        /// The path.
        path: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The archive could not be written.
    #[error("cannot write the image archive: {0}")]
    Write(io::Error),
    /// A blob that is taken over from another image is not what it was when the image was read.
    #[error("the image changed while it was copied: {0}")]
    Changed(Defect),
}

/// One image for one platform.
#[derive(Debug, Clone)]
pub struct Image {
    platform: Platform,
    config: Config,
    tree: Tree,
    wasm: Vec<(WasmMedia, Vec<u8>)>,
    /// Of Wasm layers, by their places.
    titles: BTreeMap<usize, String>,
    claimed: Option<Digest>,
    annotations: BTreeMap<String, String>,
}

impl Image {
    /// An image with a root filesystem, for `linux` on this machine's architecture. Empty at first.
    pub fn rootfs() -> Self {
        let platform = Platform { os: "linux".to_owned(), architecture: host_architecture().to_owned() };
        Self {
            platform,
            config: Config::default(),
            tree: Tree::default(),
            wasm: Vec::new(),
            titles: BTreeMap::new(),
            claimed: None,
            annotations: BTreeMap::new(),
        }
    }

    /// An image of one Wasm layer and no root filesystem, for `wasip1/wasm`.
    pub fn artifact(media: WasmMedia, wasm: impl Into<Vec<u8>>) -> Self {
        Self::rootfs().platform("wasip1", "wasm").wasm_layer(media, wasm)
    }

    /// The platform of the configuration, and of the entry when the image stands in an index.
    #[must_use]
    pub fn platform(mut self, os: &str, architecture: &str) -> Self {
        self.platform = Platform { os: os.to_owned(), architecture: architecture.to_owned() };
        self
    }

    /// Adds a file, owned by root, and the directories above it.
    #[must_use]
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.tree.file(path, bytes.into(), mode);
        self
    }

    /// Adds a directory and those above it.
    #[must_use]
    pub fn directory(mut self, path: &str) -> Self {
        self.tree.directory(path);
        self
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        self.tree.symlink(path, target);
        self
    }

    /// Adds another name of a file that the image has.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.tree.link(path, target);
        self
    }

    /// Adds a Wasm layer. A second one makes an image that is refused.
    #[must_use]
    pub fn wasm_layer(mut self, media: WasmMedia, wasm: impl Into<Vec<u8>>) -> Self {
        self.wasm.push((media, wasm.into()));
        self
    }

    /// The title of the last Wasm layer.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        if let Some(last) = self.wasm.len().checked_sub(1) {
            self.titles.insert(last, title.to_owned());
        }
        self
    }

    /// What the manifest and the archive say the digest of the last Wasm layer is, whatever it is.
    #[must_use]
    pub fn claim_digest(mut self, digest: Digest) -> Self {
        self.claimed = Some(digest);
        self
    }

    /// `ENTRYPOINT`.
    #[must_use]
    pub fn entrypoint<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.config.entrypoint = words.into_iter().map(Into::into).collect();
        self
    }

    /// `CMD`.
    #[must_use]
    pub fn cmd<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.config.cmd = words.into_iter().map(Into::into).collect();
        self
    }

    /// One variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.config.env.push(format!("{name}={value}"));
        self
    }

    /// `WORKDIR`.
    #[must_use]
    pub fn workdir(mut self, path: &str) -> Self {
        path.clone_into(&mut self.config.workdir);
        self
    }

    /// `USER`.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.config.user);
        self
    }

    /// One label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.config.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// One annotation of the manifest.
    #[must_use]
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The configuration of the CNCF's Wasm artifacts, `application/vnd.wasm.config.v0+json`. containerd
    /// reads no entrypoint from it, and `ctr run` refuses it.
    #[must_use]
    pub fn wasm_config(mut self) -> Self {
        self.config.wasm = true;
        self
    }

    /// Writes the image as an archive that imports under `name`, for example `docker.io/library/hello:1`.
    /// Gives the digest by which it will be known.
    ///
    /// # Errors
    /// When a path cannot be put into a layer, or `sink` fails.
    pub fn archive(&self, name: &str, sink: impl Write) -> Result<Digest, BuildError> {
        let package = self.package()?;
        package.archive(name, sink)?;
        Ok(package.digest())
    }

    /// The image, to be written.
    ///
    /// # Errors
    /// When a path cannot be put into a layer.
    pub fn package(&self) -> Result<Package, BuildError> {
        let mut blobs = Blobs::default();
        let manifest = self.add_to(&mut blobs)?;
        Ok(blobs.finish(manifest))
    }

    /// Adds every blob, the manifest last; returns the manifest.
    fn add_to(&self, blobs: &mut Blobs) -> Result<Blob, BuildError> {
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        if !self.tree.is_empty() {
            let layer = blobs.add(TAR, self.tree.tar()?);
            diff_ids.push(layer.digest);
            layers.push(layer);
        }
        for (place, (media, wasm)) in self.wasm.iter().enumerate() {
            let claimed = self.claimed.filter(|_| place + 1 == self.wasm.len());
            let mut layer = match claimed {
                Some(digest) => blobs.add_as(digest, media.as_str(), wasm.clone()),
                None => blobs.add(media.as_str(), wasm.clone()),
            };
            layer.title = self.titles.get(&place).cloned();
            layers.push(layer);
        }
        let (media_type, config) = self.config.render(&self.platform, &diff_ids, &layers);
        let config = blobs.add(media_type, config);
        if self.platform.os == "linux" && self.wasm.is_empty() && !self.config.wasm {
            blobs.for_docker(&config, &layers);
        }
        Ok(add_manifest(blobs, &config, &layers, &self.annotations))
    }
}

/// Adds the manifest of these.
pub(crate) fn add_manifest(
    blobs: &mut Blobs,
    config: &Blob,
    layers: &[Blob],
    annotations: &BTreeMap<String, String>,
) -> Blob {
    let mut manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(),
        "layers": layers.iter().map(Blob::descriptor).collect::<Vec<_>>(),
    });
    if !annotations.is_empty() {
        manifest["annotations"] = serde_json::json!(annotations);
    }
    blobs.add(MANIFEST, manifest.to_string().into_bytes())
}

/// Adds the index of these entries.
pub(crate) fn add_index(blobs: &mut Blobs, entries: &[serde_json::Value]) -> Blob {
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    blobs.add(INDEX, index.to_string().into_bytes())
}

/// Several images under one name, one for each platform.
#[derive(Debug, Clone, Default)]
pub struct Index {
    images: Vec<Image>,
    attested: bool,
}

impl Index {
    /// An index of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image as the entry of its platform.
    #[must_use]
    pub fn image(mut self, image: Image) -> Self {
        self.images.push(image);
        self
    }

    /// Adds what build tools put beside the images: a manifest for no platform, with nothing to run.
    #[must_use]
    pub fn attested(mut self) -> Self {
        self.attested = true;
        self
    }

    /// Writes the index as an archive that imports under `name`. Gives the digest by which it will be known.
    ///
    /// # Errors
    /// When a path cannot be put into a layer, or `sink` fails.
    pub fn archive(&self, name: &str, sink: impl Write) -> Result<Digest, BuildError> {
        let package = self.package()?;
        package.archive(name, sink)?;
        Ok(package.digest())
    }

    /// The index and all its images, to be written.
    ///
    /// # Errors
    /// When a path cannot be put into a layer.
    pub fn package(&self) -> Result<Package, BuildError> {
        let mut blobs = Blobs::default();
        let mut entries = Vec::new();
        for image in &self.images {
            entries.push(image.add_to(&mut blobs)?.entry(&image.platform));
        }
        if self.attested {
            let nowhere = Image::rootfs().platform("unknown", "unknown").file("attestation", *b"{}", 0o644);
            let mut entry = nowhere.add_to(&mut blobs)?.entry(&nowhere.platform);
            entry["annotations"] = serde_json::json!({"vnd.docker.reference.type": "attestation-manifest"});
            entries.push(entry);
        }
        let index = add_index(&mut blobs, &entries);
        Ok(blobs.finish(index))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use serde_json::Value;

    use super::*;

    fn full() -> Image {
        Image::rootfs()
            .file("/usr/lib/hello.wasm", *b"\0asm", 0o755)
            .file("/etc/motd", *b"hello", 0o644)
            .directory("/data")
            .symlink("/bin", "usr/bin")
            .entrypoint(["/usr/lib/hello.wasm"])
            .cmd(["--loud"])
            .env("B", "2")
            .env("A", "1")
            .workdir("/data")
            .user("1000:1000")
            .label("b", "2")
            .label("a", "1")
            .wasm_layer(WasmMedia::Component, *b"component")
    }

    fn archived(image: &Image) -> Vec<u8> {
        let mut bytes = Vec::new();
        image.archive("docker.io/library/hello:1", &mut bytes).expect("an archive");
        bytes
    }

    fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().expect("entries").map(|entry| {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("its bytes");
            (path, bytes)
        });
        entries.collect()
    }

    /// The document that a descriptor points at.
    fn follow(files: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Value {
        let digest = descriptor["digest"].as_str().expect("a digest").replace(':', "/");
        serde_json::from_slice(&files[&format!("blobs/{digest}")]).expect("json")
    }

    #[test]
    fn the_same_image_is_the_same_bytes() {
        assert_eq!(archived(&full()), archived(&full()));
        let index = || Index::new().image(full()).image(full().platform("wasip2", "wasm")).attested();
        let mut archives = [Vec::new(), Vec::new()];
        for archive in &mut archives {
            index().archive("docker.io/library/hello:1", archive).expect("an archive");
        }
        assert_eq!(archives[0], archives[1]);
    }

    #[test]
    fn every_blob_is_stored_under_its_digest() {
        let files = unpacked(&archived(&full()));
        let blobs =
            files.iter().filter_map(|(path, bytes)| Some((path.strip_prefix("blobs/sha256/")?, bytes)));
        let named: Vec<_> = blobs.filter(|(name, _)| !name.is_empty()).collect();
        assert_eq!(named.len(), 4, "tar layer, wasm layer, config, manifest");
        for (name, bytes) in named {
            assert_eq!(name, Digest::of(bytes).hex());
        }
    }

    #[test]
    fn wasm_layers_stay_out_of_diff_ids() {
        let files = unpacked(&archived(&full()));
        let layout: Value = serde_json::from_slice(&files["index.json"]).expect("json");
        let entry = &layout["manifests"][0];
        let digest = full().archive("docker.io/library/hello:1", io::sink()).expect("an archive");
        assert_eq!(entry["digest"], digest.to_string());
        assert_eq!(entry["annotations"]["io.containerd.image.name"], "docker.io/library/hello:1");
        assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "1");
        let manifest = follow(&files, entry);
        assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(2));
        let config = follow(&files, &manifest["config"]);
        assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([manifest["layers"][0]["digest"]]));
        assert_eq!(config["config"]["Entrypoint"][0], "/usr/lib/hello.wasm");
        assert_eq!(config["config"]["Env"], serde_json::json!(["B=2", "A=1"]));
        assert_eq!(config["config"]["User"], "1000:1000");
    }

    #[test]
    fn a_layer_holds_each_directory_before_its_content_and_nothing_of_the_day() {
        let mut tar = tar::Archive::new(io::Cursor::new(full().tree.tar().expect("a layer")));
        let mut paths = Vec::new();
        for entry in tar.entries().expect("entries") {
            let entry = entry.expect("an entry");
            let header = entry.header();
            assert_eq!(
                (header.mtime().ok(), header.uid().ok(), header.gid().ok()),
                (Some(0), Some(0), Some(0))
            );
            paths.push(entry.path().expect("a path").to_string_lossy().into_owned());
        }
        assert_eq!(paths, ["bin", "data", "etc", "etc/motd", "usr", "usr/lib", "usr/lib/hello.wasm"]);
    }

    #[test]
    fn a_claimed_digest_goes_everywhere_a_reader_looks() {
        let claimed = Digest::of(b"another");
        let image = Image::artifact(WasmMedia::Wasm, *b"\0asm").claim_digest(claimed);
        let files = unpacked(&archived(&image));
        assert_eq!(files[&format!("blobs/sha256/{}", claimed.hex())], b"\0asm");
    }

    #[test]
    fn a_name_without_a_tag_is_the_latest() {
        let mut bytes = Vec::new();
        full().archive("localhost:5000/hello", &mut bytes).expect("an archive");
        let layout: Value = serde_json::from_slice(&unpacked(&bytes)["index.json"]).expect("json");
        assert_eq!(layout["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "latest");
    }

    #[test]
    fn a_path_that_climbs_is_refused_by_name() {
        let refused = Image::rootfs().file("/a/../../etc/passwd", *b"", 0o644).archive("x:1", io::sink());
        let message = refused.unwrap_err().to_string();
        assert!(message.starts_with("cannot put \"a/..\" into"), "{message}");
    }

    #[test]
    fn a_sink_that_fails_is_reported() {
        let mut room = [0_u8; 600];
        let refused = full().archive("x:1", room.as_mut_slice());
        assert!(matches!(refused, Err(BuildError::Write(_))));
    }
}
