//! An engine as the suite sees it: two programs.

use crate::root::RootError;
use pinnace_spawn::{Birth, Child, Join, Namespaces, SpawnError};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

/// New namespaces for both programs, as the server gives them.
const NAMESPACES: u64 =
    (libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWPID)
        as u64;

/// The two programs of an engine.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Runs artifacts.
    pub runner: PathBuf,
    /// Makes them.
    pub compiler: PathBuf,
}

/// Why a program could not be driven at all. The outcome of a drive is no error.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// A program is not there.
    #[error("cannot open the program {path}; build it first")]
    Program {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A descriptor could not be made.
    #[error("cannot make {what}")]
    Descriptor {
        /// What it is for.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A record could not be written or read.
    #[error("a record is unusable")]
    Wire(#[from] pinnace_plan::WireError),
    /// The child could not be born. The suite needs root.
    #[error("cannot start the program; is this root?")]
    Spawn(#[from] SpawnError),
    /// The root file system could not be made. The suite needs root.
    #[error("cannot make a root file system; is this root?")]
    Root(#[from] RootError),
    /// Talking to the program failed.
    #[error("cannot talk to the program")]
    Talk(#[source] io::Error),
}

/// A descriptor failed: which one.
pub(crate) fn descriptor(what: &'static str) -> impl Fn(rustix::io::Errno) -> DriveError {
    move |errno| DriveError::Descriptor { what, source: errno.into() }
}

/// Starts a program with these descriptors in place.
pub(crate) fn spawn(
    path: &PathBuf,
    args: &[CString],
    fds: &[(BorrowedFd<'_>, RawFd)],
) -> Result<Child, DriveError> {
    let program = File::open(path).map_err(|source| DriveError::Program { path: path.clone(), source })?;
    let birth = Birth {
        program: program.as_fd(),
        args,
        env: &[],
        fds,
        namespaces: Namespaces { new: NAMESPACES, join_pid: None },
        join: Join::Inherit,
    };
    Ok(birth.spawn()?)
}

/// A control socket: ours, and the program's.
pub(crate) fn control() -> Result<(OwnedFd, OwnedFd), DriveError> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(descriptor("a control socket"))
}

/// A memory file with these bytes.
pub(crate) fn memory_file(what: &'static str, bytes: &[u8]) -> Result<File, DriveError> {
    let file =
        rustix::fs::memfd_create("pinnace", rustix::fs::MemfdFlags::CLOEXEC).map_err(descriptor(what))?;
    let mut file = File::from(file);
    file.write_all(bytes).map_err(|source| DriveError::Descriptor { what, source })?;
    Ok(file)
}

/// `/dev/null`, for a stream nobody uses.
pub(crate) fn null() -> Result<File, DriveError> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|source| DriveError::Descriptor { what: "/dev/null", source })
}
