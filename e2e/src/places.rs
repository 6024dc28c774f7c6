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
    let names = fs::read_dir(tools()).into_iter().flatten().flatten();
    let versions = names.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("containerd-").map(str::to_owned)
    });
    versions.max().expect("no containerd in target/tools; run `cargo xtask tools` first")
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

/// runc, busybox and the like.
#[must_use]
pub fn tools() -> PathBuf {
    named("PINNACE_TOOLS", "tools")
}

/// The release programs.
#[must_use]
pub fn dist() -> PathBuf {
    named("PINNACE_DIST", "dist")
}

fn named(variable: &str, within_target: &str) -> PathBuf {
    env::var_os(variable).map_or_else(|| target().join(within_target), PathBuf::from)
}

fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}
