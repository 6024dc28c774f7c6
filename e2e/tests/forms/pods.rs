//! Kubernetes' way, without Kubernetes: a pod whose own container is Wasm too, and an image from a registry.

use pinnace_conformance::guests;
use pinnace_e2e::{Node, Registry};
use pinnace_oci::build::Image;

#[test]
fn a_pod_runs_what_it_pulled_and_tells_how_it_ended() {
    let node = Node::with_cri();
    let registry = Registry::start(&node);
    let pod = node.pod();
    let hello = Image::rootfs().file("/hello.wasm", guests::hello_p1(), 0o755).entrypoint(["/hello.wasm"]);
    let exits = Image::rootfs().file("/exits.wasm", guests::exit_code(3), 0o755).entrypoint(["/exits.wasm"]);
    for (name, image, code, output) in [("hello:1", hello, 0, "hello from wasm\n"), ("exits:1", exits, 3, "")]
    {
        let mut archive = Vec::new();
        image.archive(name, &mut archive).expect("an archive");
        let name = registry.push(name, &archive);
        pod.pull(&name).expect("pull");
        assert!(pod.knows(&name));
        let ended = pod.run(&name, &[]).expect("run");
        assert_eq!((ended.code, ended.output.as_str()), (code, output));
    }
    node.expect_log("PullImage");
    let unknown = pod.pull(&registry.push("unknown:1", b"")).expect_err("a refusal");
    assert!(unknown.message().contains("not found"), "{unknown}");
}
