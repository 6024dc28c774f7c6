//! What is answered to a system call, as data: by number, and where it matters by arguments.

use pinnace_plan::SeccompAction;
use seccompiler::SeccompCmpOp;
use std::collections::BTreeMap;

/// The number of a system call.
pub(super) type Number = u32;

/// How much of an argument is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// The lower 32 bits: all that the kernel sees of an `int`.
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

/// Conditions that hold together, and alternatives of them. No alternative at all: always.
pub(super) type Alternatives = Vec<Vec<Condition>>;

/// Adds an alternative; one without conditions makes the others idle.
pub(super) fn add(alternatives: &mut Option<Alternatives>, conditions: Vec<Condition>) {
    match alternatives {
        None if conditions.is_empty() => *alternatives = Some(Vec::new()),
        None => *alternatives = Some(vec![conditions]),
        Some(others) if conditions.is_empty() => others.clear(),
        Some(others) if others.is_empty() => {}
        Some(others) => others.push(conditions),
    }
}

/// One question about the arguments of a call, and the answer if it is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Test {
    /// Whether one alternative must hold, or none.
    pub(super) expect: bool,
    pub(super) alternatives: Alternatives,
    pub(super) action: SeccompAction,
}

/// The answer to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Whatever its arguments.
    Always(SeccompAction),
    /// That of the first test that is met, or the last action.
    ByArguments(Vec<Test>, SeccompAction),
}

impl Decision {
    /// The strictest answer of all tests that are met, or to let it through.
    pub(super) fn strictest(mut tests: Vec<Test>) -> Self {
        // Asked in this order, the first that is met is the strictest.
        tests.sort_by_key(|test| std::cmp::Reverse(test.action));
        let mut asked: Vec<Test> = Vec::with_capacity(tests.len());
        let mut last = SeccompAction::Allow;
        for test in tests {
            match (test.expect, test.alternatives.is_empty()) {
                (true, true) => {
                    last = test.action;
                    break;
                }
                (false, true) => {}
                _ => asked.push(test),
            }
        }
        if asked.is_empty() { Self::Always(last) } else { Self::ByArguments(asked, last) }
    }
}

/// The answers to all calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) calls: BTreeMap<Number, Decision>,
    /// To a call that is not among them.
    pub(super) otherwise: Decision,
}
