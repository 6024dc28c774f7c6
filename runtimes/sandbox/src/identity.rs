//! Who the process becomes, and what it may still do: bounding set, groups, ids, capability sets.
//!
//! The order is forced: dropping from the bounding set needs CAP_SETPCAP, groups and ids need theirs, and
//! the change of the user would clear the permitted set if it were not told to keep it for the last step.

use crate::{SandboxError, Warning};
use capctl::caps::{Cap, CapSet, CapState, ambient, bounding};
use pinnace_plan::{Capabilities, User};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::io;

/// Becomes `user` with what is left of `wanted` when a program is executed as that user, as far as the runtime
/// has it: an ordinary container's sets are cut down by its exec, and there is none here.
pub(crate) fn become_user(
    user: &User,
    wanted: &Capabilities,
    warnings: &mut Vec<Warning>,
) -> Result<(), SandboxError> {
    let sets = Sets::parse(wanted)?;
    let held = CapState::get_current().map_err(capability_error)?;

    // What root may regain by exec, first: it needs a capability that is about to go.
    if held.effective.has(Cap::SETPCAP) {
        drop_bounding(sets.bounding)?;
    } else {
        warnings.push(Warning::BoundingNotDropped);
    }

    let groups: Vec<Gid> = user.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    set_thread_groups(&groups)
        .map_err(|errno| SandboxError::Groups { groups: user.groups.clone(), source: errno.into() })?;
    let gid = Gid::from_raw(user.gid);
    set_thread_res_gid(gid, gid, gid)
        .map_err(|errno| SandboxError::Gid { gid: user.gid, source: errno.into() })?;

    // Without this, the permitted set is empty once no id is root's.
    let keep = user.uid != 0;
    if keep {
        set_keep_capabilities(true).map_err(|errno| SandboxError::Capabilities(errno.into()))?;
    }
    let uid = Uid::from_raw(user.uid);
    set_thread_res_uid(uid, uid, uid)
        .map_err(|errno| SandboxError::Uid { uid: user.uid, source: errno.into() })?;
    if keep {
        set_keep_capabilities(false).map_err(|errno| SandboxError::Capabilities(errno.into()))?;
    }

    // capabilities(7), "Transformation during execve": who is not root keeps the ambient set alone.
    let ambient = sets.ambient & sets.permitted & sets.inheritable;
    let (due, in_force) = match user.uid {
        0 => (sets.permitted, sets.effective),
        _ => (ambient, ambient),
    };
    let permitted = due & held.permitted;
    let missing = due - held.permitted;
    if !missing.is_empty() {
        warnings.push(Warning::CapabilitiesMissing {
            names: missing.iter().map(|cap| cap.to_string()).collect(),
        });
    }
    // Ambient capabilities outlive exec only, and there is none; they are kept for who looks at them.
    let inheritable = sets.inheritable & (held.inheritable | permitted);
    CapState { permitted, effective: in_force & permitted, inheritable }
        .set_current()
        .map_err(capability_error)?;
    ambient::clear().map_err(capability_error)?;
    for cap in (sets.ambient & permitted & inheritable).iter() {
        ambient::raise(cap).map_err(capability_error)?;
    }
    Ok(())
}

/// Becomes nobody with nothing.
pub(crate) fn become_nobody() -> Result<(), SandboxError> {
    const NOBODY: u32 = 65534;
    let user = User { uid: NOBODY, gid: NOBODY, groups: Vec::new(), umask: None };
    // A bounding set that cannot be dropped is harmless here: there is no exec either.
    become_user(&user, &Capabilities::default(), &mut Vec::new())
}

fn drop_bounding(keep: CapSet) -> Result<(), SandboxError> {
    for cap in (!keep).iter() {
        match bounding::drop(cap) {
            Ok(()) => {}
            // A capability that this kernel does not know yet.
            Err(error) if error.code() == Errno::INVAL.raw_os_error() => {}
            Err(error) => return Err(capability_error(error)),
        }
    }
    bounding::clear_unknown().map_err(capability_error)
}

fn capability_error(error: capctl::Error) -> SandboxError {
    SandboxError::Capabilities(io::Error::from_raw_os_error(error.code()))
}

struct Sets {
    bounding: CapSet,
    effective: CapSet,
    permitted: CapSet,
    inheritable: CapSet,
    ambient: CapSet,
}

impl Sets {
    fn parse(names: &Capabilities) -> Result<Self, SandboxError> {
        Ok(Self {
            bounding: set(&names.bounding)?,
            effective: set(&names.effective)?,
            permitted: set(&names.permitted)?,
            inheritable: set(&names.inheritable)?,
            ambient: set(&names.ambient)?,
        })
    }
}

fn set(names: &[String]) -> Result<CapSet, SandboxError> {
    names
        .iter()
        .map(|name| {
            format!("CAP_{name}").parse().map_err(|_| SandboxError::CapabilityName { name: name.clone() })
        })
        .collect()
}
