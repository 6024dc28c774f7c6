//! The compiled programs, run as the kernel runs them, against the profile read as the spec means it.
#![allow(clippy::panic, reason = "tests")]

use super::super::calls::{COMPILER, ENGINE, HOSTILE, When};
use super::super::layer::Layer;
use super::fold;
use pinnace_plan::{Arg, ArgOp, Seccomp, SeccompAction, SeccompRule};
use proptest::prelude::*;
use seccompiler::{BpfProgram, sock_filter};

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

/// A system call as a filter sees it.
#[derive(Debug, Clone)]
struct Call {
    number: i64,
    args: [u64; 6],
}

impl Call {
    /// A 32-bit word of `struct seccomp_data`.
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number as u32,
            4 => AUDIT_ARCH,
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

/// The strictest answer of all layers.
fn answer(programs: &[BpfProgram], call: &Call) -> u8 {
    programs.iter().map(|program| rank(run(program, call))).max().expect("layers")
}

fn compile(base: &[(&str, When)], profile: Option<&Seccomp>) -> Vec<BpfProgram> {
    let layers = fold(base, profile).expect("fold");
    layers.into_iter().map(|layer| layer.compile().expect("compile")).collect()
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

/// Our own answer without a profile.
fn ours(call: &Call) -> u8 {
    answer(&compile(ENGINE, None), call)
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
            Some((name, Call { number: Layer::number(name)?, args }))
        })
}

proptest! {
    /// Neither milder than the list, nor than the profile, nor stricter than both.
    #[test]
    fn the_stricter_wins(profile in profile(), calls in prop::collection::vec(call(), 20)) {
        let programs = compile(ENGINE, Some(&profile));
        for (name, call) in calls {
            let expected = ours(&call).max(meant(&profile, name, &call));
            prop_assert_eq!(answer(&programs, &call), expected, "{} {:?}", name, call);
        }
    }

    /// Whatever a profile says, what the seal needs stays, and it can be installed.
    #[test]
    fn the_seal_can_still_be_set(profile in profile()) {
        let mut profile = profile;
        let names = vec!["seccomp".to_owned(), "prctl".to_owned()];
        profile.rules.push(SeccompRule { names, action: SeccompAction::KillProcess, args: Vec::new() });
        let programs = compile(ENGINE, Some(&profile));
        for (name, first) in [("seccomp", 1), ("prctl", libc::PR_SET_NO_NEW_PRIVS as u64)] {
            let call = Call { number: Layer::number(name).expect(name), args: [first, 1, 0, 0, 0, 0] };
            prop_assert_eq!(answer(&programs, &call), 0);
        }
    }
}

fn plain(name: &str) -> Call {
    Call { number: Layer::number(name).expect(name), args: [0; 6] }
}

#[test]
fn a_call_on_no_list_fails_and_a_hostile_one_kills() {
    for list in [ENGINE, COMPILER] {
        let programs = compile(list, None);
        assert_eq!(answer(&programs, &plain("read")), rank_of(SeccompAction::Allow));
        assert_eq!(answer(&programs, &plain("setuid")), rank_of(SeccompAction::Errno(0)));
        assert_eq!(answer(&programs, &plain("ptrace")), rank_of(SeccompAction::KillProcess));
        // A number that no table has.
        assert_eq!(answer(&programs, &Call { number: 9999, args: [0; 6] }), rank_of(SeccompAction::Errno(0)));
    }
}

#[test]
fn lists_and_hostile_calls_are_apart() {
    for (name, _) in ENGINE.iter().chain(COMPILER) {
        assert!(!HOSTILE.contains(name), "{name}");
    }
}

#[test]
fn lists_name_each_call_once_and_rightly() {
    for list in [ENGINE, COMPILER] {
        let mut names: Vec<&str> = list.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
    #[cfg(target_arch = "x86_64")]
    for name in ENGINE.iter().chain(COMPILER).map(|(name, _)| name).chain(HOSTILE) {
        assert!(Layer::number(name).is_some(), "{name}");
    }
}

#[test]
fn a_usual_profile_costs_no_layer() {
    // As Docker's: an errno for what is not named, some conditions, one call with another error.
    let names: Vec<String> = syscalls::Sysno::iter().map(|call| call.name().to_owned()).collect();
    let vsock = Arg { index: 0, value: 40, value_two: 0, op: ArgOp::NotEqual };
    let allow = |names: Vec<String>, args| SeccompRule { names, action: SeccompAction::Allow, args };
    let profile = Seccomp {
        default: SeccompAction::Errno(1),
        rules: vec![
            allow(names.iter().filter(|name| *name != "socket").cloned().collect(), Vec::new()),
            allow(vec!["socket".to_owned()], vec![vsock]),
            SeccompRule {
                names: vec!["clone3".to_owned()],
                action: SeccompAction::Errno(38),
                args: Vec::new(),
            },
        ],
    };
    let with = compile(ENGINE, Some(&profile));
    assert_eq!(with.len(), compile(ENGINE, None).len());
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
        fold(ENGINE, Some(&Seccomp { default: SeccompAction::Allow, rules })).expect_err("argument 6");
    assert_eq!(error.to_string(), "the seccomp profile compares argument 6 of read; arguments are 0 to 5");
}
