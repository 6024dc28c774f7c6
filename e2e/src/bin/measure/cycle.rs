//! One container's life, phase by phase.

use crate::contender::Contender;
use crate::sample::Sample;
use pinnace_e2e::{Node, leaks};
use std::fs;
use std::time::Instant;

/// The phases, in their order.
pub(crate) const PHASES: [&str; 6] = ["Create", "Start", "first byte", "exit", "Delete", "whole cycle"];

/// All cycles of one contender.
#[derive(Default)]
pub(crate) struct Cycles {
    phases: [Sample; PHASES.len()],
    busy: u64,
    count: u64,
}

impl Cycles {
    /// Runs one more container from Create to Delete.
    ///
    /// "First byte" counts from asking for Create, "exit" from asking for Start.
    pub(crate) fn add(&mut self, node: &Node, contender: &Contender) {
        let draft = contender.line(node);
        let busy = busy_ticks();
        let container = draft.create().expect("create");
        let create = container.create_took();
        let ended = container.watch();
        let asked = Instant::now();
        container.start().expect("start");
        let start = asked.elapsed();
        let exit = ended.recv().expect("an exit").saturating_duration_since(asked);
        let _line = container.stdout().to_end();
        let first_byte = container.to_first_byte().expect("a line of output");
        let deleting = Instant::now();
        container.delete_task().expect("delete");
        let times = [create, start, first_byte, exit, deleting.elapsed(), create + asked.elapsed()];
        self.busy += busy_ticks() - busy;
        self.count += 1;
        // The stock crate leaves its socket behind; the others have none left to remove.
        let _gone = fs::remove_file(leaks::socket(&node.socket(), container.id()));
        container.forget();
        for (phase, time) in self.phases.iter_mut().zip(times) {
            phase.add(time);
        }
    }

    /// The phase of this name.
    pub(crate) fn phase(&self, name: &str) -> &Sample {
        let place = PHASES.iter().position(|phase| *phase == name).unwrap_or_default();
        &self.phases[place]
    }

    /// The whole machine's CPU time per cycle, in milliseconds.
    pub(crate) fn cpu(&self) -> f64 {
        // The kernel's unit of these figures is a hundredth of a second everywhere.
        let milliseconds = u32::try_from(self.busy * 10).map_or(f64::INFINITY, f64::from);
        milliseconds / f64::from(u32::try_from(self.count.max(1)).unwrap_or(u32::MAX))
    }
}

/// What all processors were busy for since boot.
fn busy_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/stat").expect("/proc/stat");
    let fields: Vec<u64> =
        stat.lines().next().unwrap_or_default().split(' ').filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, (idle, iowait,) irq, softirq
    [0, 1, 2, 5, 6].iter().filter_map(|place| fields.get(*place)).sum()
}
