//! `cargo xtask demo`: Wasm images on a real containerd, in front of the reader's eyes.
//!
//! What is shown lives in `e2e/src/bin/demo`, where the harness is; this brings everything it needs.

use crate::error::Error;
use crate::tools::Tools;
use crate::{paths, programs, run, tools};
use std::process::Command;

/// Runs the demonstration on the machine's containerd if it is 1.7 or newer, else on the newest brought.
pub(crate) fn demo() -> Result<(), Error> {
    if !run::is_root() {
        return Err(Error::Missing {
            what: "root".to_owned(),
            remedy: "containers need it: run this as root".to_owned(),
        });
    }
    tools::protoc()?;
    let installed = tools::installed_containerd();
    let brought = tools::bring()?;
    programs::build()?;
    let version = match installed {
        Some(version) => version,
        None => newest(&brought)?,
    };
    run::say("build the demonstration");
    run::loud(run::cargo().args([
        "build",
        "--quiet",
        "--locked",
        "--package",
        "pinnace-e2e",
        "--bin",
        "demo",
    ]))?;
    run::loud(on(&version, run::program(paths::target().join("debug/demo"))).env_remove("CARGO"))
}

/// Tells a program of `e2e` which containerd to use and where everything is.
pub(crate) fn on(version: &str, mut command: Command) -> Command {
    command
        .env("PINNACE_CONTAINERD", version)
        .env("PINNACE_TOOLS", paths::tools())
        .env("PINNACE_DIST", paths::dist());
    command
}

/// The newest containerd that could be had.
pub(crate) fn newest(tools: &Tools) -> Result<String, Error> {
    tools.containerds.last().cloned().ok_or_else(|| Error::Missing {
        what: "containerd 1.7 or newer".to_owned(),
        remedy: "install it; see what was left out above".to_owned(),
    })
}
