//! A pod's life, call by call, and what it costs.

use crate::tool;
use pinnace_e2e::{Node, cost};
use std::fs;

#[test]
fn a_pod_is_held_and_its_containers_come_and_go() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().run().expect("a pod");
    assert!(pod.ready());
    let words = fs::read(format!("/proc/{}/cmdline", pod.pid())).expect("the holder");
    assert!(words.starts_with(b"pinnace-holder\0"), "{}", String::from_utf8_lossy(&words));

    let ended = pod.draft(&image).args(&["env", "WHO"]).env("WHO", "a guest").run();
    assert_eq!((ended.code, ended.output.as_str()), (0, "WHO=a guest\n"));
    let ended = pod.draft(&image).args(&["cat", "/nowhere"]).run();
    assert_eq!(ended.code, 1);
    assert!(ended.output.starts_with("cat /nowhere: "), "{}", ended.output);

    // Created and never started; started and stopped.
    pod.draft(&image).create().expect("create").remove();
    let sleeper = pod.draft(&image).args(&["env", "UP", "then", "sleep"]).start().expect("start");
    sleeper.wait_for("UP=");
    sleeper.stop(10).expect("stop");
    assert_eq!(sleeper.wait(), 143);
    sleeper.remove();

    pod.stop().expect("stop");
    assert!(!pod.ready());
    // A kubelet stops it as often as it likes.
    pod.stop().expect("stop again");
}

#[test]
fn a_pod_with_one_container_is_three_small_processes() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().run().expect("a pod");
    let container = pod.draft(&image).args(&["env", "UP", "then", "sleep"]).start().expect("start");
    container.wait_for("UP=");
    let family = cost::family(pod.pid());
    for process in &family {
        println!("{}: {} KiB private, {} threads", process.name, process.private, process.threads);
    }
    println!("a pod: {} KiB private", family.iter().map(|process| process.private).sum::<u64>());
    assert_eq!(family.len(), 3, "server, holder, engine: {family:?}");
    let holder = family.iter().find(|process| process.pid == pod.pid()).expect("the holder");
    assert!(holder.private <= 80, "{holder:?}");
}
