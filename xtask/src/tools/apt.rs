//! Debian packages, of this machine's suite or of another, unpacked into a prefix without installing.
//!
//! ```text
//!  mirror of this machine ─▶ lists of one suite, apart ─▶ download ─▶ dpkg-deb -x ─▶ cache/<package>_<version>_<arch>
//! ```
//!
//! A program that needs a newer libc than the machine's comes with everything it needs ([`closure`]).
//!
//! apt checks the signatures; a prefix appears under its name by one rename, so whoever finds it finds it whole.

use crate::error::Error;
use crate::paths;
use crate::run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A package unpacked.
pub(super) struct Unpacked {
    /// Where.
    pub(super) prefix: PathBuf,
    /// Its version without the distribution's parts.
    pub(super) upstream: String,
}

/// Whether this machine has apt.
pub(crate) fn here() -> bool {
    paths::which("apt-get").is_some() && paths::which("dpkg-deb").is_some()
}

/// Installs a package of this machine's own suite.
pub(super) fn install(package: &str) -> Result<(), Error> {
    let apt = || {
        let mut apt = run::program("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y"]);
        apt
    };
    if run::captured(run::program("apt-cache").args(["show", package])).is_err() {
        run::quiet("apt-get update", apt().arg("update"))?;
    }
    run::quiet(
        &format!("apt-get install {package}"),
        apt().args(["install", "--no-install-recommends", package]),
    )?;
    Ok(())
}

/// A package of this machine's own suite.
pub(super) fn own(package: &str) -> Result<Unpacked, Error> {
    require_apt(package)?;
    let kept = paths::cache().join("tools");
    if let Some(found) = newest(&kept, package, "") {
        return Ok(found);
    }
    download(package, &[], &kept)
}

/// A package of the first of these Debian suites that can be had. The wanted version is taken from the cache
/// without asking a mirror; a suite that has moved on gives its newest.
pub(super) fn from_suites(package: &str, wanted: &str, suites: &[&str]) -> Result<Unpacked, Error> {
    require_apt(package)?;
    let kept = paths::cache().join("tools");
    if let Some(found) = newest(&kept, package, wanted) {
        return Ok(found);
    }
    let mirror = debian_mirror()?;
    let mut last = None;
    for suite in suites {
        match from_suite(package, suite, &mirror, &kept) {
            Ok(unpacked) => return Ok(unpacked),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| missing(package)))
}

fn from_suite(package: &str, suite: &str, mirror: &str, kept: &Path) -> Result<Unpacked, Error> {
    let lists = Lists::of(suite, mirror)?;
    download(package, &lists.apart, kept)
}

/// Packages of a Debian suite with all they need to run on any machine, their own libc too, in one prefix; but
/// for those whose name begins with one of `without`.
pub(crate) fn closure(
    name: &str,
    suite: &str,
    packages: &[&str],
    without: &[&str],
) -> Result<PathBuf, Error> {
    require_apt(name)?;
    let kept = paths::cache().join("tools");
    let home = kept.join(format!("{name}-{suite}"));
    if home.is_dir() {
        return Ok(home);
    }
    let lists = Lists::of(suite, &debian_mirror()?)?;
    fs::create_dir_all(&kept).map_err(Error::file("mkdir", &kept))?;
    let work = tempfile::tempdir_in(&kept).map_err(Error::file("mkdir", &kept))?;
    // As if nothing were installed: then apt names everything.
    let nothing = format!("Dir::State::status={}", lists.state.path().join("nothing").display());
    let mut apt = run::program("apt-get");
    options(&mut apt, &lists.apart).args(["-o", &nothing, "-o", "Debug::NoLocking=1"]);
    apt.args(["install", "--yes", "--no-install-recommends", "--print-uris"]).args(packages);
    let answer = run::captured(&mut apt)?;
    let files =
        answer.lines().filter(|line| line.starts_with('\'')).filter_map(|line| line.split(' ').nth(1));
    let names: Vec<_> = files
        .filter_map(|file| file.split('_').next())
        .filter(|name| !without.iter().any(|beginning| name.starts_with(beginning)))
        .collect();
    let mut apt = run::program("apt-get");
    options(&mut apt, &lists.apart).arg("download").args(&names).current_dir(work.path());
    run::quiet(&format!("{name}: {} packages", names.len()), &mut apt)?;
    let prefix = work.path().join("prefix");
    run::say(format!("{name}: unpack"));
    for deb in debs(work.path()) {
        run::captured(run::program("dpkg-deb").arg("-x").args([&deb, &prefix]))?;
    }
    place(&prefix, home)
}

/// The loader among the libraries of a [`closure`], by which a program runs that was not made for this machine's.
pub(super) fn loader(dir: &Path) -> Result<PathBuf, Error> {
    let entries = fs::read_dir(dir).map_err(Error::file("read", dir))?;
    let mut files = entries.flatten().map(|entry| entry.path());
    let named =
        |file: &Path| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"));
    files.find(|file| named(file)).ok_or_else(|| Error::Missing {
        what: format!("a loader in {}", dir.display()),
        remedy: "remove it and try again".to_owned(),
    })
}

/// The package lists of one suite, apart from the machine's own.
struct Lists {
    state: TempDir,
    apart: [String; 4],
}

impl Lists {
    fn of(suite: &str, mirror: &str) -> Result<Self, Error> {
        let state = tempfile::tempdir().map_err(Error::file("mkdir", std::env::temp_dir()))?;
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let signed =
            if Path::new(keyring).exists() { format!("Signed-By: {keyring}\n") } else { String::new() };
        let sources = state.path().join("suite.sources");
        let lists = state.path().join("lists");
        fs::create_dir_all(lists.join("partial")).map_err(Error::file("mkdir", &lists))?;
        fs::write(state.path().join("nothing"), "").map_err(Error::file("write", state.path()))?;
        fs::write(
            &sources,
            format!("Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\n{signed}"),
        )
        .map_err(Error::file("write", &sources))?;
        let apart = [
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::Lists={}", lists.display()),
            format!("Dir::Cache={}", state.path().display()),
        ];
        let mut update = run::program("apt-get");
        run::quiet(&format!("lists of Debian {suite}"), options(&mut update, &apart).arg("update"))?;
        Ok(Self { state, apart })
    }
}

/// Downloads and unpacks the newest version that the lists know.
fn download(package: &str, apart: &[String], kept: &Path) -> Result<Unpacked, Error> {
    fs::create_dir_all(kept).map_err(Error::file("mkdir", kept))?;
    let work = tempfile::tempdir_in(kept).map_err(Error::file("mkdir", kept))?;
    let mut apt = run::program("apt-get");
    options(&mut apt, apart).args(["download", package]).current_dir(work.path());
    run::quiet(&format!("package {package}"), &mut apt)?;
    let deb = debs(work.path()).next().ok_or_else(|| missing(package))?;
    let prefix = work.path().join("prefix");
    run::captured(run::program("dpkg-deb").arg("-x").args([&deb, &prefix]))?;
    let name = deb.file_stem().unwrap_or_default().to_string_lossy().replace("%3a", ":");
    let home = place(&prefix, kept.join(&name))?;
    Ok(Unpacked { upstream: upstream(&name), prefix: home })
}

/// Puts a whole prefix under its name.
pub(super) fn place(prefix: &Path, home: PathBuf) -> Result<PathBuf, Error> {
    match fs::rename(prefix, &home) {
        // Another clone may have been as fast: its directory has the same content.
        Err(source) if !home.is_dir() => Err(Error::File { step: "rename", path: home, source }),
        _ => Ok(home),
    }
}

/// The mirror that this machine takes Debian from.
fn debian_mirror() -> Result<String, Error> {
    let ask = || {
        let format = "$(REPO_URI)|$(ORIGIN)|$(LABEL)";
        run::captured(run::program("apt-get").args(["indextargets", "--format", format]))
    };
    let find = |targets: &str| {
        targets.lines().find_map(|line| line.strip_suffix("|Debian|Debian")).map(str::to_owned)
    };
    if let Some(mirror) = find(&ask()?) {
        return Ok(mirror);
    }
    // A fresh image has no lists yet, and then no origins.
    if run::is_root() {
        run::quiet("apt-get update", run::program("apt-get").args(["-q", "update"]))?;
    }
    find(&ask()?).ok_or_else(|| Error::Missing {
        what: "a Debian mirror in apt's sources".to_owned(),
        remedy: "run this on Debian, or install containerd 1.7 or newer".to_owned(),
    })
}

/// The newest directory of this package whose version begins with `wanted`.
fn newest(kept: &Path, package: &str, wanted: &str) -> Option<Unpacked> {
    let names = entries(kept).into_iter().filter_map(|dir| {
        let name = dir.file_name()?.to_string_lossy().into_owned();
        let version = name.strip_prefix(package)?.strip_prefix('_')?;
        version.starts_with(wanted).then_some((upstream(&name), dir))
    });
    names.max_by(|a, b| a.1.cmp(&b.1)).map(|(upstream, prefix)| Unpacked { prefix, upstream })
}

/// `containerd_1.7.24~ds1-6_amd64` → `1.7.24`
fn upstream(name: &str) -> String {
    let version = name.split('_').nth(1).unwrap_or(name);
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['~', '+', '-']).next().unwrap_or(version).to_owned()
}

fn debs(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let deb = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "deb");
    entries(dir).into_iter().filter(deb)
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn options<'a>(command: &'a mut Command, options: &[String]) -> &'a mut Command {
    // Downloads by root into a directory of root's: `_apt` could not write there.
    command.args(["-q", "-o", "APT::Sandbox::User=root"]);
    for option in options {
        command.args(["-o", option]);
    }
    command
}

fn require_apt(package: &str) -> Result<(), Error> {
    if here() { Ok(()) } else { Err(missing(package)) }
}

fn missing(package: &str) -> Error {
    Error::Missing { what: package.to_owned(), remedy: format!("install {package} and put it on PATH") }
}

#[cfg(test)]
mod tests {
    use super::upstream;

    #[test]
    fn the_upstream_version_is_read_from_a_package_file_name() {
        assert_eq!(upstream("containerd_1.7.24~ds1-6+deb13u1_amd64"), "1.7.24");
        assert_eq!(upstream("containerd_2.1.9+ds1-5_amd64"), "2.1.9");
        assert_eq!(upstream("busybox-static_1:1.35.0-4+deb12u1+b1_amd64"), "1.35.0");
    }
}
