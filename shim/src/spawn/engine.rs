//! One engine process: its plan sealed, its descriptors numbered, born, and heard until it is ready.

use super::control::{Control, ControlError};
use crate::fault::{self, Phase};
use crate::hooks::{HookError, Hooked, Moment};
use crate::process::Process;
use pinnace_plan::{Command, Failure, Fd, Report, WireError, fds};
use pinnace_spawn::{Birth, Child, Join, Namespaces, SpawnError};
use rustix::process::Signal;
use serde::Serialize;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// An engine that did not become ready.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The plan could not be written.
    #[error("cannot write the plan of the container")]
    Plan(#[source] io::Error),
    /// The plan could not be encoded.
    #[error("cannot encode the plan of the container")]
    Encode(#[from] WireError),
    /// The control socket failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// No process was born.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The process cannot be watched.
    #[error("cannot watch the engine process")]
    Watch(#[source] io::Error),
    /// A hook of the server's failed.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The engine says why it cannot run this.
    #[error("{0}")]
    Refused(String),
    /// It died without a word.
    #[error(
        "the engine ended with status {status} before it was ready, without a reason: see the log of containerd and dmesg"
    )]
    Died {
        /// 0 to 255; 128 + n for a death by signal n.
        status: u32,
    },
    /// The kernel took it for its memory; its caller knows, who has the cgroup.
    #[error(
        "the kernel ended the engine for want of memory before it was ready: raise the memory limit{}; an engine needs \
         4 MiB beside what its module begins with", limit.map_or_else(String::new, |limit| format!(" of {limit} bytes"))
    )]
    OutOfMemory {
        /// What it had.
        limit: Option<u64>,
    },
    /// It said something that does not belong here.
    #[error("the engine sent {report} before it was ready")]
    OutOfTurn {
        /// What it said.
        report: String,
    },
}

/// The descriptors of an engine process: gathered with the numbers they will have.
#[derive(Debug)]
pub(super) struct Descriptors<'a> {
    list: Vec<(BorrowedFd<'a>, Fd)>,
    next: Fd,
}

impl<'a> Descriptors<'a> {
    /// Starts with the three streams.
    #[must_use]
    pub(super) fn new(stdio: [BorrowedFd<'a>; 3]) -> Self {
        Self { list: stdio.into_iter().zip(0..).collect(), next: fds::FIRST_FREE }
    }

    /// Adds one and says its number.
    pub(super) fn add(&mut self, fd: BorrowedFd<'a>) -> Fd {
        let number = self.next;
        self.next += 1;
        self.list.push((fd, number));
        number
    }
}

/// What a container's process is born with, beside its plan.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    /// The engine program.
    pub program: BorrowedFd<'a>,
    /// Its name, as process lists show it.
    pub name: &'a str,
    /// What they show after it.
    pub args: &'a [String],
    /// Streams and everything the plan names.
    pub descriptors: Descriptors<'a>,
    /// Namespaces.
    pub namespaces: Namespaces<'a>,
    /// Cgroup.
    pub join: Join<'a>,
    /// The container's hooks, of which those of Create are run on the way.
    pub hooks: Option<&'a Hooked>,
}

/// A born engine process.
#[derive(Debug)]
pub(super) struct Engine {
    /// The process.
    pub process: Arc<Process>,
    /// The server's end of its control socket.
    pub control: Control,
}

impl Engine {
    /// Makes the process and waits until it is ready for Go.
    ///
    /// # Errors
    /// When it cannot be born, refuses its plan, or dies; it is gone then.
    pub(super) async fn launch<P: Serialize>(launch: Launch<'_>, plan: &P) -> Result<Self, EngineError> {
        let sealed =
            pinnace_spawn::sealed("pinnace-plan", &pinnace_plan::encode(plan)?).map_err(EngineError::Plan)?;
        let (control, theirs) = Control::pair()?;
        let args = arguments(launch.name, launch.args);
        let mut list = launch.descriptors.list;
        list.extend([(sealed.as_fd(), fds::PLAN), (theirs.as_fd(), fds::CONTROL)]);
        list.sort_unstable_by_key(|(_, number)| *number);
        let birth = Birth {
            program: launch.program,
            args: &args,
            env: &[],
            fds: &list,
            namespaces: launch.namespaces,
            join: launch.join,
        };
        let mut child = birth.spawn()?;
        drop(theirs);
        let pidfd = child.pidfd.try_clone().map_err(EngineError::Watch)?;
        let process = Process::watch(child.pid, pidfd).map_err(EngineError::Watch)?;
        let engine = Self { process: Arc::new(process), control };
        fault::birth(Phase::EngineBorn, &engine.process);
        match engine.ready(&mut child, launch.hooks).await {
            Ok(()) => Ok(engine),
            Err(error) => {
                let status = engine.discard().await;
                Err(match error {
                    Some(error) => error,
                    None => EngineError::Died { status },
                })
            }
        }
    }

    /// Hears it until it is ready; `Err(None)` is a death without a word. Hooks are run when its files are mounted, or
    /// at last where there are none.
    async fn ready(&self, child: &mut Child, hooks: Option<&Hooked>) -> Result<(), Option<EngineError>> {
        let mut due = hooks;
        loop {
            match self.control.receive::<Report>().await {
                Ok(Some(Report::Mounted)) => {
                    self.hook(due.take()).await?;
                    self.control.send(&Command::Proceed).map_err(EngineError::from)?;
                }
                Ok(Some(Report::Ready { warnings })) => {
                    warnings.iter().for_each(|warning| log::warn!("engine {}: {warning}", self.process.pid));
                    return Ok(self.hook(due.take()).await?);
                }
                Ok(Some(Report::Failed(Failure { message }))) => {
                    return Err(Some(EngineError::Refused(message)));
                }
                Ok(Some(other)) => return Err(Some(EngineError::OutOfTurn { report: format!("{other:?}") })),
                Ok(None) => return Err(child.birth().err().map(EngineError::Spawn)),
                Err(error) => return Err(Some(error.into())),
            }
        }
    }

    async fn hook(&self, hooks: Option<&Hooked>) -> Result<(), EngineError> {
        match hooks {
            Some(hooks) => Ok(hooks.run(Moment::Create, Some(self.process.pid)).await?),
            None => Ok(()),
        }
    }

    /// Ends a process that must not outlive the failure that is about to be told, and gives its status.
    pub(super) async fn discard(&self) -> u32 {
        if let Err(error) = self.process.signal(Signal::KILL.as_raw()) {
            log::debug!("engine {} is gone already: {error}", self.process.pid);
        }
        self.process.ended().await
    }
}

/// The process' own arguments. A NUL inside one would end it early for the kernel, so it is cut there.
fn arguments(name: &str, args: &[String]) -> Vec<CString> {
    let whole = std::iter::once(name).chain(args.iter().map(String::as_str));
    whole.map(|text| CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()).collect()
}
