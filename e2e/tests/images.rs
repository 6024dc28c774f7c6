//! Images in a real containerd, and what `pinnace-oci` finds in them: without a shim, so that a failure
//! here is the client's or the builder's, and not a container's.

use std::path::PathBuf;
use std::{fs, io};

use pinnace_e2e::{Node, until};
use pinnace_oci::build::{Image, Index};
use pinnace_oci::{Containerd, Digest, ImageError, ImageRef, Memo, WasmLayer, WasmMedia};
use tokio::runtime::{Builder, Runtime};

/// The namespace of everything the harness makes.
const NAMESPACE: &str = "e2e";

const LIMIT: u64 = 64 << 20;

/// A node, and the client as the shim uses it.
struct Bench {
    runtime: Runtime,
    client: Containerd,
    memo: Memo,
    node: Node,
}

impl Bench {
    fn start() -> Self {
        let node = Node::start();
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = Containerd::new(node.socket(), NAMESPACE).expect("a client");
        let memo = Memo::new(node.dir().join("memo"));
        Self { runtime, client, memo, node }
    }

    fn image(&self, image: &Image) -> ImageRef {
        self.named(self.node.image(image).name())
    }

    fn named(&self, name: &str) -> ImageRef {
        self.runtime.block_on(self.client.image(name.to_owned())).expect("the imported image")
    }

    fn wasm_of(&self, image: &ImageRef) -> Result<Option<WasmLayer>, ImageError> {
        self.runtime.block_on(self.client.wasm_of(image, &self.memo, LIMIT))
    }

    fn read(&self, image: &ImageRef, layer: &WasmLayer) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        self.runtime.block_on(self.client.read_layer(image, layer, &mut bytes)).map(|()| bytes)
    }

    /// The file in which containerd keeps a blob.
    fn blob(&self, digest: Digest) -> PathBuf {
        let store = self.node.dir().join("root/io.containerd.content.v1.content/blobs/sha256");
        store.join(digest.hex())
    }

    /// Makes containerd's record of a container, reads its image, removes it; or what `ctr` said.
    fn image_of_container(&self, from: &[&str]) -> Result<Option<ImageRef>, String> {
        let id = format!("{}-record", self.node.name());
        let ctr = |args: &[&str]| {
            let output = self.node.ctr().args(args).output().expect("start ctr");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() { Ok(()) } else { Err(said) }
        };
        ctr(&[&["containers", "create"], from, &[&id, "/hello.wasm"]].concat())?;
        let image = self.runtime.block_on(self.client.image_of(&id)).expect("the record");
        ctr(&["containers", "delete", &id])?;
        Ok(image)
    }
}

/// A module of any size, the same each time.
fn wasm(size: u32) -> Vec<u8> {
    (0..size).map(|place| place.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
}

fn artifact() -> Image {
    Image::artifact(WasmMedia::Wasm, wasm(100)).entrypoint(["/hello.wasm"])
}

fn rootfs() -> Image {
    Image::rootfs().file("/hello.wasm", wasm(100), 0o755).entrypoint(["/hello.wasm"])
}

#[test]
fn every_form_gives_its_wasm() {
    let bench = Bench::start();
    let module = wasm(100);
    for (media, os) in
        [(WasmMedia::Wasm, "wasip1"), (WasmMedia::Component, "wasip2"), (WasmMedia::Content, "wasi")]
    {
        for image in [
            Image::artifact(media, wasm(100)).platform(os, "wasm"),
            Image::artifact(media, wasm(100)).platform(os, "wasm").wasm_config(),
            rootfs().wasm_layer(media, wasm(100)),
        ] {
            let image = bench.image(&image);
            let layer = bench.wasm_of(&image).expect("an image").expect("a wasm layer");
            assert_eq!(layer, WasmLayer { digest: Digest::of(&module), size: 100, media });
            assert_eq!(bench.read(&image, &layer).expect("the layer"), module);
        }
    }
    assert_eq!(bench.wasm_of(&bench.image(&rootfs())).expect("an image"), None);
}

#[test]
fn a_large_layer_arrives_whole() {
    let bench = Bench::start();
    let module = wasm(5_000_001);
    let image = bench.image(&Image::artifact(WasmMedia::Wasm, module.clone()));
    let layer = bench.wasm_of(&image).expect("an image").expect("a wasm layer");
    assert!(bench.read(&image, &layer).expect("the layer") == module);
}

#[test]
fn an_index_is_entered_at_its_wasm_platform() {
    let bench = Bench::start();
    let other = Image::artifact(WasmMedia::Component, wasm(7)).platform("wasip2", "wasm");
    for (index, size) in [
        (Index::new().image(artifact()), 100),
        (Index::new().image(rootfs()).image(artifact()).attested(), 100),
        (Index::new().image(artifact()).image(other), 7),
        (Index::new().image(artifact().platform("linux", host())).attested(), 100),
    ] {
        let image = bench.named(bench.node.index(&index).name());
        let layer = bench.wasm_of(&image).expect("an image").expect("a wasm layer");
        assert_eq!(layer.digest, Digest::of(&wasm(size)));
    }
}

#[test]
fn an_index_of_which_only_the_host_came_is_entered_there_until_the_rest_comes() {
    let bench = Bench::start();
    let image = bench.named(bench.node.index(&Index::new().image(rootfs()).image(artifact())).name());
    let manifest = bench.blob(artifact().archive("x:1", io::sink()).expect("an archive"));
    let aside = bench.node.dir().join("aside");
    fs::rename(&manifest, &aside).expect("take a blob away");
    assert_eq!(bench.wasm_of(&image).expect("an image"), None);
    fs::rename(&aside, &manifest).expect("bring it back");
    assert!(bench.wasm_of(&image).expect("an image").is_some(), "the lesser choice was remembered");
}

#[test]
fn what_is_known_is_not_asked_again() {
    let bench = Bench::start();
    let images = [bench.image(&artifact()), bench.image(&rootfs())];
    let found = images.each_ref().map(|image| bench.wasm_of(image).expect("an image"));
    let nobody = Containerd::new("/nonexistent", NAMESPACE).expect("a client");
    for (image, found) in images.iter().zip(found) {
        let known = bench.runtime.block_on(nobody.wasm_of(image, &bench.memo, LIMIT));
        assert_eq!(known.expect("a memo"), found);
    }
    // The limit is the node's of today, not of the day on which the image was seen first.
    let refused = bench.runtime.block_on(nobody.wasm_of(&images[0], &bench.memo, 99)).expect_err("a refusal");
    assert!(refused.to_string().contains("100 bytes, more than the limit of 99"), "{refused}");
}

#[test]
fn a_container_leads_to_its_image() {
    let bench = Bench::start();
    let image = bench.image(&rootfs());
    assert_eq!(bench.image_of_container(&[&image.name]), Ok(Some(image)));
    let image = bench.image(&artifact());
    let answer = bench.image_of_container(&[&image.name]);
    if bench.node.refuses_layers() {
        let said = answer.expect_err("a refusal");
        assert!(said.contains("mismatched image rootfs and manifest layers"), "{said}");
    } else {
        assert_eq!(answer, Ok(Some(image)));
    }
    let bare = bench.node.dir().join("bare");
    fs::create_dir(&bare).expect("a directory");
    let bare = bare.display().to_string();
    assert_eq!(bench.image_of_container(&["--rootfs", &bare]), Ok(None));
    let unknown = bench.runtime.block_on(bench.client.image_of("nobody")).expect_err("a refusal");
    assert!(matches!(unknown, ImageError::Container { .. }), "{unknown}");
    let removed = bench.runtime.block_on(bench.client.image("docker.io/library/gone:1".to_owned()));
    assert!(matches!(removed, Err(ImageError::Image { .. })), "{removed:?}");
}

#[test]
fn the_channel_is_closed_when_nothing_is_asked() {
    let bench = Bench::start();
    let name = bench.node.image(&artifact()).name().to_owned();
    // Between two calls the runtime sees to what is left of the first.
    let settle = || {
        bench.runtime.block_on(async {
            for _ in 0..16 {
                tokio::task::yield_now().await
            }
        })
    };
    // The server's ends carry the socket's path, and so no other test's are counted.
    let open = || {
        let sockets = fs::read_to_string("/proc/net/unix").expect("the sockets");
        let path = bench.node.socket().display().to_string();
        sockets.lines().filter(|line| line.ends_with(&path)).count()
    };
    let before = open();
    let image = bench.named(&name);
    for _ in 0..3 {
        let layer = bench.wasm_of(&image).expect("an image").expect("a wasm layer");
        bench.read(&image, &layer).expect("the layer");
    }
    settle();
    until("containerd to close its ends", || (open() <= before).then_some(()));
}

#[test]
fn two_wasm_layers_are_refused_by_name() {
    let bench = Bench::start();
    let image = bench.image(&artifact().wasm_layer(WasmMedia::Component, wasm(7)));
    let message = bench.wasm_of(&image).expect_err("a refusal").to_string();
    for part in [&image.name, &Digest::of(&wasm(100)).to_string(), &Digest::of(&wasm(7)).to_string()] {
        assert!(message.contains(part.as_str()), "{message}");
    }
}

#[test]
fn content_that_changed_on_disk_is_refused() {
    let bench = Bench::start();
    let image = bench.image(&artifact());
    let layer = bench.wasm_of(&image).expect("an image").expect("a wasm layer");
    let file = bench.blob(layer.digest);
    let mut changed = wasm(100);
    changed[50] ^= 1;
    for (content, words) in [
        (changed.clone(), Digest::of(&changed).to_string()),
        (wasm(99), "does not have the 100 bytes".to_owned()),
        (wasm(0), "does not have the 100 bytes".to_owned()),
    ] {
        fs::remove_file(&file).expect("remove a blob");
        fs::write(&file, content).expect("write a blob");
        let message = bench.read(&image, &layer).expect_err("a refusal").to_string();
        assert!(message.contains(&words) && message.contains(&layer.digest.to_string()), "{message}");
    }
}

#[test]
fn a_manifest_that_changed_on_disk_is_refused() {
    let bench = Bench::start();
    let image = bench.image(&artifact());
    let file = bench.blob(image.target.digest);
    let text = fs::read_to_string(&file).expect("a manifest");
    fs::remove_file(&file).expect("remove a blob");
    fs::write(&file, text.replace("application/wasm", "application/wasn")).expect("write a blob");
    let message = bench.wasm_of(&image).expect_err("a refusal").to_string();
    assert!(message.contains("has the digest"), "{message}");
}

#[test]
fn content_that_is_not_there_is_named_with_a_remedy() {
    let bench = Bench::start();
    // containerd stores it under its true digest, so what the manifest names never came.
    let claimed = Digest::of(b"another module");
    let image = bench.image(&artifact().claim_digest(claimed));
    let layer = bench.wasm_of(&image).expect("an image").expect("a wasm layer");
    let message = bench.read(&image, &layer).expect_err("a refusal").to_string();
    for part in [claimed.to_string().as_str(), "not in containerd's content store", "import the image again"]
    {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn an_index_for_other_machines_is_entered_at_its_only_image() {
    let bench = Bench::start();
    let foreign = |architecture| Index::new().image(artifact().platform("linux", architecture));
    // Wasm runs on any machine, so the only entry is the one that was asked for; of two, nobody tells.
    let image = bench.named(bench.node.index(&foreign("s390x").attested()).name());
    assert!(bench.wasm_of(&image).expect("an image").is_some());
    let both = foreign("s390x").image(artifact().platform("linux", "riscv64"));
    let message =
        bench.wasm_of(&bench.named(bench.node.index(&both).name())).expect_err("a refusal").to_string();
    assert!(message.ends_with("it offers linux/s390x, linux/riscv64"), "{message}");
}

/// This machine's architecture, as images name it.
fn host() -> &'static str {
    if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }
}
