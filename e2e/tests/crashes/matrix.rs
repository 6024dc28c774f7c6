//! All cases that can be reached, from tables.

use crate::case::{Case, Kind, Op, Place, State, Victim, When};

const KINDS: [Kind; 4] = [Kind::Wasm, Kind::Native, Kind::Holder, Kind::Member];

/// Kinds of container, as a set.
type Kinds = &'static [Kind];

const ALL: Kinds = &KINDS;
/// Those whose process is made by the server itself.
const OURS: Kinds = &[Kind::Wasm, Kind::Holder, Kind::Member];
const NATIVE: Kinds = &[Kind::Native];
/// Those with programs of somebody's in them.
const WITH_GUESTS: Kinds = &[Kind::Wasm, Kind::Native, Kind::Member];

/// Who is in a phase: the program that stops there, and which processes of the container there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cast {
    /// A program that containerd waits for.
    Caller,
    /// The server alone.
    Server,
    /// And the container's first process.
    WithInit,
    /// And a further one.
    WithFurther,
}

/// Phases in the order of a container's life.
const PHASES: [(Op, &str, Kinds, Cast); 35] = [
    (Op::Create, "StartBegun", WITH_GUESTS, Cast::Caller),
    (Op::Create, "StartBound", &[Kind::Wasm], Cast::Caller),
    (Op::Create, "ServerBorn", &[Kind::Wasm, Kind::Native, Kind::Holder], Cast::Server),
    (Op::Create, "CreateAsked", ALL, Cast::Server),
    (Op::Create, "CreatePlaced", OURS, Cast::Server),
    (Op::Create, "EngineBorn", OURS, Cast::WithInit),
    (Op::Create, "EngineReady", OURS, Cast::WithInit),
    (Op::Create, "NativeNoted", NATIVE, Cast::Server),
    (Op::Create, "NativeMounted", NATIVE, Cast::Server),
    (Op::Create, "NativeBorn", NATIVE, Cast::WithInit),
    (Op::Create, "CreateDone", ALL, Cast::WithInit),
    (Op::Start, "StartAsked", ALL, Cast::WithInit),
    (Op::Start, "GoSent", ALL, Cast::WithInit),
    (Op::Start, "StartDone", ALL, Cast::WithInit),
    (Op::Exec, "ExecAsked", WITH_GUESTS, Cast::WithInit),
    (Op::Exec, "EngineBorn", &[Kind::Wasm, Kind::Member], Cast::WithFurther),
    (Op::Exec, "NativeBorn", NATIVE, Cast::WithFurther),
    (Op::Exec, "ExecDone", WITH_GUESTS, Cast::WithFurther),
    (Op::Kill, "KillAsked", ALL, Cast::WithInit),
    (Op::Kill, "KillDone", ALL, Cast::Server),
    (Op::Exit, "ExitSeen", ALL, Cast::Server),
    (Op::Exit, "ExitTold", ALL, Cast::Server),
    (Op::Pause, "FreezerAsked", WITH_GUESTS, Cast::WithInit),
    (Op::Pause, "FreezerDone", WITH_GUESTS, Cast::WithInit),
    (Op::Resume, "FreezerAsked", WITH_GUESTS, Cast::WithInit),
    (Op::Resume, "FreezerDone", WITH_GUESTS, Cast::WithInit),
    (Op::Update, "UpdateAsked", WITH_GUESTS, Cast::WithInit),
    (Op::Update, "UpdateDone", WITH_GUESTS, Cast::WithInit),
    (Op::Delete, "DeleteAsked", ALL, Cast::Server),
    (Op::Delete, "DeleteForgotten", NATIVE, Cast::Server),
    (Op::Delete, "DeleteRemoved", ALL, Cast::Server),
    (Op::Delete, "DeleteDone", ALL, Cast::Server),
    (Op::Clean, "CleanBegun", ALL, Cast::Caller),
    (Op::Clean, "CleanEnded", ALL, Cast::Caller),
    (Op::Clean, "CleanDone", ALL, Cast::Caller),
];

/// Commands of an OCI runtime, and the places at which it can be met.
const COMMANDS: [(Op, &[Place]); 5] = [
    (Op::Create, &[Place::Before, Place::Amid, Place::After]),
    // runc runs poststart hooks in `create`.
    (Op::Start, &[Place::Before, Place::After]),
    (Op::Exec, &[Place::Before, Place::After]),
    (Op::Update, &[Place::Before, Place::After]),
    (Op::Delete, &[Place::Before, Place::Amid, Place::After]),
];

const STATES: [(State, Kinds); 5] = [
    (State::Created, ALL),
    (State::Running, ALL),
    (State::Paused, WITH_GUESTS),
    (State::Stopped, ALL),
    (State::Executing, WITH_GUESTS),
];

/// Every case, in an order that only changes with the tables.
pub(crate) fn all() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |kinds: Kinds, when: When, victims: &[Victim]| {
        for &kind in kinds {
            let holder = (kind == Kind::Member && matches!(when, When::In(_))).then_some(Victim::Holder);
            let victims = victims.iter().copied().chain(holder);
            all.extend(victims.map(|victim| Case { kind, when, victim }));
        }
    };
    for (state, kinds) in STATES {
        let alive: &[Victim] = match state {
            State::Stopped => &[],
            State::Executing => &[Victim::Init, Victim::Further],
            State::Created | State::Running | State::Paused => &[Victim::Init],
        };
        add(kinds, When::In(state), &[&daemons(true)[..], alive].concat());
    }
    for (op, phase, kinds, cast) in PHASES {
        let when = When::At(op, phase);
        let victims = match cast {
            Cast::Caller => vec![Victim::Caller, Victim::Containerd],
            Cast::Server => daemons(false),
            Cast::WithInit => [daemons(false), vec![Victim::Init]].concat(),
            Cast::WithFurther => [daemons(false), vec![Victim::Init, Victim::Further]].concat(),
        };
        add(kinds, when, &victims);
    }
    for (op, places) in COMMANDS {
        for &place in places {
            let victims = [daemons(false), vec![Victim::Runtime]].concat();
            add(NATIVE, When::Runtime(op, place), &victims);
        }
    }
    all
}

fn daemons(at_rest: bool) -> Vec<Victim> {
    let mut daemons = vec![Victim::Server, Victim::Containerd, Victim::Both];
    daemons.extend(at_rest.then_some(Victim::ContainerdAsked));
    daemons
}

#[test]
fn the_matrix_is_as_large_as_it_must_be_and_each_case_has_a_name_of_its_own() {
    let all = all();
    assert!(all.len() >= 150, "{}", all.len());
    let mut names: Vec<_> = all.iter().map(ToString::to_string).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all.len());
}
