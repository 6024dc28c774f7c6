//! One compile process: born caged, heard once, dead before its output is looked at.
//!
//! ```text
//!  spawn ─▶ Running ── Outcome, then its end ──────▶ Kind, and an output nobody can write to any more
//!                  ├── its end without an Outcome ─▶ OutOfMemory | Died
//!                  ├── the deadline ─▶ SIGKILL ────▶ Timeout
//!                  └── nobody waits any more ─▶ SIGKILL ─▶ GivenUp
//! ```
//!
//! It is born in new mount, network, IPC, UTS and pid namespaces, so its death is the death of all it may have
//! started, and in a control group that can only be removed when that is so. It has what [`pinnace_plan::compile`]
//! names and nothing else: no directory, no socket but one end of the control pair, `/dev/null` for stdio.

use crate::{
    CacheError, Input,
    cage::{Bounds, Cage},
    input::printable,
    lock::Lock,
};
use pinnace_plan::{
    Kind, MAX_RECORD,
    compile::{self, Outcome, Request},
    decode_record, encode, fds,
};
use pinnace_spawn::{Birth, Child, Join, Namespaces};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::fstat,
    io::Errno,
    net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair},
    process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, pidfd_send_signal, prlimit, waitid},
};
use std::{
    ffi::CString,
    fs::OpenOptions,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

/// `CLONE_NEW*` of mount, network, IPC, UTS and pid.
const NAMESPACES: u64 = 0x0002_0000 | 0x4000_0000 | 0x0800_0000 | 0x0400_0000 | 0x2000_0000;

/// How modules are compiled on this node for one engine.
#[derive(Debug, Clone, Copy)]
pub struct Compiler<'a> {
    /// The compile program, open for reading.
    pub program: BorrowedFd<'a>,
    /// Its arguments, its own name first.
    pub args: &'a [CString],
    /// Memory of one compilation (`compile.memory_bytes`).
    pub memory_bytes: u64,
    /// Processors of one compilation (`compile.cpus`).
    pub cpus: u32,
    /// Time of one compilation (`compile.timeout_seconds`).
    pub timeout: Duration,
    /// How many run at once on the node (`compile.concurrent`).
    pub concurrent: u32,
    /// The reading end of a pipe whose writing end is held as long as somebody waits for the artifact.
    pub waited_for: Option<BorrowedFd<'a>>,
    /// Where they are caged, below the root of every cgroup hierarchy (`compile.cgroup`). Without it there is
    /// neither cage nor namespace, so no root is needed: only for who compiles nothing but their own modules.
    pub cgroup: Option<&'a Path>,
}

impl Compiler<'_> {
    /// Compiles `input` into `output` and waits for the end of it.
    pub(crate) fn run(
        &self,
        input: &Input,
        output: &OwnedFd,
        lock: &Lock<'_>,
        slot: u32,
        max_output: u64,
    ) -> Result<Kind, CacheError> {
        let bounds = Bounds { memory: self.memory_bytes, cpus: self.cpus };
        let cage = self.cgroup.map(|cgroup| Cage::make(cgroup, slot, bounds)).transpose()?;
        let ended = self.spawn(input, output, lock, cage.as_ref()).and_then(|running| {
            running.bound_output(max_output);
            running.wait(self.timeout, self.waited_for)
        });
        let out_of_memory = cage.as_ref().is_some_and(Cage::ran_out_of_memory);
        // Whatever the end was; an output is only looked at when nothing can be left that writes to it.
        if let Some(cage) = cage {
            cage.remove()?;
        }
        match ended {
            Err(CacheError::Died { .. }) if out_of_memory => {
                Err(CacheError::OutOfMemory { name: input.name().into(), bytes: self.memory_bytes })
            }
            // At the bound the kernel ends it, or its write fails and it says so.
            Ok(_) | Err(CacheError::Died { .. } | CacheError::Refused { .. })
                if at_least(output, max_output) =>
            {
                Err(CacheError::ArtifactTooLarge { name: input.name().into(), max: max_output })
            }
            ended => ended,
        }
    }

    fn spawn<'n>(
        &self,
        input: &'n Input,
        output: &OwnedFd,
        lock: &Lock<'_>,
        cage: Option<&Cage>,
    ) -> Result<Running<'n>, CacheError> {
        let name = input.name();
        let failed = |source: io::Error| CacheError::Seal { name: name.into(), source };
        // A cage counts what is used, and tells why it killed; address space is the poor man's measure.
        let memory = if cage.is_some() { 0 } else { self.memory_bytes };
        let request = encode(&Request { name: name.into(), threads: self.threads(), memory })
            .map_err(|source| CacheError::Wire { name: name.into(), source })?;
        let request = pinnace_spawn::sealed("pinnace-request", &request).map_err(failed)?;
        let null = OpenOptions::new().read(true).write(true).open("/dev/null").map_err(failed)?;
        let (control, its_end) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|error| CacheError::Control { name: name.into(), source: error.into() })?;
        let entrance = cage.map(Cage::entrance).transpose()?;
        let descriptors = entrance.as_ref().map(|entrance| entrance.descriptors()).unwrap_or_default();
        let join = entrance.as_ref().map_or(Join::Inherit, |entrance| entrance.join(&descriptors));
        let birth = Birth {
            program: self.program,
            args: self.args,
            env: &[],
            fds: &[
                (null.as_fd(), 0),
                (null.as_fd(), 1),
                (null.as_fd(), 2),
                (request.as_fd(), fds::PLAN),
                (its_end.as_fd(), fds::CONTROL),
                (input.as_fd(), compile::INPUT),
                (output.as_fd(), compile::OUTPUT),
                (lock.as_fd(), compile::LOCK),
            ],
            namespaces: Namespaces { new: if cage.is_some() { NAMESPACES } else { 0 }, join_pid: None },
            join,
        };
        let child = birth.spawn().map_err(|source| CacheError::Spawn { name: name.into(), source })?;
        Ok(Running { child, control, name })
    }

    /// No more than there are processors: more only take memory.
    fn threads(&self) -> u32 {
        let there = std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
        self.cpus.min(there).max(1)
    }
}

/// A compile process that may live. Dropping it kills it; the dead do not mind.
struct Running<'a> {
    child: Child,
    control: OwnedFd,
    name: &'a str,
}

impl Running<'_> {
    /// A subverted compiler must not fill the disk. Where root may not even lower a limit, time bounds it.
    fn bound_output(&self, max: u64) {
        let limit = Rlimit { current: Some(max), maximum: Some(max) };
        if let Err(error) = prlimit(Pid::from_raw(self.child.pid), Resource::Fsize, limit) {
            log::debug!("cannot bound the output of a compilation: {error}");
        }
    }

    fn wait(self, timeout: Duration, waited_for: Option<BorrowedFd<'_>>) -> Result<Kind, CacheError> {
        let deadline = Instant::now() + timeout;
        let mut outcome = None;
        let mut listening = true;
        loop {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Err(CacheError::Timeout { name: self.name.into(), seconds: timeout.as_secs() });
            };
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            // A peer that hung up stays readable, so once it has, it is not watched any more.
            let control = listening.then(|| self.control.as_fd());
            let fds = [Some(self.child.pidfd.as_fd()), control, waited_for];
            let mut watched: Vec<_> =
                fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
            match poll(&mut watched, Some(&left)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(self.control_error(error)),
            }
            let mut ready = watched.iter().map(|fd| !fd.revents().is_empty());
            let [ended, spoke, given_up] = fds.map(|fd| fd.is_some() && ready.next() == Some(true));
            // What it said last is read before its end is believed.
            if listening && (ended || spoke) {
                outcome = self.hear()?;
                listening = false;
            }
            if ended {
                return self.judge(outcome);
            }
            if given_up {
                return Err(CacheError::GivenUp { name: self.name.into() });
            }
        }
    }

    /// Its one record; none if it hung up without one.
    fn hear(&self) -> Result<Option<Outcome>, CacheError> {
        let mut buffer = vec![0; MAX_RECORD];
        let length = match recv(&self.control, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((0, _)) | Err(Errno::AGAIN | Errno::CONNRESET) => return Ok(None),
            Ok((length, _)) => length,
            Err(error) => return Err(self.control_error(error)),
        };
        decode_record(buffer.get(..length).unwrap_or_default())
            .map(Some)
            .map_err(|source| CacheError::Wire { name: self.name.into(), source })
    }

    /// What its end means, given what it said.
    fn judge(mut self, outcome: Option<Outcome>) -> Result<Kind, CacheError> {
        let how = reap(&self.child);
        self.child.birth().map_err(|source| CacheError::Spawn { name: self.name.into(), source })?;
        match outcome {
            Some(Outcome::Failed(failure)) => {
                Err(CacheError::Refused { message: printable(&failure.message) })
            }
            Some(Outcome::Compiled { kind }) if how.is_none() => Ok(kind),
            _ => Err(CacheError::Died {
                name: self.name.into(),
                how: how.unwrap_or_else(|| "it exited".to_owned()),
            }),
        }
    }

    fn control_error(&self, error: Errno) -> CacheError {
        CacheError::Control { name: self.name.into(), source: error.into() }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.child.pidfd, Signal::KILL);
        reap(&self.child);
    }
}

/// Whether a file has reached this size.
fn at_least(file: &OwnedFd, size: u64) -> bool {
    fstat(file).is_ok_and(|seen| seen.st_size as u64 >= size)
}

/// Waits for its end; tells how, unless it was a good one (or another of our threads has reaped it).
fn reap(child: &Child) -> Option<String> {
    loop {
        match waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            Err(_) | Ok(None) => return None,
            Ok(Some(status)) => {
                return match (status.exit_status(), status.terminating_signal()) {
                    (Some(0), _) => None,
                    (Some(code), _) => Some(format!("exit code {code}")),
                    (None, Some(signal)) => Some(format!("signal {signal}")),
                    (None, None) => Some("unknown end".into()),
                };
            }
        }
    }
}
