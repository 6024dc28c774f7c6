use super::*;
use proptest::prelude::*;
use std::time::UNIX_EPOCH;

const EXIT: Exit = Exit { status: 3, at: UNIX_EPOCH, out_of_memory: false };
const INIT: Who = Who::Init;

fn exec() -> Who {
    Who::Exec("e".to_owned())
}

fn run(inputs: &[Input]) -> (Life, Vec<Effect>, Vec<Denied>) {
    let (mut life, mut effects, mut denied) = (Life::new(), Vec::new(), Vec::new());
    for input in inputs {
        match life.step(input.clone()) {
            Ok(more) => effects.extend(more),
            Err(why) => denied.push(why),
        }
    }
    (life, effects, denied)
}

const START: [Input; 2] = [Input::Start(INIT), Input::Started(INIT)];

fn started(more: &[Input]) -> (Life, Vec<Effect>, Vec<Denied>) {
    run(&[&START[..], more].concat())
}

#[test]
fn a_whole_life_in_order() {
    let (life, effects, denied) =
        started(&[Input::Ended(INIT, EXIT), Input::Delete(INIT), Input::StreamsGone(INIT)]);
    assert!(life.is_gone() && denied.is_empty());
    assert_eq!(
        effects,
        [
            Effect::Go(INIT),
            Effect::PublishStart(INIT),
            Effect::AnswerStart(INIT),
            Effect::CloseStreams(INIT),
            Effect::PublishExit(INIT, EXIT),
            Effect::AnswerWaits(INIT, EXIT),
            Effect::EndStreams(INIT),
            Effect::CleanUp,
            Effect::PublishDelete(EXIT),
            Effect::AnswerDelete(INIT, EXIT),
        ]
    );
}

#[test]
fn a_whole_life_of_an_exec_in_order() {
    let (life, effects, denied) = started(&[
        Input::Add("e".into()),
        Input::Start(exec()),
        Input::Started(exec()),
        Input::Ended(exec(), EXIT),
        Input::Delete(exec()),
        Input::StreamsGone(exec()),
    ]);
    assert!(denied.is_empty() && life.status(&exec()).is_none());
    assert_eq!(
        effects[3..],
        [
            Effect::PublishAdded("e".into()),
            Effect::Go(exec()),
            Effect::PublishStart(exec()),
            Effect::AnswerStart(exec()),
            Effect::CloseStreams(exec()),
            Effect::PublishExit(exec(), EXIT),
            Effect::AnswerWaits(exec(), EXIT),
            Effect::EndStreams(exec()),
            Effect::AnswerDelete(exec(), EXIT),
        ]
    );
}

/// What each call finds in each state of the first process: "." it is done, or the first letter of why not.
#[test]
fn every_call_in_every_state() {
    let calls = [
        Input::Start(INIT),
        Input::Kill(INIT, 15),
        Input::KillAll(9),
        Input::Delete(INIT),
        Input::Add("e".into()),
        Input::Pause,
        Input::Resume,
        Input::Update,
    ];
    let live = |more: &[Input]| [&START[..], more].concat();
    let exec_lives = [Input::Add("x".into()), Input::Start(Who::Exec("x".into())), Input::Ended(INIT, EXIT)];
    let refused = Input::Failed(INIT, "no".into());
    let frozen = Input::Frozen(Ok(()));
    let ended = Input::Ended(INIT, EXIT);
    let table = [
        ("created", vec![], ".....", "rr."),
        ("starting", vec![Input::Start(INIT)], "s..l.", "rr."),
        ("failing", vec![Input::Start(INIT), refused], "e..lr", "rrr"),
        ("running", live(&[]), "s..l.", ".r."),
        ("pausing", live(&[Input::Pause]), "s..lr", "rrr"),
        ("paused", live(&[Input::Pause, frozen.clone()]), "s..lr", "r.."),
        ("resuming", live(&[Input::Pause, frozen, Input::Resume]), "s..lr", "rrr"),
        ("doomed", vec![Input::Delete(INIT)], "e..br", "rrr"),
        ("ending", live(&exec_lives), "epplr", "rrr"),
        ("stopped", live(std::slice::from_ref(&ended)), "epp.r", "rrr"),
        ("leaving", live(&[ended.clone(), Input::Delete(INIT)]), "eppbr", "rrr"),
        ("gone", live(&[ended, Input::Delete(INIT), Input::StreamsGone(INIT)]), "eppbr", "rrr"),
    ];
    for (state, inputs, first, second) in table {
        let found: String = calls.iter().map(|call| answer(&mut run(&inputs).0, call.clone())).collect();
        assert_eq!(found, format!("{first}{second}"), "{state}");
    }
}

/// What each call to an exec finds in each of its states, while the first process runs and when it is not running.
#[test]
fn every_call_to_an_exec_in_every_state() {
    let calls = [
        Input::Add("e".into()),
        Input::Start(exec()),
        Input::Kill(exec(), 15),
        Input::Delete(exec()),
        Input::Pause,
    ];
    let with = |more: &[Input]| [&START[..], &[Input::Add("e".into())], more].concat();
    let start = Input::Start(exec());
    let failed = Input::Failed(exec(), "no".into());
    let ran = [start.clone(), Input::Started(exec()), Input::Ended(exec(), EXIT)];
    let table = [
        ("none", START.to_vec(), ".nnn."),
        ("added", with(&[]), "x.y.."),
        ("added, created", vec![Input::Add("e".into())], "xry.r"),
        ("added, paused", with(&[Input::Pause, Input::Frozen(Ok(()))]), "rry.r"),
        ("starting", with(std::slice::from_ref(&start)), "xsyl."),
        ("running", with(&[start.clone(), Input::Started(exec())]), "xs.l."),
        ("failed", with(&[start, failed]), "xep.."),
        ("stopped", with(&ran), "xep.."),
        ("leaving", with(&[&ran[..], &[Input::Delete(exec())]].concat()), "xepb."),
        ("stopped with the first", with(&[&ran[..], &[Input::Ended(INIT, EXIT)]].concat()), "rep.r"),
    ];
    for (state, inputs, expected) in table {
        let found: String = calls.iter().map(|call| answer(&mut run(&inputs).0, call.clone())).collect();
        assert_eq!(found, expected, "{state}");
    }
}

fn answer(life: &mut Life, call: Input) -> char {
    match life.step(call) {
        Ok(_) => '.',
        Err(Denied::AlreadyStarted) => 's',
        Err(Denied::Ended) => 'e',
        Err(Denied::NoProcess) => 'p',
        Err(Denied::NotStarted) => 'y',
        Err(Denied::NotStopped(_)) => 'l',
        Err(Denied::BeingDeleted) => 'b',
        Err(Denied::NotRunning(_)) => 'r',
        Err(Denied::Exists) => 'x',
        Err(Denied::NoSuchExec) => 'n',
        Err(Denied::OutOfTurn) => '?',
    }
}

#[test]
fn an_end_before_start_is_an_exit_without_a_start() {
    let (life, effects, denied) = run(&[Input::Ended(INIT, EXIT), Input::Start(INIT)]);
    assert_eq!((life.status(&INIT), life.exit(&INIT)), (Some(Status::Stopped), Some(EXIT)));
    assert_eq!(denied, [Denied::Ended]);
    assert!(effects.contains(&Effect::PublishExit(INIT, EXIT)));
    assert!(!effects.contains(&Effect::PublishStart(INIT)));
}

#[test]
fn out_of_memory_is_told_before_the_exit() {
    let oom = Exit { out_of_memory: true, ..EXIT };
    let (_, effects, _) = started(&[Input::Ended(INIT, oom)]);
    let place = |effect: &Effect| effects.iter().position(|e| e == effect).expect("there");
    assert!(place(&Effect::PublishOom) < place(&Effect::PublishExit(INIT, oom)));
}

#[test]
fn the_first_process_is_told_last() {
    let (life, effects, _) = started(&[
        Input::Add("e".into()),
        Input::Start(exec()),
        Input::Started(exec()),
        Input::Ended(INIT, EXIT),
        Input::Ended(exec(), EXIT),
    ]);
    assert_eq!(life.status(&INIT), Some(Status::Stopped));
    let place = |effect: Effect| effects.iter().position(|e| *e == effect).expect("there");
    assert!(place(Effect::Signal(exec(), 9)) < place(Effect::PublishExit(exec(), EXIT)));
    assert!(place(Effect::PublishExit(exec(), EXIT)) < place(Effect::PublishExit(INIT, EXIT)));
}

#[test]
fn an_exec_that_is_born_too_late_is_killed() {
    let late = [Input::Add("e".into()), Input::Start(exec()), Input::Ended(INIT, EXIT)];
    let (life, effects, _) = started(&[&late[..], &[Input::Started(exec())]].concat());
    assert_eq!(life.exit(&INIT), None);
    assert_eq!(effects.last(), Some(&Effect::Signal(exec(), 9)));
    let (life, _, _) = started(&[&late[..], &[Input::Failed(exec(), "gone".into())]].concat());
    assert_eq!(life.exit(&INIT), Some(EXIT));
}

#[test]
fn a_frozen_process_is_let_go_to_die() {
    let pause = [Input::Pause, Input::Frozen(Ok(()))];
    let (_, effects, _) = started(&[&pause[..], &[Input::Kill(INIT, 9)]].concat());
    assert_eq!(effects[effects.len() - 2..], [Effect::Signal(INIT, 9), Effect::Freeze(false)]);
    let (_, effects, _) = started(&[Input::Pause, Input::Kill(INIT, 9), Input::Frozen(Ok(()))]);
    assert_eq!(effects.last(), Some(&Effect::Freeze(false)));
    let (_, effects, _) = started(&[&pause[..], &[Input::Kill(INIT, 15)]].concat());
    assert_eq!(effects.last(), Some(&Effect::Signal(INIT, 15)));
}

#[test]
fn a_freezer_that_fails_changes_nothing() {
    let no = Input::Frozen(Err("busy".into()));
    let (life, effects, _) = started(&[Input::Pause, no.clone()]);
    assert_eq!(life.status(&INIT), Some(Status::Running));
    assert_eq!(effects.last(), Some(&Effect::AnswerFreezer(Err("busy".into()))));
    let (life, ..) = started(&[Input::Pause, Input::Frozen(Ok(())), Input::Resume, no]);
    assert_eq!(life.status(&INIT), Some(Status::Paused));
}

#[test]
fn a_failed_start_is_refused_once() {
    let (life, effects, _) =
        run(&[Input::Start(INIT), Input::Failed(INIT, "no".into()), Input::Ended(INIT, EXIT)]);
    assert_eq!(life.exit(&INIT), Some(EXIT));
    assert_eq!(effects.iter().filter(|e| matches!(e, Effect::RefuseStart(..))).count(), 1);
}

fn any_input() -> impl Strategy<Value = Input> {
    let who = prop_oneof![3 => Just(INIT), 1 => Just(exec()), 1 => Just(Who::Exec("f".to_owned()))];
    (who, 0..14u8).prop_map(|(who, which)| match (which, who) {
        (0 | 1, who) => Input::Start(who),
        (2 | 3, who) => Input::Started(who),
        (4, who) => Input::Failed(who, "why".into()),
        (5, who) => Input::Kill(who, 9),
        (6, who) => Input::Ended(who, EXIT),
        (7, who) => Input::Delete(who),
        (8, who) => Input::StreamsGone(who),
        (9, Who::Exec(id)) => Input::Add(id),
        (9, Who::Init) => Input::KillAll(9),
        (10, _) => Input::Pause,
        (11, _) => Input::Resume,
        (12, _) => Input::Frozen(Ok(())),
        (_, _) => Input::Frozen(Err("no".into())),
    })
}

proptest! {
    #[test]
    fn whatever_comes_in_containerd_sees_one_order(inputs in prop::collection::vec(any_input(), 0..60)) {
        let (life, effects, _) = run(&inputs);
        let places = |wanted: fn(&Effect) -> bool| -> Vec<usize> {
            effects.iter().enumerate().filter(|(_, e)| wanted(e)).map(|(i, _)| i).collect()
        };
        let go = places(|e| matches!(e, Effect::Go(INIT)));
        let start = places(|e| matches!(e, Effect::PublishStart(INIT)));
        let exit = places(|e| matches!(e, Effect::PublishExit(INIT, _)));
        let delete = places(|e| matches!(e, Effect::PublishDelete(_)));
        let answers = places(|e| matches!(e, Effect::AnswerStart(INIT) | Effect::RefuseStart(INIT, _)));
        prop_assert!(go.len() <= 1 && start.len() <= 1 && exit.len() <= 1 && delete.len() <= 1);
        prop_assert!(answers.len() <= go.len());
        if let (Some(start), Some(exit)) = (start.first(), exit.first()) {
            prop_assert!(start < exit);
        }
        if let Some(delete) = delete.first() {
            prop_assert!(exit.first().is_some_and(|exit| exit < delete));
        }
        // No Go is left without an answer once the process has ended, and it is told after every exec's end.
        if let Some(exit) = exit.first() {
            prop_assert_eq!(answers.len(), go.len());
            let later = places(|e| matches!(e, Effect::PublishExit(Who::Exec(_), _) | Effect::PublishStart(_)));
            prop_assert!(later.iter().all(|place| place < exit));
        }
        // Each Pause and Resume that was let in is answered, once, unless it is still under way.
        let asked = inputs.iter().filter(|input| matches!(input, Input::Pause | Input::Resume)).count();
        prop_assert!(places(|e| matches!(e, Effect::AnswerFreezer(_))).len() <= asked);
        // A process is never told to have ended twice, or to have ended while it is said to live.
        prop_assert_eq!(life.exit(&INIT).is_some(), !exit.is_empty() && !life.is_gone());
    }
}
