//! The programs of one version, held by the directory they stand in.
//!
//! A server that was started from `versions/0.1.0` opens that directory once, with a shared lock on it. The link
//! `current` may move meanwhile: the server goes on with its own version's engines and never mixes two versions,
//! and who removes old versions ([`Layout::prune`](crate::Layout::prune)) sees the lock and leaves this one. A lock
//! is seen from every container and pid namespace; a look into `/proc` would not be.

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open, openat};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// A program that is not there, or a directory that is not.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// `/proc/self/exe` does not lead anywhere.
    #[error("cannot find the directory of this program by /proc/self/exe: {0}")]
    Exe(io::Error),
    /// The directory cannot be opened.
    #[error("cannot open the programs' directory {}: {source}; install Pinnace again", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing that holds pods in it.
    #[error(
        "pods cannot be held: {} in {} cannot be opened: {source}; install Pinnace again",
        HOLDER, directory.display()
    )]
    Holder {
        /// Where it was looked for.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No such program in it.
    #[error("engine `{engine}` is not installed: {program} in {} cannot be opened: {source}", directory.display())]
    Engine {
        /// The engine.
        engine: String,
        /// Its program.
        program: String,
        /// Where it was looked for.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The program that holds a pod's namespaces.
const HOLDER: &str = "pinnace-holder";

/// An open directory of programs.
#[derive(Debug)]
pub struct Installation {
    directory: OwnedFd,
    path: PathBuf,
}

impl Installation {
    /// The one this program was started from.
    ///
    /// # Errors
    /// If the directory cannot be found or opened.
    pub fn of_this_program() -> Result<Self, InstallationError> {
        let program = std::fs::read_link("/proc/self/exe").map_err(InstallationError::Exe)?;
        let parent = program
            .parent()
            .ok_or_else(|| InstallationError::Exe(io::Error::other("it is not in a directory")))?;
        Self::open(parent)
    }

    /// The one in this directory.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, InstallationError> {
        let directory = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| InstallationError::Directory { path: path.into(), source: error.into() })?;
        // It cannot be had where it is being removed, or where the file system has none: no reason not to start.
        let _ = flock(&directory, FlockOperation::NonBlockingLockShared);
        Ok(Self { directory, path: path.into() })
    }

    /// The program that runs guests of this engine, opened to be executed by descriptor.
    ///
    /// # Errors
    /// If the engine is not installed.
    pub fn engine_program(&self, engine: &str) -> Result<OwnedFd, InstallationError> {
        self.program(engine, format!("pinnace-{engine}"))
    }

    /// The program that compiles for this engine, opened to be executed by descriptor.
    ///
    /// # Errors
    /// If the engine is not installed.
    pub fn compile_program(&self, engine: &str) -> Result<OwnedFd, InstallationError> {
        self.program(engine, format!("pinnace-{engine}-compile"))
    }

    /// The program that holds a pod's namespaces, opened to be executed by descriptor.
    ///
    /// # Errors
    /// If it is not there.
    pub fn holder_program(&self) -> Result<OwnedFd, InstallationError> {
        self.open_program(HOLDER)
            .map_err(|source| InstallationError::Holder { directory: self.path.clone(), source })
    }

    /// Where it was when it was opened, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn program(&self, engine: &str, program: String) -> Result<OwnedFd, InstallationError> {
        self.open_program(&program).map_err(|source| InstallationError::Engine {
            engine: engine.into(),
            program,
            directory: self.path.clone(),
            source,
        })
    }

    fn open_program(&self, program: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.directory, program, flags, Mode::empty())?)
    }
}

impl AsFd for Installation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Read};

    #[test]
    fn a_running_server_keeps_its_version_when_the_link_moves() {
        let temp = tempfile::tempdir().unwrap();
        for version in ["1", "2"] {
            fs::create_dir(temp.path().join(version)).unwrap();
            fs::write(temp.path().join(version).join("pinnace-wasmtime"), version).unwrap();
        }
        let current = temp.path().join("current");
        std::os::unix::fs::symlink("1", &current).unwrap();
        let installation = Installation::open(&current).unwrap();
        fs::remove_file(&current).unwrap();
        std::os::unix::fs::symlink("2", &current).unwrap();
        let mut text = String::new();
        let program = installation.engine_program("wasmtime").unwrap();
        fs::File::from(program).read_to_string(&mut text).unwrap();
        assert_eq!(text, "1");
    }

    #[test]
    fn a_missing_engine_is_named_with_its_program_and_place() {
        let temp = tempfile::tempdir().unwrap();
        let installation = Installation::open(temp.path()).unwrap();
        let message = installation.compile_program("wasmedge").expect_err("missing").to_string();
        assert!(message.contains("`wasmedge` is not installed: pinnace-wasmedge-compile in /"), "{message}");
        let message = installation.holder_program().expect_err("missing").to_string();
        assert!(message.contains("pinnace-holder in /"), "{message}");
    }

    #[test]
    fn this_program_has_an_installation() {
        assert!(Installation::of_this_program().unwrap().path().is_absolute());
    }
}
