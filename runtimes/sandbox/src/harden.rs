//! What must hold from the first instruction on: no neighbour looks into the process, no orphan stays.

use crate::SandboxError;
use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};

/// Makes the process non-dumpable and tied to its parent's life.
///
/// Non-dumpable means that a process of the same user in a shared pid namespace can neither trace it nor
/// open its `/proc/<pid>/mem`. A change of user clears both, so [`enter`](fn@crate::enter) calls this again at
/// its end; the caller then looks once whether the control socket hung up, since a parent that died before
/// sent no signal.
pub fn harden() -> Result<(), SandboxError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| SandboxError::Dumpable(errno.into()))?;
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| SandboxError::DeathSignal(errno.into()))
}
