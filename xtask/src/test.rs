//! `cargo xtask test`: unit tests without root, tests of the walls as root, then everything on each containerd.
//!
//! The unit tests (beside the code) of a root user run as `nobody`, so that one which needs root fails here too
//! and not first on another's machine. Those in a crate's `tests/` may need root: namespaces, cgroups, mounts.
//! The tests on containerd use the release programs: what is proven is what is shipped. Each runs on each version;
//! those that change from one to another run once.
//!
//! ```text
//!  make test        every test; matrices by samples           what CI runs
//!  make test-full   the same with PINNACE_FULL=1: matrices whole, then what takes minutes
//! ```
//!
//! A test whose matrix is too long for each commit asks `pinnace_e2e::places::full()` and takes a sample without it;
//! so none is skipped, and there is one list of tests. What needs another machine runs in a
//! guest ([`machine`]).

use crate::demo::{self, on};
use crate::error::Error;
use crate::run::{self, say};
use crate::tools::Tools;
use crate::{machine, paths, programs, tools};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Test targets of `e2e` that need several versions at once, or one for a while.
const ONCE: [&str; 2] = ["soak", "upgrade"];

/// Kubernetes' own tests: on the newest version, and when matrices run whole on each that tells its cgroup driver,
/// without which they want systemd.
const CRITEST: &str = "critest";

/// The one that needs a machine booted with systemd, which `cargo xtask test-cgroup2` boots.
const ELSEWHERE: &str = "systemd";

/// What to leave out while working on one thing.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Only the unit tests: they need neither root nor containerd
    #[arg(long, conflicts_with = "e2e")]
    unit: bool,
    /// Only the tests on containerd
    #[arg(long)]
    e2e: bool,
    /// Only on this containerd version
    #[arg(long, value_name = "VERSION")]
    containerd: Option<String>,
    /// Matrices whole
    #[arg(long)]
    full: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// Runs the tests.
pub(crate) fn test(options: &Options) -> Result<(), Error> {
    tools::protoc()?;
    if !options.e2e {
        unit(options.filter.as_deref())?;
    }
    if options.unit {
        return Ok(());
    }
    if !run::is_root() {
        return Err(Error::Missing {
            what: "root".to_owned(),
            remedy: "run this as root, or with --unit for what needs none".to_owned(),
        });
    }
    let brought = tools::bring_all()?;
    complete(&brought)?;
    let dist = programs::build()?;
    if !options.e2e {
        say("tests of each crate from outside");
        let mut cargo = crates(options.filter.as_deref());
        cargo.env("PINNACE_RUNNER", dist.join("pinnace-wasmtime"));
        cargo.env("PINNACE_HOLDER", dist.join("pinnace-holder"));
        cargo.env("PINNACE_COMPILER", dist.join("pinnace-wasmtime-compile"));
        run::loud(cargo.args(["--test", "*"]))?;
    }
    programs::faulty(&dist)?;
    on_containerd(options, &brought)?;
    Ok(())
}

/// Runs everything there is.
pub(crate) fn full() -> Result<(), Error> {
    test(&Options { full: true, ..Options::default() })?;
    machine::full()
}

fn unit(filter: Option<&str>) -> Result<(), Error> {
    say("unit tests");
    let mut cargo = crates(filter);
    cargo.args(["--lib", "--bins"]);
    if run::is_root() {
        if let Some(closed) = closed_to_others(&paths::target()) {
            say(format!("as root, because nobody may not enter {}", closed.display()));
        } else {
            let runner = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all";
            let triple = format!("{}_UNKNOWN_LINUX_GNU", std::env::consts::ARCH.to_uppercase());
            cargo.env(format!("CARGO_TARGET_{triple}_RUNNER"), runner);
        }
    }
    run::loud(&mut cargo)
}

/// cargo's tests of every crate but the one that needs a containerd.
fn crates(filter: Option<&str>) -> Command {
    let mut cargo = run::cargo();
    cargo.args(["test", "--workspace", "--exclude", "pinnace-e2e", "--locked"]).args(filter);
    cargo
}

fn on_containerd(options: &Options, brought: &Tools) -> Result<(), Error> {
    let chosen = |version: &&String| options.containerd.as_ref().is_none_or(|only| only == *version);
    let versions: Vec<_> = brought.containerds.iter().filter(chosen).collect();
    if versions.is_empty() {
        return Err(Error::Missing {
            what: format!("containerd {}", options.containerd.as_deref().unwrap_or("of any version")),
            remedy: format!("could be had: {}", brought.containerds.join(", ")),
        });
    }
    let (once, each): (Vec<_>, Vec<_>) =
        targets()?.into_iter().partition(|target| ONCE.contains(&target.as_str()) || target == CRITEST);
    for version in versions {
        say(format!("tests on containerd {version}"));
        run::loud(&mut e2e(version, options, &each))?;
        // The newest has its turn below.
        if options.full && version.starts_with("2.") && brought.containerds.last() != Some(version) {
            run::loud(&mut e2e(version, options, &[CRITEST.to_owned()]))?;
        }
    }
    // Without a version named, and with all of them here.
    if options.containerd.is_none() && brought.left_out.is_empty() {
        say("tests that run once, and the harness' own");
        run::loud(e2e(&demo::newest(brought)?, options, &once).args(["--lib", "--bins"]))?;
    }
    for line in &brought.left_out {
        say(format!("left out: {line}"));
    }
    Ok(())
}

fn e2e(version: &str, options: &Options, targets: &[String]) -> Command {
    let mut cargo = on(version, run::cargo());
    cargo.env("PINNACE_FAULTS", paths::faults());
    if options.full {
        cargo.env("PINNACE_FULL", "1");
    }
    cargo.args(["test", "--package", "pinnace-e2e", "--locked"]);
    cargo.args(targets.iter().flat_map(|target| ["--test", target])).args(&options.filter);
    cargo
}

/// The test targets of `e2e`, by the names of its files.
fn targets() -> Result<Vec<String>, Error> {
    let dir = paths::root().join("e2e/tests");
    let entries = fs::read_dir(&dir).map_err(Error::file("read", &dir))?;
    let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut targets: Vec<_> = entries.flatten().filter_map(|entry| stem(entry.path())).collect();
    targets.retain(|target| target != ELSEWHERE);
    targets.sort();
    Ok(targets)
}

/// In CI nothing may be left out: a test that did not run proves nothing.
fn complete(tools: &Tools) -> Result<(), Error> {
    match tools.left_out.first() {
        Some(line) if std::env::var_os("CI").is_some() => Err(Error::Missing {
            what: line.clone(),
            remedy: "in CI (the variable CI is set) nothing may be left out".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The first directory on the way to `path` that others may not enter.
fn closed_to_others(path: &Path) -> Option<&Path> {
    path.ancestors().find(|dir| dir.metadata().is_ok_and(|meta| meta.mode() & 0o001 == 0))
}
