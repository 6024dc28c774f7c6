//! Every wall, probed from inside, as root.
//!
//! The program has one thread and a mount namespace of its own, shared as a host's is, so the machine's table is never
//! touched. Each test builds a sandbox around a forked child and probes from there; the child's panics are its
//! failures. `walls <part of a name>` runs some; `walls measure` prints what `enter` costs.
#![allow(unsafe_code, reason = "forks, and makes the system calls that walls refuse")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod compiler;
mod files;
mod filters;
mod harness;
mod kernel;
mod living;
mod measure;
mod probe;
mod process;
mod terminal;
mod users;

use harness::Test;

fn main() {
    harness::become_a_host();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if arguments.iter().any(|word| word == "measure") {
        return measure::print();
    }
    let tests: Vec<Test> = [
        files::TESTS,
        living::TESTS,
        kernel::TESTS,
        process::TESTS,
        users::TESTS,
        filters::TESTS,
        terminal::TESTS,
        compiler::TESTS,
    ]
    .concat();
    harness::run(&tests, &arguments);
}
