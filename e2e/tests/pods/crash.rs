//! Processes of a pod that die, and a containerd that comes back.

use crate::{sidecar, tool};
use pinnace_e2e::{Node, cost, until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    kill_process(pid, Signal::KILL).expect("kill");
}

fn server(holder: u32) -> u32 {
    cost::family(holder).first().expect("the server").pid
}

/// Whether an OCI runtime keeps no state: `<state>/<boot>/oci/<namespace>/<container>`.
fn forgotten(state: &Path) -> bool {
    let inside = |dir: &Path| -> Vec<_> {
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let boots = inside(state).into_iter().map(|boot| boot.join("oci"));
    boots.flat_map(|oci| inside(&oci)).all(|namespace| inside(&namespace).is_empty())
}

#[test]
fn a_pod_whose_holder_is_killed_is_not_ready() {
    for shared in [false, true] {
        let node = Node::with_pods();
        let image = tool(&node);
        let draft = node.draft_pod();
        let draft = if shared { draft.shared_pids() } else { draft };
        let pod = draft.run().expect("a pod");
        let container = pod.draft(&image).args(&["env", "UP", "then", "sleep"]).start().expect("start");
        container.wait_for("UP=");
        kill(pod.pid());
        until("the pod not to be ready", || (!pod.ready()).then_some(()));
        if shared {
            // It was process 1: the kernel ends what is in its pid namespace.
            assert_eq!(container.wait(), 137);
        }
    }
}

#[test]
fn a_pod_whose_server_is_killed_is_gone_as_a_whole() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().run().expect("a pod");
    let container = pod.draft(&image).args(&["env", "UP", "then", "sleep"]).start().expect("start");
    container.wait_for("UP=");
    let sidecar = pod.draft(&sidecar(&node)).args(&["sleep", "1000"]).start().expect("start");
    let native = sidecar.pid();
    kill(server(pod.pid()));
    until("the pod not to be ready", || (!pod.ready()).then_some(()));
    until("the sidecar to be gone", || (!Path::new(&format!("/proc/{native}")).exists()).then_some(()));
    let state = node.dir().join("pinnace/state");
    until("the OCI runtime to have forgotten it", || forgotten(&state).then_some(()));
    // Of calls that were under way.
    for words in ["failed to get task exit status", "failed to handle", "ttrpc: closed"] {
        node.expect_log(words);
    }
    // What the CRI was waiting on is gone too: then it calls the code unknown, whatever `delete` answers.
    let code = container.wait();
    assert!(matches!(code, 137 | 255), "{code}");
}

#[test]
fn pods_live_through_a_restart_of_containerd() {
    for signal in [Signal::TERM, Signal::KILL] {
        let node = Node::with_pods();
        let image = tool(&node);
        let pod = node.draft_pod().run().expect("a pod");
        let server = pod.draft(&image).args(&["serve", "80"]).start().expect("start");
        server.wait_for("listening");
        let (holder, engine) = (pod.pid(), server.pid());
        node.restart(signal);
        assert!(pod.ready());
        assert_eq!((pod.pid(), server.pid()), (holder, engine));
        let asks = pod.draft(&image).args(&["ask", "127.0.0.1:80", "hello"]).run();
        assert_eq!((asks.code, asks.output.as_str()), (0, "HELLO\n"));
        server.stop(10).expect("stop");
        assert_eq!(server.wait(), 143);
    }
}

/// The processor time a process has had, in ticks.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum()
}

#[test]
fn nothing_of_a_pod_spins_while_containerd_is_gone() {
    const WHILE: Duration = Duration::from_secs(3);
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().run().expect("a pod");
    let guest = pod.draft(&image).args(&["serve", "80"]).start().expect("start");
    guest.wait_for("listening");
    let writing = pod.draft(&sidecar(&node)).args(&["yes"]).start().expect("start");
    writing.wait_for("y\n");
    let all = [server(pod.pid()), pod.pid(), guest.pid(), writing.pid()];
    node.while_down(Signal::KILL, || {
        // Until nobody takes any more of what is written.
        until("the writer to wait", || {
            let before = ticks(all[3]);
            sleep(Duration::from_millis(200));
            (ticks(all[3]) == before).then_some(())
        });
        let before = all.map(ticks);
        sleep(WHILE);
        let spent: Vec<_> = all.map(ticks).iter().zip(before).map(|(now, then)| now - then).collect();
        assert!(spent.iter().all(|ticks| *ticks <= WHILE.as_secs()), "ticks in {WHILE:?}: {spent:?}");
    });
    let asks = pod.draft(&image).args(&["ask", "127.0.0.1:80", "hello"]).run();
    assert_eq!((asks.code, asks.output.as_str()), (0, "HELLO\n"));
    writing.stop(0).expect("stop");
    assert_eq!(writing.wait(), 137);
}
