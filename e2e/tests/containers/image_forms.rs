//! Every form of image that holds Wasm.

use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::{Node, places};
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
