//! `cargo xtask ci`: what must hold for every commit, cheapest first.

use crate::error::Error;
use crate::run::{self, say};
use crate::{paths, tools};
use std::path::PathBuf;

/// Named by its version in the cache: a new one is a new directory.
const CARGO_DENY: &str = "0.20.2";

/// Runs every check but the tests.
pub(crate) fn ci() -> Result<(), Error> {
    tools::protoc()?;
    say("format");
    run::loud(run::cargo().args(["fmt", "--all", "--check"]))?;
    say("lints");
    run::loud(run::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "--deny",
        "warnings",
    ]))?;
    say("documentation");
    run::loud(
        run::cargo()
            .args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"])
            .env("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private_intra_doc_links"),
    )?;
    deny()
}

/// Dependencies: bans, licences and sources always; advisories where their database can be reached.
fn deny() -> Result<(), Error> {
    let program = cargo_deny()?;
    let check = |what: &[&str]| {
        let mut deny = run::program(&program);
        deny.args(["--locked", "check", "--hide-inclusion-graph"]).args(what);
        deny
    };
    say("dependencies: bans, licences, sources");
    run::loud(&mut check(&["bans", "licenses", "sources"]))?;
    say("dependencies: advisories");
    if run::captured(run::program(&program).args(["fetch", "db"])).is_err() {
        say("advisories: not run, the database cannot be reached");
        return Ok(());
    }
    run::loud(&mut check(&["--disable-fetch", "advisories"]))
}

/// cargo-deny from `PATH`, else built once into the cache.
fn cargo_deny() -> Result<PathBuf, Error> {
    if let Some(installed) = paths::which("cargo-deny") {
        return Ok(installed);
    }
    let root = paths::cache().join(format!("cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        say(format!("build cargo-deny {CARGO_DENY}, once"));
        let mut cargo = run::cargo();
        // Without optimisation: it runs for a second, and builds in half the time.
        cargo
            .args(["install", "--debug", "--locked", "--quiet", "--version", CARGO_DENY, "--root"])
            .arg(&root);
        run::loud(cargo.arg("cargo-deny").env("CARGO_TARGET_DIR", paths::target().join("cargo-deny")))?;
    }
    Ok(program)
}
