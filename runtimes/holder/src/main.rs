//! `pinnace-holder`: a pod's own process, in the place of the pause container's program.
//!
//! ```text
//!  born in the pod's cgroup and its new namespaces
//!    signals   SIGTERM, SIGINT: exit 0, from now on and at once    SIGCHLD: the kernel reaps
//!    plan      namespaces joined, named, tuned; an empty root; nobody's rights; a filter
//!    Ready ── Go ── Started
//!    sleeps    for as long as the pod lives
//! ```
//!
//! The pod's other containers join its namespaces by `/proc/<pid>/ns`. Where they share its pid namespace it is their
//! process 1, to which the kernel gives every orphan; since it ignores SIGCHLD, none stays a zombie and it need not
//! even wake. It dies with its server, and with it whatever lives in its pid namespace.

mod memory;
mod signals;

use pinnace_control::{Control, ControlError, InheritedError, failure, inherited};
use pinnace_plan::{Command, Holding, Report, fds};
use pinnace_sandbox::SandboxError;
use std::process::ExitCode;

/// For a wrong command line, as `sysexits.h` has it.
const USAGE: u8 = 64;

/// Why a pod cannot be held.
#[derive(Debug, thiserror::Error)]
enum HolderError {
    /// Something the program was born with is unusable.
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    /// A wall could not be built.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The server is gone.
    #[error(transparent)]
    Control(#[from] ControlError),
}

fn main() -> ExitCode {
    let Some(control) = Control::inherit() else {
        eprintln!("this program holds the namespaces of a pod and is started by containerd-shim-wasm-v1");
        return ExitCode::from(USAGE);
    };
    signals::install();
    let warnings = match confine() {
        Ok(warnings) => warnings,
        Err(error) => {
            // A server that cannot hear it sees the exit.
            let _ = control.send(&Report::Failed(failure(&error)));
            return ExitCode::FAILURE;
        }
    };
    match begin(&control, warnings) {
        Ok(()) => signals::sleep(),
        Err(_gone) => ExitCode::FAILURE,
    }
}

/// Everything up to the walls; afterwards nothing is left but to wait.
fn confine() -> Result<Vec<String>, HolderError> {
    // Before anything else, so that no neighbour finds a moment to look in.
    pinnace_sandbox::harden()?;
    let holding: Holding = inherited::read(fds::PLAN)?;
    let warnings = pinnace_sandbox::confine_holder(&holding)?;
    Ok(warnings.iter().map(ToString::to_string).collect())
}

fn begin(control: &Control, warnings: Vec<String>) -> Result<(), ControlError> {
    // A server that died before the death signal was set last is told by the first record, which finds nobody.
    control.send(&Report::Ready { warnings })?;
    match control.wait()? {
        Command::Go => control.send(&Report::Started),
        Command::Proceed => Err(ControlError::OutOfTurn),
    }
}
