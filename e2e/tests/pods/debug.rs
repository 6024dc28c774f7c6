//! `kubectl debug`: a native container looks at a Wasm one that runs.

use crate::{namespace, sidecar, tool};
use pinnace_e2e::Node;

#[test]
fn a_native_container_joins_the_pid_namespace_of_a_wasm_one() {
    let node = Node::with_pods();
    let (guest, native) = (tool(&node), sidecar(&node));
    let pod = node.draft_pod().run().expect("a pod");
    let server = pod.draft(&guest).args(&["serve", "8080"]).start().expect("start");
    server.wait_for("listening");
    // The guest is the first process there; what it has open is not for others, whoever they are.
    let script = "/bin/busybox tr '\\0' ' ' </proc/1/cmdline; echo; /bin/busybox ls /proc/1/root/ 2>&1; \
                  echo hello | /bin/busybox nc 127.0.0.1 8080";
    let debugger = pod.draft(&native).args(&["sh", "-c", script]).debugging(&server);
    let ended = debugger.run();
    assert_eq!(ended.code, 0, "{}", ended.output);
    let first = ended.output.lines().next().unwrap_or_default();
    assert!(first.contains("/tool.wasm serve 8080"), "{}", ended.output);
    assert!(ended.output.contains("ermission denied"), "{}", ended.output);
    assert!(ended.output.ends_with("HELLO\n"), "{}", ended.output);

    let sleeper = pod.draft(&native).args(&["sleep", "1000"]).debugging(&server).start().expect("start");
    assert_eq!(namespace(sleeper.pid(), "pid"), namespace(server.pid(), "pid"));
    // It ends with the namespace's first process.
    server.stop(10).expect("stop");
    assert_eq!(server.wait(), 143);
    assert_eq!(sleeper.wait(), 137);
}
