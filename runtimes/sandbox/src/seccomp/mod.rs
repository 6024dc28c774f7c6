//! System call filters. All are allow-lists of our own, to which a spec can only add refusals.
//!
//! ```text
//!  engine:    enter ─▶ filter (list and profile) ─▶ map and link the module ─▶ seal ─▶ guest
//!  compiler:  confine_compiler (list)            ─▶ compile
//!  holder:    confine_holder (list)              ─▶ wait for the end
//! ```
//!
//! Between filter and seal the engine may still map its artifact executable; after the seal nothing becomes
//! executable any more, and no filter, not even a stricter one, is added.

mod calls;
mod decision;
mod fold;
mod names;
mod program;

use crate::SandboxError;
use calls::{COMPILER, ENGINE, HOLDER, THREAD, When};
use decision::{Condition, Decision, Number, Table, Test, Width};
use names::{Names, number};
use pinnace_plan::{Seccomp, SeccompAction};
use seccompiler::SeccompCmpOp;
use std::collections::BTreeMap;
use syscalls::Sysno;

/// Installs the engine's list with `engine_calls` added, and the spec's `profile` folded into it.
///
/// After [`enter`](fn@crate::enter), which set `no_new_privs`.
pub fn filter(profile: &Option<Seccomp>, engine_calls: &[&str]) -> Result<(), SandboxError> {
    let mut base = list(ENGINE);
    if !engine_calls.is_empty() {
        let names = Names::new();
        for &name in engine_calls {
            let call = names.number(name);
            let call = call.ok_or_else(|| SandboxError::EngineCall { name: name.to_owned() })?;
            // Whoever asks for `clone` means threads; a process is what no engine needs.
            base.insert(call, if call == number(Sysno::clone) { THREAD } else { When::Always });
        }
    }
    install(&fold::fold(&base, profile.as_ref())?)
}

/// Takes away what only the making of the guest needed: from here on no memory becomes executable, no memory
/// file is made, and the filters stay as they are. The last call before the guest.
pub fn seal() -> Result<(), SandboxError> {
    install(&sealed())
}

/// Installs the compiler's list.
pub(crate) fn install_for_compiler() -> Result<(), SandboxError> {
    install(&fold::fold(&list(COMPILER), None)?)
}

/// Installs the holder's list.
pub(crate) fn install_for_holder() -> Result<(), SandboxError> {
    install(&fold::fold(&list(HOLDER), None)?)
}

fn list(calls: &[(Sysno, When)]) -> BTreeMap<Number, When> {
    calls.iter().map(|&(call, when)| (number(call), when)).collect()
}

fn install(table: &Table) -> Result<(), SandboxError> {
    seccompiler::apply_filter(&program::compile(table)?).map_err(SandboxError::SeccompInstall)
}

/// What the seal refuses; the kernel asks the filter too, and takes the stricter answer.
fn sealed() -> Table {
    const NO: SeccompAction = SeccompAction::Errno(libc::EPERM as u32);
    let executable = Condition {
        index: 2,
        width: Width::Int,
        op: SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64),
        value: libc::PROT_EXEC as u64,
    };
    let executable = Test { expect: true, alternatives: vec![vec![executable]], action: NO };
    let always = [Sysno::memfd_create, Sysno::prctl, Sysno::seccomp].map(|call| (call, Decision::Always(NO)));
    let if_executable = [Sysno::mmap, Sysno::mprotect, Sysno::pkey_mprotect]
        .map(|call| (call, Decision::ByArguments(vec![executable.clone()], SeccompAction::Allow)));
    let calls = always.into_iter().chain(if_executable);
    let calls = calls.map(|(call, decision)| (number(call), decision)).collect();
    Table { calls, otherwise: Decision::Always(SeccompAction::Allow) }
}
