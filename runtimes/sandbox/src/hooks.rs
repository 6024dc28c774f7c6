//! The moment of hooks: the container's files are mounted, the host's are still there.
//!
//! ```text
//!  the root moves from over "/" to the bundle, where hooks look for it
//!  the server's turn          prestart, createRuntime, in the host's namespaces
//!  createContainer            in this process' namespaces, one after the other
//!  (pivot)                    what they mounted in the root stays, all else goes with the host's mounts
//! ```
//!
//! They are programs of the host's, whom the node's tools named in the spec. They have the host's rights and files, but
//! of the container's files none is a program for them: the whole tree is `noexec` by then. Each reads the state on its
//! stdin, ends at its time limit and with this process, and inherits nothing else of it.
#![allow(unsafe_code, reason = "what a hook must not inherit goes between fork and exec")]

use crate::mounts::root;
use pinnace_plan::{Hook, Hooks};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Gives the server its turn: it returns when it was taken, or fails when the server is gone.
pub type Turn<'a> = &'a dyn Fn() -> io::Result<()>;

/// A hook that did not do its work, or a moment that did not come.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The root could not be shown to them.
    #[error("cannot mount the root at {place} for the hooks; does the directory exist?")]
    Show {
        /// The directory of the host.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server did not come to an end with its own.
    #[error("the hooks of the server were not run")]
    Turn(#[source] io::Error),
    /// One could not be run.
    #[error("createContainer hook {path}: cannot run it")]
    Run {
        /// The program.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One took too long.
    #[error("createContainer hook {path}: did not end within its {seconds} s")]
    Late {
        /// The program.
        path: String,
        /// Its time limit.
        seconds: u64,
    },
    /// One says no.
    #[error("createContainer hook {path}: ended with status {status}: {said}")]
    Failed {
        /// The program.
        path: String,
        /// 1 to 255; 128 + n for a death by signal n.
        status: i32,
        /// The end of what it wrote to stderr.
        said: String,
    },
}

/// Runs the hooks, the server's and ours.
pub(crate) fn run(root: BorrowedFd<'_>, hooks: &Hooks, turn: Turn<'_>) -> Result<(), HookError> {
    root::show(root, &hooks.root).map_err(|source| HookError::Show { place: hooks.root.clone(), source })?;
    turn().map_err(HookError::Turn)?;
    let state = with_pid(&hooks.state, std::process::id());
    hooks.create_container.iter().try_for_each(|hook| run_one(hook, &state))
}

/// A JSON object with the member `pid`.
fn with_pid(state: &str, pid: u32) -> String {
    state.replacen('{', &format!("{{\"pid\":{pid},"), 1)
}

fn run_one(hook: &Hook, state: &str) -> Result<(), HookError> {
    let failed = |source| HookError::Run { path: hook.path.clone(), source };
    let mut stderr = memory("pinnace-hook-stderr").map_err(failed)?;
    let mut child = start(hook, state, &stderr).map_err(failed)?;
    if let Some(seconds) = hook.timeout
        && !ended(&child, Duration::from_secs(seconds)).map_err(failed)?
    {
        child.kill().and_then(|()| child.wait()).map_err(failed)?;
        return Err(HookError::Late { path: hook.path.clone(), seconds });
    }
    let status = child.wait().map_err(failed)?;
    match status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()) {
        0 => Ok(()),
        status => Err(HookError::Failed { path: hook.path.clone(), status, said: end_of(&mut stderr) }),
    }
}

fn start(hook: &Hook, state: &str, stderr: &File) -> io::Result<Child> {
    let mut stdin = memory("pinnace-hook-state")?;
    stdin.write_all(state.as_bytes())?;
    stdin.rewind()?;
    let mut command = Command::new(&hook.path);
    if let Some((name, args)) = hook.args.split_first() {
        command.arg0(name).args(args);
    }
    command.env_clear().envs(hook.env.iter().map(|(name, value)| (name, value)));
    command.stdin(stdin).stdout(Stdio::null()).stderr(stderr.try_clone()?);
    // SAFETY: between fork and exec it makes system calls on numbers, and allocates nothing.
    unsafe { command.pre_exec(inherit_nothing) };
    command.spawn()
}

/// No descriptor of the container's beside the three, and no life after this process'.
fn inherit_nothing() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // SAFETY: takes no pointer; what is marked is closed by the exec that follows.
    match unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether it ends within that time.
fn ended(child: &Child, time: Duration) -> io::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let pidfd: OwnedFd = pidfd_open(pid, PidfdFlags::empty())?;
    let deadline = Instant::now().checked_add(time);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], left.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}

fn memory(name: &str) -> io::Result<File> {
    Ok(memfd_create(name, MemfdFlags::CLOEXEC).map(File::from)?)
}

/// How much of a hook's last words is told.
const WORDS: u64 = 1024;

fn end_of(stderr: &mut File) -> String {
    let mut bytes = Vec::new();
    let start = stderr.seek(SeekFrom::End(0)).unwrap_or(0).saturating_sub(WORDS);
    match stderr.seek(SeekFrom::Start(start)).and_then(|_| stderr.read_to_end(&mut bytes)) {
        Ok(_) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Option<u64>) -> Hook {
        let args = ["sh", "-c", script].map(str::to_owned).to_vec();
        Hook { path: "/bin/sh".to_owned(), args, env: vec![("WORD".to_owned(), "hello".to_owned())], timeout }
    }

    #[test]
    fn the_pid_becomes_a_member_of_the_state() {
        assert_eq!(with_pid(r#"{"id":"c","a":{}}"#, 7), r#"{"pid":7,"id":"c","a":{}}"#);
    }

    #[test]
    fn it_reads_the_state_and_has_its_own_environment_only() {
        let script = "[ \"$(cat)\" = state ] && [ $WORD = hello ] && [ -z \"$HOME\" ]";
        run_one(&shell(script, Some(60)), "state").expect("as it should be");
    }

    #[test]
    fn it_inherits_no_descriptor() {
        let _open = File::open("/").expect("a directory");
        // The listing has one of its own.
        run_one(&shell("[ $(ls /proc/self/fd | wc -l) = 4 ]", None), "").expect("three and the listing's");
    }

    #[test]
    fn a_failure_is_told_with_its_last_words() {
        let error = run_one(&shell("cat; echo no ldconfig >&2; exit 3", None), "x").expect_err("it says no");
        assert_eq!(error.to_string(), "createContainer hook /bin/sh: ended with status 3: no ldconfig");
        let error = run_one(&shell("kill -9 $$", None), "").expect_err("it dies");
        assert!(matches!(error, HookError::Failed { status: 137, .. }), "{error}");
        let missing = Hook { path: "/nowhere/hook".to_owned(), ..shell("", None) };
        let error = run_one(&missing, "").expect_err("not there");
        assert!(error.to_string().contains("/nowhere/hook"), "{error}");
    }

    #[test]
    fn one_that_takes_too_long_is_ended() {
        let error = run_one(&shell("exec sleep 600", Some(1)), "").expect_err("late");
        assert!(matches!(error, HookError::Late { seconds: 1, .. }), "{error}");
    }
}
