//! Descriptors that a plan names by number become owned, and others go away.
#![allow(
    unsafe_code,
    reason = "a number from the plan becomes an owned descriptor; close_range has no safe wrapper"
)]

use crate::SandboxError;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Takes the descriptor `fd`, which the server put in place for `purpose` and nobody else here uses.
pub(crate) fn take(fd: i32, purpose: &'static str) -> Result<OwnedFd, SandboxError> {
    // SAFETY: F_GETFD takes no pointer; a number that is not open is answered by EBADF.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(SandboxError::Descriptor { fd, purpose, source: io::Error::last_os_error() });
    }
    // SAFETY: it is open (above), and the plan is its only owner: it is taken once, here.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes every descriptor but those in `keep`.
pub(crate) fn close_all_but(keep: &[i32]) -> Result<(), SandboxError> {
    gaps(keep).into_iter().try_for_each(|(first, last)| {
        // SAFETY: takes no pointer. Whatever owned one of these descriptors is told by this function's contract.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } < 0 {
            return Err(SandboxError::CloseDescriptors(io::Error::last_os_error()));
        }
        Ok(())
    })
}

/// The ranges of numbers between those in `keep`.
fn gaps(keep: &[i32]) -> Vec<(u32, u32)> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|&fd| u32::try_from(fd).ok()).collect();
    keep.sort_unstable();
    keep.dedup();
    let mut gaps = Vec::with_capacity(keep.len() + 1);
    let mut next = 0;
    for fd in keep {
        if fd > next {
            gaps.push((next, fd - 1));
        }
        next = fd + 1;
    }
    gaps.push((next, u32::MAX));
    gaps
}

#[cfg(test)]
mod tests {
    use super::gaps;

    #[test]
    fn gaps_leave_out_exactly_what_is_kept() {
        assert_eq!(gaps(&[]), [(0, u32::MAX)]);
        assert_eq!(gaps(&[0, 1, 2]), [(3, u32::MAX)]);
        assert_eq!(gaps(&[6, 2, 2, 4, -1]), [(0, 1), (3, 3), (5, 5), (7, u32::MAX)]);
    }
}
