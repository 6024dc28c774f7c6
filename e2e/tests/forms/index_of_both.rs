//! One name, an entry for the host and an entry for Wasm.

use crate::case::saying;
use crate::ways;
use pinnace_e2e::{Node, Registry};
use pinnace_oci::WasmMedia;
use pinnace_oci::build::{Image, Index};

fn both(name: &str) -> Vec<u8> {
    let host = Image::rootfs().file("/app.wasm", saying("for the host"), 0o755).entrypoint(["/app.wasm"]);
    let wasm = Image::artifact(WasmMedia::Wasm, saying("for wasm")).entrypoint(["/app.wasm"]);
    let mut archive = Vec::new();
    Index::new().image(host).image(wasm).attested().archive(name, &mut archive).expect("an archive");
    archive
}

#[test]
fn an_index_of_both_runs_everywhere_by_the_entry_for_the_host() {
    let node = Node::with_cri();
    node.expect_log("reference for unknown type");
    let registry = Registry::start(&node);
    let pod = node.pod();
    let name = registry.push("both:1", &both("both:1"));
    pod.pull(&name).expect("pull");
    let ended = pod.run(&name, &[]).expect("run");
    assert_eq!((ended.code, ended.output.trim_end()), (0, "for the host"));
    for flags in [&[][..], &["--all-platforms", "--no-unpack"]] {
        let name = "docker.io/library/both:1";
        ways::import(&node, &[], flags, &both(name)).expect("import");
        let output = ways::run(&node, &[], name, &[]).expect("run");
        assert_eq!(output.trim_end(), "for the host", "{flags:?}");
        ways::remove(&node, &[], name);
    }
}
