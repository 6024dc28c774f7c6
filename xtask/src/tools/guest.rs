//! The guest written in Rust: `e2e/guests/report.rs` into `target/tools/report.wasm`.
//!
//! The toolchain's own standard library for Wasm is taken where rustup can bring it. Where its server is out of
//! reach, Debian's compiler has one; it runs from a prefix with its own loader and libc, and links by the
//! `rust-lld` that every toolchain carries.

use super::apt;
use crate::error::Error;
use crate::paths;
use crate::run::{self, say};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip1";

/// Builds the guest, unless it is newer than its source.
pub(super) fn build() -> Result<(), Error> {
    let source = paths::root().join("e2e/guests/report.rs");
    let wasm = paths::tools().join("report.wasm");
    let written = |file: &Path| fs::metadata(file).and_then(|meta| meta.modified()).ok();
    if written(&wasm).is_some_and(|built| written(&source).is_some_and(|source| source <= built)) {
        return Ok(());
    }
    let mut rustc = compiler()?;
    say("build the guest written in Rust");
    fs::create_dir_all(paths::tools()).map_err(Error::file("mkdir", paths::tools()))?;
    rustc
        .args(["--edition=2024", "--target", TARGET, "-O", "-Cstrip=debuginfo", "-o"])
        .arg(&wasm)
        .arg(&source);
    run::captured(&mut rustc).map(drop)
}

/// A compiler that has a standard library for [`TARGET`].
fn compiler() -> Result<Command, Error> {
    let sysroot = run::captured(run::program("rustc").args(["--print", "sysroot"]))?;
    let libraries = Path::new(sysroot.trim()).join("lib/rustlib");
    let has_target = || libraries.join(TARGET).is_dir();
    if !has_target() && paths::which("rustup").is_some() {
        say(format!("rustup target add {TARGET}"));
        // Its own words would look like a failure of ours where its server is out of reach.
        let _unreachable = run::program("rustup").args(["target", "add", TARGET]).output();
    }
    if has_target() { Ok(run::program("rustc")) } else { debian(&libraries) }
}

fn debian(libraries: &Path) -> Result<Command, Error> {
    // What links native programs is left out: it is half of the download.
    let without = ["cpp", "gcc", "binutils", "libgcc-1", "libc6-dev", "libc-dev", "linux-libc"];
    let packages = ["rustc", "libstd-rust-dev-wasm32"];
    let prefix = apt::closure("rust-wasm32", "forky", &packages, &without)?;
    let arch = std::env::consts::ARCH;
    let lib = prefix.join(format!("usr/lib/{arch}-linux-gnu"));
    let loader = loader(&lib)?;
    let linker = libraries.join(format!("{arch}-unknown-linux-gnu/bin/rust-lld"));
    let mut rustc = run::program(loader);
    rustc.arg("--library-path").arg(&lib);
    rustc.arg(prefix.join("usr/bin/rustc")).arg("--sysroot").arg(prefix.join("usr"));
    rustc.arg(format!("-Clinker={}", linker.display()));
    Ok(rustc)
}

fn loader(dir: &Path) -> Result<PathBuf, Error> {
    let entries = fs::read_dir(dir).map_err(Error::file("read", dir))?;
    let mut files = entries.flatten().map(|entry| entry.path());
    let named =
        |file: &Path| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"));
    files.find(|file| named(file)).ok_or_else(|| Error::Missing {
        what: format!("a loader in {}", dir.display()),
        remedy: format!("remove it and try again, or run `rustup target add {TARGET}`"),
    })
}
