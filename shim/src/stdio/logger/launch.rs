//! The logger's process: its three descriptors in place, and nothing else of the server's.
//!
//! By path and not by descriptor, because a script's interpreter opens it again.

#![allow(unsafe_code, reason = "descriptors get their numbers between fork and exec")]

use super::{Owner, Program};
use crate::process::Process;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{PidfdFlags, pidfd_open};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The first of the logger's descriptors: its stdout pipe, its stderr pipe, its ready pipe.
const FIRST: RawFd = 3;

/// The first number that is none of them.
const FREE: RawFd = 6;

/// Starts the program. It gets SIGKILL when this thread, the server's only one, ends.
pub(super) fn launch(program: &Program, owner: Owner<'_>, fds: [BorrowedFd<'_>; 3]) -> io::Result<Process> {
    // The copies, and whatever `Command` opens for itself, lie above the numbers that are about to be taken.
    let _occupied = occupy()?;
    let [a, b, c] = fds;
    let above = |fd: BorrowedFd<'_>| fcntl_dupfd_cloexec(fd, FREE);
    let lifted = [above(a)?, above(b)?, above(c)?];
    let numbers = lifted.each_ref().map(AsRawFd::as_raw_fd);
    let mut command = Command::new(&program.path);
    command
        .args(&program.args)
        .env_clear()
        .env("CONTAINER_ID", owner.id)
        .env("CONTAINER_NAMESPACE", owner.namespace)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: the closure runs in the child of a process whose other threads may hold locks: it makes system calls
    // on plain numbers and neither allocates nor locks.
    unsafe { command.pre_exec(move || place(numbers)) };
    // Its pid stays its own until it is reaped, and only `Process` does that.
    let pid = i32::try_from(command.spawn()?.id()).map_err(io::Error::other)?;
    let known =
        rustix::process::Pid::from_raw(pid).ok_or_else(|| io::Error::other("a child without a pid"))?;
    Process::watch(pid, pidfd_open(known, PidfdFlags::empty())?)
}

/// Descriptors that hold every number below [`FREE`] that is free.
fn occupy() -> io::Result<Vec<OwnedFd>> {
    let mut held: Vec<OwnedFd> = Vec::new();
    loop {
        let next: OwnedFd = File::open("/dev/null")?.into();
        if next.as_raw_fd() >= FREE {
            return Ok(held);
        }
        held.push(next);
    }
}

/// Between fork and exec: `numbers` become [`FIRST`] and those behind it; everything above closes with the exec.
fn place(numbers: [RawFd; 3]) -> io::Result<()> {
    // SAFETY: plain numbers. No signal meant for the server's group is to reach the logger, nor is it to outlive it.
    unsafe {
        check(libc::setsid())?;
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
    }
    for (number, target) in numbers.into_iter().zip(FIRST..) {
        // SAFETY: plain numbers; dup2 clears close-on-exec on the copy.
        check(unsafe { libc::dup2(number, target) })?;
    }
    // SAFETY: plain numbers; the flag only marks them, so `Command` can still tell its parent of a failed exec.
    check(unsafe { libc::close_range(FREE as u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) })
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
