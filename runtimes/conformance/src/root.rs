//! A root file system for one guest: a detached tmpfs, as the server makes its roots.

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The file system could not be made.
    #[error("cannot make a tmpfs")]
    Tmpfs(#[source] io::Error),
    /// A file could not be put into it.
    #[error("cannot make /{path}")]
    File {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Makes a root with these files; directories on the way are made.
pub(crate) fn root(files: &[(&str, &[u8])]) -> Result<OwnedFd, RootError> {
    let root = tmpfs().map_err(|errno| RootError::Tmpfs(errno.into()))?;
    for &(path, bytes) in files {
        put(&root, path.trim_start_matches('/'), bytes)
            .map_err(|source| RootError::File { path: path.to_owned(), source })?;
    }
    Ok(root)
}

fn tmpfs() -> Result<OwnedFd, Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

fn put(root: &OwnedFd, path: &str, bytes: &[u8]) -> io::Result<()> {
    for (at, _) in path.match_indices('/') {
        match mkdirat(root, &path[..at], Mode::from(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let file = openat(root, path, OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from(0o644))?;
    File::from(file).write_all(bytes)
}

/// Reads a file of a root that is still held.
pub(crate) fn read(root: &OwnedFd, path: &str) -> io::Result<Vec<u8>> {
    let file = openat(root, path.trim_start_matches('/'), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes)?;
    Ok(bytes)
}
