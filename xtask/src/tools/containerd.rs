//! The containerds that tests run on: one of each generation of its protocols and of its configuration.
//!
//! ```text
//!  linked? ─▶ the machine's own? ─▶ in the cache? ─▶ Debian's package │ Go module ─▶ the project's release
//! ```
//!
//! Each way gives exactly the version wanted, but for a Debian suite that has moved on: it gives its newest.

use super::{apt, go, link, whole};
use crate::error::Error;
use crate::paths;
use crate::run::{self, say};
use std::fs;
use std::path::{Path, PathBuf};

/// Where a version is to be had by what most machines of developers carry.
enum Origin {
    /// The first of these suites.
    Debian(&'static [&'static str]),
    /// Its module, built here.
    Go,
}

/// A version, and where to look for it.
pub(super) struct Daemon {
    /// As containerd itself writes it, without the `v`.
    pub(super) version: &'static str,
    origin: Origin,
}

/// Oldest first.
pub(super) const DAEMONS: [Daemon; 4] = [
    Daemon { version: "1.6.20", origin: Origin::Debian(&["bookworm"]) },
    Daemon { version: "1.7.24", origin: Origin::Debian(&["trixie"]) },
    Daemon { version: "2.1.9", origin: Origin::Debian(&["forky", "sid"]) },
    Daemon { version: "2.3.7", origin: Origin::Go },
];

const MODULE: &str = "github.com/containerd/containerd/v2";

/// The programs that tests use, by their folders in the module.
const PROGRAMS: [&str; 3] = ["cmd/containerd", "cmd/ctr", "cmd/containerd-shim-runc-v2"];

/// What no test needs and takes long to build.
const WITHOUT: &str = "no_btrfs no_devmapper no_zfs no_aufs no_erofs no_blockfile no_tracing";

impl Daemon {
    /// Brings it to `target/tools/containerd-<version>`; the version is the one that could be had.
    pub(super) fn bring(&self) -> Result<String, Error> {
        let Self { version, origin } = self;
        if paths::tools().join(format!("containerd-{version}/bin/containerd")).is_file() {
            return Ok((*version).to_owned());
        }
        if let Some((prefix, _)) = on_path().filter(|(_, own)| own == version) {
            return linked(&prefix, version);
        }
        let kept = paths::cache().join("tools").join(format!("containerd_{version}_built"));
        if kept.is_dir() {
            return linked(&kept, version);
        }
        let brought = match origin {
            Origin::Debian(suites) => apt::from_suites("containerd", version, suites)
                .map(|package| (package.prefix.join("usr"), package.upstream)),
            Origin::Go => build(version, &kept).map(|()| (kept.clone(), (*version).to_owned())),
        };
        let (prefix, version) = brought.or_else(|error| {
            say(format!("containerd {version}: {error}"));
            release(version, &kept).map(|()| (kept, (*version).to_owned()))
        })?;
        linked(&prefix, &version)
    }
}

/// The machine's own containerd, if it is new enough for Wasm layers (1.6 refuses them).
pub(crate) fn installed() -> Option<String> {
    let (prefix, version) = on_path()?;
    let numbers: Vec<u32> = version.split('.').filter_map(|number| number.parse().ok()).collect();
    if numbers < vec![1, 7] {
        return None;
    }
    linked(&prefix, &version).ok()
}

/// The prefix and version of the containerd on `PATH`.
fn on_path() -> Option<(PathBuf, String)> {
    let program = paths::which("containerd")?;
    let words = run::captured(run::program(&program).arg("--version")).ok()?;
    let version = words.split_whitespace().nth(2)?.trim_start_matches('v');
    let version = version.split(['~', '+', '-']).next()?.to_owned();
    Some((program.parent()?.parent()?.to_owned(), version))
}

fn linked(prefix: &Path, version: &str) -> Result<String, Error> {
    link(prefix, &format!("containerd-{version}"))?;
    Ok(version.to_owned())
}

/// Builds it from its Go module, static: it runs on any machine that shares the cache.
fn build(version: &str, home: &Path) -> Result<(), Error> {
    let flags = format!("-s -w -X {MODULE}/version.Package={MODULE} -X {MODULE}/version.Version=v{version}");
    whole(home, |prefix| {
        let module = go::Module {
            path: MODULE,
            version,
            programs: &PROGRAMS,
            tests: &[],
            others: &[],
            tags: WITHOUT,
            flags: &flags,
        };
        module.build(&prefix.join("bin"))
    })
}

/// Takes the archive that the project publishes, if its digest is the published one.
fn release(version: &str, home: &Path) -> Result<(), Error> {
    let archive = format!("containerd-{version}-linux-{}.tar.gz", go::arch());
    let url = format!("https://github.com/containerd/containerd/releases/download/v{version}/{archive}");
    whole(home, |prefix| {
        for url in [format!("{url}.sha256sum"), url] {
            let mut curl = run::program("curl");
            curl.args(["-fsSL", "--connect-timeout", "10", "--remote-name", &url]).current_dir(prefix);
            run::quiet(&url, &mut curl)?;
        }
        let sum = format!("{archive}.sha256sum");
        run::captured(run::program("sha256sum").args(["--check", &sum]).current_dir(prefix))?;
        run::captured(run::program("tar").args(["-xzf", &archive]).current_dir(prefix))?;
        [archive, sum]
            .iter()
            .map(|file| prefix.join(file))
            .try_for_each(|file| fs::remove_file(&file).map_err(Error::file("remove", file)))
    })
}
