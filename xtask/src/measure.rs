//! `cargo xtask measure`: what a container costs, beside runc and beside a shim that runs nothing.
//!
//! The measuring itself is `e2e/src/bin/measure`; the null shim is a workspace of its own, because its
//! dependencies are not ours.

use crate::demo::{on, shown};
use crate::error::Error;
use crate::run::{self, say};
use crate::{paths, programs, tools};
use std::path::PathBuf;

/// Its program; found beside runc, for it is no part of what is shipped.
const NULL_SHIM: &str = "containerd-shim-null-v1";

/// How much to measure, and for whom.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Cycles of each contender
    #[arg(long, default_value_t = 100)]
    cycles: u32,
}

/// Builds all contenders and measures them.
pub(crate) fn measure(options: &Options) -> Result<(), Error> {
    let brought = tools::bring()?;
    let version = shown(&brought)?;
    programs::build()?;
    tools::link(&null_shim()?, NULL_SHIM)?;
    say("build the measurement");
    // Not optimised: it waits for answers, and the tests have built it already.
    run::loud(run::cargo().args(["build", "--quiet", "--locked", "--package=pinnace-e2e", "--bin=measure"]))?;
    let mut command = on(&version, run::program(paths::target().join("debug/measure")));
    command.arg(options.cycles.to_string());
    if options.json {
        command.arg("--json");
    }
    run::loud(&mut command)
}

/// The floor: a shim of the stock crate that answers the task API and runs nothing.
fn null_shim() -> Result<PathBuf, Error> {
    say("build the null shim");
    let manifest = paths::root().join("e2e/null-shim/Cargo.toml");
    let output = paths::target().join("null-shim");
    run::loud(
        run::cargo()
            .args(["build", "--quiet", "--release", "--locked", "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(&output),
    )?;
    Ok(output.join("release").join(NULL_SHIM))
}
