//! A compile, as the cache asks for one.

use crate::programs::{DriveError, Programs, control, memory_file, null, spawn};
use pinnace_plan::compile::{INPUT, LOCK, OUTPUT, Outcome, Request};
use pinnace_plan::{Kind, MAX_RECORD, decode_record, encode, fds};
use rustix::net::{RecvFlags, recv};
use rustix::process::{WaitIdOptions, waitid};
use std::fs::File;
use std::os::fd::AsFd;

/// What a compile program made.
#[derive(Debug)]
pub struct Artifact {
    /// Native code for the runner.
    pub file: File,
    /// The world it is for.
    pub kind: Kind,
}

impl Programs {
    /// Compiles; the inner error is the program's own message.
    ///
    /// # Errors
    /// When the program could not be driven.
    ///
    /// # Panics
    /// If the program dies without an outcome: no input may do that.
    pub fn compile(&self, name: &str, wasm: &[u8]) -> Result<Result<Artifact, String>, DriveError> {
        let request = Request { name: name.to_owned(), threads: 2, memory: 0 };
        let request = memory_file("a request", &encode(&request)?)?;
        let input = memory_file("the input", wasm)?;
        // A file on a disk, as in the cache: its pages are what containers share.
        let output = tempfile::tempfile()
            .map_err(|source| DriveError::Descriptor { what: "an output file", source })?;
        let (ours, theirs) = control()?;
        let null = null()?;
        let child = spawn(
            &self.compiler,
            &[c"pinnace-compile".to_owned()],
            &[
                (null.as_fd(), 0),
                (null.as_fd(), 1),
                (null.as_fd(), 2),
                (request.as_fd(), fds::PLAN),
                (theirs.as_fd(), fds::CONTROL),
                (input.as_fd(), INPUT),
                (output.as_fd(), OUTPUT),
                (null.as_fd(), LOCK),
            ],
        )?;
        drop(theirs);
        let mut buffer = vec![0; MAX_RECORD];
        let (_, length) = recv(&ours, &mut buffer[..], RecvFlags::empty())
            .map_err(|errno| DriveError::Talk(errno.into()))?;
        let _ = waitid(rustix::process::WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED);
        assert!(length > 0, "the compile program died without an outcome on {name}");
        match decode_record(&buffer[..length])? {
            Outcome::Compiled { kind } => Ok(Ok(Artifact { file: output, kind })),
            Outcome::Failed(failure) => Ok(Err(failure.message)),
        }
    }
}
