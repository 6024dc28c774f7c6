//! A signal ends a guest at once, whatever it does.

use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::Node;
use std::time::{Duration, Instant};

#[test]
fn each_signal_that_ends_gives_its_code() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    for signal in [1, 2, 3, 9, 10, 15] {
        let container = ready(node.container(&image));
        container.kill(signal).expect("kill");
        assert_eq!(container.wait(), 128 + signal);
    }
}

#[test]
fn sigterm_ends_a_busy_loop_and_a_sleeping_component_well_within_a_tenth_of_a_second() {
    let node = Node::start();
    for wasm in [guests::busy_p1(), guests::sleep_p2()] {
        let image = guest(&node, wasm);
        // The best of a few: other tests may have the processors just now.
        let fastest = (0..4).map(|_| time_to_end(&ready(node.container(&image)))).min();
        assert!(fastest < Some(Duration::from_millis(100)), "{fastest:?}");
    }
}

fn time_to_end(container: &pinnace_e2e::Container<'_>) -> Duration {
    let began = Instant::now();
    container.kill(15).expect("kill");
    assert_eq!(container.wait(), 143);
    began.elapsed()
}

#[test]
fn a_signal_that_ends_nothing_ends_nothing() {
    let node = Node::start();
    let image = guest(&node, guests::echo_stdin_p1());
    let mut container = node.container(&image).with_stdin().create().expect("create");
    container.start().expect("start");
    container.kill(28).expect("SIGWINCH");
    container.write("still here\n");
    container.stdout().wait_for("still here\n");
    container.close_stdin().expect("close");
    assert_eq!(container.wait(), 0);
}
