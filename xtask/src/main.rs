//! What developers run: `cargo xtask COMMAND`, one module each.
//!
//! ```text
//!  demo ─┐                        ┌─▶ tools     containerd, runc, busybox, protoc into target/tools
//!  test ─┼── each brings itself ──┤
//!  measure                        └─▶ programs  the release programs into target/dist
//!  ci   ───▶ fmt, clippy, doc, deny; `.ci/run` adds the tests
//! ```
//!
//! This program links nothing of Pinnace: it must build before `protoc` is there, and in seconds.

#![forbid(unsafe_code)]

mod ci;
mod critest;
mod demo;
mod error;
mod hook;
mod machine;
mod measure;
mod paths;
mod programs;
mod run;
mod soak;
mod test;
mod tools;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// What developers of Pinnace run.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring what demo and tests need: four versions of containerd, runc, busybox, critest, protoc
    Tools,
    /// Build the release programs into target/dist
    Build,
    /// Run Wasm images on a private containerd, beside runc
    Demo,
    /// Unit tests without root, then the tests on each containerd
    Test(test::Options),
    /// Everything there is: matrices whole, and what takes minutes
    TestFull,
    /// Kubernetes' own tests of a runtime, with runc and with Pinnace
    Critest(critest::Options),
    /// Random calls by eight clients with random kills for half an hour
    Soak(soak::Options),
    /// Tests on machines with other cgroups, v2 only and those of systemd, in qemu
    TestCgroup2(machine::Tests),
    /// A shell, or any command, on one of these machines
    Machine(machine::Command),
    /// Measure start, memory, CPU and sizes, beside runc and a shim that runs nothing
    Measure(measure::Options),
    /// What must hold beside the tests: format, lints, documentation, licences
    Ci,
    /// Install the pre-commit hook into this clone
    Hook,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Tools => tools::bring_all().map(|_| ()),
        Command::Build => programs::build().map(|_| ()),
        Command::Demo => demo::demo(),
        Command::Test(options) => test::test(&options),
        Command::TestFull => test::full(),
        Command::Critest(options) => critest::critest(&options),
        Command::Soak(options) => soak::soak(&options),
        Command::TestCgroup2(options) => machine::test(&options),
        Command::Machine(options) => machine::command(&options),
        Command::Measure(options) => measure::measure(&options),
        Command::Ci => ci::ci(),
        Command::Hook => hook::install(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error::print(&error);
            ExitCode::FAILURE
        }
    }
}
