//! What `crictl stats` and `crictl statsp` tell of a Wasm container and its pod, beside the kernel's own files.
//!
//! The guest waits for somebody to connect, so nothing changes but by the kernel's summing up: looked at until both
//! say the same.

use crate::tool;
use pinnace_e2e::{Node, places, within};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long the kernel may take to sum up.
const SUMMED: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq, Eq)]
struct Figures {
    /// Nanoseconds.
    cpu: u64,
    /// Bytes, without the files that could be dropped.
    working_set: u64,
}

#[test]
fn what_crictl_tells_of_a_container_is_the_kernels() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().run().expect("a pod");
    let container = pod.draft(&image).args(&["serve", "80"]).start().expect("start");
    container.wait_for("listening");
    let mut looks = None;
    let equal = within(SUMMED, || {
        let told = crictl(&node, &["stats", "--output", "json", "--id", container.id()]);
        let told = told["stats"][0].clone();
        assert_eq!(told["attributes"]["id"], container.id(), "{told}");
        looks = Some((figures(&told), counted(container.pid(), 0)));
        looks.as_ref().filter(|(told, counted)| told == counted).map(drop)
    });
    assert!(equal.is_some(), "{looks:?}");
    assert!(
        looks.is_some_and(|(told, _)| told.cpu > 0 && told.working_set > 0),
        "a container used something"
    );
}

#[test]
fn what_crictl_tells_of_a_pod_is_the_kernels() {
    let node = Node::with_pods();
    let image = tool(&node);
    let pod = node.draft_pod().run().expect("a pod");
    let servers = ["80", "81"].map(|port| pod.draft(&image).args(&["serve", port]).start().expect("start"));
    servers.iter().for_each(|server| server.wait_for("listening"));
    let mut looks = None;
    let mut told = Value::Null;
    let equal = within(SUMMED, || {
        told = crictl(&node, &["statsp", "--output", "json", "--id", pod.id()])["stats"][0]["linux"].take();
        // One level above: the cgroup of the pod, which a kubelet makes and the harness here.
        looks = Some((figures(&told), counted(servers[0].pid(), 1)));
        looks.as_ref().filter(|(told, counted)| told == counted).map(drop)
    });
    assert!(equal.is_some(), "{looks:?}");
    assert_eq!(told["containers"].as_array().map(Vec::len), Some(2), "{told}");
    assert_eq!(number(&told["process"]["processCount"]), 2, "one for each container: {told}");
    assert_eq!(told["network"]["defaultInterface"]["name"], "eth0", "{told}");
}

/// What crictl prints.
fn crictl(node: &Node, words: &[&str]) -> Value {
    let mut crictl = Command::new(places::tools().join("cri-tools/crictl"));
    crictl.arg("--runtime-endpoint").arg(format!("unix://{}", node.socket().display()));
    let output = crictl.args(words).output().expect("crictl; run `cargo xtask tools`");
    assert!(output.status.success(), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn figures(told: &Value) -> Figures {
    Figures {
        cpu: number(&told["cpu"]["usageCoreNanoSeconds"]),
        working_set: number(&told["memory"]["workingSetBytes"]),
    }
}

/// A number as crictl writes it, zero without it.
fn number(value: &Value) -> u64 {
    value["value"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// What the files of a process' cgroup say, or of one so many levels above.
fn counted(pid: u32, above: usize) -> Figures {
    let read = |controller: &str, file: &str| {
        let path = cgroup(pid, controller).ancestors().nth(above).expect("a cgroup above").join(file);
        let text = fs::read_to_string(&path);
        text.unwrap_or_else(|error| format!("{}: {error}", path.display()))
    };
    let whole = |text: String| text.trim().parse::<u64>().expect("a number");
    let named = |text: String, name: &str| {
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        whole(line.expect("a line"))
    };
    if unified() {
        let files = named(read("", "memory.stat"), "inactive_file");
        return Figures {
            cpu: named(read("", "cpu.stat"), "usage_usec") * 1000,
            working_set: whole(read("", "memory.current")).saturating_sub(files),
        };
    }
    let files = named(read("memory", "memory.stat"), "total_inactive_file");
    Figures {
        cpu: whole(read("cpuacct", "cpuacct.usage")),
        working_set: whole(read("memory", "memory.usage_in_bytes")).saturating_sub(files),
    }
}

/// The directory of a process' cgroup for a controller.
fn cgroup(pid: u32, controller: &str) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroups");
    let of = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let here = controllers.split(',').any(|one| one == controller);
        here.then(|| Path::new("/sys/fs/cgroup").join(controllers).join(path))
    };
    groups.lines().find_map(of).expect("the controller's hierarchy")
}

/// Whether the machine has v2 and nothing else.
fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}
