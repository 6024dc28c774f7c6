//! A pod from beginning to end, with Wasm and native containers in it.
//!
//! containerd is not killed within a call of the CRI: what it leaves of one that is half done is its own affair. It is
//! killed between them, while the pod lives; and so is everything else at any time.

use crate::board::Entry;
use crate::client::{LONG, World};
use crate::kit;
use crate::plan::Kind;
use crate::tally::Went;
use pinnace_e2e::cri::{Pod, PodContainer};
use pinnace_e2e::{Status, within};
use std::sync::Arc;

/// The life of a pod.
pub(crate) fn pod(world: &World<'_>, name: &str, code: u8, stopped: bool) {
    let group = world.node.id();
    let entry = world.board.announce("", &group, false, true);
    let visit = Visit { world, name, entry: &entry, group: &group };
    let pod = visit.call("run pod", || {
        let pod = world.node.draft_pod().host_network().run()?;
        Ok((pod.pid(), pod))
    });
    if let Some((pid, pod)) = pod {
        entry.born(pid);
        visit.stay(&pod, code, stopped);
        let removed = within(LONG, || {
            let _steady = world.node.steady();
            match pod.remove() {
                Err(status) if !visit.excused() => {
                    world.tally.wrong(format!("{name}: removal of pod {}: {status}", pod.id()));
                    Some(())
                }
                removed => removed.ok(),
            }
        });
        match removed {
            Some(()) => world.tally.call("remove pod", Went::Well),
            None => world.tally.wrong(format!("{name}: pod {} cannot be removed", pod.id())),
        }
    }
    world.board.gone(&entry);
}

/// A container of a pod.
struct Member<'pod, 'node> {
    container: PodContainer<'pod, 'node>,
    entry: Arc<Entry>,
    /// The life of containerd in which it was made.
    epoch: u64,
}

/// Somebody's pod.
struct Visit<'a, 'node> {
    world: &'a World<'node>,
    name: &'a str,
    entry: &'a Arc<Entry>,
    group: &'a str,
}

impl Visit<'_, '_> {
    /// Whether the pod's server or holder was killed.
    fn excused(&self) -> bool {
        self.entry.orphaned() || self.entry.killed()
    }

    fn call<T>(&self, what: &str, call: impl FnOnce() -> Result<T, Status>) -> Option<T> {
        let _steady = self.world.node.steady();
        let tally = &self.world.tally;
        match call() {
            Ok(done) => {
                tally.call(what, Went::Well);
                Some(done)
            }
            Err(_) if self.excused() => {
                tally.call(what, Went::Cut);
                None
            }
            Err(status) => {
                tally.call(what, Went::Refused);
                tally.wrong(format!("{}: {what}: {status}", self.name));
                None
            }
        }
    }

    fn stay(&self, pod: &Pod<'_>, code: u8, stopped: bool) {
        for kind in [Kind::Exits(code), Kind::NativeExits(code)] {
            if let Some(container) = self.container(pod, kind) {
                self.ends(&container, &[i32::from(code)]);
                self.world.board.gone(&container.entry);
            }
        }
        let Some(sleeper) = self.container(pod, Kind::Sleeps) else { return };
        let exec = kit::exec(Kind::Sleeps, code);
        let words: Vec<_> = exec.iter().map(String::as_str).collect();
        let executed = self.call_to(&sleeper, "exec in pod", |container| container.exec(&words));
        match executed.map(|ended| ended.code) {
            Some(ended) if ended != i32::from(code) && !self.killed(&sleeper) => {
                self.world.tally.wrong(format!("{}: an exec in a pod: {ended}, not {code}", self.name));
            }
            Some(_) => self.world.tally.code(),
            None => {}
        }
        if stopped && self.call_to(&sleeper, "stop in pod", |container| container.stop(20)).is_some() {
            self.ends(&sleeper, &[143]);
        }
        self.world.board.gone(&sleeper.entry);
    }

    fn container<'pod, 'node>(&self, pod: &'pod Pod<'node>, kind: Kind) -> Option<Member<'pod, 'node>> {
        let words = kit::command(kind);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let container =
            self.call("create in pod", || pod.draft(&self.world.kit.pod_image).command(&words).create())?;
        let entry = self.world.board.announce(container.id(), self.group, false, false);
        let member = Member { container, entry, epoch: self.world.board.epoch() };
        match self.call_to(&member, "start in pod", |container| container.start()) {
            Some(()) => Some(member),
            None => {
                self.world.board.gone(&member.entry);
                None
            }
        }
    }

    /// A call to a container that somebody may kill.
    fn call_to<T>(
        &self,
        member: &Member<'_, '_>,
        what: &str,
        call: impl FnOnce(&PodContainer<'_, '_>) -> Result<T, Status>,
    ) -> Option<T> {
        self.call(what, || match call(&member.container) {
            Err(_) if member.entry.killed() => Ok(None),
            done => done.map(Some),
        })?
    }

    fn killed(&self, Member { entry, .. }: &Member<'_, '_>) -> bool {
        self.excused() || entry.killed() || entry.orphaned()
    }

    /// Waits for its end, which has one of these codes.
    fn ends(&self, member: &Member<'_, '_>, codes: &[i32]) {
        let ended = within(LONG, || {
            let _steady = self.world.node.steady();
            member.container.ended()
        });
        match ended {
            Some(code) if codes.contains(&code) => self.world.tally.code(),
            // containerd deletes the task first, and then writes the code down: a kill between the two loses it.
            Some(255) if member.epoch != self.world.board.epoch() => self.world.tally.code(),
            Some(137 | 255) if self.killed(member) => self.world.tally.code(),
            other => {
                let id = member.container.id();
                self.world.tally.wrong(format!("{}: {id} in a pod: {other:?}, not {codes:?}", self.name));
            }
        }
    }
}
