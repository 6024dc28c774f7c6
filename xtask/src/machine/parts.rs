//! What guests are made of that this machine lacks: an emulator, a kernel, a distribution with systemd.
//!
//! All from Debian's packages, unpacked once into the cache and installed nowhere.

use crate::error::Error;
use crate::tools::apt;
use crate::{paths, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The suite of the guests: the oldest that containers must run on, with systemd 252 and Linux 6.1.
const SUITE: &str = "bookworm";

/// The modules of the kernel that are wanted, below `kernel/`, in the order of their loading.
const MODULES: [&str; 2] = ["fs/overlayfs/overlay.ko", "drivers/block/loop.ko"];

/// The packages of a guest. To be named anew when the packages change: the cache is known by the name.
const GUEST: (&str, [&str; 4]) =
    ("pinnace-guest-1", ["linux-image-cloud-amd64", "systemd-sysv", "systemd", "dbus"]);

/// What the cache holds of a guest.
pub(super) struct Parts {
    /// A Debian's files.
    pub(super) debian: PathBuf,
    /// Its kernel.
    pub(super) kernel: PathBuf,
    /// Its modules, in the order of their loading.
    pub(super) modules: Vec<PathBuf>,
}

/// Brings a kernel and a distribution.
pub(super) fn bring() -> Result<Parts, Error> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(Error::Missing {
            what: format!("a guest for {}", std::env::consts::ARCH),
            remedy: "there is one for x86_64 only; run this there".to_owned(),
        });
    }
    if !apt::here() {
        return Err(Error::Missing {
            what: "apt-get or dpkg-deb, which bring a guest's kernel and its systemd,".to_owned(),
            remedy: "run this on Debian".to_owned(),
        });
    }
    let debian = apt::closure(GUEST.0, SUITE, &GUEST.1, &[])?;
    let kernel = beginning(&debian.join("boot"), "vmlinuz-")?;
    let modules = beginning(&debian.join("lib/modules"), "")?.join("kernel");
    Ok(Parts { kernel, modules: MODULES.map(|name| modules.join(name)).to_vec(), debian })
}

/// This machine's emulator, else Debian's.
pub(super) fn qemu() -> Result<Command, Error> {
    if let Some(installed) = paths::which("qemu-system-x86_64") {
        return Ok(run::program(installed));
    }
    if !apt::here() {
        return Err(Error::Missing {
            what: "qemu-system-x86_64".to_owned(),
            remedy: "install it and put it on PATH".to_owned(),
        });
    }
    let prefix = apt::closure("qemu", SUITE, &["qemu-system-x86"], &[])?;
    Ok(super::qemu::unpacked(&prefix))
}

fn beginning(dir: &Path, with: &str) -> Result<PathBuf, Error> {
    let entries = fs::read_dir(dir).map_err(Error::file("read", dir))?;
    let mut files = entries.flatten().map(|entry| entry.path());
    let named = |file: &Path| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(with));
    files.find(|file| named(file)).ok_or_else(|| Error::Missing {
        what: format!("{with}* in {}", dir.display()),
        remedy: "remove that prefix from the cache and try again".to_owned(),
    })
}
