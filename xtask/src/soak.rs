//! `cargo xtask soak`: eight clients, random calls, random kills, for as long as wanted.
//!
//! The soak itself is a test of `e2e`, of which `make test` runs half a minute; this runs it long, and shows its table.

use crate::demo::{newest, on};
use crate::error::Error;
use crate::run::{self, say};
use crate::{programs, tools};
use std::time::{SystemTime, UNIX_EPOCH};

/// How long, and what.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// For so many minutes
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// The plan of the run that printed this; without it a new one
    #[arg(long)]
    seed: Option<u64>,
    /// On this containerd version; without it on the newest
    #[arg(long, value_name = "VERSION")]
    containerd: Option<String>,
}

/// Runs it.
pub(crate) fn soak(options: &Options) -> Result<(), Error> {
    let brought = tools::bring()?;
    programs::build()?;
    let version = options.containerd.clone().map_or_else(|| newest(&brought), Ok)?;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seed = options.seed.unwrap_or_else(now);
    say(format!("soak for {} minutes on containerd {version}, seed {seed}", options.minutes));
    let mut cargo = on(&version, run::cargo());
    cargo.env("PINNACE_SOAK_SECONDS", (options.minutes * 60).to_string());
    cargo.env("PINNACE_SOAK_SEED", seed.to_string());
    run::loud(cargo.args([
        "test",
        "--package",
        "pinnace-e2e",
        "--locked",
        "--test",
        "soak",
        "--",
        "--nocapture",
    ]))
}
