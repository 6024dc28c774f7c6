//! The engine's list and the spec's profile become a few layers: per call and arguments, the stricter wins.
//!
//! ```text
//!  1. the engine's list, less what the profile's default forbids  else ENOSYS
//!  2. hostile calls                                               killed
//!  3. for each other action of the profile: its calls             else allow
//!  4. if the profile's default is not an errno: the calls it names   else the default
//! ```
//!
//! Where several rules of the profile match, the strictest of them counts. Calls that are refused by 1 and
//! whose action would be no stricter are left out of the others: a profile of 400 names folds into
//! the list of a hundred, and usually costs no layer of its own.

use super::calls::{HOSTILE, When};
use super::layer::{Condition, Layer, Matches, Width, add};
use crate::SandboxError;
use pinnace_plan::{Arg, ArgOp, Seccomp, SeccompAction as Spec};
use seccompiler::{SeccompAction, SeccompCmpOp};
use std::collections::{BTreeMap, HashSet};

/// What a call on no list gets.
pub(super) const UNLISTED: SeccompAction = SeccompAction::Errno(libc::ENOSYS as u32);

/// The seal needs them after the filter and takes them away itself, so no profile can.
const FOR_THE_SEAL: [&str; 2] = ["seccomp", "prctl"];

/// Folds `profile` into the list `base`.
pub(super) fn fold(base: &[(&str, When)], profile: Option<&Seccomp>) -> Result<Vec<Layer>, SandboxError> {
    let mut allowed = list(base);
    let mut layers = Vec::new();
    if let Some(profile) = profile {
        let named = Named::parse(profile, &allowed)?;
        for (action, matches) in named.by_action {
            layers.push(Layer { matches, matched: native(action), unmatched: SeccompAction::Allow });
        }
        match profile.default {
            Spec::Allow => {}
            Spec::Errno(_) => allowed = both(allowed, &named.all),
            default => layers.push(Layer {
                matches: named.all,
                matched: SeccompAction::Allow,
                unmatched: native(default),
            }),
        }
    }
    let hostile = HOSTILE.iter().filter_map(|name| Some((Layer::number(name)?, Vec::new()))).collect();
    layers.push(Layer {
        matches: hostile,
        matched: SeccompAction::KillProcess,
        unmatched: SeccompAction::Allow,
    });
    // Last, though the order means nothing to the kernel: installing the others must be allowed.
    layers.push(Layer { matches: allowed, matched: SeccompAction::Allow, unmatched: UNLISTED });
    Ok(layers)
}

/// A list of calls by number.
pub(super) fn list(calls: &[(&str, When)]) -> Matches {
    let known = |(name, when): &(&str, When)| Some((Layer::number(name)?, when.alternatives()));
    calls.iter().filter_map(known).collect()
}

/// The calls a profile names, as far as they can make a difference.
struct Named {
    /// For each action but `Allow`.
    by_action: BTreeMap<Spec, Matches>,
    /// With any action: to these, the default does not apply.
    all: Matches,
}

impl Named {
    fn parse(profile: &Seccomp, base: &Matches) -> Result<Self, SandboxError> {
        let exempt: HashSet<&str> = FOR_THE_SEAL.into();
        let mut named = Self { by_action: BTreeMap::new(), all: Matches::new() };
        for name in FOR_THE_SEAL {
            if let Some(number) = Layer::number(name) {
                add(&mut named.all, number, Vec::new());
            }
        }
        for rule in &profile.rules {
            for name in &rule.names {
                let Some(number) = Layer::number(name) else { continue };
                if exempt.contains(name.as_str()) {
                    continue;
                }
                let Some(conditions) = conditions(name, &rule.args)? else { continue };
                let listed = base.contains_key(&number);
                if rule.action != Spec::Allow && (listed || stricter_than_unlisted(rule.action)) {
                    add(named.by_action.entry(rule.action).or_default(), number, conditions.clone());
                }
                if listed || stricter_than_unlisted(profile.default) {
                    add(&mut named.all, number, conditions);
                }
            }
        }
        Ok(named)
    }
}

fn stricter_than_unlisted(action: Spec) -> bool {
    action > Spec::Errno(u32::MAX)
}

/// What is in both; of two conditional ones, every pair of alternatives.
fn both(ours: Matches, theirs: &Matches) -> Matches {
    ours.into_iter()
        .filter_map(|(number, alternatives)| {
            let others = theirs.get(&number)?;
            let pairs = match (alternatives.is_empty(), others.is_empty()) {
                (_, true) => alternatives,
                (true, false) => others.clone(),
                (false, false) => alternatives
                    .iter()
                    .flat_map(|ours| others.iter().map(|theirs| [ours.as_slice(), theirs].concat()))
                    .collect(),
            };
            Some((number, pairs))
        })
        .collect()
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

fn native(action: Spec) -> SeccompAction {
    match action {
        Spec::Allow => SeccompAction::Allow,
        Spec::Log => SeccompAction::Log,
        Spec::Errno(number) => SeccompAction::Errno(number & 0xffff),
        Spec::Trap => SeccompAction::Trap,
        Spec::KillThread => SeccompAction::KillThread,
        Spec::KillProcess => SeccompAction::KillProcess,
    }
}

#[cfg(test)]
mod tests;
