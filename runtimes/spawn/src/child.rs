//! A born child, as its parent holds it.

use crate::{SpawnError, Step};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

/// A process made by [`Birth::spawn`](crate::Birth::spawn). Dropping it neither kills it nor reaps it.
#[derive(Debug)]
pub struct Child {
    /// The pid in the parent's pid namespace.
    pub pid: i32,
    /// Readable once the process has ended; reaps with `waitid(P_PIDFD)`.
    pub pidfd: OwnedFd,
    pub(crate) report: File,
}

impl Child {
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
