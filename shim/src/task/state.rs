//! One container's life as a pure function.

use super::request::{Exit, Status};

/// Where a container stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The engine is ready and waits for Go.
    Created,
    /// Go was sent; the engine has not answered.
    Starting,
    /// The engine refused to start and is about to exit.
    Failing,
    /// The guest runs.
    Running,
    /// Deleted before it was started: the engine was killed, its end is awaited.
    Doomed,
    /// The process has ended.
    Stopped(Exit),
    /// Deleted; its logger may still have to end.
    Leaving(Exit),
    /// Deleted.
    Gone,
}

/// What happens to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// The Start call.
    Start,
    /// The engine reports that the guest is entered.
    Started,
    /// The engine reports that it cannot start.
    Failed(String),
    /// The Kill call.
    Kill(i32),
    /// The process has ended.
    Ended(Exit),
    /// The Delete call.
    Delete,
    /// The logger has ended, or there was none.
    LoggerGone,
}

/// What has to be done about it, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Send Go to the engine.
    SendGo,
    /// Signal the process.
    Signal(i32),
    /// Publish TaskStart. Always before the exit of the same process.
    PublishStart,
    /// Answer the Start call with the pid.
    AnswerStart,
    /// Answer the Start call with a failure.
    RefuseStart(String),
    /// Close our ends of the stdio: the client waits for end of file before it calls Delete.
    CloseStdio,
    /// Publish TaskOOM. Always before the exit of the same process.
    PublishOom,
    /// Publish TaskExit.
    PublishExit(Exit),
    /// Answer all Wait calls.
    AnswerWaits(Exit),
    /// Have the logger end; [`Input::LoggerGone`] follows.
    StopLogger,
    /// Remove the cgroup and everything else that is left.
    CleanUp,
    /// Publish TaskDelete.
    PublishDelete(Exit),
    /// Answer the Delete call.
    AnswerDelete(Exit),
}

/// A call that does not fit the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Start, but it was started before.
    AlreadyStarted,
    /// Start, but it has ended or is about to.
    Ended,
    /// Kill, but there is no process any more.
    NoProcess,
    /// Delete, but the process lives.
    NotStopped(Status),
    /// A second Delete.
    BeingDeleted,
    /// A report that the engine may not make now; it is ignored.
    OutOfTurn,
}

impl State {
    /// The state as containerd names it.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Created | Self::Starting | Self::Failing | Self::Doomed => Status::Created,
            Self::Running => Status::Running,
            Self::Stopped(_) | Self::Leaving(_) | Self::Gone => Status::Stopped,
        }
    }

    /// How the process ended, once it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        match self {
            Self::Stopped(exit) | Self::Leaving(exit) => Some(*exit),
            _ => None,
        }
    }
}

/// The next state and what to do, or why not.
pub(super) fn step(state: &State, input: Input) -> Result<(State, Vec<Effect>), Denied> {
    use Effect as E;
    Ok(match (state, input) {
        (State::Created, Input::Start) => (State::Starting, vec![E::SendGo]),
        (State::Starting | State::Running, Input::Start) => return Err(Denied::AlreadyStarted),
        (
            State::Failing | State::Doomed | State::Stopped(_) | State::Leaving(_) | State::Gone,
            Input::Start,
        ) => return Err(Denied::Ended),

        (State::Starting, Input::Started) => (State::Running, vec![E::PublishStart, E::AnswerStart]),
        (State::Starting, Input::Failed(why)) => (State::Failing, vec![E::RefuseStart(why)]),
        (_, Input::Started | Input::Failed(_)) => return Err(Denied::OutOfTurn),

        (State::Stopped(_) | State::Leaving(_) | State::Gone, Input::Kill(_)) => {
            return Err(Denied::NoProcess);
        }
        (state, Input::Kill(signal)) => (state.clone(), vec![E::Signal(signal)]),

        (State::Created, Input::Delete) => (State::Doomed, vec![E::Signal(KILL)]),
        (State::Stopped(exit), Input::Delete) => (State::Leaving(*exit), vec![E::StopLogger]),
        (State::Leaving(exit), Input::LoggerGone) => (State::Gone, farewell(*exit)),
        (_, Input::LoggerGone) => return Err(Denied::OutOfTurn),
        (State::Doomed | State::Leaving(_) | State::Gone, Input::Delete) => return Err(Denied::BeingDeleted),
        (state, Input::Delete) => return Err(Denied::NotStopped(state.status())),

        (State::Stopped(_) | State::Leaving(_) | State::Gone, Input::Ended(_)) => {
            return Err(Denied::OutOfTurn);
        }
        (State::Starting, Input::Ended(exit)) => {
            let mut effects =
                vec![E::RefuseStart(format!("the engine ended with {} before the guest ran", exit.status))];
            effects.extend(ending(exit));
            (State::Stopped(exit), effects)
        }
        (State::Doomed, Input::Ended(exit)) => {
            let mut effects = ending(exit);
            effects.push(E::StopLogger);
            (State::Leaving(exit), effects)
        }
        (State::Created | State::Failing | State::Running, Input::Ended(exit)) => {
            (State::Stopped(exit), ending(exit))
        }
    })
}

const KILL: i32 = 9;

/// What every end of a process brings, in this order.
fn ending(exit: Exit) -> Vec<Effect> {
    let mut effects = vec![Effect::CloseStdio];
    if exit.out_of_memory {
        effects.push(Effect::PublishOom);
    }
    effects.extend([Effect::PublishExit(exit), Effect::AnswerWaits(exit)]);
    effects
}

/// What every deletion brings.
fn farewell(exit: Exit) -> Vec<Effect> {
    vec![Effect::CleanUp, Effect::PublishDelete(exit), Effect::AnswerDelete(exit)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    const EXIT: Exit = Exit { status: 3, at: UNIX_EPOCH, out_of_memory: false };

    fn run(inputs: &[Input]) -> (State, Vec<Effect>, Vec<Denied>) {
        let (mut state, mut effects, mut denied) = (State::Created, Vec::new(), Vec::new());
        for input in inputs {
            match step(&state, input.clone()) {
                Ok((next, more)) => {
                    state = next;
                    effects.extend(more);
                }
                Err(why) => denied.push(why),
            }
        }
        (state, effects, denied)
    }

    #[test]
    fn a_whole_life_in_order() {
        let (state, effects, denied) =
            run(&[Input::Start, Input::Started, Input::Ended(EXIT), Input::Delete, Input::LoggerGone]);
        assert_eq!(state, State::Gone);
        assert!(denied.is_empty());
        assert_eq!(
            effects,
            [
                Effect::SendGo,
                Effect::PublishStart,
                Effect::AnswerStart,
                Effect::CloseStdio,
                Effect::PublishExit(EXIT),
                Effect::AnswerWaits(EXIT),
                Effect::StopLogger,
                Effect::CleanUp,
                Effect::PublishDelete(EXIT),
                Effect::AnswerDelete(EXIT),
            ]
        );
    }

    #[test]
    fn an_end_before_start_is_an_exit_without_a_start() {
        let (state, effects, denied) = run(&[Input::Ended(EXIT), Input::Start]);
        assert_eq!(state, State::Stopped(EXIT));
        assert_eq!(denied, [Denied::Ended]);
        assert!(effects.contains(&Effect::PublishExit(EXIT)) && !effects.contains(&Effect::PublishStart));
    }

    #[test]
    fn out_of_memory_is_told_before_the_exit() {
        let oom = Exit { out_of_memory: true, ..EXIT };
        let (_, effects, _) = run(&[Input::Start, Input::Started, Input::Ended(oom)]);
        let place = |effect: &Effect| effects.iter().position(|e| e == effect).expect("there");
        assert!(place(&Effect::PublishOom) < place(&Effect::PublishExit(oom)));
    }

    #[test]
    fn kill_reaches_a_created_container_and_misses_a_stopped_one() {
        assert_eq!(run(&[Input::Kill(15)]).1, [Effect::Signal(15)]);
        assert_eq!(run(&[Input::Ended(EXIT), Input::Kill(15)]).2, [Denied::NoProcess]);
    }

    #[test]
    fn delete_waits_for_the_end() {
        assert_eq!(run(&[Input::Start, Input::Delete]).2, [Denied::NotStopped(Status::Created)]);
        assert_eq!(
            run(&[Input::Start, Input::Started, Input::Delete]).2,
            [Denied::NotStopped(Status::Running)]
        );
        let (state, effects, _) = run(&[Input::Delete, Input::Ended(EXIT), Input::LoggerGone]);
        assert_eq!(state, State::Gone);
        assert_eq!(effects.first(), Some(&Effect::Signal(9)));
        assert_eq!(effects.last(), Some(&Effect::AnswerDelete(EXIT)));
    }

    #[test]
    fn nothing_is_left_to_do_to_a_container_whose_logger_is_awaited() {
        let (state, effects, denied) = run(&[
            Input::LoggerGone,
            Input::Ended(EXIT),
            Input::Delete,
            Input::Start,
            Input::Kill(9),
            Input::Delete,
        ]);
        assert_eq!(state, State::Leaving(EXIT));
        assert_eq!((state.status(), state.exit()), (Status::Stopped, Some(EXIT)));
        assert_eq!(denied, [Denied::OutOfTurn, Denied::Ended, Denied::NoProcess, Denied::BeingDeleted]);
        assert!(!effects.contains(&Effect::CleanUp) && effects.last() == Some(&Effect::StopLogger));
    }

    #[test]
    fn a_failed_start_is_refused_once() {
        let (state, effects, _) = run(&[Input::Start, Input::Failed("no".into()), Input::Ended(EXIT)]);
        assert_eq!(state, State::Stopped(EXIT));
        assert_eq!(effects.iter().filter(|e| matches!(e, Effect::RefuseStart(_))).count(), 1);
    }

    fn any_input() -> impl Strategy<Value = Input> {
        prop_oneof![
            Just(Input::Start),
            Just(Input::Started),
            Just(Input::Failed("why".into())),
            (1i32..32).prop_map(Input::Kill),
            Just(Input::Ended(EXIT)),
            Just(Input::Delete),
            Just(Input::LoggerGone),
        ]
    }

    proptest! {
        #[test]
        fn whatever_comes_in_containerd_sees_one_order(inputs in prop::collection::vec(any_input(), 0..40)) {
            let (_, effects, _) = run(&inputs);
            let places = |wanted: fn(&Effect) -> bool| -> Vec<usize> {
                effects.iter().enumerate().filter(|(_, e)| wanted(e)).map(|(i, _)| i).collect()
            };
            let go = places(|e| matches!(e, Effect::SendGo));
            let start = places(|e| matches!(e, Effect::PublishStart));
            let exit = places(|e| matches!(e, Effect::PublishExit(_)));
            let delete = places(|e| matches!(e, Effect::PublishDelete(_)));
            let answers = places(|e| matches!(e, Effect::AnswerStart | Effect::RefuseStart(_)));
            prop_assert!(go.len() <= 1 && start.len() <= 1 && exit.len() <= 1 && delete.len() <= 1);
            prop_assert!(answers.len() <= go.len());
            if let (Some(start), Some(exit)) = (start.first(), exit.first()) {
                prop_assert!(start < exit);
            }
            if let Some(delete) = delete.first() {
                prop_assert!(exit.first().is_some_and(|exit| exit < delete));
            }
            // No Go is left without an answer once the process has ended.
            if !exit.is_empty() {
                prop_assert_eq!(answers.len(), go.len());
            }
        }
    }
}
