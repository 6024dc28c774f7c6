//! The compiled programs, run as the kernel runs them, against the profile read as the spec means it.
#![allow(clippy::panic, reason = "tests")]

use super::super::calls::{COMPILER, ENGINE, FAMILIES, HOSTILE, TYPE, TYPES, When};
use super::super::list;
use super::super::names::{Names, number};
use super::super::program::compile;
use super::fold;
use pinnace_plan::{Arg, ArgOp, Seccomp, SeccompAction, SeccompRule};
use proptest::prelude::*;
use seccompiler::{BpfProgram, sock_filter};
use syscalls::Sysno;

#[cfg(target_arch = "x86_64")]
const OURS: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const OURS: u32 = 0xc000_00b7;

/// A system call as a filter sees it.
#[derive(Debug, Clone)]
struct Call {
    architecture: u32,
    number: u32,
    args: [u64; 6],
}

impl Call {
    /// A 32-bit word of `struct seccomp_data`.
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.architecture,
            16.. => {
                let argument = self.args[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 }
            }
            _ => 0,
        }
    }
}

/// The classic BPF that seccompiler writes.
fn run(program: &BpfProgram, call: &Call) -> u32 {
    const LD: u16 = 0x20;
    const AND: u16 = 0x54;
    const JA: u16 = 0x05;
    const JEQ: u16 = 0x15;
    const JGT: u16 = 0x25;
    const JGE: u16 = 0x35;
    const RET: u16 = 0x06;
    let mut at = 0;
    let mut a = 0;
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let jump = |holds: bool| usize::from(if holds { jt } else { jf });
        match code {
            LD => a = call.word(k),
            AND => a &= k,
            JA => at += k as usize,
            JEQ => at += jump(a == k),
            JGT => at += jump(a > k),
            JGE => at += jump(a >= k),
            RET => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// How strict an answer is, as the kernel ranks them; error numbers are alike.
fn rank(answer: u32) -> u8 {
    match answer & 0xffff_0000 {
        0x8000_0000 => 5,
        0x0000_0000 => 4,
        0x0003_0000 => 3,
        0x0005_0000 => 2,
        0x7ffc_0000 => 1,
        0x7fff_0000 => 0,
        other => panic!("answer {other:#x}"),
    }
}

fn rank_of(action: SeccompAction) -> u8 {
    match action {
        SeccompAction::Allow => 0,
        SeccompAction::Log => 1,
        SeccompAction::Errno(_) => 2,
        SeccompAction::Trap => 3,
        SeccompAction::KillThread => 4,
        SeccompAction::KillProcess => 5,
    }
}

fn answer(program: &BpfProgram, call: &Call) -> u8 {
    rank(run(program, call))
}

fn filter(base: &[(Sysno, When)], profile: Option<&Seccomp>) -> BpfProgram {
    compile(&fold(&list(base), profile).expect("fold")).expect("compile")
}

fn holds(arg: &Arg, args: &[u64; 6]) -> bool {
    let is = args[arg.index as usize];
    match arg.op {
        ArgOp::NotEqual => is != arg.value,
        ArgOp::LessThan => is < arg.value,
        ArgOp::LessEqual => is <= arg.value,
        ArgOp::Equal => is == arg.value,
        ArgOp::GreaterEqual => is >= arg.value,
        ArgOp::GreaterThan => is > arg.value,
        ArgOp::MaskedEqual => is & arg.value == arg.value_two,
    }
}

/// The profile's own answer: the strictest rule that matches, else the default.
fn meant(profile: &Seccomp, name: &str, call: &Call) -> u8 {
    profile
        .rules
        .iter()
        .filter(|rule| rule.names.iter().any(|each| each == name))
        .filter(|rule| rule.args.iter().all(|arg| holds(arg, &call.args)))
        .map(|rule| rank_of(rule.action))
        .max()
        .unwrap_or(rank_of(profile.default))
}

/// Our own answer, as the lists mean it.
fn ours(name: &str, call: &Call) -> u8 {
    let refused = rank_of(SeccompAction::Errno(0));
    if HOSTILE.iter().any(|hostile| hostile.name() == name) {
        return rank_of(SeccompAction::KillProcess);
    }
    let Some((_, when)) = ENGINE.iter().find(|(listed, _)| listed.name() == name) else { return refused };
    let int = |index: u8| u64::from(call.args[usize::from(index)] as u32);
    let allowed = match *when {
        When::Always => true,
        When::OneOf(index, values) => values.contains(&int(index)),
        When::Null(index) => call.args[usize::from(index)] == 0,
        When::Own(index) => int(index) == u64::from(std::process::id()),
        When::Internet => FAMILIES.contains(&int(0)) && TYPES.contains(&(int(1) & TYPE)),
        When::Bits { index, mask, value } => call.args[usize::from(index)] & mask == value,
    };
    if allowed { 0 } else { refused }
}

/// Calls that are listed always, listed with conditions, unlisted, and hostile.
const NAMES: [&str; 10] =
    ["read", "socket", "fcntl", "openat", "getuid", "kill", "setuid", "ptrace", "execve", "personality"];

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..12,
        Just(u64::MAX),
        Just(1 << 32),
        (0_u64..4).prop_map(|low| (1 << 32) | low),
        any::<u64>()
    ]
}

fn action() -> impl Strategy<Value = SeccompAction> {
    prop_oneof![
        3 => Just(SeccompAction::Allow),
        1 => Just(SeccompAction::Log),
        3 => (0_u32..200).prop_map(SeccompAction::Errno),
        1 => Just(SeccompAction::Trap),
        1 => Just(SeccompAction::KillThread),
        1 => Just(SeccompAction::KillProcess),
    ]
}

fn arg() -> impl Strategy<Value = Arg> {
    let op = prop_oneof![
        Just(ArgOp::NotEqual),
        Just(ArgOp::LessThan),
        Just(ArgOp::LessEqual),
        Just(ArgOp::Equal),
        Just(ArgOp::GreaterEqual),
        Just(ArgOp::GreaterThan),
        Just(ArgOp::MaskedEqual),
    ];
    (0_u32..6, value(), value(), op).prop_map(|(index, value, value_two, op)| Arg {
        index,
        value,
        value_two,
        op,
    })
}

fn profile() -> impl Strategy<Value = Seccomp> {
    let names = prop::collection::vec(prop::sample::select(&NAMES[..]).prop_map(str::to_owned), 1..4);
    let rule = (names, action(), prop::collection::vec(arg(), 0..3))
        .prop_map(|(names, action, args)| SeccompRule { names, action, args });
    (action(), prop::collection::vec(rule, 0..6)).prop_map(|(default, rules)| Seccomp { default, rules })
}

fn call() -> impl Strategy<Value = (&'static str, Call)> {
    (prop::sample::select(&NAMES[..]), prop::array::uniform6(value()))
        .prop_filter_map("a call of this architecture", |(name, args)| {
            Some((name, Call { architecture: OURS, number: Names::new().number(name)?, args }))
        })
}

proptest! {
    /// Neither milder than the list, nor than the profile, nor stricter than both.
    #[test]
    fn the_stricter_wins(profile in profile(), calls in prop::collection::vec(call(), 20)) {
        let program = filter(ENGINE, Some(&profile));
        for (name, call) in calls {
            let expected = ours(name, &call).max(meant(&profile, name, &call));
            prop_assert_eq!(answer(&program, &call), expected, "{} {:?}", name, call);
        }
    }

    /// Whatever a profile says, what the seal needs stays, and it can be installed.
    #[test]
    fn the_seal_can_still_be_set(profile in profile()) {
        let mut profile = profile;
        let names = vec!["seccomp".to_owned(), "prctl".to_owned()];
        profile.rules.push(SeccompRule { names, action: SeccompAction::KillProcess, args: Vec::new() });
        let program = filter(ENGINE, Some(&profile));
        for (name, first) in [("seccomp", 1), ("prctl", libc::PR_SET_NO_NEW_PRIVS as u64)] {
            let call = Call { architecture: OURS, number: Names::new().number(name).expect(name), args: [first, 1, 0, 0, 0, 0] };
            prop_assert_eq!(answer(&program, &call), 0);
        }
    }
}

fn plain(name: &str) -> Call {
    Call { architecture: OURS, number: Names::new().number(name).expect(name), args: [0; 6] }
}

#[test]
fn a_call_on_no_list_fails_and_a_hostile_one_kills() {
    for list in [ENGINE, COMPILER] {
        let program = filter(list, None);
        assert_eq!(answer(&program, &plain("read")), rank_of(SeccompAction::Allow));
        assert_eq!(answer(&program, &plain("setuid")), rank_of(SeccompAction::Errno(0)));
        assert_eq!(answer(&program, &plain("ptrace")), rank_of(SeccompAction::KillProcess));
        // A number that no table has.
        assert_eq!(
            answer(&program, &Call { architecture: OURS, number: 9999, args: [0; 6] }),
            rank_of(SeccompAction::Errno(0))
        );
    }
}

#[test]
fn lists_and_hostile_calls_are_apart() {
    for (name, _) in ENGINE.iter().chain(COMPILER) {
        assert!(!HOSTILE.contains(name), "{name}");
    }
}

#[test]
fn lists_name_each_call_once() {
    for calls in [ENGINE, COMPILER] {
        assert_eq!(list(calls).len(), calls.len());
    }
}

#[test]
fn numbers_of_another_table_are_refused() {
    let program = filter(ENGINE, None);
    let read = plain("read");
    for architecture in [0, OURS ^ 0x4000_0000, !OURS] {
        let call = Call { architecture, ..read.clone() };
        assert_eq!(answer(&program, &call), rank_of(SeccompAction::KillProcess));
    }
    for number in [read.number | 0x4000_0000, u32::MAX, u32::MAX - 1] {
        let call = Call { number, ..read.clone() };
        assert_eq!(answer(&program, &call), rank_of(SeccompAction::Errno(0)));
    }
}

#[test]
fn every_number_has_the_answer_of_its_list() {
    let program = filter(ENGINE, None);
    for call in Sysno::iter() {
        let seen = Call { architecture: OURS, number: number(call), args: [7; 6] };
        assert_eq!(answer(&program, &seen), ours(call.name(), &seen), "{call}");
    }
}

#[test]
fn a_condition_on_every_call_leads_to_each_call_s_own_answer() {
    // A long program: its upper jumps do not fit into a conditional one.
    let names = Sysno::iter().map(|call| call.name().to_owned()).collect();
    let first = Arg { index: 0, value: 42, value_two: 0, op: ArgOp::Equal };
    let rule = SeccompRule { names, action: SeccompAction::Trap, args: vec![first] };
    let profile = Seccomp { default: SeccompAction::Allow, rules: vec![rule] };
    let program = filter(ENGINE, Some(&profile));
    assert!(program.len() > 1000);
    for call in Sysno::iter().filter(|call| ![Sysno::seccomp, Sysno::prctl].contains(call)) {
        for first in [7, 42] {
            let args = [first, 7, 7, 7, 7, 7];
            let seen = Call { architecture: OURS, number: number(call), args };
            let expected = ours(call.name(), &seen).max(meant(&profile, call.name(), &seen));
            assert_eq!(answer(&program, &seen), expected, "{call}");
        }
    }
}

/// As Docker's: an errno for what is not named, some conditions, one call with another error.
fn usual() -> Seccomp {
    let names: Vec<String> = Sysno::iter().map(|call| call.name().to_owned()).collect();
    let vsock = Arg { index: 0, value: 40, value_two: 0, op: ArgOp::NotEqual };
    let allow = |names: Vec<String>, args| SeccompRule { names, action: SeccompAction::Allow, args };
    let clone3 =
        SeccompRule { names: vec!["clone3".to_owned()], action: SeccompAction::Errno(38), args: Vec::new() };
    Seccomp {
        default: SeccompAction::Errno(1),
        rules: vec![
            allow(names.into_iter().filter(|name| name != "socket").collect(), Vec::new()),
            allow(vec!["socket".to_owned()], vec![vsock]),
            clone3,
        ],
    }
}

#[test]
fn a_usual_profile_costs_next_to_nothing() {
    let (without, with) = (filter(ENGINE, None).len(), filter(ENGINE, Some(&usual())).len());
    assert!(with < without + 20, "{without} instructions without it, {with} with it");
}

#[test]
fn a_profile_too_long_for_the_kernel_is_refused() {
    let args = (0..6).map(|index| Arg { index, value: u64::MAX, value_two: 1, op: ArgOp::MaskedEqual });
    let rule =
        SeccompRule { names: vec!["read".to_owned()], action: SeccompAction::Errno(1), args: args.collect() };
    let profile = Seccomp { default: SeccompAction::Allow, rules: vec![rule; 200] };
    let error = compile(&fold(&list(ENGINE), Some(&profile)).expect("fold")).expect_err("too long");
    assert!(error.to_string().contains("the kernel takes 4096"), "{error}");
}

#[test]
fn an_argument_that_does_not_exist_is_named() {
    let arg = Arg { index: 6, value: 0, value_two: 0, op: ArgOp::Equal };
    let rules = vec![SeccompRule {
        names: vec!["read".to_owned()],
        action: SeccompAction::Errno(1),
        args: vec![arg],
    }];
    let error =
        fold(&list(ENGINE), Some(&Seccomp { default: SeccompAction::Allow, rules })).expect_err("argument 6");
    assert_eq!(error.to_string(), "the seccomp profile compares argument 6 of read; arguments are 0 to 5");
}
