//! The cgroup's memory limit is the guest's ceiling, and an out-of-memory is told as one.

use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::Node;

const LIMIT: u64 = 96 << 20;

#[test]
fn a_guest_that_traps_after_growth_was_refused_is_out_of_memory() {
    let node = Node::start();
    let image = guest(&node, guests::grow_p1());
    let events = node.events();
    let draft = node.container(&image).memory(LIMIT);
    let id = draft.id().to_owned();
    let ended = draft.run();
    assert_eq!(ended.code, 137, "{}", ended.stderr);
    let told: Vec<_> = ended.stderr.lines().filter(|line| line.contains("memory")).collect();
    assert!(told.iter().any(|line| line.contains(&LIMIT.to_string()) || line.contains("96")), "{told:?}");
    let _deleted = events.wait_for("delete", &id);
    assert_eq!(events.topics(&id), ["create", "start", "oom", "exit", "delete"]);
}

#[test]
fn a_guest_that_copes_with_refused_growth_goes_on() {
    let node = Node::start();
    let image = guest(&node, guests::grow_cope_p1());
    let events = node.events();
    let draft = node.container(&image).memory(LIMIT);
    let id = draft.id().to_owned();
    let ended = draft.run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "coped\n"), "{}", ended.stderr);
    let _deleted = events.wait_for("delete", &id);
    assert!(!events.topics(&id).contains(&"oom".to_owned()));
}

#[test]
fn an_initial_memory_above_the_limit_fails_create() {
    let node = Node::start();
    // 128 MiB.
    let image = guest(&node, guests::big_initial_p1(2048));
    let refused = node.container(&image).memory(LIMIT).create().expect_err("too much memory");
    assert!(refused.message().contains("/guest.wasm"), "{refused}");
    assert!(refused.message().contains("memory"), "{refused}");
}
