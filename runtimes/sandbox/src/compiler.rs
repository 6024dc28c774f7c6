//! The walls of a compile process: it gets bytes of a hostile image and returns bytes, and needs nothing else.

use crate::{SandboxError, descriptors, harden, identity, mounts, seccomp};
use mounts::attr;
use std::os::fd::AsFd;

/// Shuts the process in: an empty read-only root, no user, no capability, no descriptor but those in
/// `keep`, no file, no socket, no program, no executable memory; threads, memory and the kept descriptors stay.
///
/// The process has one thread and was born as root in new mount, network, IPC, UTS and pid namespaces.
/// Whatever else holds a descriptor must be gone before. After an error it must exit.
pub fn confine_compiler(keep: &[i32]) -> Result<(), SandboxError> {
    harden()?;
    descriptors::close_all_but(keep)?;

    // A root in which there is nothing, and nothing can be.
    mounts::root::make_private()?;
    let root = mounts::root::attach(mounts::tmpfs::make("/", &[], attr::READ_ONLY)?)?;
    mounts::root::enter(root.as_fd())?;
    drop(root);

    rustix::thread::set_no_new_privs(true).map_err(|errno| SandboxError::NoNewPrivs(errno.into()))?;
    identity::become_nobody()?;
    // The change of user cleared it.
    harden()?;
    seccomp::install_for_compiler()
}
