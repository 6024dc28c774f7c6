//! A born child, as its parent holds it.

use crate::{SpawnError, Step};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

/// A process made by [`Birth::spawn`](crate::Birth::spawn). Dropping it does not reap it, and kills it only while it
/// is held.
#[derive(Debug)]
pub struct Child {
    /// The pid in the parent's pid namespace.
    pub pid: i32,
    /// Readable once the process has ended; reaps with `waitid(P_PIDFD)`.
    pub pidfd: OwnedFd,
    pub(crate) report: File,
    /// The end of the pipe that a held child reads.
    pub(crate) gate: Option<File>,
}

impl Child {
    /// Lets a held child go on; for one that is not held it does nothing. Dropping a held child ends it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn release(&mut self) -> Result<(), SpawnError> {
        match self.gate.take() {
            Some(mut gate) => gate.write_all(b"1").map_err(SpawnError::Release),
            None => Ok(()),
        }
    }

    /// Blocks until the child has executed its program or failed before. Call it when the child is known
    /// to have got that far (it spoke, or it died): then it does not block.
    ///
    /// # Errors
    /// [`SpawnError::Child`] with the step that failed.
    pub fn birth(&mut self) -> Result<(), SpawnError> {
        let mut report = [0u8; 5];
        match self.report.read_exact(&mut report) {
            Ok(()) => {
                let [step, errno @ ..] = report;
                Err(SpawnError::Child {
                    step: Step::from_byte(step).unwrap_or(Step::Exec),
                    source: io::Error::from_raw_os_error(i32::from_le_bytes(errno)),
                })
            }
            Err(_closed_by_exec) => Ok(()),
        }
    }
}
