//! Where the programs are installed: versions side by side behind one link.
//!
//! ```text
//!  <prefix>/lib/pinnace/versions/.new-<pid>/   being filled; nobody looks here
//!                       versions/0.2.0/        whole, by one rename
//!                       versions/.old-<pid>/   replaced by the same version while something ran from it
//!                       current ─▶ versions/0.2.0     moved by one rename: old or new, never none
//!  <bin>/<name> ─▶ <prefix>/lib/pinnace/current/<program>
//! ```
//!
//! A crash at any point leaves the old version in force. Directories stay while a server runs from them (it
//! holds a lock, see [`Installation`](crate::Installation)) and go with [`Layout::prune`] when none does.

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};
use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

/// The programs of a version; those of engines that are not built are passed over.
pub const PROGRAMS: &[&str] =
    &["containerd-shim-wasm-v1", "pinnace", "pinnace-holder", "pinnace-wasmtime", "pinnace-wasmtime-compile"];

/// The names containerd may call the shim by.
pub const SHIM_NAMES: &[&str] =
    &["containerd-shim-wasm-v1", "containerd-shim-wasmtime-v1", "containerd-shim-wasmedge-v1"];

/// An installation that could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A program is missing where it should be copied from.
    #[error("{} is not there: build it, or name the directory of the programs with --from", path.display())]
    Missing {
        /// The program.
        path: PathBuf,
    },
    /// A name in the way is not our link.
    #[error("{} exists and is not a link into {}: remove it, or choose another directory", path.display(), root.display())]
    InTheWay {
        /// What is in the way.
        path: PathBuf,
        /// Where our links lead.
        root: PathBuf,
    },
    /// A version's name that would leave its directory.
    #[error(
        "`{version}` is no version: letters, digits, `.`, `-`, `_` and `+`, starting with a letter or digit"
    )]
    Version {
        /// The name.
        version: String,
    },
    /// A step on a file failed.
    #[error("cannot {step} {}: {source}", path.display())]
    Step {
        /// What was to be done.
        step: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What an installation did.
#[derive(Debug, PartialEq, Eq)]
pub struct Installed {
    /// The directory of the version, now current.
    pub directory: PathBuf,
    /// Links made or already right.
    pub links: Vec<PathBuf>,
}

/// The places of an installation.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    bin: PathBuf,
}

impl Layout {
    /// Versions in `<prefix>/lib/pinnace`, links in `bin`.
    #[must_use]
    pub fn new(prefix: &Path, bin: &Path) -> Self {
        Self { root: prefix.join("lib/pinnace"), bin: bin.into() }
    }

    /// Where versions and the link to the current one are.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The version in force, if any.
    #[must_use]
    pub fn current(&self) -> Option<String> {
        let target = fs::read_link(self.root.join("current")).ok()?;
        target.file_name()?.to_str().map(str::to_owned)
    }

    /// Copies the programs of `from` as `version` and puts it in force. A version that exists is replaced as a
    /// whole; servers that run from the old one keep it.
    ///
    /// # Errors
    /// If a program is missing, something else is in the way, or a file cannot be written; the version that was
    /// in force still is.
    pub fn install(&self, version: &str, from: &Path) -> Result<Installed, LayoutError> {
        check_version(version)?;
        self.check_links()?;
        let versions = self.root.join("versions");
        let directory = versions.join(version);
        fs::create_dir_all(&versions).map_err(step("make", &versions))?;
        let fresh = versions.join(format!(".new-{}", std::process::id()));
        remove_unused(&fresh)?;
        let filled = fill(&fresh, from).and_then(|_held| replace_directory(&fresh, &directory));
        if filled.is_err() {
            let _ = fs::remove_dir_all(&fresh);
        }
        filled?;
        point(&self.root.join("current"), &Path::new("versions").join(version))?;
        fs::create_dir_all(&self.bin).map_err(step("make", &self.bin))?;
        let mut links = Vec::new();
        for (link, target) in self.links() {
            point(&link, &target)?;
            links.push(link);
        }
        Ok(Installed { directory, links })
    }

    /// Removes every directory but the version in force that no server runs from; names those removed.
    ///
    /// # Errors
    /// If a directory cannot be removed.
    pub fn prune(&self) -> Result<Vec<PathBuf>, LayoutError> {
        let current = self.current();
        let mut gone = Vec::new();
        for directory in self.directories() {
            let in_force = current.as_ref().is_some_and(|current| directory.ends_with(current));
            if !in_force && remove_unused(&directory)? {
                gone.push(directory);
            }
        }
        Ok(gone)
    }

    /// Removes our links, and every version that no server runs from; names the directories that had to stay.
    ///
    /// # Errors
    /// If a link or directory cannot be removed.
    pub fn uninstall(&self) -> Result<Vec<PathBuf>, LayoutError> {
        for (link, _) in self.links() {
            if self.is_ours(&link) {
                fs::remove_file(&link).map_err(step("remove", &link))?;
            }
        }
        let current = self.root.join("current");
        match fs::remove_file(&current) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(step("remove", &current)(error));
            }
            _ => {}
        }
        self.prune()?;
        let stayed = self.directories();
        if stayed.is_empty() {
            let _ = fs::remove_dir(self.root.join("versions"));
            let _ = fs::remove_dir(&self.root);
        }
        Ok(stayed)
    }

    /// Everything in `versions`, half-made and replaced ones too.
    fn directories(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root.join("versions")).into_iter().flatten().flatten();
        let mut directories: Vec<_> = entries.map(|entry| entry.path()).collect();
        directories.sort();
        directories
    }

    /// Our links with their targets.
    fn links(&self) -> impl Iterator<Item = (PathBuf, PathBuf)> {
        let current = self.root.join("current");
        let shims = SHIM_NAMES.iter().map(|name| (*name, "containerd-shim-wasm-v1"));
        let links: Vec<_> = shims
            .chain([("pinnace", "pinnace")])
            .map(|(name, program)| (self.bin.join(name), current.join(program)))
            .collect();
        links.into_iter()
    }

    fn check_links(&self) -> Result<(), LayoutError> {
        for (link, _) in self.links() {
            if link.symlink_metadata().is_ok() && !self.is_ours(&link) {
                return Err(LayoutError::InTheWay { path: link, root: self.root.clone() });
            }
        }
        Ok(())
    }

    fn is_ours(&self, link: &Path) -> bool {
        fs::read_link(link).is_ok_and(|target| target.starts_with(&self.root))
    }
}

fn check_version(version: &str) -> Result<(), LayoutError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    if version.starts_with(|c: char| c.is_ascii_alphanumeric()) && version.chars().all(plain) {
        Ok(())
    } else {
        Err(LayoutError::Version { version: version.into() })
    }
}

fn step(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LayoutError {
    let path = path.to_owned();
    move |source| LayoutError::Step { step, path, source }
}

/// A directory with a copy of every program, on disk before anything points to it; held while it is open.
fn fill(directory: &Path, from: &Path) -> Result<fs::File, LayoutError> {
    fs::create_dir(directory).map_err(step("make", directory))?;
    let held = fs::File::open(directory).map_err(step("open", directory))?;
    held.lock_shared().map_err(step("lock", directory))?;
    for program in PROGRAMS {
        let (source, copy) = (from.join(program), directory.join(program));
        if !source.is_file() {
            return Err(LayoutError::Missing { path: source });
        }
        fs::copy(&source, &copy).map_err(step("copy", &source))?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).map_err(step("chmod", &copy))?;
        fs::File::open(&copy).and_then(|file| file.sync_all()).map_err(step("sync", &copy))?;
    }
    Ok(held)
}

/// Puts `fresh` in the place of `directory`; one that was there goes, or steps aside for those that run from it.
fn replace_directory(fresh: &Path, directory: &Path) -> Result<(), LayoutError> {
    // Not looked for before: another installation may be putting its own there at this moment.
    match renameat_with(CWD, fresh, CWD, directory, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => {}
        renamed => return renamed.map_err(|error| step("rename", fresh)(error.into())),
    }
    renameat_with(CWD, fresh, CWD, directory, RenameFlags::EXCHANGE)
        .map_err(|error| step("exchange", directory)(error.into()))?;
    if remove_unused(fresh)? {
        return Ok(());
    }
    let mut aside =
        (0_u32..).map(|number| fresh.with_file_name(format!(".old-{}-{number}", std::process::id())));
    match aside.find(|path| !path.exists()) {
        Some(aside) => fs::rename(fresh, &aside).map_err(step("rename", fresh)),
        None => Ok(()),
    }
}

/// Removes a directory unless a server runs from it; tells whether it is gone.
fn remove_unused(directory: &Path) -> Result<bool, LayoutError> {
    let held = match fs::File::open(directory) {
        Ok(held) => held,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(step("open", directory)(error)),
    };
    match held.try_lock() {
        Ok(()) => fs::remove_dir_all(directory).map_err(step("remove", directory)).map(|()| true),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        Err(fs::TryLockError::Error(error)) => Err(step("lock", directory)(error)),
    }
}

/// A link that points to its target from one moment to the next.
fn point(link: &Path, target: &Path) -> Result<(), LayoutError> {
    let mut name = link.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let fresh = link.with_file_name(name);
    let _ = fs::remove_file(&fresh);
    symlink(target, &fresh).map_err(step("make", &fresh))?;
    fs::rename(&fresh, link).map_err(step("rename", &fresh))
}

#[cfg(test)]
mod tests;
