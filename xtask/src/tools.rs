//! `cargo xtask tools`: what demo and tests need, found on this machine or brought to it.
//!
//! Nothing is installed but `protoc`, which builds need on their `PATH`: packages are unpacked into prefixes,
//! and `target/tools` links to them. What cannot be had on this machine is named and left out; whether that
//! matters is for the command that asked.

pub(crate) mod apt;
mod containerd;
mod critools;
mod crun;
mod firewall;
mod foreign;
mod go;
mod guest;

pub(crate) use containerd::installed as installed_containerd;

use crate::error::Error;
use crate::paths;
use crate::run::{self, say};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// What `target/tools` holds.
pub(crate) struct Tools {
    /// The containerd versions, oldest first; each is at `target/tools/containerd-<version>/bin`.
    pub(crate) containerds: Vec<String>,
    /// What was left out, as sentences for the user.
    pub(crate) left_out: Vec<String>,
}

/// Brings everything, and says what had to be left out.
pub(crate) fn bring() -> Result<Tools, Error> {
    protoc()?;
    let mut tools = Tools { containerds: Vec::new(), left_out: Vec::new() };
    for daemon in &containerd::DAEMONS {
        match daemon.bring() {
            Ok(version) => tools.containerds.push(version),
            Err(reason) => tools.left_out.push(format!("containerd {}: {reason}", daemon.version)),
        }
    }
    if let Some(version) = installed_containerd()
        && tools.containerds.is_empty()
    {
        tools.containerds.push(version);
    }
    for (package, program) in [("runc", "runc"), ("busybox-static", "busybox")] {
        if let Err(reason) = helper(package, program) {
            tools.left_out.push(format!("{program}: {reason}"));
        }
    }
    if let Err(reason) = networks() {
        tools.left_out.push(format!("networks for pods: {reason}"));
    }
    if let Err(reason) = guest::build() {
        tools.left_out.push(format!("the guests written in Rust: {reason}"));
    }
    for line in &tools.left_out {
        say(format!("left out: {line}"));
    }
    Ok(tools)
}

/// Brings what only tests need, too.
pub(crate) fn bring_all() -> Result<Tools, Error> {
    let mut tools = bring()?;
    let more = [
        ("critest and crictl", critools::bring()),
        ("bash", helper("bash-static", "bash-static")),
        ("busybox with its libraries", shell()),
        ("iptables", firewall::bring()),
        ("crun", crun::bring()),
    ];
    for (name, brought) in more {
        if let Err(reason) = brought {
            let line = format!("{name}: {reason}");
            say(format!("left out: {line}"));
            tools.left_out.push(line);
        }
    }
    Ok(tools)
}

/// containerd's API crates are generated while they build.
pub(crate) fn protoc() -> Result<(), Error> {
    if std::env::var_os("PROTOC").is_some() || paths::which("protoc").is_some() {
        return Ok(());
    }
    if !(run::is_root() && apt::here()) {
        return Err(Error::Missing {
            what: "protoc".to_owned(),
            remedy: "install the package protobuf-compiler, or name one by PROTOC".to_owned(),
        });
    }
    apt::install("protobuf-compiler")
}

/// A small program: the machine's own, else its distribution's package.
fn helper(package: &str, program: &str) -> Result<(), Error> {
    if paths::tools().join(program).is_file() {
        return Ok(());
    }
    if let Some(file) = paths::which(program).filter(|_| program == "runc") {
        return link(&file, program);
    }
    let unpacked = apt::own(package)?;
    let places = ["usr/sbin", "usr/bin", "bin", "sbin"];
    let file = places.iter().map(|dir| unpacked.prefix.join(dir).join(program)).find(|file| file.is_file());
    let file = file.ok_or_else(|| Error::Missing {
        what: format!("{program} in the package {package}"),
        remedy: format!("install {program} and put it on PATH"),
    })?;
    link(&file, program)
}

/// A busybox that looks for its commands in `PATH`, which the static one does not, with the libraries it needs.
fn shell() -> Result<(), Error> {
    link(&apt::closure("busybox", "bookworm", &["busybox"], &[])?, "shell")
}

/// The plugins that make networks for pods.
fn networks() -> Result<(), Error> {
    if paths::tools().join("cni").is_dir() {
        return Ok(());
    }
    link(&apt::own("containernetworking-plugins")?.prefix.join("usr/lib/cni"), "cni")
}

/// Points `target/tools/<name>` at a file or directory, whatever it pointed at before.
pub(crate) fn link(to: &Path, name: &str) -> Result<(), Error> {
    let dir = paths::tools();
    fs::create_dir_all(&dir).map_err(Error::file("mkdir", &dir))?;
    let fresh: PathBuf = dir.join(format!(".{name}.{}", std::process::id()));
    symlink(to, &fresh).map_err(Error::file("symlink", &fresh))?;
    fs::rename(&fresh, dir.join(name)).map_err(Error::file("rename", &fresh))
}

/// Makes a directory that appears under its name when it is whole.
fn whole(home: &Path, make: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    let kept = paths::cache().join("tools");
    fs::create_dir_all(&kept).map_err(Error::file("mkdir", &kept))?;
    let work = tempfile::tempdir_in(&kept).map_err(Error::file("mkdir", &kept))?;
    let prefix = work.path().join("prefix");
    fs::create_dir(&prefix).map_err(Error::file("mkdir", &prefix))?;
    make(&prefix)?;
    apt::place(&prefix, home.to_owned()).map(drop)
}
