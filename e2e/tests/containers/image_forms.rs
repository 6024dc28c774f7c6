//! Every form of image that holds Wasm.

use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::{Image, Node, places};
use pinnace_oci::{WasmMedia, build};
use std::fs;

const HELLO: &str = "hello from wasm\n";

#[test]
fn a_module_in_a_root_filesystem() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    let ended = node.container(&image).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, HELLO));
}

#[test]
fn a_component_in_a_root_filesystem() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p2());
    let ended = node.container(&image).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, HELLO), "{}", ended.stderr);
}

#[test]
fn an_export_named_after_the_file() {
    let node = Node::start();
    let image = guest(&node, guests::function_export_p1());
    let ended = node.container(&image).args(["/guest.wasm#greet"]).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "greetings\n"), "{}", ended.stderr);
}

/// An image with WebAssembly text in its root filesystem.
fn written(node: &Node, text: &str) -> Image {
    node.image(&build::Image::rootfs().file("/guest.wat", text, 0o644).entrypoint(["/guest.wat"]))
}

#[test]
fn a_module_written_as_text() {
    let node = Node::start();
    let text = include_str!("../../../runtimes/conformance/guests/hello.wat");
    let ended = node.container(&written(&node, text)).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, HELLO), "{}", ended.stderr);
    let text = include_str!("../../../runtimes/conformance/guests/function_export.wat");
    let ended = node.container(&written(&node, text)).args(["/guest.wat#greet"]).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "greetings\n"), "{}", ended.stderr);
}

#[test]
fn a_component_written_as_text() {
    let node = Node::start();
    // A command is a component that exports this; its result is the exit code.
    for result in [0, 1] {
        let text = format!(
            "(; a comment (; in another ;) ;)
            (component
              (core module $m (func (export \"run\") (result i32) i32.const {result}))
              (core instance $i (instantiate $m))
              (func $run (result (result)) (canon lift (core func $i \"run\")))
              (component $c
                (import \"run\" (func $run (result (result))))
                (export \"run\" (func $run)))
              (instance $command (instantiate $c (with \"run\" (func $run))))
              (export \"wasi:cli/run@0.2.0\" (instance $command)))"
        );
        let ended = node.container(&written(&node, &text)).run();
        assert_eq!(ended.code, result, "{}", ended.stderr);
    }
}

#[test]
fn a_mistake_in_text_is_named_by_file_line_and_column() {
    let node = Node::start();
    let refused = |image: &Image| node.container(image).create().expect_err("refused").message().to_owned();
    let message = refused(&written(&node, "(module\n  (func (export \"_start\")\n    call $nowhere))\n"));
    assert!(message.contains("/guest.wat:3:10: ") && message.contains("$nowhere"), "{message}");
    let message = refused(&written(&node, "(modul)"));
    assert!(message.contains("/guest.wat:1:2: "), "{message}");
    let message = refused(&guest(&node, b"(module)".to_vec()));
    assert!(
        message.contains("/guest.wasm looks like WebAssembly text") && message.contains(".wat"),
        "{message}"
    );
}

#[test]
fn a_path_that_is_found_by_the_environments_path_and_through_a_link() {
    let node = Node::start();
    let image = build::Image::rootfs()
        .file("/opt/hello.wasm", guests::hello_p1(), 0o755)
        .symlink("/usr/bin/hello.wasm", "../../opt/hello.wasm");
    let ended = node.container(&node.image(&image)).args(["/usr/bin/hello.wasm"]).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, HELLO), "{}", ended.stderr);
}

#[test]
fn artifacts_of_one_layer() {
    let node = Node::start();
    let module = build::Image::artifact(WasmMedia::Wasm, guests::hello_p1());
    let component = build::Image::artifact(WasmMedia::Component, guests::hello_p2());
    for image in [module, component] {
        let image = node.image(&image.entrypoint(["hello"]));
        let ended = node.container(&image).run();
        assert_eq!((ended.code, ended.stdout.as_str()), (0, HELLO), "{}", ended.stderr);
    }
}

#[test]
fn an_artifact_behind_an_index() {
    let node = Node::start();
    let image = build::Image::artifact(WasmMedia::Component, guests::hello_p2()).entrypoint(["hello"]);
    let image = node.index(&build::Index::new().image(image));
    let ended = node.container(&image).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, HELLO), "{}", ended.stderr);
}

#[test]
fn a_program_written_in_rust_with_arguments_environment_and_a_mounted_file() {
    let node = Node::start();
    let wasm = fs::read(places::tools().join("report.wasm")).expect("report.wasm; run `cargo xtask tools`");
    let image = guest(&node, wasm);
    let data = node.dir().join("data");
    fs::create_dir(&data).expect("a directory");
    fs::write(data.join("log.txt"), "one two\nthree\n").expect("a file");
    let ended = node
        .container(&image)
        .bind(&data, "/data", &["ro"])
        .env("GREETING=ahoy")
        .args(["/guest.wasm", "/data/log.txt", "all", "well"])
        .run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let told = "greeting: ahoy\nwords: all well\n/data/log.txt: 3 words, first line \"one two\"\n";
    assert_eq!(ended.stdout, told);
}

#[test]
fn arguments_and_environment_of_a_component() {
    let node = Node::start();
    let image = guest(&node, guests::args_env_p2());
    let ended = node.container(&image).args(["/guest.wasm", "a b", ""]).env("GREETING=ahoy").run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("a b\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("GREETING=ahoy\n"), "{}", ended.stdout);
}
