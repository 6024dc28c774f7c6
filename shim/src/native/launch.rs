//! The runtime's process: three streams, the little of the server's environment that concerns it, nothing else.
//!
//! By path and not by descriptor: it may be a script around the real one, whose interpreter opens it again.

#![allow(unsafe_code, reason = "a child asks for its parent-death signal between fork and exec")]

use crate::process::Process;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What is passed on. Never what would have it talk to somebody: `LISTEN_FDS`, `NOTIFY_SOCKET`.
const ENVIRONMENT: [&str; 6] =
    ["PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "DBUS_SYSTEM_BUS_ADDRESS", "GOMAXPROCS"];

/// Starts it. It gets SIGKILL when this thread, the server's only one, ends; what it made does not.
pub(super) fn launch(program: &Path, args: &[OsString], streams: [OwnedFd; 3]) -> io::Result<Process> {
    let [stdin, stdout, stderr] = streams.map(Stdio::from);
    let kept = ENVIRONMENT.iter().filter_map(|name| Some((OsStr::new(name), std::env::var_os(name)?)));
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(kept).stdin(stdin).stdout(stdout).stderr(stderr);
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
        check(libc::setsid())?;
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        check(libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32))
    }
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
