//! The ninth: it kills.

use crate::board::Entry;
use crate::client::World;
use crate::plan::{self, Dice, Victim};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Who it is, and the dice that lead it.
pub(crate) struct Killer<'world, 'node> {
    world: &'world World<'node>,
    dice: Dice,
}

impl<'world, 'node> Killer<'world, 'node> {
    pub(crate) fn new(world: &'world World<'node>, seed: u64, number: u64) -> Self {
        Self { world, dice: Dice::new(seed, number) }
    }

    /// Kills until this moment.
    pub(crate) fn round(&mut self, end: Instant) {
        loop {
            let (victim, which, pause) = plan::kill(&mut self.dice);
            let pause = Duration::from_millis(pause);
            if Instant::now() + pause >= end {
                return;
            }
            // Not to wait for anything: at a random moment.
            sleep(pause);
            let killed = match victim {
                Victim::Process => self.one(which, |entry| !entry.holder, Self::process),
                Victim::Holder => self.one(which, |entry| entry.holder, Self::process),
                Victim::Server => self.one(which, |entry| !entry.spared, Self::server),
                Victim::Containerd => {
                    self.world.board.turn();
                    self.world.node.restart(Signal::KILL);
                    self.world.board.turn();
                    true
                }
            };
            if killed {
                self.world.tally.kill(&format!("{victim:?}").to_lowercase());
            }
        }
    }

    /// Chooses one and kills what belongs to it.
    fn one(
        &self,
        which: u64,
        is_victim: impl Fn(&Entry) -> bool,
        kill: impl FnOnce(&[Arc<Entry>], &Entry) -> bool,
    ) -> bool {
        let entries = self.world.board.entries();
        let candidates: Vec<_> =
            entries.iter().filter(|entry| entry.pid() != 0 && is_victim(entry)).collect();
        match candidates.len() {
            0 => false,
            count => kill(&entries, candidates[which as usize % count]),
        }
    }

    fn process(_: &[Arc<Entry>], entry: &Entry) -> bool {
        let pid = entry.pid();
        let is_it = match entry.holder {
            true => name(pid).as_deref() == Some("pinnace-holder"),
            // Nobody else is in its cgroup, and the id of a process that is gone may be somebody else's.
            false => fs::read_to_string(format!("/proc/{pid}/cgroup"))
                .is_ok_and(|cgroups| cgroups.contains(&entry.id)),
        };
        if is_it {
            entry.kill();
        }
        is_it && kill(pid)
    }

    fn server(entries: &[Arc<Entry>], entry: &Entry) -> bool {
        let Some(server) = parent(entry.pid()) else { return false };
        let is_it = name(server).as_deref() == Some("pinnace-shim");
        if is_it {
            entries.iter().filter(|other| other.group == entry.group).for_each(|other| other.orphan());
        }
        is_it && kill(server)
    }
}

fn kill(pid: u32) -> bool {
    Pid::from_raw(pid.cast_signed()).is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
}

fn name(pid: u32) -> Option<String> {
    line(pid, "Name:")
}

fn parent(pid: u32) -> Option<u32> {
    line(pid, "PPid:")?.parse().ok()
}

fn line(pid: u32, key: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned())
}
