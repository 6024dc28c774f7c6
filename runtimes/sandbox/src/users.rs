//! The container's user namespace: whose its files are while they are made, and its entry at last.
//!
//! All that the host's rights are needed for (mounts, limits, sysctls) is done before it is entered; afterwards
//! the process has no right at all outside, and its mounts belong to a namespace above its own, so no
//! capability in it reaches them.
#![allow(unsafe_code, reason = "setfsuid and setns have no safe wrapper that is this thread's alone")]

use crate::{SandboxError, harden};
use rustix::thread::CapabilitiesSecureBits;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A user namespace to enter.
pub(crate) struct Users {
    pub(crate) namespace: OwnedFd,
    /// The ids outside of its root.
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Users {
    /// From here on what is made belongs to the namespace's root. Rights stay: so the image's directories, whoever's
    /// they are, can take a mount point.
    pub(crate) fn make_files_as_root(&self) -> Result<(), SandboxError> {
        let failed = |source| SandboxError::FilesAs { uid: self.uid, gid: self.gid, source };
        // Else the change takes the rights to files away. The entry resets it.
        rustix::thread::set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)
            .map_err(|errno| failed(errno.into()))?;
        // SAFETY: plain numbers. They return the id before, also when they refuse, so the second asks.
        let now = unsafe {
            libc::setfsgid(self.gid);
            libc::setfsuid(self.uid);
            (libc::setfsuid(self.uid), libc::setfsgid(self.gid))
        };
        if now != (self.uid as i32, self.gid as i32) {
            return Err(failed(io::ErrorKind::PermissionDenied.into()));
        }
        // It cleared the parent-death signal.
        harden()
    }

    /// Enters it, with every capability in it and none outside.
    pub(crate) fn enter(self) -> Result<(), SandboxError> {
        // SAFETY: takes a descriptor and a flag; the process has one thread, and shares no file system state.
        match unsafe { libc::setns(self.namespace.as_raw_fd(), libc::CLONE_NEWUSER) } {
            0 => Ok(()),
            _ => Err(SandboxError::EnterUsers(io::Error::last_os_error())),
        }
    }
}
