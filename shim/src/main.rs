//! The program: one subcommand after another, as containerd calls them.

#![forbid(unsafe_code)]

use pinnace_shim::protocol::flags::{Command, Environment, Flags, Invocation};
use pinnace_shim::protocol::start::{Started, close_inherited, start};
use pinnace_shim::protocol::{delete, info};
use pinnace_shim::remedy::with_remedy;
use pinnace_shim::server;
use pinnace_shim::task::chain;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    close_inherited();
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    match run(&program, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Of a failed `start` this line is all that containerd and its user get to see.
            eprintln!("{}", with_remedy(chain(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

fn run(program: &OsStr, arguments: impl Iterator<Item = OsString>) -> Result<(), Box<dyn Error>> {
    let Invocation { command, flags } = Invocation::parse(arguments)?;
    let name = program.to_string_lossy();
    let mut out = std::io::stdout().lock();
    match command {
        Command::Start => {
            drop(out);
            if let Started::Server(served) = start(&flags, &Environment::read())? {
                server::run(*served, program)?;
            }
        }
        Command::Delete => {
            let bundle = bundle(&flags)?;
            delete::run(&flags, &bundle, &mut out)?;
        }
        Command::Info => {
            let mut options = Vec::new();
            std::io::stdin().lock().read_to_end(&mut options)?;
            out.write_all(&info::info(&name, &options)?)?;
        }
        Command::Version => out.write_all(info::version(&name).as_bytes())?,
    }
    Ok(())
}

/// containerd names the bundle, and executes us in it.
fn bundle(flags: &Flags) -> std::io::Result<PathBuf> {
    if flags.bundle.as_os_str().is_empty() { std::env::current_dir() } else { Ok(flags.bundle.clone()) }
}
