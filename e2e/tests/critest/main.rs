//! critest, by which Kubernetes tests a node's runtime, with Pinnace as the default handler.
//!
//! ```text
//!  runc, native images      what this machine and this containerd can do
//!  Pinnace, native images   passes whatever passes there
//!  Pinnace, Wasm images     likewise, but for what no guest can do (wasm.rs, by name and reason)
//! ```
//!
//! What came of each spec is the table in `docs/critest.md`: written when `PINNACE_BLESS` is set, else no spec
//! that passes there may fail.

mod document;
mod images;
mod suite;
mod traces;
mod wasm;

use pinnace_e2e::places;
use suite::{Outcome, Outcomes, Runtime};

/// What fails with Pinnace where runc of this machine does not even try, and why.
const OPEN: [(&str, &str); 1] = [(
    "Host idmap mount support is needed runtime should support NamespaceMode_POD",
    "runc before 1.2 joins no pid namespace from outside the pod's user namespace",
)];

/// What containerd lets no other handler than runc's have before this release: it asks none but runc what it can.
const UNASKED: (&str, (u32, u32)) = ("runtime does not implement recursive readonly mounts", (2, 3));

#[test]
fn what_passes_with_runc_passes_with_pinnace() {
    let [runc, native, wasm] = [Runtime::Runc, Runtime::Native, Runtime::Wasm].map(|runtime| {
        let outcomes = suite::run(runtime);
        eprintln!("{runtime:?}: {}", document::counts(&outcomes));
        outcomes
    });
    let wrong = [worse("native", &runc, &native), worse("Wasm", &runc, &wasm)].concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    document::agrees(&runc, &native, &wasm);
}

/// What passes with runc and not here, and what fails here only.
fn worse(images: &str, runc: &Outcomes, ours: &Outcomes) -> Vec<String> {
    let is_worse = |spec: &str, expected: &Outcome| match (expected, &ours[spec]) {
        (_, Outcome::Passed) | (Outcome::Failed(_), _) | (Outcome::Skipped(_), Outcome::Skipped(_)) => None,
        (_, Outcome::Skipped(_)) if images == "Wasm" && wasm::beyond(spec).is_some() => None,
        (_, Outcome::Skipped(told)) if unasked(told) => None,
        (_, Outcome::Failed(_)) if open(spec).is_some() => None,
        (expected, ours) => Some(format!("{images}: {spec}: {ours:?}, with runc {expected:?}")),
    };
    runc.iter().filter_map(|(spec, expected)| is_worse(spec, expected)).collect()
}

/// Why a spec fails that may.
fn open(spec: &str) -> Option<&'static str> {
    OPEN.iter().find(|(part, _)| spec.contains(part)).map(|(_, reason)| *reason)
}

/// Whether critest was told by containerd that we cannot do something, without asking.
fn unasked(told: &str) -> bool {
    told == UNASKED.0 && places::release(&places::version()) < UNASKED.1
}
