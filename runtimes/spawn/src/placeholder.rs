//! A process that is somewhere so that somebody else can see or use the place, and does nothing there.
//!
//! ```text
//!  parent: clone3 ──────────────────────▶ placeholder: its work, if any; parent-death signal
//!                                          every descriptor of the server's closed
//!          hears the work's last step ◀──  a record, then it waits for the pipe's end
//!          … opens its namespaces, names its pid to systemd …
//!          lets go and reaps         ───▶  _exit
//! ```
//!
//! It never executes a program, so it costs 0.1 ms on the test machine; and it holds nothing open of the server's
//! that somebody may wait to see closed, another placeholder's pipe for one.

#![allow(unsafe_code, reason = "raw clone3, and system calls of the child, which never executes a program")]

use rustix::process::{WaitId, WaitIdOptions};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A placeholder that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PlaceholderError {
    /// The pipes to it.
    #[error("cannot make a pipe for a placeholder process")]
    Pipe(#[source] io::Error),
    /// The clone.
    #[error("cannot create a placeholder process: {0}")]
    Clone(#[source] io::Error),
    /// It was killed.
    #[error("a placeholder process ended early")]
    Ended(#[source] io::Error),
}

/// A process that waits; dropping it ends it and reaps it.
#[derive(Debug)]
pub struct Placeholder {
    pid: libc::pid_t,
    pidfd: OwnedFd,
    /// Its end lets it go.
    release: Option<OwnedFd>,
}

impl Placeholder {
    /// Makes one where this process is. It dies with the calling **thread**.
    ///
    /// # Errors
    /// When there is no process.
    pub fn start() -> Result<Self, PlaceholderError> {
        Ok(Self::start_with(|| 0)?.0)
    }

    /// Makes one that does `work` first, and gives what that returned with the last error number. The work is done in
    /// a copy of a process that may have had other threads: system calls only, no allocation, no lock.
    pub(crate) fn start_with(work: impl FnOnce() -> u8) -> Result<(Self, (u8, i32)), PlaceholderError> {
        let pipe = || {
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
                .map_err(|errno| PlaceholderError::Pipe(errno.into()))
        };
        let ((gate, release), (report, its_report)) = (pipe()?, pipe()?);
        let mut pidfd: RawFd = -1;
        // SAFETY: a structure of numbers, of which zero is none.
        let mut request: libc::clone_args = unsafe { std::mem::zeroed() };
        request.flags = libc::CLONE_PIDFD as u64;
        request.pidfd = (&raw mut pidfd) as u64;
        request.exit_signal = libc::SIGCHLD as u64;
        // SAFETY: without CLONE_VM the child gets a copy of this address space and returns here with 0, as after
        // fork. It runs only `hold`, which makes system calls on numbers and its own stack.
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut request, size_of::<libc::clone_args>()) };
        if pid == 0 {
            hold(work, its_report.as_raw_fd(), gate.as_raw_fd());
        }
        if pid < 0 {
            return Err(PlaceholderError::Clone(io::Error::last_os_error()));
        }
        // SAFETY: the kernel has just put a new descriptor there (CLONE_PIDFD), and nobody else knows it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        let placeholder = Self { pid: pid as libc::pid_t, pidfd, release: Some(release) };
        drop(its_report);
        let mut record = [0u8; 5];
        File::from(report).read_exact(&mut record).map_err(PlaceholderError::Ended)?;
        let [said, errno @ ..] = record;
        Ok((placeholder, (said, i32::from_le_bytes(errno))))
    }

    /// Its pid in this process' pid namespace.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        drop(self.release.take());
        // It ends at once; whatever its status is, it is reaped.
        let _ = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

/// The placeholder's whole life.
fn hold(work: impl FnOnce() -> u8, report: RawFd, gate: RawFd) -> ! {
    let mut record = [work(); 5];
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    record[1..].copy_from_slice(&errno.to_le_bytes());
    let (low, high) = (report.min(gate) as u32, report.max(gate) as u32);
    // SAFETY: plain numbers, five readable bytes and one writable; nobody uses the closed descriptors here.
    unsafe {
        // After any change of credentials, which clears it. Who was gone before has closed the pipe.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // Of two different numbers; a range that is empty is refused, and that is fine.
        if low > 0 {
            libc::close_range(0, low - 1, 0);
        }
        libc::close_range(low + 1, high - 1, 0);
        libc::close_range(high + 1, u32::MAX, 0);
        libc::write(report, record.as_ptr().cast(), record.len());
        let mut byte = 0u8;
        libc::read(gate, (&raw mut byte).cast(), 1);
        libc::_exit(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Placeholder;
    use std::path::PathBuf;

    #[test]
    fn it_is_there_with_nothing_open_until_it_is_dropped() {
        let place = |placeholder: &Placeholder| PathBuf::from(format!("/proc/{}/fd", placeholder.pid()));
        let first = Placeholder::start().expect("a process");
        let second = Placeholder::start().expect("another");
        for placeholder in [&first, &second] {
            let open = std::fs::read_dir(place(placeholder)).expect("its descriptors").count();
            assert_eq!(open, 2, "the two pipes only");
        }
        // The later one holds no end of the earlier one's pipe, so this does not wait for it.
        let gone = place(&first);
        drop(first);
        assert!(!gone.exists() && place(&second).exists());
    }

    #[test]
    fn what_its_work_says_is_heard() {
        let (_, (said, _)) = Placeholder::start_with(|| 7).expect("a process");
        assert_eq!(said, 7);
    }
}
