//! Containers of one sandbox share a server.

use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Container, Node, State};

const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";

fn server(container: &Container<'_>) -> u32 {
    container.cost().first().expect("a server").pid
}

#[test]
fn containers_of_a_sandbox_share_one_server_until_the_last_is_gone() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let sandbox = node.id();
    for annotation in [SANDBOX, "io.containerd.runc.v2.group"] {
        let draft = || node.container(&image).annotation(annotation, &sandbox);
        let (mut one, two) = (ready(draft()), ready(draft()));
        assert_eq!(server(&one), server(&two));
        one.kill(15).expect("kill");
        assert_eq!(one.wait(), 143);
        one.delete().expect("delete");
        assert_eq!(two.state(), State::Running);
        let three = ready(draft());
        assert_eq!(server(&two), server(&three));
    }
}

#[test]
fn containers_without_a_sandbox_have_a_server_each() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let (one, two) = (ready(node.container(&image)), ready(node.container(&image)));
    assert_ne!(server(&one), server(&two));
}
