//! A guest that runs, from its plan to its end.

use crate::programs::{DriveError, Programs, control, descriptor, memory_file, null, spawn};
use crate::{Artifact, Setting, root};
use pinnace_plan::{Command, ExitCause, MAX_RECORD, Report, decode_record, encode, encode_record, fds};
use pinnace_spawn::Child;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// Where the suite puts what a plan names.
const ROOT: RawFd = fds::FIRST_FREE;
const ARTIFACT: RawFd = fds::FIRST_FREE + 1;
const LIMIT: RawFd = fds::FIRST_FREE + 2;

/// A guest that was entered.
#[derive(Debug)]
pub struct Running {
    child: Child,
    control: OwnedFd,
    /// `None` if it was closed from the start.
    stdin: Option<File>,
    /// `None` once it was closed.
    stdout: Option<File>,
    stderr: File,
    root: OwnedFd,
}

/// A guest that ended.
#[derive(Debug)]
pub struct Ended {
    /// What it said of its end; `None` after a signal.
    pub cause: Option<ExitCause>,
    /// The program's exit code.
    pub code: i32,
    /// All it wrote.
    pub stdout: String,
    /// Likewise.
    pub stderr: String,
    root: OwnedFd,
}

impl Programs {
    /// Prepares and enters a guest; the inner error is the program's own message from the preparation.
    ///
    /// # Errors
    /// When the program could not be driven.
    pub fn start(
        &self,
        artifact: &Artifact,
        setting: &Setting<'_>,
    ) -> Result<Result<Running, String>, DriveError> {
        let root = root::root(setting.files)?;
        let limit =
            setting.limit.map(|text| memory_file("a limit", format!("{text}\n").as_bytes())).transpose()?;
        let plan = setting.plan(artifact.kind, ROOT, ARTIFACT, limit.as_ref().map(|_| LIMIT));
        let plan = memory_file("a plan", &encode(&plan)?)?;
        let (control, theirs) = control()?;
        let Streams { given: [stdin, out, err], mut input, stdout, stderr } = match setting.terminal {
            true => Streams::terminal()?,
            false => Streams::pipes()?,
        };

        let mut given: Vec<(BorrowedFd<'_>, RawFd)> = vec![
            (stdin.as_fd(), 0),
            (out.as_fd(), 1),
            (err.as_fd(), 2),
            (plan.as_fd(), fds::PLAN),
            (theirs.as_fd(), fds::CONTROL),
            (root.as_fd(), ROOT),
            (artifact.file.as_fd(), ARTIFACT),
        ];
        given.extend(limit.as_ref().map(|limit| (limit.as_fd(), LIMIT)));
        let names = std::iter::once("pinnace-engine").chain(setting.args.iter().copied());
        let args: Vec<CString> = names.filter_map(|name| CString::new(name).ok()).collect();
        let child = spawn(&self.runner, &args, &given)?;
        drop((theirs, stdin, out, err));
        // Shorter than a pipe is long, so nobody waits.
        input.write_all(setting.stdin).map_err(DriveError::Talk)?;
        let stdin = setting.stdin_stays_open.then_some(input);

        let mut running = Running { child, control, stdin, stdout: Some(stdout), stderr, root };
        match running.report()? {
            Some(Report::Ready { .. }) => {}
            Some(Report::Failed(failure)) => {
                running.reap()?;
                return Ok(Err(failure.message));
            }
            other => return running.unexpected("ready", &other),
        }
        send(&running.control, &encode_record(&Command::Go)?, SendFlags::NOSIGNAL)
            .map_err(|errno| DriveError::Talk(errno.into()))?;
        match running.report()? {
            Some(Report::Started) => Ok(Ok(running)),
            other => running.unexpected("started", &other),
        }
    }
}

impl Running {
    /// Its pid, as the suite sees it.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Waits until it has written this many bytes to stdout, and gives them.
    ///
    /// # Errors
    /// When it ends before.
    pub fn read_stdout(&mut self, length: usize) -> Result<String, DriveError> {
        let mut bytes = vec![0; length];
        if let Some(stdout) = &mut self.stdout {
            stdout.read_exact(&mut bytes).map_err(DriveError::Talk)?;
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Writes to its stdin, if that stayed open.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub fn write_stdin(&mut self, bytes: &[u8]) -> Result<(), DriveError> {
        self.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(bytes)).map_err(DriveError::Talk)
    }

    /// Stops listening to its stdout.
    pub fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), DriveError> {
        let pid = Pid::from_raw(self.child.pid).ok_or(DriveError::Talk(io::ErrorKind::NotFound.into()))?;
        kill_process(pid, signal).map_err(|errno| DriveError::Talk(errno.into()))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn wait(mut self) -> Result<Ended, DriveError> {
        let mut stdout = Vec::new();
        let mut stderr = Vec::new();
        // What guests of this suite write fits a pipe, so one after the other is enough.
        if let Some(mut pipe) = self.stdout.take() {
            match pipe.read_to_end(&mut stdout) {
                // So ends a terminal.
                Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {}
                read => drop(read.map_err(DriveError::Talk)?),
            }
        }
        self.stderr.read_to_end(&mut stderr).map_err(DriveError::Talk)?;
        let cause = match self.report()? {
            Some(Report::Exit(cause)) => Some(cause),
            _ => None,
        };
        let code = self.reap()?;
        Ok(Ended {
            cause,
            code,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            root: self.root,
        })
    }

    /// Tells what came instead of a report.
    fn unexpected<T>(
        mut self,
        expected: &str,
        came: &Option<Report>,
    ) -> Result<Result<T, String>, DriveError> {
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).map_err(DriveError::Talk)?;
        let code = self.reap()?;
        Ok(Err(format!("instead of {expected}: {came:?}, exit {code}, stderr: {stderr}")))
    }

    /// The next report; `None` when the program is gone.
    fn report(&mut self) -> Result<Option<Report>, DriveError> {
        let mut buffer = vec![0; MAX_RECORD];
        match recv(&self.control, &mut buffer[..], RecvFlags::empty()) {
            Ok((_, 0)) | Err(rustix::io::Errno::CONNRESET) => Ok(None),
            Ok((_, length)) => Ok(Some(decode_record(&buffer[..length])?)),
            Err(errno) => Err(DriveError::Talk(errno.into())),
        }
    }

    fn reap(&mut self) -> Result<i32, DriveError> {
        self.child.birth()?;
        let status = waitid(WaitId::PidFd(self.child.pidfd.as_fd()), WaitIdOptions::EXITED)
            .map_err(|errno| DriveError::Talk(errno.into()))?;
        Ok(status.map_or(-1, |status| {
            status.exit_status().or(status.terminating_signal().map(|signal| -signal)).unwrap_or(-1)
        }))
    }
}

impl Ended {
    /// Reads a file of the guest's root.
    ///
    /// # Errors
    /// When there is none.
    pub fn read_file(&self, path: &str) -> io::Result<Vec<u8>> {
        root::read(&self.root, path)
    }
}

/// The ends of a guest's streams.
struct Streams {
    given: [File; 3],
    input: File,
    stdout: File,
    stderr: File,
}

impl Streams {
    fn pipes() -> Result<Self, DriveError> {
        let ((stdin, input), (stdout, out), (stderr, err)) = (pipe()?, pipe()?, pipe()?);
        Ok(Self { given: [stdin, out, err], input, stdout, stderr })
    }

    /// All three in one; what would be stderr alone is nothing.
    fn terminal() -> Result<Self, DriveError> {
        let what = "a terminal";
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).map_err(descriptor(what))?;
        unlockpt(&master).map_err(descriptor(what))?;
        let slave = || ioctl_tiocgptpeer(&master, flags).map(File::from).map_err(descriptor(what));
        let given = [slave()?, slave()?, slave()?];
        let stdout = File::from(master.try_clone().map_err(DriveError::Talk)?);
        Ok(Self { given, input: master.into(), stdout, stderr: null()? })
    }
}

fn pipe() -> Result<(File, File), DriveError> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(descriptor("a pipe"))?;
    Ok((read.into(), write.into()))
}
