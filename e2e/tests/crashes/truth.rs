//! What may be seen after a case, and that nothing is left then.
//!
//! | who died | the container then |
//! |---|---|
//! | the server, alone or with containerd | gone, after containerd told of its exit: 137 |
//! | containerd | as if nothing had been; a Create that was under way is done, or never was |
//! | its first process | ended, 137; a Create that was under way fails, or the container ends so |
//! | a further process, the pod's holder | lives |
//! | the OCI runtime | a Create fails, a Start fails or ends it, other calls fail and it lives; a Delete removes it |
//! | `start` | gone: its Create fails |
//! | `delete` | gone, once containerd was started anew |

use crate::case::{Case, Kind, Op, State, Victim, When};
use crate::stage::{Stage, heeds};
use crate::strike::Answer;
use pinnace_e2e::{Code, Container, Events, State as Status, leaks, until, within};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const KILLED: u32 = 137;

/// How long containerd may take to find out: a `delete` that it executes may take five seconds.
const SETTLED: Duration = Duration::from_secs(30);

/// Longer than a server waits for its first container.
const LONELY: Duration = Duration::from_secs(60);

/// How a container may be found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    lives: bool,
    gone: bool,
    ended: Vec<u32>,
}

impl Ends {
    fn lives() -> Self {
        Self { lives: true, ..Self::default() }
    }

    fn gone() -> Self {
        Self { gone: true, ..Self::default() }
    }

    fn ended(code: u32) -> Self {
        Self { ended: vec![code], ..Self::default() }
    }

    fn or(mut self, other: Self) -> Self {
        self.ended.extend(other.ended);
        Self { lives: self.lives || other.lives, gone: self.gone || other.gone, ended: self.ended }
    }
}

/// The rule.
pub(crate) fn ends(case: &Case) -> Ends {
    let op = case.op();
    match case.victim {
        Victim::Server | Victim::Both | Victim::Caller => Ends::gone(),
        Victim::Containerd | Victim::ContainerdAsked => match (op, case.when) {
            (Some(Op::Create), _) => Ends::lives().or(Ends::gone()),
            (Some(Op::Kill), _) | (_, When::In(State::Stopped)) => Ends::ended(KILLED),
            (Some(Op::Exit), _) => Ends::ended(heeds(case.kind)),
            (Some(Op::Delete), _) => Ends::ended(KILLED).or(Ends::gone()),
            (Some(Op::Clean), _) => Ends::gone(),
            _ => Ends::lives(),
        },
        Victim::Init if op == Some(Op::Create) => Ends::gone().or(Ends::ended(KILLED)),
        // On v1 the freezer keeps even SIGKILL back until it thaws.
        Victim::Init if op == Some(Op::Pause) || case.when == When::In(State::Paused) => {
            Ends::lives().or(Ends::ended(KILLED))
        }
        Victim::Init => Ends::ended(KILLED),
        Victim::Holder if case.when == When::In(State::Stopped) => Ends::ended(KILLED),
        Victim::Further | Victim::Holder => Ends::lives(),
        Victim::Runtime => match op {
            Some(Op::Create | Op::Delete) => Ends::gone(),
            Some(Op::Start) => Ends::lives().or(Ends::ended(KILLED)),
            _ => Ends::lives(),
        },
    }
}

/// Those of the pod's holder and of the native container beside.
fn ends_beside(case: &Case) -> [Ends; 2] {
    match case.victim {
        Victim::Server | Victim::Both => [Ends::gone(), Ends::gone()],
        _ if case.op() == Some(Op::Clean) => [Ends::gone(), Ends::gone()],
        Victim::Holder => [Ends::ended(KILLED), Ends::lives()],
        _ => [Ends::lives(), Ends::lives()],
    }
}

/// Finds everything as it may be, and removes it.
pub(crate) fn settle(
    stage: Stage<'_>,
    case: &Case,
    container: Container<'_>,
    answer: &Answer,
    events: &Events,
) {
    let id = container.id().to_owned();
    remove(case.kind, container, &ends(case), answer);
    let beside = stage.beside.into_iter().flatten().zip([Kind::Holder, Kind::Native]);
    for ((container, kind), ends) in beside.zip(ends_beside(case)) {
        remove(kind, container, &ends, &Ok(()));
    }
    told(case, &id, events);
    let server = leaks::socket(&stage.node.socket(), &id);
    let before = matches!(case.victim, Victim::Caller | Victim::Server | Victim::Both);
    if case.op() == Some(Op::Create) && before && UnixStream::connect(&server).is_err() {
        // Who died before containerd knew of it is not always cleaned up after; the next start of this id takes it away.
        let _taken = fs::remove_file(&server);
    }
    if case.op() == Some(Op::Create) && case.victim == Victim::Containerd {
        // A server whose first container does not come any more waits for it for half a minute.
        within(LONELY, || (!server.exists()).then_some(()));
    }
    let state = stage.node.dir().join("pinnace/state");
    until("the OCI runtime to have forgotten everything", || forgotten(&state).then_some(()));
}

/// What must have been told of the container whose server was killed, while containerd lived.
fn told(case: &Case, id: &str, events: &Events) {
    let known = !matches!(case.op(), Some(Op::Create | Op::Delete));
    if case.victim == Victim::Server && known && case.when != When::In(State::Stopped) {
        let exit = events.wait_for("exit", id).exit().expect("an exit").exit_status;
        assert!(exit == KILLED || case.op() == Some(Op::Exit) && exit == heeds(case.kind), "told: {exit}");
    }
}

enum Found {
    Lives(Status),
    Ended,
    Gone,
}

fn remove(kind: Kind, container: Container<'_>, ends: &Ends, answer: &Answer) {
    let look = || match container.process() {
        Ok(process) => match process.status() {
            Status::Stopped => (!ends.ended.is_empty()).then_some(Found::Ended),
            Status::Created | Status::Running | Status::Paused if ends.lives => {
                Some(Found::Lives(process.status()))
            }
            _ => None,
        },
        Err(status) => (status.code() == Code::NotFound && ends.gone).then_some(Found::Gone),
    };
    let found = within(SETTLED, look);
    let found =
        found.ok_or_else(|| format!("answered {answer:?}; found {:?}, not {ends:?}", container.process()));
    let found = found.expect("one of its ends");
    let codes = match found {
        Found::Gone => return container.forget(),
        Found::Ended => ends.ended.clone(),
        Found::Lives(status) => {
            if status == Status::Paused {
                container.resume().expect("resume");
            }
            let (signal, code) = if status == Status::Created { (9, KILLED) } else { (15, heeds(kind)) };
            if let Err(status) = container.kill(signal) {
                assert!(!ends.ended.is_empty(), "it lives, but: {status}");
            }
            [ends.ended.clone(), vec![code]].concat()
        }
    };
    let code = container.wait();
    assert!(codes.contains(&code), "ended with {code}, expected one of {codes:?}");
    assert_eq!(container.delete_task().expect("delete"), code, "Delete tells the code that Wait told");
    container.forget();
}

/// Whether an OCI runtime keeps no state: `<state>/<boot>/oci/<namespace>/<container>`.
fn forgotten(state: &Path) -> bool {
    let inside = |dir: &Path| -> Vec<_> {
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let boots = inside(state).into_iter().map(|boot| boot.join("oci"));
    boots.flat_map(|oci| inside(&oci)).all(|namespace| inside(&namespace).is_empty())
}
