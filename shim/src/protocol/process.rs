//! From the process containerd executed to the server it leaves behind: a fork without an exec.
//!
//! containerd reads our output to its end, so the server must let go of it at once; that is its first step.
//! An exec would cost what the whole of `start` costs now, and the server needs nothing that the fork does
//! not bring. It works because there is one thread: no runtime has been made yet.

#![allow(unsafe_code, reason = "fork and close_range have no safe form")]

use nix::unistd::{ForkResult, chdir, fork, setsid};
use rustix::fs::{Mode, OFlags, open};
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, Write};

/// Where the server failed to become one.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// No process could be made.
    #[error("cannot fork: {0}")]
    Fork(io::Error),
    /// The output could not be let go.
    #[error("cannot open /dev/null: {0}")]
    Null(io::Error),
    /// No session of its own.
    #[error("cannot make a session: {0}")]
    Session(io::Error),
    /// The bundle is still its directory, and would be busy.
    #[error("cannot change to /: {0}")]
    Root(io::Error),
    /// Orphans would go to init.
    #[error("cannot become a subreaper: {0}")]
    Subreaper(io::Error),
}

/// Which side of the fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The process containerd waits for.
    Starter,
    /// The process that stays.
    Server,
}

/// Closes whatever a careless parent left open beside the standard streams.
pub fn close_inherited() {
    // SAFETY: plain numbers. To be called before anything is opened, so no descriptor in use is closed.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
}

/// Splits in two.
pub(super) fn split() -> Result<Side, ProcessError> {
    // SAFETY: this process has one thread (`start` runs before any runtime), so the child finds no lock taken.
    match unsafe { fork() }.map_err(|errno| ProcessError::Fork(errno.into()))? {
        ForkResult::Parent { .. } => Ok(Side::Starter),
        ForkResult::Child => Ok(Side::Server),
    }
}

/// Makes the child a server: away from containerd's output, session, directory and signals.
pub(super) fn become_server() -> Result<(), ProcessError> {
    leave_streams().map_err(ProcessError::Null)?;
    setsid().map_err(|errno| ProcessError::Session(errno.into()))?;
    chdir("/").map_err(|errno| ProcessError::Root(errno.into()))?;
    // Processes that an engine leaves behind come to us and not to init.
    nix::sys::prctl::set_child_subreaper(true).map_err(|errno| ProcessError::Subreaper(errno.into()))?;
    // A name for `ps`; without it the first fifteen letters of the program's stay. SIGPIPE is ignored already:
    // Rust programs begin so.
    let _ = nix::sys::prctl::set_name(c"pinnace-shim");
    Ok(())
}

fn leave_streams() -> io::Result<()> {
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// Makes the kernel prefer us to containerd when memory runs out, by one point. Ours was inherited from it.
/// Raising needs no capability; where it fails nevertheless, that is told once and nothing else.
pub(super) fn raise_oom_score() {
    if let Err(error) = raise("/proc/self/oom_score_adj") {
        log::warn!("cannot raise /proc/self/oom_score_adj above containerd's: {error}");
    }
}

fn raise(path: &str) -> io::Result<()> {
    const HIGHEST: i32 = 1000;
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let score: i32 = text.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    file.rewind()?;
    file.write_all((score + 1).min(HIGHEST).to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_rises_by_one_and_stops_at_the_top() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("oom_score_adj");
        let path = path.to_str().expect("text");
        for (before, after) in [("0\n", "1"), ("-999\n", "-998"), ("1000\n", "1000")] {
            std::fs::write(path, before).expect("written");
            raise(path).expect("raised");
            let text = std::fs::read_to_string(path).expect("read");
            assert!(text.starts_with(after), "{before:?} became {text:?}");
        }
        std::fs::write(path, "?").expect("written");
        assert!(raise(path).is_err());
    }
}
