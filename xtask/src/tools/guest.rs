//! The guests written in Rust: `e2e/guests/*.rs` into `target/tools/*.wasm`.
//!
//! The toolchain's own standard library for Wasm is taken where rustup can bring it. Where its server is out of
//! reach, Debian's compiler has one; it runs from a prefix with its own loader and libc, and links by the
//! `rust-lld` that every toolchain carries.

use super::apt;
use crate::error::Error;
use crate::paths;
use crate::run::{self, say};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Each guest, and what it is built for: std has no names of hosts in WASI preview 1.
const GUESTS: [(&str, &str); 4] = [
    ("box", "wasm32-wasip2"),
    ("report", "wasm32-wasip1"),
    ("resolve", "wasm32-wasip2"),
    ("tool", "wasm32-wasip2"),
];

/// Builds the guests that are older than their sources.
pub(super) fn build() -> Result<(), Error> {
    GUESTS.iter().try_for_each(|(name, target)| guest(name, target))
}

fn guest(name: &str, target: &str) -> Result<(), Error> {
    let source = paths::root().join(format!("e2e/guests/{name}.rs"));
    let wasm = paths::tools().join(format!("{name}.wasm"));
    let written = |file: &Path| fs::metadata(file).and_then(|meta| meta.modified()).ok();
    if written(&wasm).is_some_and(|built| written(&source).is_some_and(|source| source <= built)) {
        return Ok(());
    }
    let mut rustc = compiler(target)?;
    say(format!("build the guest {name}"));
    fs::create_dir_all(paths::tools()).map_err(Error::file("mkdir", paths::tools()))?;
    rustc
        .args(["--edition=2024", "--target", target, "-O", "-Cstrip=debuginfo", "-o"])
        .arg(&wasm)
        .arg(&source);
    run::captured(&mut rustc).map(drop)
}

/// A compiler that has a standard library for this target.
fn compiler(target: &str) -> Result<Command, Error> {
    let sysroot = run::captured(run::program("rustc").args(["--print", "sysroot"]))?;
    let libraries = Path::new(sysroot.trim()).join("lib/rustlib");
    let has_target = || libraries.join(target).is_dir();
    if !has_target() && paths::which("rustup").is_some() {
        say(format!("rustup target add {target}"));
        // Its own words would look like a failure of ours where its server is out of reach.
        let _unreachable = run::program("rustup").args(["target", "add", target]).output();
    }
    if has_target() { Ok(run::program("rustc")) } else { debian(&libraries, target) }
}

fn debian(libraries: &Path, target: &str) -> Result<Command, Error> {
    // What links native programs is left out: it is half of the download.
    let without = ["cpp", "gcc", "binutils", "libgcc-1", "libc6-dev", "libc-dev", "linux-libc"];
    let packages = ["rustc", "libstd-rust-dev-wasm32"];
    let prefix = apt::closure("rust-wasm32", "forky", &packages, &without)?;
    let arch = std::env::consts::ARCH;
    let lib = prefix.join(format!("usr/lib/{arch}-linux-gnu"));
    let loader = apt::loader(&lib)?;
    let linkers = libraries.join(format!("{arch}-unknown-linux-gnu/bin"));
    let linker = if target.ends_with("p2") { "wasm-component-ld" } else { "rust-lld" };
    let mut rustc = run::program(loader);
    rustc.arg("--library-path").arg(&lib);
    rustc.arg(prefix.join("usr/bin/rustc")).arg("--sysroot").arg(prefix.join("usr"));
    rustc.arg(format!("-Clinker={}", linkers.join(linker).display()));
    // The linker of components calls the other by its name.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(linkers.clone()).chain(std::env::split_paths(&path));
    rustc.env("PATH", std::env::join_paths(path).unwrap_or_default());
    Ok(rustc)
}
