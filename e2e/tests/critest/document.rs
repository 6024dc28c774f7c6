//! `docs/critest.md`: its words, and the table of what came of each spec.

use crate::suite::{Outcome, Outcomes};
use crate::{open, wasm};
use pinnace_e2e::places;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

const OPENING: &str = "\
# critest

[critest](https://github.com/kubernetes-sigs/cri-tools) is how Kubernetes tests a node's runtime. Here it runs three
times on one machine and one containerd: with runc; with Pinnace as the default handler and the same images, whose
programs are native; and with Pinnace and images whose commands are Wasm. Every spec that passes with runc must pass
with Pinnace, or the tests fail; with Wasm images it need not where no guest can do what the spec asks, and then the
table says why. A spec that fails may try once more, with each of the three; the tests tell which did.

`make test` runs all of it on the newest containerd, `make test-full` also on 2.1. By hand: `cargo xtask critest`.

The images are made by the tests (`e2e/tests/critest/images.rs`) and pulled from a registry on loopback. The commands
of the Wasm images are one guest, `e2e/guests/box.rs`: `sh -c`, `echo`, `sleep`, `touch` and what else specs ask for.
";

const CLOSING: &str = "
## What is not run

- *AppArmor*, *SELinux*: this machine's kernel has neither.
- *public image with digest should be pulled and removed*: the image is named by its digest, and only its registry has it.
- Benchmarks.

## Other versions of containerd

- Before 2.3 containerd asks only runc's shim what its runtime can, so pods of any other handler have no recursive
  read-only mounts and, through a kubelet, no user namespaces. On 2.1 the other specs come out as above.
- Before 2.0 containerd does not tell its cgroup driver, and critest takes it for systemd's; where systemd does not
  run, Pinnace refuses such pods, while runc makes a cgroup of that name.
";

/// How many there are of each outcome.
pub(crate) fn counts(outcomes: &Outcomes) -> String {
    let count = |which: fn(&Outcome) -> bool| outcomes.values().filter(|outcome| which(outcome)).count();
    format!(
        "{} passed, {} failed, {} not run",
        count(|outcome| *outcome == Outcome::Passed),
        count(|outcome| matches!(outcome, Outcome::Failed(_))),
        count(|outcome| matches!(outcome, Outcome::Skipped(_))),
    )
}

/// Compares what came of the specs with the table, or writes it.
///
/// Machines differ, and so do the specs that can run on them; but what passes in the table fails nowhere.
pub(crate) fn agrees(runc: &Outcomes, native: &Outcomes, wasm: &Outcomes) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/critest.md");
    if env::var_os("PINNACE_BLESS").is_some() {
        fs::write(&file, text(runc, native, wasm)).expect("write docs/critest.md");
        return;
    }
    let written = fs::read_to_string(&file).expect("docs/critest.md");
    let fails = |spec: &str, told: &str, outcome: &Outcome| {
        told == PASSED && matches!(outcome, Outcome::Failed(_)) && !matches!(runc[spec], Outcome::Failed(_))
    };
    for (spec, of_native, of_wasm) in written.lines().filter_map(row) {
        let spec = spec.as_str();
        let known = runc.contains_key(spec);
        assert!(known, "{spec}: docs/critest.md tells of it, critest does not; run with PINNACE_BLESS=1");
        assert!(
            !fails(spec, of_native, &native[spec]),
            "{spec}: passes in docs/critest.md, failed with native"
        );
        assert!(!fails(spec, of_wasm, &wasm[spec]), "{spec}: passes in docs/critest.md, failed with Wasm");
    }
}

const PASSED: &str = "passes";

/// A spec of the table, and what is told of Pinnace.
fn row(line: &str) -> Option<(String, &str, &str)> {
    let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
    let (spec, runc, native, wasm) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
    (runc == PASSED).then(|| (spec.replace(BAR, "|"), native, wasm))
}

fn text(runc: &Outcomes, native: &Outcomes, wasm: &Outcomes) -> String {
    let mut text = OPENING.to_owned();
    let version = places::version();
    let all = [("runc", runc), ("Pinnace, native images", native), ("Pinnace, Wasm images", wasm)];
    let _infallible = write!(text, "\n## containerd {version}\n\n| | |\n|---|---|\n");
    for (name, outcomes) in all {
        let _infallible = writeln!(text, "| {name} | {} |", counts(outcomes));
    }
    text.push_str("\n| spec | runc | native | Wasm |\n|---|---|---|---|\n");
    for (spec, of_runc) in runc {
        let cells = [(of_runc, None), (&native[spec], open(spec)), (&wasm[spec], wasm::beyond(spec))];
        let cells = cells.map(|(outcome, reason)| cell(outcome, reason));
        // Nothing of the machine at hand can be told from a spec that it never runs.
        if !cells.iter().all(|cell| cell.starts_with(NOT_RUN)) {
            let spec = spec.replace('|', BAR);
            let _infallible = writeln!(text, "| {spec} | {} |", cells.join(" | "));
        }
    }
    text + CLOSING
}

/// A bar in a cell.
const BAR: &str = "\\|";

const NOT_RUN: &str = "not run";

fn cell(outcome: &Outcome, reason: Option<&str>) -> String {
    match (outcome, reason) {
        (Outcome::Passed, _) => PASSED.to_owned(),
        (Outcome::Skipped(_), Some(reason)) => format!("no: {reason}"),
        (Outcome::Skipped(told), None) if told.is_empty() => NOT_RUN.to_owned(),
        (Outcome::Skipped(told), None) => format!("{NOT_RUN}: {told}"),
        (Outcome::Failed(_), Some(reason)) => format!("fails: {reason}"),
        (Outcome::Failed(_), None) => "fails".to_owned(),
    }
}
