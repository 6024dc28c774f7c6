//! The engine's list and the spec's profile become one table: per call and arguments, the stricter wins.
//!
//! | call                    | our answer                        | with the profile             |
//! |-------------------------|-----------------------------------|------------------------------|
//! | on the list             | allow, where its conditions hold  | the stricter of the two      |
//! | on the list, else       | ENOSYS                            | the stricter of the two      |
//! | hostile                 | killed                            | killed                       |
//! | any other               | ENOSYS                            | the stricter of the two      |
//!
//! Where several rules of a profile match, the strictest of them counts; where none does, its default.

use super::calls::{HOSTILE, When};
use super::decision::{Alternatives, Condition, Decision, Number, Table, Test, Width, add};
use super::names::{Names, number};
use crate::SandboxError;
use pinnace_plan::{Arg, ArgOp, Seccomp, SeccompAction};
use seccompiler::SeccompCmpOp;
use std::collections::BTreeMap;
use syscalls::Sysno;

/// What a call on no list gets.
const UNLISTED: SeccompAction = SeccompAction::Errno(libc::ENOSYS as u32);

/// The seal needs them after the filter and takes them away itself, so no profile can.
const FOR_THE_SEAL: [Number; 2] = [number(Sysno::seccomp), number(Sysno::prctl)];

/// Folds `profile` into the list `base`.
pub(super) fn fold(base: &BTreeMap<Number, When>, profile: Option<&Seccomp>) -> Result<Table, SandboxError> {
    let named = profile.map(named).transpose()?.unwrap_or_default();
    let default = profile.map_or(SeccompAction::Allow, |profile| profile.default);

    let listed = base.iter().map(|(&call, &when)| (call, Some(when)));
    let others = named.keys().filter(|call| !base.contains_key(call)).map(|&call| (call, None));
    let mut calls: BTreeMap<Number, Decision> = listed
        .chain(others)
        .map(|(call, when)| {
            let mut tests = vec![ours(when)];
            if !FOR_THE_SEAL.contains(&call) {
                tests.extend(theirs(named.get(&call), default));
            }
            (call, Decision::strictest(tests))
        })
        .collect();
    let killed = |&call| (number(call), Decision::Always(SeccompAction::KillProcess));
    calls.extend(HOSTILE.iter().map(killed));
    Ok(Table { calls, otherwise: Decision::Always(UNLISTED.max(default)) })
}

fn ours(listed: Option<When>) -> Test {
    match listed {
        Some(when) => Test { expect: false, alternatives: when.alternatives(), action: UNLISTED },
        None => Test { expect: true, alternatives: Vec::new(), action: UNLISTED },
    }
}

/// What a profile says to one call, with each action it gives, and to all of them together.
#[derive(Default)]
struct Named {
    by_action: BTreeMap<SeccompAction, Option<Alternatives>>,
    all: Option<Alternatives>,
}

fn theirs(named: Option<&Named>, default: SeccompAction) -> Vec<Test> {
    let always = || Test { expect: true, alternatives: Vec::new(), action: default };
    let Some(Named { by_action, all }) = named else { return vec![always()] };
    let mut tests: Vec<Test> = by_action
        .iter()
        .filter_map(|(&action, alternatives)| {
            Some(Test { expect: true, alternatives: alternatives.clone()?, action })
        })
        .collect();
    tests.push(match all {
        Some(all) => Test { expect: false, alternatives: all.clone(), action: default },
        None => always(),
    });
    tests
}

fn named(profile: &Seccomp) -> Result<BTreeMap<Number, Named>, SandboxError> {
    let names = Names::new();
    let mut calls: BTreeMap<Number, Named> = BTreeMap::new();
    for rule in &profile.rules {
        for name in &rule.names {
            let Some(number) = names.number(name) else { continue };
            let Some(conditions) = conditions(name, &rule.args)? else { continue };
            let call = calls.entry(number).or_default();
            add(&mut call.all, conditions.clone());
            // One that lets through only says where the default does not apply.
            if rule.action != SeccompAction::Allow {
                add(call.by_action.entry(rule.action).or_default(), conditions);
            }
        }
    }
    Ok(calls)
}

/// The conditions of a rule, or nothing where they cannot hold.
fn conditions(call: &str, args: &[Arg]) -> Result<Option<Vec<Condition>>, SandboxError> {
    let mut conditions = Vec::with_capacity(args.len());
    for arg in args {
        let index = u8::try_from(arg.index)
            .ok()
            .filter(|index| *index < 6)
            .ok_or_else(|| SandboxError::SeccompArgument { call: call.to_owned(), index: arg.index })?;
        let (op, value) = match arg.op {
            ArgOp::NotEqual => (SeccompCmpOp::Ne, arg.value),
            ArgOp::LessThan => (SeccompCmpOp::Lt, arg.value),
            ArgOp::LessEqual => (SeccompCmpOp::Le, arg.value),
            ArgOp::Equal => (SeccompCmpOp::Eq, arg.value),
            ArgOp::GreaterEqual => (SeccompCmpOp::Ge, arg.value),
            ArgOp::GreaterThan => (SeccompCmpOp::Gt, arg.value),
            // seccompiler would leave out of the comparison what the mask leaves out.
            ArgOp::MaskedEqual if arg.value_two & !arg.value != 0 => return Ok(None),
            ArgOp::MaskedEqual => (SeccompCmpOp::MaskedEq(arg.value), arg.value_two),
        };
        conditions.push(Condition { index, width: Width::Long, op, value });
    }
    Ok(Some(conditions))
}

#[cfg(test)]
mod tests;
