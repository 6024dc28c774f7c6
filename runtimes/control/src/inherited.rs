//! Descriptors the program was born with, and the values in them.

#![allow(unsafe_code, reason = "a number from the server becomes an owned descriptor")]

use pinnace_plan::{Fd, WireError};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// The most a plan or request may hold; a sanity bound, the server made it.
const LONGEST: u64 = 16 << 20;

/// Why something inherited cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritedError {
    /// No such descriptor.
    #[error("descriptor {fd} that the plan names is not open")]
    NotOpen {
        /// Its number.
        fd: Fd,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its bytes could not be read.
    #[error("cannot read descriptor {fd}")]
    Read {
        /// Its number.
        fd: Fd,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is longer than anything the server writes.
    #[error("descriptor {fd} holds {length} bytes, more than any plan")]
    Long {
        /// Its number.
        fd: Fd,
        /// How long it is.
        length: u64,
    },
    /// The bytes are no such value.
    #[error("descriptor {fd} holds no such record")]
    Value {
        /// Its number.
        fd: Fd,
        /// Why.
        #[source]
        source: WireError,
    },
}

/// Takes a descriptor over by its number. Each number is taken at most once.
///
/// # Errors
/// When it is not open.
pub fn take(fd: Fd) -> Result<OwnedFd, InheritedError> {
    if fd < 0 {
        return Err(InheritedError::NotOpen { fd, source: io::Error::from_raw_os_error(libc::EBADF) });
    }
    // SAFETY: the borrow ends with this function; a number that is not open is an error of the call, not
    // undefined behaviour.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_getfd(borrowed)
        .map_err(|errno| InheritedError::NotOpen { fd, source: errno.into() })?;
    // SAFETY: it is open (just asked), was given to this program at birth, and by the contract of this
    // function nobody else takes this number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reads a value from a memfd and closes it.
///
/// # Errors
/// When there is no such value in it.
pub fn read<T: DeserializeOwned>(fd: Fd) -> Result<T, InheritedError> {
    let file = File::from(take(fd)?);
    let length = file.metadata().map_err(|source| InheritedError::Read { fd, source })?.len();
    if length > LONGEST {
        return Err(InheritedError::Long { fd, length });
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut bytes, 0).map_err(|source| InheritedError::Read { fd, source })?;
    pinnace_plan::decode(&bytes).map_err(|source| InheritedError::Value { fd, source })
}
