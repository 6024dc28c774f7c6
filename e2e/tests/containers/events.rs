//! Events come in order, each once.

use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::Node;
use rustix::process::Signal;

#[test]
fn a_whole_life_is_four_events_in_order() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(7));
    let events = node.events();
    for _ in 0..5 {
        let draft = node.container(&image);
        let id = draft.id().to_owned();
        assert_eq!(draft.run().code, 7);
        let deleted = events.wait_for("delete", &id).delete().expect("a deletion");
        assert_eq!((deleted.exit_status, deleted.id.as_str()), (7, ""));
        assert_eq!(events.topics(&id), ["create", "start", "exit", "delete"]);
    }
}

#[test]
fn an_exit_is_told_once_with_the_process_that_create_returned() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let events = node.events();
    let mut container = ready(node.container(&image));
    container.kill(15).expect("kill");
    container.wait();
    container.delete().expect("delete");
    let exit = events.wait_for("exit", container.id()).exit().expect("an exit");
    assert_eq!((exit.pid, exit.exit_status), (container.pid(), 143));
    let _deleted = events.wait_for("delete", container.id());
    let exits = events.topics(container.id()).iter().filter(|topic| *topic == "exit").count();
    assert_eq!(exits, 1);
}

#[test]
fn events_while_containerd_is_away_come_when_it_is_back() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let mut container = ready(node.container(&image));
    let engine = rustix::process::Pid::from_raw(container.pid().cast_signed()).expect("a pid");
    node.while_down(Signal::KILL, || rustix::process::kill_process(engine, Signal::TERM).expect("kill"));
    let events = node.events();
    assert_eq!(container.wait(), 143);
    container.delete().expect("delete");
    let _deleted = events.wait_for("delete", container.id());
}
