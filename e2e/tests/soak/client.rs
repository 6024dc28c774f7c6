//! A client: it does what its dice say, and looks whether the answers are right.

use crate::board::{Board, Entry};
use crate::kit::{self, Kit};
use crate::plan::{self, Deed, Dice, Home, Kind, SLOTS, Step};
use crate::slot::{Fate, Phase, Slot, Verdict};
use crate::tally::{Tally, Went};
use pinnace_e2e::{Code, Container, Node, Status, within};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long anything may take: many times what it takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(90);

/// What all clients have in common.
pub(crate) struct World<'node> {
    pub(crate) node: &'node Node,
    pub(crate) kit: Kit,
    pub(crate) board: Board,
    pub(crate) tally: Tally,
    /// The name of the server that lives from beginning to end.
    pub(crate) shared: String,
}

/// One of them.
pub(crate) struct Client<'world, 'node> {
    pub(crate) world: &'world World<'node>,
    name: String,
    group: String,
    dice: Dice,
    slots: [Option<Slot<'node>>; SLOTS],
}

/// How a call went that had to go well or not.
pub(crate) enum Called<T> {
    Done(T),
    Refused,
    /// It says nothing, because of a kill.
    Cut,
}

impl<'world, 'node> Client<'world, 'node> {
    pub(crate) fn new(world: &'world World<'node>, seed: u64, number: u64) -> Self {
        let group = world.node.id();
        let slots = std::array::from_fn(|_| None);
        Self { world, name: format!("client {number}"), group, dice: Dice::new(seed, number), slots }
    }

    /// Goes on until this moment, and leaves nothing.
    pub(crate) fn round(&mut self, end: Instant) {
        while Instant::now() < end {
            match plan::step(&mut self.dice) {
                Step::Pod { code, stopped } => crate::pods::pod(self.world, &self.name, code, stopped),
                Step::Container { slot, deed, kind, home, number } => match self.slots[slot].take() {
                    None => self.slots[slot] = self.create(kind, home),
                    Some(filled) => self.slots[slot] = self.step(filled, deed, number),
                },
            }
        }
        for slot in 0..SLOTS {
            if let Some(slot) = self.slots[slot].take() {
                self.finish(slot);
            }
        }
    }

    fn create(&self, kind: Kind, home: Home) -> Option<Slot<'node>> {
        let World { node, kit, board, tally, shared, .. } = self.world;
        let group = kit::group(home, &self.group, shared);
        let draft = kit.draft(node, kind, group);
        let id = draft.id().to_owned();
        let entry = board.announce(&id, group.unwrap_or(&id), home == Home::Shared, false);
        let epoch = board.epoch();
        match draft.try_create() {
            Ok(container) => {
                tally.call("create", Went::Well);
                entry.born(container.pid());
                if kind == Kind::Impossible {
                    tally.wrong(format!("{}: {id} was created, and imports what nobody has", self.name));
                }
                Some(Slot::new(kind, container, entry))
            }
            Err(failed) => {
                let (container, status) = *failed;
                let right = kind == Kind::Impossible && status.message().contains("secret_sauce");
                if right {
                    tally.call("create", Went::Refused);
                    board.gone(&entry);
                    container.forget();
                    return None;
                }
                tally.call("create", Went::Cut);
                if !self.excused(epoch, &entry) {
                    tally.wrong(format!("{}: create of {kind:?} {id} in {home:?}: {status}", self.name));
                }
                let mut slot = Slot::new(kind, container, entry);
                slot.in_doubt = true;
                self.finish(slot);
                None
            }
        }
    }

    /// Whether whatever happened since is a kill's doing.
    fn excused(&self, epoch: u64, entry: &Entry) -> bool {
        let now = self.world.board.epoch();
        now != epoch || now % 2 == 1 || entry.orphaned()
    }

    /// Calls and judges.
    fn call<T>(
        &self,
        slot: &Slot<'node>,
        (name, expected): (&str, Verdict),
        call: impl FnOnce(&Container<'node>) -> Result<T, Status>,
    ) -> Called<T> {
        let tally = &self.world.tally;
        let epoch = self.world.board.epoch();
        let answer = call(&slot.container);
        let excused = self.excused(epoch, &slot.entry);
        // A process that was killed meanwhile: what it would have answered nobody knows.
        let expected = if slot.entry.killed() { Verdict::Either } else { expected };
        let about = || format!("{}: {name} of {:?} {}", self.name, slot.kind, slot.container.id());
        match answer {
            Ok(value) => {
                tally.call(name, Went::Well);
                if expected == Verdict::Refused && !excused {
                    tally.wrong(format!("{}, {:?}: was done", about(), slot.phase));
                }
                Called::Done(value)
            }
            Err(_) if excused => {
                tally.call(name, Went::Cut);
                Called::Cut
            }
            Err(status) => {
                tally.call(name, Went::Refused);
                if expected == Verdict::Done || !decent(&status) {
                    tally.wrong(format!("{}, {:?} {:?}: {status}", about(), slot.phase, slot.fate));
                }
                Called::Refused
            }
        }
    }

    fn step(&self, mut slot: Slot<'node>, deed: Deed, number: u8) -> Option<Slot<'node>> {
        let expected = slot.expects(deed);
        let cut = match deed {
            Deed::Start => self.start(&mut slot, expected),
            Deed::State => self.state(&mut slot),
            Deed::Pids => self.plain(&mut slot, ("pids", expected), |container| container.pids().map(drop)),
            Deed::Stats => {
                self.plain(&mut slot, ("stats", expected), |container| container.metrics().map(drop))
            }
            Deed::Kill(signal) => self.kill(&mut slot, signal, expected),
            Deed::Exec => self.exec(&mut slot, number, expected),
            Deed::Pause => match self.call(&slot, ("pause", expected), Container::pause) {
                Called::Done(()) => {
                    slot.phase = Phase::Paused;
                    false
                }
                other => self.seen(&mut slot, &other),
            },
            Deed::Resume => match self.call(&slot, ("resume", expected), Container::resume) {
                Called::Done(()) => {
                    slot.phase = Phase::Running;
                    false
                }
                other => self.seen(&mut slot, &other),
            },
            Deed::Update => {
                let more = u64::from(number);
                let limits = match number % 3 {
                    0 => json!({ "cpu": { "shares": 512 + more } }),
                    1 => json!({ "memory": { "limit": (128 + more) << 20 } }),
                    _ => json!({ "pids": { "limit": 100 + more } }),
                };
                self.plain(&mut slot, ("update", expected), |container| container.update(&limits))
            }
            Deed::Resize => {
                let width = 40 + u32::from(number);
                self.plain(&mut slot, ("resize", expected), |container| container.resize(width, 25))
            }
            Deed::Input => self.input(&mut slot, number, expected),
            Deed::Wait if !slot.is_awaited() => self.state(&mut slot),
            Deed::Wait => match self.call(&slot, ("wait", expected), Container::try_wait) {
                Called::Done(code) => {
                    slot.phase = Phase::Over;
                    self.judge(&slot, code);
                    false
                }
                other => self.seen(&mut slot, &other),
            },
            Deed::Delete => return self.delete(slot, expected),
        };
        // What a kill has left of it.
        if slot.entry.orphaned() || (cut && !self.recover(&mut slot)) {
            self.finish(slot);
            return None;
        }
        Some(slot)
    }

    /// A call that changes nothing that is looked at here.
    fn plain(
        &self,
        slot: &mut Slot<'node>,
        named: (&str, Verdict),
        call: impl FnOnce(&Container<'node>) -> Result<(), Status>,
    ) -> bool {
        let called = self.call(slot, named, call);
        self.seen(slot, &called)
    }

    /// Whether a call was cut off; after one that was refused to a container that may have ended its state is looked at.
    fn seen<T>(&self, slot: &mut Slot<'node>, called: &Called<T>) -> bool {
        match called {
            Called::Done(_) => false,
            Called::Refused if slot.is_dying() => self.state(slot),
            Called::Refused => false,
            Called::Cut => true,
        }
    }

    fn state(&self, slot: &mut Slot<'node>) -> bool {
        match self.call(slot, ("state", Verdict::Done), Container::process) {
            Called::Done(process) => {
                let (before, dying) = (slot.phase, slot.is_dying());
                slot.is(process.status());
                if slot.phase != before && !dying {
                    let (id, status) = (slot.container.id(), process.status());
                    let words = format!("{}: {:?} {id} is {status:?}, not {before:?}", self.name, slot.kind);
                    self.world.tally.wrong(words);
                }
                false
            }
            Called::Refused => false,
            Called::Cut => true,
        }
    }

    fn start(&self, slot: &mut Slot<'node>, expected: Verdict) -> bool {
        match self.call(slot, ("start", expected), |container| container.start().map(drop)) {
            Called::Done(()) => {
                slot.runs();
                self.ready(slot);
                false
            }
            other => self.seen(slot, &other),
        }
    }

    /// Waits until a guest says that it runs: only then it heeds signals.
    fn ready(&self, slot: &Slot<'node>) {
        if !kit::says_ready(slot.kind) || slot.phase != Phase::Running || slot.fate != Fate::Lives {
            return;
        }
        let said = || slot.container.stdout().so_far().contains("ready");
        let gone = || slot.entry.killed() || slot.entry.orphaned();
        if within(LONG, || (said() || gone()).then_some(())).is_none() {
            let id = slot.container.id();
            self.world.tally.wrong(format!("{}: {:?} {id} never says that it runs", self.name, slot.kind));
        }
    }

    fn kill(&self, slot: &mut Slot<'node>, signal: u32, expected: Verdict) -> bool {
        self.ready(slot);
        // The first process of a namespace ignores what it does not handle, and the OCI runtime's handles all.
        let signal = match (kit::is_native(slot.kind), slot.phase, signal) {
            (true, Phase::Created | Phase::Paused, _) => 9,
            (true, _, 2) => 15,
            (_, _, signal) => signal,
        };
        let called =
            self.call(slot, (&format!("kill {signal}"), expected), |container| container.kill(signal));
        if !matches!(called, Called::Refused) {
            slot.codes.push(kit::end_by(slot.kind, signal));
        }
        match called {
            Called::Done(()) => {
                slot.fate = Fate::Ends;
                if signal == 9 && slot.phase == Phase::Paused {
                    slot.phase = Phase::Running;
                }
                false
            }
            Called::Cut => {
                slot.fate = slot.fate.max(Fate::MayEnd);
                true
            }
            Called::Refused => self.seen(slot, &called),
        }
    }

    fn exec(&self, slot: &mut Slot<'node>, number: u8, expected: Verdict) -> bool {
        self.ready(slot);
        let code = plan::CODES[usize::from(number) % plan::CODES.len()];
        let words = kit::exec(slot.kind, code);
        let called = self.call(slot, ("exec", expected), |container| {
            let mut exec = container.exec(words.iter().map(String::as_str)).start()?;
            let code = exec.try_wait()?;
            let deleted = exec.delete()?;
            match code == deleted {
                true => Ok(code),
                false => Err(Status::internal(format!("Wait told {code}, Delete {deleted}"))),
            }
        });
        if let Called::Done(ended) = called {
            let ends = [Some(u32::from(code)), slot.is_dying().then_some(137)];
            match ends.contains(&Some(ended)) || slot.entry.orphaned() {
                true => self.world.tally.code(),
                false => {
                    let id = slot.container.id();
                    self.world.tally.wrong(format!("{}: an exec in {id}: {ended}, not {code}", self.name));
                }
            }
        }
        self.seen(slot, &called)
    }

    fn input(&self, slot: &mut Slot<'node>, number: u8, expected: Verdict) -> bool {
        if slot.kind == Kind::Echoes && !slot.closed && !number.is_multiple_of(3) {
            slot.container.write("a line\n");
            return false;
        }
        if slot.kind != Kind::Echoes {
            return false;
        }
        slot.closed = true;
        slot.codes.push(0);
        let epoch = self.world.board.epoch();
        let closed = slot.container.close_stdin();
        let excused = self.excused(epoch, &slot.entry);
        match self.call(slot, ("close input", expected), |_| closed) {
            Called::Done(()) if slot.phase == Phase::Running => slot.fate = Fate::Ends,
            Called::Done(()) => slot.fate = slot.fate.max(Fate::MayEnd),
            _ => slot.fate = slot.fate.max(Fate::MayEnd),
        }
        excused
    }

    fn delete(&self, mut slot: Slot<'node>, expected: Verdict) -> Option<Slot<'node>> {
        if slot.phase != Phase::Over {
            slot.codes.push(137);
        }
        match self.call(&slot, ("delete", expected), Container::delete_task) {
            Called::Done(code) => {
                self.judge(&slot, code);
                self.forget(slot);
                return None;
            }
            Called::Refused => {
                self.seen(&mut slot, &Called::<()>::Refused);
            }
            Called::Cut => {
                slot.in_doubt = true;
                self.finish(slot);
                return None;
            }
        }
        Some(slot)
    }

    /// Looks at what a container is after a call was cut off; `false` if there is none any more, or nobody can tell.
    fn recover(&self, slot: &mut Slot<'node>) -> bool {
        let found = within(LONG, || {
            // Until containerd is back.
            drop(self.world.node.steady());
            let epoch = self.world.board.epoch();
            match slot.container.process() {
                Ok(process) => Some(Some(process.status())),
                Err(_) if slot.entry.orphaned() => Some(None),
                Err(_) if self.excused(epoch, &slot.entry) => None,
                Err(status) => {
                    let id = slot.container.id();
                    self.world.tally.wrong(format!("{}: {id} after a kill: {status}", self.name));
                    Some(None)
                }
            }
        });
        let Some(Some(state)) = found else { return false };
        slot.is(state);
        true
    }

    /// Ends a container whatever it does, and looks at its exit code.
    fn finish(&self, mut slot: Slot<'node>) {
        let over = within(LONG, || {
            drop(self.world.node.steady());
            let epoch = self.world.board.epoch();
            match end(&mut slot) {
                Ok(code) => {
                    self.world.tally.call("end", Went::Well);
                    self.judge(&slot, code);
                    Some(())
                }
                Err(status)
                    if status.code() == Code::NotFound && (slot.in_doubt || slot.entry.orphaned()) =>
                {
                    self.world.tally.call("end", Went::Cut);
                    Some(())
                }
                Err(_) if self.excused(epoch, &slot.entry) => {
                    slot.in_doubt = true;
                    None
                }
                Err(status) => {
                    let (id, phase) = (slot.container.id(), slot.phase);
                    self.world.tally.wrong(format!("{}: end of {id}, {phase:?}: {status}", self.name));
                    Some(())
                }
            }
        });
        if over.is_none() {
            let id = slot.container.id();
            self.world.tally.wrong(format!("{}: {:?} {id} cannot be ended", self.name, slot.kind));
        }
        self.forget(slot);
    }

    fn forget(&self, slot: Slot<'node>) {
        self.world.board.gone(&slot.entry);
        slot.container.forget();
    }

    /// Whether an exit code is one of those that it may be.
    fn judge(&self, slot: &Slot<'node>, code: u32) {
        let by_kill = (slot.entry.killed() || slot.entry.orphaned()) && code == 137;
        // What containerd says when it cannot ask.
        let lost = slot.entry.orphaned() && code == 255;
        if slot.codes.contains(&code) || by_kill || lost {
            self.world.tally.code();
        } else {
            let (id, codes) = (slot.container.id(), &slot.codes);
            let words = format!("{}: {:?} {id} ended with {code}, not {codes:?}", self.name, slot.kind);
            self.world.tally.wrong(words);
        }
    }
}

/// Kills, waits, deletes; the exit code.
fn end(slot: &mut Slot<'_>) -> Result<u32, Status> {
    if slot.container.kill(9).is_ok() {
        slot.codes.push(137);
    }
    let code = slot.container.try_wait()?;
    let deleted = slot.container.delete_task()?;
    match code == deleted {
        true => Ok(code),
        false => Err(Status::internal(format!("Wait told {code}, Delete {deleted}"))),
    }
}

/// Whether an error is a refusal, and not a failure.
fn decent(status: &Status) -> bool {
    let failures = [Code::Internal, Code::DeadlineExceeded, Code::Unimplemented, Code::Unavailable];
    !failures.contains(&status.code())
}
