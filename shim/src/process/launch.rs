//! A program of the host's as a child of this server: an OCI runtime, a hook.
//!
//! By path and not by descriptor: it may be a script, whose interpreter opens it again.

#![allow(unsafe_code, reason = "a child asks for its parent-death signal between fork and exec")]

use super::Process;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Starts it with these streams and no other descriptor. It gets SIGKILL when this thread, the server's only one,
/// ends; what it made does not.
pub(crate) fn launch(mut command: Command, streams: [OwnedFd; 3]) -> io::Result<Process> {
    let [stdin, stdout, stderr] = streams.map(Stdio::from);
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    // SAFETY: the closure runs in the child of a process whose other threads may hold locks: it makes system calls
    // on plain numbers and neither allocates nor locks.
    unsafe { command.pre_exec(alone) };
    // Its pid stays its own until it is reaped, and only `Process` does that.
    let pid = i32::try_from(command.spawn()?.id()).map_err(io::Error::other)?;
    Process::of_pid(pid)
}

/// Between fork and exec: no signal meant for the server's group reaches it, nor does it outlive the server; what
/// is open here closes with the exec.
fn alone() -> io::Result<()> {
    // SAFETY: plain numbers.
    unsafe {
        // `nohup` and a shell's `&` leave them ignored, and that would survive the exec.
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
            libc::signal(signal, libc::SIG_DFL);
        }
        check(libc::setsid())?;
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        check(libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32))
    }
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
