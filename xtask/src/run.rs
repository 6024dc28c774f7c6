//! Running other programs, loudly enough that nobody wonders whether it hangs.

use crate::error::Error;
use std::ffi::OsStr;
use std::io;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Prints a line that says what begins.
pub(crate) fn say(line: impl AsRef<str>) {
    eprintln!("\x1b[1m▸\x1b[0m {}", line.as_ref());
}

/// Runs a program that shows its own progress.
pub(crate) fn loud(command: &mut Command) -> Result<(), Error> {
    let status = command.status().map_err(|source| start(command, source))?;
    if status.success() { Ok(()) } else { Err(Error::Failed { program: shown(command), status }) }
}

/// Runs a program under one progress line; its own words are shown only if it fails. Returns its stdout.
pub(crate) fn quiet(step: &str, command: &mut Command) -> Result<String, Error> {
    say(step);
    let began = Instant::now();
    let output = captured(command)?;
    if began.elapsed().as_secs() >= 5 {
        say(format!("{step}: {:.0} s", began.elapsed().as_secs_f32()));
    }
    Ok(output)
}

/// Runs a program silently; its words are shown only if it fails. Returns its stdout.
pub(crate) fn captured(command: &mut Command) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).output().map_err(|source| start(command, source))?;
    if !output.status.success() {
        eprint!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        return Err(Error::Failed { program: shown(command), status: output.status });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program of this name, to be run in the clone's root.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(crate::paths::root());
    command
}

/// Cargo, as the one that started us.
pub(crate) fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn start(command: &Command, source: io::Error) -> Error {
    Error::Start { program: command.get_program().to_string_lossy().into_owned(), source }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
