//! `cargo xtask critest`: Kubernetes' own tests of a runtime, alone; `cargo xtask test` runs them among the others.
//!
//! They are a test of `e2e` (`e2e/tests/critest`), which runs them with runc and with Pinnace and compares.

use crate::demo::{self, on};
use crate::error::Error;
use crate::{programs, run, tools};

/// On what, and to what end.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// On this containerd version instead of the newest
    #[arg(long, value_name = "VERSION")]
    containerd: Option<String>,
    /// Write the table of docs/critest.md instead of comparing with it
    #[arg(long)]
    write: bool,
}

/// Runs them.
pub(crate) fn critest(options: &Options) -> Result<(), Error> {
    tools::protoc()?;
    let brought = tools::bring_all()?;
    programs::build()?;
    let version = options.containerd.clone().map_or_else(|| demo::newest(&brought), Ok)?;
    let mut cargo = on(&version, run::cargo());
    if options.write {
        cargo.env("PINNACE_BLESS", "1");
    }
    cargo.args(["test", "--package", "pinnace-e2e", "--locked", "--test", "critest", "--", "--nocapture"]);
    run::loud(&mut cargo)
}
