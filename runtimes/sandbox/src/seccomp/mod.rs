//! System call filters. All are allow-lists of our own, to which a spec can only add refusals.
//!
//! ```text
//!  engine:    enter ─▶ filter (list and profile) ─▶ map and link the module ─▶ seal ─▶ guest
//!  compiler:  confine_compiler (list)            ─▶ compile
//! ```
//!
//! Between filter and seal the engine may still map its artifact executable; after the seal nothing becomes
//! executable any more, and no filter, not even a stricter one, is added.

mod calls;
mod fold;
mod layer;

use crate::SandboxError;
use calls::{COMPILER, ENGINE, When};
use layer::{Condition, Layer, Matches, Width};
use pinnace_plan::Seccomp;
use seccompiler::{SeccompAction, SeccompCmpOp};

/// Installs the engine's list with `engine_calls` added, and the spec's `profile` folded into it.
///
/// After [`enter`](crate::enter), which set `no_new_privs`.
pub fn filter(profile: &Option<Seccomp>, engine_calls: &[&str]) -> Result<(), SandboxError> {
    let mut base = ENGINE.to_vec();
    for &name in engine_calls {
        if Layer::number(name).is_none() {
            return Err(SandboxError::EngineCall { name: name.to_owned() });
        }
        base.push((name, When::Always));
    }
    install(fold::fold(&base, profile.as_ref())?)
}

/// Takes away what only the making of the guest needed: from here on no memory becomes executable, no memory
/// file is made, and the filters stay as they are. The last call before the guest.
pub fn seal() -> Result<(), SandboxError> {
    seal_layer().install()
}

/// Installs the compiler's list.
pub(crate) fn install_for_compiler() -> Result<(), SandboxError> {
    install(fold::fold(COMPILER, None)?)
}

fn install(layers: Vec<Layer>) -> Result<(), SandboxError> {
    // All are compiled before the first is in force: only `seccomp` itself is called in between.
    let programs: Result<Vec<_>, _> = layers.into_iter().map(Layer::compile).collect();
    programs?
        .iter()
        .try_for_each(|program| seccompiler::apply_filter(program).map_err(SandboxError::SeccompInstall))
}

fn seal_layer() -> Layer {
    let executable = Condition {
        index: 2,
        width: Width::Int,
        op: SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64),
        value: libc::PROT_EXEC as u64,
    };
    let always = ["memfd_create", "prctl", "seccomp"].into_iter().map(|name| (name, Vec::new()));
    let if_executable =
        ["mmap", "mprotect", "pkey_mprotect"].into_iter().map(|name| (name, vec![vec![executable.clone()]]));
    let matches: Matches = always
        .chain(if_executable)
        .filter_map(|(name, alternatives)| Some((Layer::number(name)?, alternatives)))
        .collect();
    Layer { matches, matched: SeccompAction::Errno(libc::EPERM as u32), unmatched: SeccompAction::Allow }
}
