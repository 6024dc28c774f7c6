//! One case, played: the call begins, its phase is hit, somebody is killed, the others go on.

use crate::case::{Case, Kind, Op, State, Victim, When};
use crate::stage::{self, Stage, kill};
use crate::{oci, truth};
use pinnace_e2e::{Container, Exec, Hit, Node, Status};
use rustix::process::Signal;
use serde_json::json;
use std::thread;

/// How the call of a case ended.
pub(crate) type Answer = Result<(), Status>;

/// Whoever stands still, and goes on when this is dropped.
enum Held {
    Nobody,
    Program(Hit),
    Runtime(oci::Stopped),
}

/// Plays it, and looks at what is left.
pub(crate) fn strike(case: &Case) {
    let node = Node::faulty(oci::configure);
    // What containerd says about the dead is its own affair.
    node.expect_log("");
    let events = node.events();
    let stage = Stage::new(&node, case);
    let (container, answer) = match stage.container(case.when) {
        None => created(&stage, case),
        Some(container) => {
            let answer = called(&stage, case, &container);
            (container, answer)
        }
    };
    if case.victim == Victim::Caller && case.op() == Some(Op::Clean) {
        // It is not asked twice, before containerd begins anew.
        node.restart(Signal::TERM);
    }
    truth::settle(stage, case, container, &answer, &events);
}

/// A case in the middle of Create.
fn created<'node>(stage: &Stage<'node>, case: &Case) -> (Container<'node>, Answer) {
    let draft = stage.draft();
    let id = draft.id().to_owned();
    let created = thread::scope(|scope| {
        let call = arm(stage.node, case.when, || scope.spawn(|| draft.try_create()));
        let held = call.1();
        befall(stage, case, &id, 0, held);
        call.0.join().expect("the call")
    });
    match created {
        Ok(container) => (container, Ok(())),
        Err(failed) => (failed.0, Err(failed.1)),
    }
}

/// A case of a container that is there.
fn called(stage: &Stage<'_>, case: &Case, container: &Container<'_>) -> Answer {
    let executing = case.when == When::In(State::Executing);
    let mut further =
        (executing || case.op() == Some(Op::Exec)).then(|| stage::further(case.kind, container));
    if executing && let Some(exec) = &mut further {
        exec.start().expect("start of an exec");
    }
    let answer = thread::scope(|scope| {
        let (server, exec) = (stage.server(), further.as_mut());
        let (call, hit) = arm(stage.node, case.when, || {
            scope.spawn(move || call(case.op(), case.kind, container, exec, server))
        });
        let held = hit();
        befall(stage, case, container.id(), container.pid(), held);
        call.join().expect("the call")
    });
    if let (Victim::Further, Some(exec)) = (case.victim, &further)
        && answer.is_ok()
    {
        assert_eq!(exec.wait(), 137, "the further process was killed");
    }
    answer
}

/// Has the phase waited for, and begins the call; gives that, and what waits for the phase.
fn arm<'node, T>(
    node: &'node Node,
    when: When,
    begin: impl FnOnce() -> T,
) -> (T, impl FnOnce() -> Held + 'node) {
    let armed = match when {
        When::At(_, phase) => Some(node.faults().arm(phase)),
        When::Runtime(op, place) => {
            oci::arm(node, op, place);
            None
        }
        When::In(_) => None,
    };
    let begun = begin();
    let hit = move || match (armed, when) {
        (Some(armed), _) => Held::Program(armed.hit()),
        (None, When::Runtime(..)) => Held::Runtime(oci::hit(node)),
        (None, _) => Held::Nobody,
    };
    (begun, hit)
}

/// The call that is under way.
fn call(
    op: Option<Op>,
    kind: Kind,
    container: &Container<'_>,
    exec: Option<&mut Exec<'_, '_>>,
    server: u32,
) -> Answer {
    match op {
        None | Some(Op::Create) => Ok(()),
        Some(Op::Start) => container.start().map(drop),
        Some(Op::Exec) => exec.map_or(Ok(()), |exec| exec.start().map(drop)),
        Some(Op::Kill) => container.kill(9),
        Some(Op::Exit) => {
            kill(container.pid(), Signal::TERM);
            container.try_wait().map(drop)
        }
        Some(Op::Pause) => container.pause(),
        Some(Op::Resume) => container.resume(),
        Some(Op::Update) => {
            let native = kind == Kind::Native;
            container.update(&if native {
                json!({"pids": {"limit": 17}})
            } else {
                json!({"memory": {"limit": 99 << 20}})
            })
        }
        Some(Op::Delete) => container.delete_task().map(drop),
        Some(Op::Clean) => {
            kill(server, Signal::KILL);
            Ok(())
        }
    }
}

/// Kills the victim, and lets the others go on.
fn befall(stage: &Stage<'_>, case: &Case, id: &str, init: u32, held: Held) {
    let (caller, child) = match &held {
        Held::Program(hit) => (hit.pid, hit.child),
        Held::Runtime(_) | Held::Nobody => (0, 0),
    };
    let server = || if caller > 0 { caller } else { stage.server() };
    let born = |known: u32| if child > 0 { child } else { stage.process_of(id, known) };
    match case.victim {
        Victim::Server => kill(server(), Signal::KILL),
        Victim::Caller => kill(caller, Signal::KILL),
        Victim::Init if init > 0 => kill(init, Signal::KILL),
        Victim::Init => kill(born(0), Signal::KILL),
        Victim::Further => kill(born(init), Signal::KILL),
        Victim::Holder => {
            let [holder, _] = stage.beside.as_ref().expect("a pod");
            kill(holder.pid(), Signal::KILL);
        }
        Victim::Runtime => {
            if let Held::Runtime(stopped) = &held {
                kill(stopped.runtime, Signal::KILL);
            }
        }
        Victim::Containerd => return stage.node.while_down(Signal::KILL, || go_on(held)),
        Victim::ContainerdAsked => return stage.node.while_down(Signal::TERM, || go_on(held)),
        Victim::Both => {
            let server = server();
            return stage.node.while_down(Signal::KILL, || {
                kill(server, Signal::KILL);
                go_on(held);
            });
        }
    }
    go_on(held);
}

/// Lets go of them. A child whose server died was let go by nobody.
fn go_on(held: Held) {
    if let Held::Program(Hit { child, .. }) = held
        && child > 0
    {
        kill(child, Signal::CONT);
    }
}
