//! Whatever an image holds: Create fails with a message that names the file and the fault, and leaves nothing.

use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::{Draft, Image, Node};
use pinnace_oci::{WasmMedia, build};
use std::fs;

/// The message of a Create that must fail.
#[track_caller]
fn refusal(draft: Draft<'_>) -> String {
    draft.create().expect_err("a Create that fails").message().to_owned()
}

#[track_caller]
fn refused(node: &Node, image: &Image, naming: &[&str]) {
    let message = refusal(node.container(image));
    for part in naming {
        assert!(message.to_lowercase().contains(part), "{part:?} in {message:?}");
    }
    assert!(!message.contains("panick"), "{message}");
}

fn text(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).expect("text of a module")
}

#[test]
fn what_is_not_wasm() {
    let node = Node::start();
    refused(&node, &guest(&node, b"just some words\n".to_vec()), &["/guest.wasm", "wasm"]);
    refused(&node, &guest(&node, Vec::new()), &["/guest.wasm"]);
}

#[test]
fn what_is_cut_off() {
    let node = Node::start();
    let whole = guests::hello_p1();
    for length in [4, 8, 9, whole.len() / 2, whole.len() - 1] {
        refused(&node, &guest(&node, whole[..length].to_vec()), &["/guest.wasm"]);
    }
}

#[test]
fn a_component_of_an_unknown_world() {
    let node = Node::start();
    refused(&node, &guest(&node, text("(component)")), &["/guest.wasm", "wasi:cli/run"]);
}

#[test]
fn a_missing_import_is_named() {
    let node = Node::start();
    refused(&node, &guest(&node, guests::missing_import_p1()), &["/guest.wasm", "company", "secret_sauce"]);
}

#[test]
fn an_unsupported_proposal_is_named() {
    let node = Node::start();
    let wide = text(
        "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func (param i32)))
        (func (export \"_start\") i64.const 1 i64.const 2 i64.const 3 i64.const 4 i64.add128 drop drop))",
    );
    refused(&node, &guest(&node, wide), &["/guest.wasm", "wide"]);
}

#[test]
fn an_entrypoint_that_is_missing_or_leads_nowhere() {
    let node = Node::start();
    let image = build::Image::rootfs()
        .directory("/directory.wasm")
        .symlink("/loop.wasm", "/loop.wasm")
        .symlink("/outside.wasm", "../../../../etc/hostname")
        .file("/guest.wasm", guests::hello_p1(), 0o755);
    let image = node.image(&image);
    for path in ["/nothing.wasm", "/directory.wasm", "/loop.wasm", "/guest.wasm/below", "/guest.wasm#nothing"]
    {
        let message = refusal(node.container(&image).args([path]));
        let file = path.split_once('#').map_or(path, |(file, _)| file);
        assert!(message.contains(file), "{path} in {message:?}");
    }
    refusal(node.container(&image).args(["/outside.wasm"]));
    refusal(node.container(&image).args([]));
}

#[test]
fn an_entrypoint_that_cannot_run_is_told_in_the_words_by_which_clients_make_126_and_127() {
    let node = Node::configured("native.enabled = false");
    let image = build::Image::rootfs()
        .directory("/directory.wasm")
        .file("/bin/sh", b"\x7fELF native".to_vec(), 0o755)
        .file("/words", b"no module".to_vec(), 0o755)
        .file("/text.wasm", b"(module)".to_vec(), 0o755)
        .file("/cut.wasm", guests::hello_p1()[..20].to_vec(), 0o755);
    let image = node.image(&image);
    for (program, code) in [
        ("/nothing.wasm", 127),
        ("nothing.wasm", 127),
        ("/words/below.wasm", 127),
        ("/directory.wasm", 126),
        ("/bin/sh", 126),
        ("/words", 126),
        ("/text.wasm", 126),
        ("/cut.wasm", 126),
    ] {
        let message = refusal(node.container(&image).args([program]));
        // As Docker's daemon and its command line look at it.
        let not_found = ["executable file not found", "no such file or directory"]
            .iter()
            .any(|part| message.contains(part));
        let made = match (message.contains(program) && not_found, message.contains("permission denied")) {
            (true, false) => 127,
            (false, true) => 126,
            _ => 125,
        };
        assert_eq!(made, code, "{program}: {message}");
        assert!(message.contains(&format!("exec: {program:?}: ")), "{message}");
    }
}

#[test]
fn two_wasm_layers() {
    let node = Node::start();
    let image = build::Image::artifact(WasmMedia::Wasm, guests::hello_p1())
        .wasm_layer(WasmMedia::Wasm, guests::exit_code(1))
        .entrypoint(["hello"]);
    refused(&node, &node.image(&image), &["more than one", "wasm layer"]);
}

#[test]
fn a_layer_whose_bytes_are_not_those_of_its_digest() {
    let node = Node::start();
    let wasm = guests::hello_p1();
    let image = build::Image::artifact(WasmMedia::Wasm, wasm.clone()).entrypoint(["hello"]);
    let image = node.image(&image);
    let blobs = node.dir().join("root/io.containerd.content.v1.content/blobs/sha256");
    let blob = fs::read_dir(&blobs)
        .expect("the content store")
        .flatten()
        .map(|entry| entry.path())
        .find(|file| fs::read(file).is_ok_and(|bytes| bytes == wasm))
        .expect("the layer");
    let mut other = wasm;
    let last = other.len() - 1;
    other[last] ^= 1;
    fs::write(&blob, other).expect("spoil the layer");
    let digest = blob.file_name().and_then(|name| name.to_str()).expect("a digest").to_owned();
    refused(&node, &image, &["digest", &digest]);
}

#[test]
fn a_module_past_the_size_limit() {
    let node = Node::configured("module.max_bytes = 100");
    refused(&node, &guest(&node, guests::hello_p1()), &["/guest.wasm", "100", "max_bytes"]);
    let image = build::Image::artifact(WasmMedia::Wasm, guests::hello_p1()).entrypoint(["hello"]);
    refused(&node, &node.image(&image), &["limit of 100"]);
}

#[test]
fn an_engine_that_is_not_there() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    let message = refusal(node.container(&image).annotation("pinnace.dev/engine", "perpetuum"));
    assert!(message.contains("perpetuum") && message.contains("wasmtime"), "{message}");
}

/// A module that takes seconds and much memory to compile: many functions, each with much to allocate.
pub(crate) fn laborious() -> Vec<u8> {
    const FUNCTIONS: usize = 40_000;
    // local.get 0, local.get 1, i64.mul, local.get 2, i64.xor, local.tee 0, local.get 1, i64.rotl, local.set 2
    let step = [0x20, 0, 0x20, 1, 0x7e, 0x20, 2, 0x85, 0x22, 0, 0x20, 1, 0x89, 0x21, 2];
    let body = [&[0][..], &step.repeat(40), &[0x20, 2, 0x0b]].concat();
    let body = [number(body.len()), body].concat();
    // (i64, i64, i64) -> i64 for all of them, and () -> () for `_start`, the last, which does nothing.
    let types = [2, 0x60, 3, 0x7e, 0x7e, 0x7e, 1, 0x7e, 0x60, 0, 0];
    let functions = [number(FUNCTIONS + 1), vec![0; FUNCTIONS], vec![1]].concat();
    let exports = [&[1, 6][..], b"_start", &[0], &number(FUNCTIONS)].concat();
    let code = [number(FUNCTIONS + 1), body.repeat(FUNCTIONS), vec![2, 0, 0x0b]].concat();
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (section, content) in [(1, types.to_vec()), (3, functions), (7, exports), (10, code)] {
        module.extend([&[section][..], &number(content.len()), &content].concat());
    }
    module
}

/// A number as modules write it: seven bits a byte, the lowest first.
fn number(mut rest: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

#[test]
fn what_takes_too_long_to_compile() {
    let node = Node::configured("compile.timeout_seconds = 1");
    refused(&node, &guest(&node, laborious()), &["/guest.wasm", "timeout_seconds"]);
}

#[test]
fn what_takes_too_much_memory_to_compile() {
    let node = Node::configured("compile.memory_bytes = 20000000");
    refused(&node, &guest(&node, laborious()), &["/guest.wasm", "memory_bytes"]);
}
