//! `pinnace`: what an administrator types on a node.
//!
//! One file per subcommand; each returns the text to print or the one error that ends the program with 1.
//! Nothing here runs a guest.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod cache;
mod config;
mod error;
mod image;
mod install;
mod snippets;

use clap::{Parser, Subcommand};
use error::CliError;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// WebAssembly as ordinary containers: the node's tool
#[derive(Parser)]
#[command(name = "pinnace", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Look at the node's configuration
    #[command(subcommand)]
    Config(config::Config),
    /// Look at compiled modules, or remove them
    #[command(subcommand)]
    Cache(cache::Cache),
    /// Make images
    #[command(subcommand)]
    Image(image::Image),
    /// Install this version beside others and put it in force
    Install(install::Install),
    /// Remove the links and every version that no server runs from
    Uninstall(install::Uninstall),
    /// Print the version
    Version,
}

impl Command {
    fn run(self) -> Result<String, CliError> {
        match self {
            Self::Config(config) => config.run(),
            Self::Cache(cache) => cache.run(),
            Self::Image(image) => image.run(),
            Self::Install(install) => install.run(),
            Self::Uninstall(uninstall) => uninstall.run(),
            Self::Version => Ok(format!("pinnace {}\n", env!("CARGO_PKG_VERSION"))),
        }
    }
}

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        // A reader that has gone (`pinnace cache list | head`) has read enough.
        Ok(text) => match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => failed(&error),
            _ => ExitCode::SUCCESS,
        },
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("pinnace: {error}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        super::Cli::command().debug_assert();
    }
}
