//! containerd goes and comes back; containers do not notice.

use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Node, State};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn containers_in_every_state_live_through_it() {
    let node = Node::start();
    let sleep = guest(&node, guests::sleep_p1());
    let exit = guest(&node, guests::exit_code(5));
    for signal in [Signal::TERM, Signal::KILL] {
        let created = node.container(&sleep).create().expect("create");
        let running = ready(node.container(&sleep));
        let mut stopped = node.container(&exit).create().expect("create");
        stopped.start().expect("start");
        assert_eq!(stopped.wait(), 5);

        node.restart(signal);

        assert_eq!(created.state(), State::Created);
        assert_eq!(running.state(), State::Running);
        assert_eq!(stopped.state(), State::Stopped);
        assert_eq!(stopped.wait(), 5);
        assert_eq!(stopped.delete().expect("delete"), 5);
        created.start().expect("start");
        created.stdout().wait_for("ready");
        for container in [&created, &running] {
            container.kill(15).expect("kill");
            assert_eq!(container.wait(), 143);
        }
    }
}

#[test]
fn an_exit_meanwhile_is_not_forgotten() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let mut container = ready(node.container(&image));
    let engine = Pid::from_raw(container.pid().cast_signed()).expect("a pid");
    node.while_down(Signal::TERM, || kill_process(engine, Signal::INT).expect("kill"));
    assert_eq!(container.wait(), 130);
    assert_eq!(container.delete().expect("delete"), 130);
}
