//! The walls of a pod's holder: it keeps namespaces alive, and needs nothing else.

use crate::users::Users;
use crate::{SandboxError, Warning, harden, identity, limits, mounts, namespaces, seccomp};
use mounts::attr;
use pinnace_plan::{Capabilities, Holding};
use std::os::fd::AsFd;

/// Makes the pod's namespaces what the plan says, and shuts the process in: an empty read-only root, the plan's user,
/// no capability, no system call but those that wait and end.
///
/// The process has one thread, is root as far as the server is, and was born in a mount namespace of its own;
/// [`harden`](fn@crate::harden) was called. The descriptors the plan names are closed. After an error it must exit.
pub fn confine_holder(holding: &Holding) -> Result<Vec<Warning>, SandboxError> {
    let mut warnings = Vec::new();
    // The namespaces first: sysctls and the host name are theirs.
    let users = namespaces::join(&holding.join)?;
    namespaces::name(holding.hostname.as_deref(), holding.domainname.as_deref())?;
    // While the host's /proc is there.
    namespaces::sysctls(&holding.sysctls)?;

    // A root in which there is nothing, and nothing can be.
    mounts::root::make_private()?;
    let root = mounts::root::attach(mounts::tmpfs::make("/", &[], attr::READ_ONLY)?)?;
    mounts::root::enter(root.as_fd())?;
    drop(root);

    // While we may still raise some.
    limits::set(&holding.rlimits, &mut warnings)?;
    // The last that the host's rights were needed for is done.
    users.map_or(Ok(()), Users::enter)?;
    rustix::thread::set_no_new_privs(true).map_err(|errno| SandboxError::NoNewPrivs(errno.into()))?;
    identity::become_user(&holding.user, &Capabilities::default(), &mut warnings)?;
    // The change of user made us dumpable, and cleared the parent-death signal.
    harden()?;
    seccomp::install_for_holder()?;
    Ok(warnings)
}
