//! `cargo xtask build`: the release programs into `target/dist`.
//!
//! Each package is built by a cargo of its own, because features unify within one build: a runner beside its
//! compiler would carry the compiler (13 MB instead of 4). All are static and not position-independent: no
//! loader, no relocations at start, which a container's start would pay for each time.

use crate::error::Error;
use crate::paths;
use crate::run::{self, say};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Package, program and profile, in the order of their build. Programs on a container's way are linked as one
/// whole, for fewer pages; for the others that would only make the build minutes longer.
const PROGRAMS: [(&str, &str, &str); 5] = [
    ("pinnace-shim", "containerd-shim-wasm-v1", "release"),
    ("pinnace-wasmtime", "pinnace-wasmtime", "release"),
    ("pinnace-holder", "pinnace-holder", "release"),
    ("pinnace-wasmtime-compile", "pinnace-wasmtime-compile", "aside"),
    ("pinnace-cli", "pinnace", "aside"),
];

/// Names under which the shim is found too; each chooses an engine.
const LINKS: [&str; 2] = ["containerd-shim-wasmtime-v1", "containerd-shim-wasmedge-v1"];

/// Builds all programs and returns the directory that holds them.
pub(crate) fn build() -> Result<PathBuf, Error> {
    let dist = paths::dist();
    fs::create_dir_all(&dist).map_err(Error::file("mkdir", &dist))?;
    for (package, program, profile) in PROGRAMS {
        let built = release(package, program, profile)?;
        install(&built, &dist.join(program))?;
    }
    for link in LINKS {
        let link = dist.join(link);
        if fs::symlink_metadata(&link).is_err() {
            symlink("containerd-shim-wasm-v1", &link).map_err(Error::file("symlink", &link))?;
        }
    }
    Ok(dist)
}

/// Builds the shim that stops where a test says so, and puts the release's other programs beside it.
///
/// As a developer's own build is, so that it shares what the tests are built of: it need not be small or fast.
pub(crate) fn faulty(dist: &Path) -> Result<(), Error> {
    say("build the shim with faults");
    run::loud(run::cargo().args(["build", "--locked", "--package", "pinnace-shim", "--features", "faults"]))?;
    let place = paths::faults();
    fs::create_dir_all(&place).map_err(Error::file("mkdir", &place))?;
    for (package, program, _) in PROGRAMS {
        let to = place.join(program);
        match package {
            "pinnace-shim" => install(&paths::target().join("debug").join(program), &to)?,
            _ => install(&dist.join(program), &to)?,
        }
    }
    Ok(())
}

/// Builds one program and returns the file cargo made.
fn release(package: &str, program: &str, profile: &str) -> Result<PathBuf, Error> {
    say(format!("build {program}"));
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    // By configuration, not by RUSTFLAGS, so that a developer's own flags do not silently replace ours; build
    // scripts and macros stay out of it because a target is named.
    let flags =
        format!("target.{triple}.rustflags=['-Ctarget-feature=+crt-static','-Crelocation-model=static']");
    let mut cargo = run::cargo();
    cargo
        .args([
            "build",
            "--profile",
            profile,
            "--locked",
            "--package",
            package,
            "--target",
            &triple,
            "--config",
            &flags,
        ])
        .env_remove("RUSTFLAGS");
    run::loud(&mut cargo)?;
    Ok(paths::target().join(triple).join(profile).join(program))
}

/// Puts a program into place by one rename: whoever runs the old one keeps it.
fn install(from: &Path, to: &Path) -> Result<(), Error> {
    if same(from, to) {
        return Ok(());
    }
    let fresh = to.with_extension(format!("new.{}", std::process::id()));
    fs::copy(from, &fresh).map_err(Error::file("copy", from))?;
    fs::rename(&fresh, to).map_err(Error::file("rename", to))
}

fn same(a: &Path, b: &Path) -> bool {
    match (fs::read(a), fs::read(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
