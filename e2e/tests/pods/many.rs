//! Thirty pods at once.

use crate::tool;
use pinnace_e2e::Node;
use pinnace_e2e::cri::PodDraft;

#[test]
fn thirty_pods_start_at_once_and_leave_nothing() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pods = PodDraft::run_all((0..30).map(|_| node.draft_pod()).collect());
    let containers: Vec<_> = pods
        .iter()
        .map(|pod| pod.draft(&image).args(&["env", "WHO", "then", "sleep"]).env("WHO", pod.id()))
        .map(|draft| draft.start().expect("start"))
        .collect();
    for (pod, container) in pods.iter().zip(&containers) {
        container.wait_for(&format!("WHO={}", pod.id()));
        assert!(pod.ready());
    }
}
