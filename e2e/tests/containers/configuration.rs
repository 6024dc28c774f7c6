//! The node's configuration is strict, and a handler's options may only narrow it.

use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::Node;
use prost::Message;

/// containerd's `runtimeoptions.v1.Options`, as the CRI sends a handler's table.
#[derive(Clone, PartialEq, Eq, Message)]
struct Options {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(string, tag = "2")]
    config_path: String,
    #[prost(bytes = "vec", tag = "3")]
    config_body: Vec<u8>,
}

fn options(body: &str) -> Vec<u8> {
    Options { config_body: body.as_bytes().to_vec(), ..Options::default() }.encode_to_vec()
}

const TYPE: &str = "runtimeoptions.v1.Options";

#[test]
fn an_unknown_key_is_an_error_that_names_it_and_its_file() {
    let node = Node::configured("module.max_bites = 1");
    let image = guest(&node, guests::hello_p1());
    let refused = node.container(&image).create().expect_err("an unknown key");
    assert!(refused.message().contains("module.max_bites"), "{refused}");
    assert!(refused.message().contains("pinnace.toml"), "{refused}");
}

#[test]
fn options_of_the_handler_narrow() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    let narrow = node.container(&image).options(TYPE, options("[module]\nmax_bytes = 100"));
    let refused = narrow.create().expect_err("a module past the limit");
    assert!(refused.message().contains("max_bytes"), "{refused}");
    let wide = node.container(&image).options(TYPE, options("[module]\nmax_bytes = 999999999999"));
    let refused = wide.create().expect_err("options that widen");
    assert!(refused.message().contains("module.max_bytes"), "{refused}");
}

#[test]
fn options_that_are_not_ours_are_tolerated() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    // `binary_name = "crun"` of runc's options.
    let runc = [0x1a_u8, 4, b'c', b'r', b'u', b'n'].to_vec();
    assert_eq!(node.container(&image).options("containerd.runc.v1.Options", runc).run().code, 0);
    assert_eq!(node.container(&image).options(TYPE, Vec::new()).run().code, 0);
}

#[test]
fn the_names_of_engines_are_names_of_the_runtime_too() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    assert_eq!(node.container(&image).runtime("io.containerd.wasmtime.v1").run().code, 0);
    let refused = node.container(&image).runtime("io.containerd.wasmedge.v1").create();
    let refused = refused.expect_err("an engine that is not installed");
    assert!(refused.message().contains("wasmedge"), "{refused}");
}
