//! critest on a node of its own: what to run, on what, and what came of each spec.

use crate::images::{self, Kind};
use crate::traces::Traces;
use crate::wasm;
use pinnace_e2e::cri::RUNC_HANDLER;
use pinnace_e2e::{Node, Registry, places};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// Who runs the containers, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// The node's runc by its own shim.
    Runc,
    /// Pinnace, the images as for runc.
    Native,
    /// Pinnace, the images' commands in Wasm.
    Wasm,
}

/// What came of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// With critest's reason.
    Skipped(String),
    /// With critest's reason.
    Failed(String),
}

/// What came of each spec, by its name.
pub(crate) type Outcomes = BTreeMap<String, Outcome>;

/// Not run for anybody: an image that is named by the digest it has in its registry cannot be made.
const ELSEWHERE: [&str; 2] = ["public image with digest should be pulled", "benchmark about"];

/// Specs at a time. Most of them wait.
const AT_ONCE: usize = 4;

/// How often a spec may try: containerd has races of its own between a container's exit and what is asked of it
/// then. Who needed more than once is told.
const TRIES: usize = 2;

/// Runs critest, and proves that nothing of it is left.
pub(crate) fn run(runtime: Runtime) -> Outcomes {
    let traces = Traces::before();
    let node = Node::with_reachable_pods();
    // critest wants many calls to fail, of which containerd tells in its log.
    node.expect_log("");
    let registry = Registry::instead_of_all(&node);
    images::serve(&registry, if runtime == Runtime::Wasm { Kind::Wasm } else { Kind::Native });

    let (report, said) = (node.dir().join("report.json"), node.dir().join("critest.log"));
    let ended = critest(runtime, &node, &report, &said).status().expect("critest; run `cargo xtask tools`");
    let told = fs::read(&report).unwrap_or_default();
    let words = fs::read_to_string(&said).unwrap_or_default();
    // What a spec made that failed in the middle.
    let pods = ["rmp", "--all", "--force"];
    let removed = program("crictl", &node).args(pods).output().expect("crictl; run `cargo xtask tools`");
    drop(node);
    traces.remove_own();
    assert!(!told.is_empty(), "critest: {ended}, no report\n{removed:?}\n{words}");
    let outcomes = outcomes(&serde_json::from_slice(&told).expect("a report"));
    assert!(!outcomes.is_empty(), "critest: {ended}, no spec");
    outcomes
}

fn critest(runtime: Runtime, node: &Node, report: &Path, said: &Path) -> Command {
    let files = node.dir().join("critest");
    fs::create_dir_all(&files).expect("a directory for critest");
    let log = File::create(said).expect("critest's log");
    let mut critest = program("critest", node);
    critest.arg(format!("-parallel={AT_ONCE}")).arg(format!("-ginkgo.flake-attempts={TRIES}"));
    critest.arg(format!("-ginkgo.json-report={}", report.display()));
    critest.args(ELSEWHERE.iter().map(|part| skip(part)));
    match runtime {
        Runtime::Runc => drop(critest.args(["-runtime-handler", RUNC_HANDLER])),
        Runtime::Native => {}
        Runtime::Wasm => drop(critest.args(wasm::BEYOND.iter().map(|(part, _)| skip(part)))),
    }
    critest.current_dir(node.dir()).env("TMPDIR", files);
    critest.stdout(log.try_clone().expect("critest's log")).stderr(log);
    critest
}

/// A program of the cri-tools that speaks to this node.
fn program(name: &str, node: &Node) -> Command {
    let programs = places::tools().join("cri-tools");
    let mut command = Command::new(programs.join(name));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", programs.display()));
    command.arg(format!("-runtime-endpoint=unix://{}", node.socket().display()));
    command
}

/// The flag against specs with this text in their name, which is a regular expression there.
fn skip(part: &str) -> String {
    let escaped = part.replace('.', "\\.").replace('=', "[=]");
    format!("-ginkgo.skip={escaped}")
}

fn outcomes(report: &Value) -> Outcomes {
    let specs = report[0]["SpecReports"].as_array().into_iter().flatten();
    specs.filter(|spec| spec["LeafNodeType"] == "It").map(|spec| (name(spec), outcome(spec))).collect()
}

fn name(spec: &Value) -> String {
    let above = spec["ContainerHierarchyTexts"].as_array().into_iter().flatten();
    let words = above.chain([&spec["LeafNodeText"]]).filter_map(Value::as_str);
    let name = words.collect::<Vec<_>>().join(" ");
    name.trim_start_matches("[k8s.io] ").trim_end_matches(" [Conformance]").to_owned()
}

fn outcome(spec: &Value) -> Outcome {
    let reason = spec["Failure"]["Message"].as_str().unwrap_or_default().to_owned();
    if spec["State"] == "passed" && spec["NumAttempts"].as_u64() > Some(1) {
        eprintln!("passed by its second try: {}", name(spec));
    }
    match spec["State"].as_str() {
        Some("passed") => Outcome::Passed,
        Some("skipped" | "pending") => Outcome::Skipped(reason),
        _ => Outcome::Failed(reason),
    }
}
