//! The crash matrix: in every state and in the middle of every phase somebody is killed; what containerd says
//! afterwards is the truth, and nothing is left.
//!
//! ```text
//!  case     what kind of container × in which state, or phase of which call × who dies     all that can be reached
//!  draw     40 of the cases of all versions of containerd, by the commit; PINNACE_FULL: all; PINNACE_CASE: by name
//!  stage    a node whose shim stops where it is told to, and whose OCI runtime and hooks do
//!  strike   the call begins, the phase is hit, the victim is killed, the others go on
//!  truth    what may be seen then: the container lives, has ended so, or is gone; it is removed; the leak check
//! ```
//!
//! `PINNACE_CONTAINERD` names the version; `cargo xtask test` runs everything once for each.

mod case;
mod draw;
mod matrix;
mod oci;
mod stage;
mod strike;
mod truth;

use pinnace_e2e::places;
use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// Most of a case is waiting for containerd.
const SIDE_BY_SIDE: usize = 3;

#[test]
fn whoever_dies_and_whenever_the_truth_is_told_and_nothing_is_left() {
    let cases = Mutex::new(draw::cases().into_iter());
    let failed = Mutex::new(Vec::new());
    let next = || cases.lock().expect("the cases").next();
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(case) = next() {
                    let began = Instant::now();
                    let done = catch_unwind(AssertUnwindSafe(|| strike::strike(&case)));
                    let took = began.elapsed();
                    match done {
                        Ok(()) => eprintln!("{case}: as it should be ({took:.1?})"),
                        Err(panic) => {
                            let why = words(panic.as_ref());
                            eprintln!("{case}: {why}");
                            failed.lock().expect("the failures").push(format!("{case}: {why}"));
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("the failures");
    assert!(
        failed.is_empty(),
        "{} cases, each can be run alone as PINNACE_CASE=…:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// What a program with faults carries.
const TRACE: &[u8] = b"PINNACE_FAULT_SOCKET";

#[test]
fn released_programs_have_no_such_points() {
    let carries = |dir: PathBuf| {
        let program = fs::read(dir.join("containerd-shim-wasm-v1")).expect("the shim");
        program.windows(TRACE.len()).any(|window| window == TRACE)
    };
    assert!(carries(places::faults()));
    assert!(!carries(places::dist()));
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}
