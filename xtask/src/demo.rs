//! `cargo xtask demo`: Wasm images on a real containerd, in front of the reader's eyes.
//!
//! What is shown lives in `e2e/src/bin/demo`, where the harness is; this brings everything it needs.

use crate::error::Error;
use crate::tools::Tools;
use crate::{paths, programs, run, tools};
use std::path::Path;
use std::process::Command;

/// Runs the demonstration on the machine's containerd if it is 1.7 or newer, else on one that was brought.
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
        None => shown(&brought)?,
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

/// The containerd to show to people: the newest. From 2.2 on its `ctr` says at each command that cgroup v1 is
/// deprecated, so on a machine with v1, also beside v2, the newest before that.
pub(crate) fn shown(tools: &Tools) -> Result<String, Error> {
    let v2_alone = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let without_warning = tools.containerds.iter().rev().find(|version| v2_alone || !warns_of_v1(version));
    without_warning.cloned().map_or_else(|| newest(tools), Ok)
}

fn warns_of_v1(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0_u32));
    (numbers.next(), numbers.next()) >= (Some(2), Some(2))
}

/// The newest containerd that could be had.
pub(crate) fn newest(tools: &Tools) -> Result<String, Error> {
    tools.containerds.last().cloned().ok_or_else(|| Error::Missing {
        what: "containerd 1.7 or newer".to_owned(),
        remedy: "install it; see what was left out above".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::warns_of_v1;

    #[test]
    fn containerd_warns_of_cgroup_v1_from_2_2_on() {
        let warning = ["1.7.24", "2.1.9", "2.2.0", "2.3.7", "3.0.0", "2"].map(warns_of_v1);
        assert_eq!(warning, [false, false, true, true, true, false]);
    }
}
