//! One filter: some calls with some arguments get one action, all others another.
//!
//! The kernel asks every filter and takes the strictest answer, so walls are added by adding layers, and none
//! can weaken another.

use crate::SandboxError;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use std::collections::BTreeMap;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// How much of an argument the kernel looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// The lower 32 bits.
    Int,
    /// All 64.
    Long,
}

/// A condition on one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) index: u8,
    pub(super) width: Width,
    pub(super) op: SeccompCmpOp,
    pub(super) value: u64,
}

/// Calls by number; for each, alternatives of conditions that hold together. No alternative: always.
pub(super) type Matches = BTreeMap<i64, Vec<Vec<Condition>>>;

/// One filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) matches: Matches,
    pub(super) matched: SeccompAction,
    pub(super) unmatched: SeccompAction,
}

impl Layer {
    /// The number of the call `name` on this architecture.
    pub(super) fn number(name: &str) -> Option<i64> {
        name.parse::<syscalls::Sysno>().ok().map(|number| i64::from(number.id()))
    }

    /// The filter's program.
    pub(super) fn compile(self) -> Result<BpfProgram, SandboxError> {
        let rules = self
            .matches
            .into_iter()
            .map(|(number, alternatives)| {
                let rules: Result<Vec<_>, _> = alternatives.into_iter().map(rule).collect();
                rules.map(|rules| (number, rules))
            })
            .collect::<Result<BTreeMap<_, _>, _>>();
        rules
            .and_then(|rules| SeccompFilter::new(rules, self.unmatched, self.matched, ARCHITECTURE))
            .and_then(BpfProgram::try_from)
            .map_err(SandboxError::SeccompCompile)
    }

    /// Compiles and installs the filter.
    pub(super) fn install(self) -> Result<(), SandboxError> {
        seccompiler::apply_filter(&self.compile()?).map_err(SandboxError::SeccompInstall)
    }
}

fn rule(conditions: Vec<Condition>) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions: Result<Vec<_>, _> = conditions
        .into_iter()
        .map(|condition| {
            let width = match condition.width {
                Width::Int => SeccompCmpArgLen::Dword,
                Width::Long => SeccompCmpArgLen::Qword,
            };
            SeccompCondition::new(condition.index, width, condition.op, condition.value)
        })
        .collect();
    SeccompRule::new(conditions?)
}

/// Adds an alternative for a call; one without conditions makes the others idle.
pub(super) fn add(matches: &mut Matches, number: i64, conditions: Vec<Condition>) {
    match matches.entry(number) {
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(if conditions.is_empty() { Vec::new() } else { vec![conditions] });
        }
        std::collections::btree_map::Entry::Occupied(mut entry) => {
            if conditions.is_empty() {
                entry.get_mut().clear();
            } else if !entry.get().is_empty() {
                entry.get_mut().push(conditions);
            }
        }
    }
}
