//! The main of every runner program.

use crate::{Ceiling, Engine, Given, Prepared, signals};
use pinnace_control::{Control, ControlError, InheritedError, failure, inherited};
use pinnace_plan::{Command, ExitCause, Plan, Report, fds};
use pinnace_sandbox::SandboxError;
use std::process::ExitCode;

/// For a wrong command line, as `sysexits.h` has it.
const USAGE: u8 = 64;

/// Why a container did not come to be.
#[derive(Debug, thiserror::Error)]
enum BirthError<E: std::error::Error + 'static> {
    /// Something the program was born with is unusable.
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    /// A wall could not be built.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The server is gone.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The engine refused the guest.
    #[error(transparent)]
    Engine(E),
}

/// Runs as this engine's runner program: as a container when born from the server, else for the command line.
pub fn run<E: Engine>() -> ExitCode
where
    E::Error: 'static,
{
    // Before anything else, so that no neighbour finds a moment to look in.
    let hardened = pinnace_sandbox::harden();
    signals::install();
    match Control::inherit() {
        Some(control) => live::<E>(&control, hardened),
        None => command_line::<E>(),
    }
}

fn command_line<E: Engine>() -> ExitCode {
    let description = E::describe();
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "describe") {
        println!("{}", description.to_json());
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "this program runs the containers of {} and is started by containerd-shim-wasm-v1; \
         by hand it only knows `describe`",
        description.name
    );
    ExitCode::from(USAGE)
}

fn live<E: Engine>(control: &Control, hardened: Result<(), SandboxError>) -> ExitCode
where
    E::Error: 'static,
{
    let (prepared, warnings) = match prepare::<E>(control, hardened) {
        Ok(ready) => ready,
        Err(error) => {
            // A server that cannot hear it sees the exit.
            let _ = control.send(&Report::Failed(failure(&error)));
            return ExitCode::FAILURE;
        }
    };
    let begun = control.send(&Report::Ready { warnings }).and_then(|()| control.wait()).and_then(|command| {
        match command {
            Command::Go => control.send(&Report::Started),
            Command::Proceed => Err(ControlError::OutOfTurn),
        }
    });
    if begun.is_err() {
        return ExitCode::FAILURE;
    }
    let cause = prepared.run();
    let _ = control.send(&Report::Exit(cause));
    end(cause)
}

/// A guest behind its door, and what the walls around it lack.
type Ready<E> = (<E as Engine>::Prepared, Vec<String>);

/// Everything up to the guest's door.
fn prepare<E: Engine>(
    control: &Control,
    hardened: Result<(), SandboxError>,
) -> Result<Ready<E>, BirthError<E::Error>>
where
    E::Error: 'static,
{
    hardened?;
    let plan: Plan = inherited::read(fds::PLAN)?;
    let given = take(&plan)?;
    let turn = || control.turn().map_err(std::io::Error::other);
    let entered = pinnace_sandbox::enter(&plan.sandbox, &plan.guest.preopens, &turn)?;
    control.check()?;
    pinnace_sandbox::filter(&plan.sandbox.seccomp, E::SYSTEM_CALLS)?;
    let prepared =
        E::prepare(&plan, Given { preopens: entered.preopens, ..given }).map_err(BirthError::Engine)?;
    pinnace_sandbox::seal()?;
    Ok((prepared, entered.warnings.iter().map(ToString::to_string).collect()))
}

/// Takes over what the plan names, so that a wrong number is told before any wall stands.
fn take(plan: &Plan) -> Result<Given, InheritedError> {
    let artifact = inherited::take(plan.module.artifact)?.into();
    let limits = plan.memory_limits.iter().map(|&fd| inherited::take(fd)).collect::<Result<_, _>>()?;
    Ok(Given { artifact, preopens: Vec::new(), ceiling: Ceiling::new(limits) })
}

/// Leaves at once: the kernel takes the guest's memory apart faster than destructors do.
fn end(cause: ExitCause) -> ! {
    std::process::exit(cause.code().into())
}
