//! Where the programs are that `cargo xtask` brought and built.
//!
//! `cargo xtask test` names everything by `PINNACE_CONTAINERD`, `PINNACE_TOOLS` and `PINNACE_DIST`. Without
//! them (plain `cargo test -p pinnace-e2e`) the directories are cargo's usual ones, and containerd the newest.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The version of containerd to test on.
///
/// # Panics
/// If none was named and none has been brought.
#[must_use]
pub fn version() -> String {
    if let Ok(version) = env::var("PINNACE_CONTAINERD") {
        return version;
    }
    brought().max_by_key(|version| release(version)).expect(NONE)
}

/// The version that was brought of this release, as `(2, 1)`.
///
/// # Panics
/// If none has been brought.
#[must_use]
pub fn of_release(wanted: (u32, u32)) -> String {
    brought().find(|version| release(version) == wanted).unwrap_or_else(|| panic!("{wanted:?}: {NONE}"))
}

const NONE: &str = "no such containerd in target/tools; run `cargo xtask tools` first";

/// Every version that was brought, in order.
#[must_use]
pub fn versions() -> Vec<String> {
    let mut all: Vec<_> = brought().collect();
    all.sort_by_key(|version| release(version));
    all
}

fn brought() -> impl Iterator<Item = String> {
    let names = fs::read_dir(tools()).into_iter().flatten().flatten();
    names.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let version = name.strip_prefix("containerd-")?;
        // Beside them lies a program for measurements, `containerd-shim-…`.
        version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
    })
}

/// The numbers that say what a version of containerd can: `2.1.9` is of `(2, 1)`.
///
/// # Panics
/// If the version does not begin with two numbers.
#[must_use]
pub fn release(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map_while(|number| number.parse().ok());
    let both = numbers.next().zip(numbers.next());
    both.unwrap_or_else(|| panic!("containerd {version:?}: not a version, as 2.1.9 is"))
}

/// The programs of one containerd.
///
/// # Panics
/// If this version has not been brought.
#[must_use]
pub fn containerd(version: &str) -> PathBuf {
    let dir = tools().join(format!("containerd-{version}/bin"));
    assert!(
        dir.join("containerd").is_file(),
        "{}: no containerd there; run `cargo xtask tools`",
        dir.display()
    );
    dir
}

/// Whether matrices run whole, as `make test-full` wants it, and not by samples that every commit can afford.
#[must_use]
pub fn full() -> bool {
    env::var_os("PINNACE_FULL").is_some()
}

/// runc, busybox and the like.
#[must_use]
pub fn tools() -> PathBuf {
    named("PINNACE_TOOLS", "tools")
}

/// The OCI runtimes that native containers are tested with, each as the line of Pinnace's configuration that names it.
///
/// # Panics
/// If one has not been brought.
#[must_use]
pub fn oci_runtimes() -> [String; 2] {
    ["runc", "crun"].map(|name| {
        let file = tools().join(name);
        assert!(file.is_file(), "{}: not there; run `cargo xtask tools`", file.display());
        format!("native.runtime = {file:?}")
    })
}

/// The release programs.
#[must_use]
pub fn dist() -> PathBuf {
    named("PINNACE_DIST", "dist")
}

/// The programs that stop where a test says so.
///
/// # Panics
/// If they have not been built.
#[must_use]
pub fn faults() -> PathBuf {
    let dir = named("PINNACE_FAULTS", "dist-faults");
    let built = dir.join("containerd-shim-wasm-v1").is_file();
    assert!(
        built,
        "{}: no programs with faults there; run `cargo xtask test`, which builds them",
        dir.display()
    );
    dir
}

fn named(variable: &str, within_target: &str) -> PathBuf {
    env::var_os(variable).map_or_else(|| target().join(within_target), PathBuf::from)
}

fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}
