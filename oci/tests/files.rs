//! Images as files: what is read, what is refused, what a conversion keeps.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod raw;

use std::os::unix::fs::symlink;
use std::path::Path;

use pinnace_oci::build::{Image, Index, Package};
use pinnace_oci::convert::{everywhere, portable};
use pinnace_oci::files::{Program, ReadError, Rootfs, Store};
use pinnace_oci::support::{Carrier, Verdict, Wrapping, runs_where};
use pinnace_oci::{Digest, Platform, WasmMedia};
use proptest::prelude::*;
use raw::{GZIP, INDEX, Raw, ZSTD, gzip, opened, stored, tar, zstd};
use serde_json::json;

const MODULE: &[u8] = b"\0asm\x01\0\0\0";
const TEXT: &[u8] = b";; a program\n(module)";
const NAME: &str = "docker.io/library/hello:1";

/// What a reader sees of an image.
#[derive(Debug, Clone)]
struct Seen {
    target: Digest,
    platforms: Vec<String>,
    entrypoint: Vec<String>,
    env: Vec<String>,
    /// Carrier, path or nothing, bytes.
    wasm: Option<(Carrier, String, Vec<u8>)>,
    wrapping: Wrapping,
    everywhere: bool,
}

fn read(path: &Path) -> Result<Seen, ReadError> {
    let store = Store::open(path)?;
    let named = store.images()?.into_iter().next().ok_or(ReadError::NoImage { path: path.to_owned() })?;
    let image = store.image(&named)?;
    let manifest = image.taken().expect("a manifest");
    let program = Program::find(&store, manifest, &Rootfs::read(&store, manifest)?)?;
    let form = image.form(manifest, &program);
    let wasm = form.as_ref().map(|form| {
        let path = match &program {
            Program::File { path, .. } => path.clone(),
            _ => String::new(),
        };
        (form.carrier, path, program.wasm().expect("wasm").bytes.clone())
    });
    let runs = |form| runs_where(form).iter().all(|(_, verdict)| *verdict == Verdict::Runs);
    Ok(Seen {
        target: named.target.digest,
        platforms: image.manifests.iter().map(|manifest| manifest.platform.to_string()).collect(),
        entrypoint: manifest.config.entrypoint(),
        env: manifest.config.env(),
        wasm,
        wrapping: image.wrapping,
        everywhere: form.as_ref().is_some_and(runs),
    })
}

fn archived(package: &Package) -> Vec<u8> {
    let mut bytes = Vec::new();
    package.archive(NAME, &mut bytes).expect("an archive");
    bytes
}

fn converted_for(path: &Path, platforms: &[Platform]) -> tempfile::NamedTempFile {
    let store = Store::open(path).expect("a store");
    let image = store.image(&store.images().expect("images")[0]).expect("an image");
    stored(&archived(&portable(&store, &image, platforms).expect("converted")))
}

fn converted(path: &Path) -> tempfile::NamedTempFile {
    converted_for(path, &everywhere())
}

/// Images of many forms, with the carrier and path that a reader should find.
fn forms() -> Vec<(&'static str, Package, Carrier, &'static str)> {
    let layer = |media| Image::artifact(media, MODULE).entrypoint(["/hello"]).env("A", "1");
    let file =
        || Image::rootfs().file("/hello.wasm", MODULE, 0o755).entrypoint(["/hello.wasm"]).env("A", "1");
    let text = Image::rootfs().file("/a.wat", TEXT, 0o755).entrypoint(["/a.wat"]);
    let searched = Image::rootfs()
        .file("/opt/bin/hello", MODULE, 0o755)
        .symlink("/usr/bin", "../opt/bin")
        .env("PATH", "/bin:/usr/bin")
        .entrypoint(["hello#greet"]);
    let bare = Image::artifact(WasmMedia::Content, MODULE).wasm_config();
    let [wasm, component, content] =
        [WasmMedia::Wasm, WasmMedia::Component, WasmMedia::Content].map(Carrier::Layer);
    let forms = vec![
        ("a file", file().package(), Carrier::File, "/hello.wasm"),
        ("text", text.package(), Carrier::Text, "/a.wat"),
        ("found by PATH", searched.package(), Carrier::File, "/opt/bin/hello"),
        ("a wasm layer", layer(WasmMedia::Wasm).package(), wasm, ""),
        ("files, too", layer(WasmMedia::Component).file("/etc/motd", *b"hi", 0o644).package(), component, ""),
        ("a wasm configuration", bare.package(), content, ""),
        ("an odd platform", layer(WasmMedia::Wasm).platform("wasi", "wasm32").package(), wasm, ""),
        ("an index", Index::new().image(layer(WasmMedia::Wasm)).package(), wasm, ""),
        ("attestations", Index::new().image(file()).attested().package(), Carrier::File, "/hello.wasm"),
    ];
    forms.into_iter().map(|(name, package, carrier, path)| (name, package.unwrap(), carrier, path)).collect()
}

#[test]
fn every_form_is_read_as_what_it_was_built() {
    for (name, package, carrier, path) in forms() {
        let archive = stored(&archived(&package));
        let place = tempfile::tempdir().unwrap();
        package.layout(NAME, place.path()).expect("a layout");
        for file in [archive.path(), place.path()] {
            let seen = read(file).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (found, at, bytes) = seen.wasm.unwrap_or_else(|| panic!("{name}: no wasm"));
            assert_eq!((found, at.as_str()), (carrier, path), "{name}");
            assert_eq!(bytes, if carrier == Carrier::Text { TEXT } else { MODULE }, "{name}");
            assert_eq!(seen.target, package.digest(), "{name}");
        }
    }
}

#[test]
fn every_form_converts_to_one_that_runs_everywhere_and_says_the_same() {
    for (name, package, _, path) in forms() {
        let archive = stored(&archived(&package));
        let before = read(archive.path()).unwrap();
        let new = converted(archive.path());
        let after = read(new.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(after.everywhere, "{name}: {after:?}");
        assert_eq!(after.platforms, ["linux/amd64", "linux/arm64"], "{name}");
        assert_eq!(after.env, before.env, "{name}");
        let (_, at, bytes) = after.wasm.unwrap();
        assert_eq!(bytes, before.wasm.unwrap().2, "{name}");
        if before.entrypoint.is_empty() {
            assert_eq!((after.entrypoint[0].as_str(), at.as_str()), ("/main.wasm", "/main.wasm"), "{name}");
        } else {
            assert_eq!(after.entrypoint, before.entrypoint, "{name}");
            assert_eq!(at, if path.is_empty() { "/hello" } else { path }, "{name}");
        }
        // Once portable, a second conversion changes nothing.
        let again = converted(new.path());
        assert_eq!(std::fs::read(again.path()).unwrap(), std::fs::read(new.path()).unwrap(), "{name}");
    }
}

#[test]
fn one_architecture_is_a_manifest() {
    let archive = stored(&archived(&forms()[0].1));
    let arm = [Platform { os: "linux".to_owned(), architecture: "arm64".to_owned() }];
    let seen = read(converted_for(archive.path(), &arm).path()).unwrap();
    assert_eq!((seen.wrapping, seen.platforms), (Wrapping::Manifest, vec!["linux/arm64".to_owned()]));
}

#[test]
fn packed_layers_are_copied_as_they_are_and_their_diff_ids_are_found() {
    let files = tar(&[("usr/", b""), ("usr/bin/", b""), ("bin -> usr/bin", b""), ("etc/motd", b"hello")]);
    for (media_type, packed) in [(GZIP, gzip(&files)), (ZSTD, zstd(&files))] {
        copied_as_it_is(&files, media_type, packed);
    }
}

fn copied_as_it_is(files: &[u8], media_type: &str, packed: Vec<u8>) {
    let mut raw = Raw::default();
    let packed = raw.add(media_type, packed);
    let wasm = raw.add("application/wasm", MODULE.to_vec());
    let config = json!({
        "os": "wasip1", "architecture": "wasm", "variant": "v1", "history": [{}, {}, {}],
        "config": {"Entrypoint": ["/bin/app"], "StopSignal": "SIGINT"},
        // Some builders count layers of Wasm; and this is a lie, anyway.
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(b"a"), Digest::of(b"b")]},
    });
    let target = raw.image(&config, &[packed.clone(), wasm]);
    let new = converted(raw.archive(&target).path());
    let (config, manifest, blobs) = opened(new.path());
    assert_eq!(manifest["layers"][0], packed);
    assert_eq!(config["rootfs"]["diff_ids"][0], json!(Digest::of(files)));
    assert_eq!(config["rootfs"]["diff_ids"][1], manifest["layers"][1]["digest"]);
    assert_eq!(config["config"]["StopSignal"], "SIGINT");
    assert!(config.get("history").is_none() && config.get("variant").is_none());
    // The module's layer puts nothing in the place of the link.
    let name = manifest["layers"][1]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    let mut layer = ::tar::Archive::new(blobs[&name].as_slice());
    let names: Vec<_> =
        layer.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(names, [Path::new("usr/bin/app")]);
    let Some((_, at, _)) = read(new.path()).unwrap().wasm else { panic!("no wasm") };
    assert_eq!(at, "/usr/bin/app");
}

#[test]
fn a_module_is_found_in_a_layer_of_any_packing() {
    let files = tar(&[("app.wasm", MODULE), ("large", &[7; 300_000])]);
    for (media_type, packed) in [(GZIP, gzip(&files)), (ZSTD, zstd(&files)), (ZSTD, files.clone())] {
        let mut raw = Raw::default();
        let layer = raw.add(media_type, packed);
        let target = raw.image(&json!({"os": "linux", "config": {"Entrypoint": ["/app.wasm"]}}), &[layer]);
        let wasm = read(raw.archive(&target).path()).unwrap().wasm;
        assert_eq!(wasm, Some((Carrier::File, "/app.wasm".to_owned(), MODULE.to_vec())), "{media_type}");
    }
}

#[test]
fn dockers_archive_is_read_as_an_image() {
    let layer = tar(&[("app.wasm", MODULE)]);
    let config = json!({"os": "linux", "architecture": "amd64", "config": {"Entrypoint": ["/app.wasm"]}});
    let layers = ["1/layer.tar", "2/layer.tar"];
    let saved = json!([{"Config": "abc.json", "RepoTags": ["hello:1"], "Layers": layers}]);
    let archive = stored(&tar(&[
        ("1/layer.tar", &layer),
        ("2/layer.tar -> ../1/layer.tar", b""),
        ("abc.json", config.to_string().as_bytes()),
        ("manifest.json", saved.to_string().as_bytes()),
    ]));
    let store = Store::open(archive.path()).unwrap();
    assert_eq!(store.images().unwrap()[0].name.as_deref(), Some(NAME));
    assert_eq!(read(archive.path()).unwrap().wasm.unwrap().1, "/app.wasm");
    assert!(read(converted(archive.path()).path()).unwrap().everywhere);
}

#[test]
fn what_is_wrong_is_named() {
    let layout: (&str, &[u8]) = ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: &[u8] = br#"{"manifests": []}"#;
    let image = |layers: &[(&str, Vec<u8>)]| {
        let mut raw = Raw::default();
        let layers: Vec<_> = layers.iter().map(|(media, bytes)| raw.add(media, bytes.clone())).collect();
        let target = raw.image(&json!({"os": "linux"}), &layers);
        std::fs::read(raw.archive(&target).path()).unwrap()
    };
    let packed = gzip(&tar(&[layout]));
    let half = packed[..packed.len() / 2].to_vec();
    let (half_zstd, wasm) = (zstd(&tar(&[layout]))[..100].to_vec(), "application/wasm");
    for (bytes, words) in [
        (b"".to_vec(), "is no image"),
        (b"hello".to_vec(), "is not a whole tar archive"),
        (packed, "unpack it with gunzip first"),
        (tar(&[("hello.txt", b"hello")]), "neither an oci-layout"),
        (tar(&[("oci-layout", br#"{"imageLayoutVersion":"2.0.0"}"#)]), "version \"2.0.0\""),
        (tar(&[layout]), "\"index.json\""),
        (tar(&[layout, ("index.json", b"{")]), "index.json in"),
        (tar(&[layout, ("index.json", index), ("./index.json", b"{}")]), "twice"),
        (tar(&[layout, ("index.json -> ../../../../etc/passwd", b"")]), "\"index.json\""),
        (tar(&[layout, ("index.json -> index.json", b"")]), "\"index.json\""),
        (image(&[(wasm, MODULE.to_vec()), (wasm, TEXT.to_vec())]), "more than one wasm layer"),
        (image(&[(GZIP, half)]), "cannot be unpacked"),
        (image(&[(ZSTD, half_zstd)]), "cannot be unpacked"),
        (tar(&[layout, ("index.json", &[b' '; 4096])])[..2048].to_vec(), "ends within \"index.json\""),
    ] {
        let refused = read(stored(&bytes).path()).expect_err(words).to_string();
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn a_missing_or_altered_blob_is_named() {
    let mut raw = Raw::default();
    let layer = raw.add("application/wasm", MODULE.to_vec());
    let target = raw.image(&json!({"os": "wasip1", "architecture": "wasm"}), &[layer]);
    let name = format!("blobs/sha256/{}", Digest::of(MODULE).hex());
    for (blob, words) in [
        (None, "is not in it"),
        (Some(&b"\0asm\x01\0\0\x01"[..]), "has the digest"),
        (Some(b"\0asm"), "does not have the 8 bytes"),
    ] {
        let mut raw = raw.clone();
        match blob {
            None => raw.blobs.remove(&name),
            Some(blob) => raw.blobs.insert(name.clone(), blob.to_vec()),
        };
        let refused = read(raw.archive(&target).path()).unwrap_err().to_string();
        assert!(refused.contains(words) && refused.contains(&Digest::of(MODULE).to_string()), "{refused}");
    }
}

#[test]
fn indexes_without_end_are_not_followed() {
    let mut raw = Raw::default();
    let manifest = raw.image(&json!({}), &[]);
    let wide = raw.document(INDEX, &json!({"manifests": vec![manifest.clone(); 300]}));
    let mut deep = manifest;
    for _ in 0..6 {
        deep = raw.document(INDEX, &json!({"manifests": [deep]}));
    }
    for (target, words) in [(deep, "nested deeper"), (wide, "more than 256")] {
        let refused = read(raw.clone().archive(&target).path()).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn a_layout_leads_nowhere_out_of_its_directory() {
    let place = tempfile::tempdir().unwrap();
    let (inside, secret) = (place.path().join("image"), place.path().join("secret"));
    std::fs::write(&secret, MODULE).unwrap();
    let blob = inside.join("blobs/sha256").join(Digest::of(MODULE).hex());
    let package = Image::artifact(WasmMedia::Wasm, MODULE).entrypoint(["/a"]).package().unwrap();
    package.layout(NAME, &inside).unwrap();
    assert!(read(&inside).is_ok());
    std::fs::remove_file(&blob).unwrap();
    symlink(&secret, &blob).unwrap();
    assert!(read(&inside).unwrap_err().to_string().contains("is not in it"));
    std::fs::remove_file(&blob).unwrap();
    // A FIFO has nobody who writes, and is not waited for.
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &blob, fifo, mode, 0).unwrap();
    assert!(read(&inside).unwrap_err().to_string().contains("is not in it"));
    // A link that stays within is fine: build systems make such.
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(inside.join("module"), MODULE).unwrap();
    symlink("../../module", &blob).unwrap();
    assert!(read(&inside).is_ok());
}

/// Where bytes are damaged, and how.
fn noise(most: usize) -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..most)
}

fn damage(bytes: &mut [u8], noise: Vec<(prop::sample::Index, u8)>) {
    for (place, mask) in noise {
        if !bytes.is_empty() {
            bytes[place.index(bytes.len())] ^= mask;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// `index.json` has no digest above it, so a name may change; what the target's digest covers may not.
    #[test]
    fn a_damaged_archive_is_refused_or_the_same(
        form in 0..9_usize,
        cut in prop::option::of(any::<prop::sample::Index>()),
        noise in noise(4),
    ) {
        let mut bytes = archived(&forms()[form].1);
        let original = read(stored(&bytes).path()).expect("the original");
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        damage(&mut bytes, noise);
        if let Ok(found) = read(stored(&bytes).path()) {
            prop_assert_eq!(found.target, original.target);
            prop_assert_eq!(found.wasm, original.wasm);
            prop_assert_eq!(found.env, original.env);
        }
    }

    /// Whatever is in a layer, reading it ends, without a panic.
    #[test]
    fn a_damaged_layer_is_refused_or_read(
        noise in noise(6),
        noise_packed in noise(2),
        pack in prop::sample::select(&[<[u8]>::to_vec, gzip, zstd][..]),
    ) {
        let mut layer = tar(&[
            ("d/", b""), ("d/a.wasm", MODULE), ("l -> d/a.wasm", b""), ("m -> l", b""), (".wh.x", b""),
            ("d/.wh..wh..opq", b""),
        ]);
        damage(&mut layer, noise);
        let mut raw = Raw::default();
        let mut layer = pack(&layer);
        damage(&mut layer, noise_packed);
        let layer = raw.add(GZIP, layer);
        let target = raw.image(&json!({"os": "linux", "config": {"Entrypoint": ["/m"]}}), &[layer]);
        let _refused_or_not = read(raw.archive(&target).path());
    }
}
