//! Where things lie.
//!
//! ```text
//!  target/tools/    containerd-1.6.20 -> …, containerd-2.3.7 -> …, runc -> …, busybox -> …
//!  target/dist/     the release programs
//!  target/dist-faults/  a shim that stops where a test says so, with the other release programs
//!  ~/.cache/pinnace/tools/<package>_<version>_<arch>/   what target/tools points to
//! ```
//!
//! The cache is named by content, so every clone shares it and nothing in it is ever stale. Where it cannot be
//! written, `target/` holds the same directories.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The root of this clone.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Cargo's output directory.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The release programs.
pub(crate) fn dist() -> PathBuf {
    target().join("dist")
}

/// Programs that stop where a test says so, beside links to the release's others.
pub(crate) fn faults() -> PathBuf {
    target().join("dist-faults")
}

/// The links to what was brought.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// Where downloads are kept between clones.
pub(crate) fn cache() -> PathBuf {
    let user = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    user.map(|dir| dir.join("pinnace"))
        .filter(|dir| fs::create_dir_all(dir).is_ok() && writable(dir))
        .unwrap_or_else(|| target().join("cache"))
}

fn writable(dir: &Path) -> bool {
    tempfile::tempfile_in(dir).is_ok()
}

/// The first `name` on `PATH`, or in the directories of root's that a user's `PATH` often lacks.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}
