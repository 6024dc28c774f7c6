//! Commands in a container of a pod, as exec probes run them.

use crate::tool;
use pinnace_e2e::Node;

#[test]
fn a_probe_runs_a_module_of_the_container() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().run().expect("a pod");
    let container = pod.draft(&image).args(&["serve", "8080"]).start().expect("start");
    container.wait_for("listening");
    let probe = container.exec(&["/tool.wasm", "ask", "127.0.0.1:8080", "ready"]).expect("exec");
    assert_eq!((probe.code, probe.output.as_str()), (0, "READY\n"));
    let probe = container.exec(&["/tool.wasm", "cat", "/nowhere"]).expect("exec");
    assert_eq!(probe.code, 1);
    assert!(probe.output.contains("/nowhere"), "{}", probe.output);
    let refused = container.exec(&["/nothing.wasm"]).expect_err("refused");
    assert!(refused.message().contains("no such file or directory"), "{refused}");
    node.expect_log("no such file or directory");
}
