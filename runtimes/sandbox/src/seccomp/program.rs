//! A table of answers as a program of the kernel's classic BPF: one filter, whatever goes into it.
//!
//! ```text
//!  another architecture ─▶ killed
//!  number ─▶ halving ranges of numbers with the same answer ─▶ answer, or questions about the arguments
//! ```
//!
//! seccompiler writes the questions. Its own programs, two lists that are gone through for each call since they
//! have two actions each, took 480 µs to make and install: the kernel runs a new filter once for each call
//! there is, and translates it. This one takes 120, with the spec's profile in it.

use super::decision::{Condition, Decision, Number, Table, Width};
use crate::SandboxError;
use pinnace_plan::SeccompAction as Action;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCondition, SeccompRule, sock_filter,
};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

/// The kernel takes no longer program.
const MAX_INSTRUCTIONS: usize = libc::BPF_MAXINSNS as usize;

/// Compiles `table`.
pub(super) fn compile(table: &Table) -> Result<BpfProgram, SandboxError> {
    let program = write(table).map_err(SandboxError::SeccompCompile)?;
    if program.len() > MAX_INSTRUCTIONS {
        return Err(SandboxError::SeccompTooLong { instructions: program.len() });
    }
    Ok(program)
}

fn write(table: &Table) -> Result<BpfProgram, BackendError> {
    let mut program = vec![
        load(ARCHITECTURE_AT),
        jump(libc::BPF_JEQ, ARCHITECTURE, 1, 0),
        answer(Action::KillProcess),
        load(NUMBER_AT),
    ];
    halve(&ranges(table), &mut program)?;
    Ok(program)
}

/// The first number of each range, with the answer up to the next.
fn ranges(table: &Table) -> Vec<(Number, &Decision)> {
    let mut ranges: Vec<(Number, &Decision)> = vec![(0, &table.otherwise)];
    for (&number, decision) in &table.calls {
        // The number after the one before it: no gap between them.
        ranges.pop_if(|(start, _)| *start == number);
        ranges.extend([(number, decision), (number + 1, &table.otherwise)]);
    }
    ranges.dedup_by(|next, range| next.1 == range.1);
    ranges
}

fn halve(ranges: &[(Number, &Decision)], program: &mut BpfProgram) -> Result<(), BackendError> {
    if let [(_, decision)] = ranges {
        return decide(decision, program);
    }
    let (below, above) = ranges.split_at(ranges.len() / 2);
    let start = above[0].0;
    let here = program.len();
    program.push(jump(libc::BPF_JGE, start, 0, 0));
    halve(below, program)?;
    match u8::try_from(program.len() - here - 1) {
        Ok(skipped) => program[here].jt = skipped,
        // Conditional jumps are short.
        Err(_) => {
            program[here].jf = 1;
            program.insert(here + 1, skip(program.len() - here - 1));
        }
    }
    halve(above, program)
}

fn decide(decision: &Decision, program: &mut BpfProgram) -> Result<(), BackendError> {
    let (tests, last) = match decision {
        Decision::Always(action) => (&[][..], action),
        Decision::ByArguments(tests, last) => (tests.as_slice(), last),
    };
    for test in tests {
        // What follows the conditions of each alternative: the answer, or a jump past it.
        let mut jumps = Vec::new();
        for alternative in &test.alternatives {
            let conditions: Result<Vec<_>, _> = alternative.iter().map(condition).collect();
            // seccompiler's code passes over one instruction where they do not hold.
            program.extend(BpfProgram::from(SeccompRule::new(conditions?)?));
            jumps.push(program.len());
            program.push(answer(test.action));
        }
        if !test.expect {
            program.push(answer(test.action));
            for at in jumps {
                program[at] = skip(program.len() - at - 1);
            }
        }
    }
    program.push(answer(*last));
    Ok(())
}

fn condition(condition: &Condition) -> Result<SeccompCondition, BackendError> {
    let width = match condition.width {
        Width::Int => SeccompCmpArgLen::Dword,
        Width::Long => SeccompCmpArgLen::Qword,
    };
    SeccompCondition::new(condition.index, width, condition.op.clone(), condition.value)
}

fn answer(action: Action) -> sock_filter {
    let action = match action {
        Action::Allow => SeccompAction::Allow,
        Action::Log => SeccompAction::Log,
        Action::Errno(number) => SeccompAction::Errno(number),
        Action::Trap => SeccompAction::Trap,
        Action::KillThread => SeccompAction::KillThread,
        Action::KillProcess => SeccompAction::KillProcess,
    };
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, action.into())
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

fn jump(comparison: u32, value: u32, if_so: u8, if_not: u8) -> sock_filter {
    instruction(libc::BPF_JMP | comparison | libc::BPF_K, if_so, if_not, value)
}

/// No program is longer than a `u32` counts: it would not have fitted in memory.
fn skip(instructions: usize) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JA, 0, 0, u32::try_from(instructions).unwrap_or(u32::MAX))
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}
