//! `cargo xtask measure`: what a container costs with Pinnace, with runc, and with a shim that runs nothing.
//!
//! ```text
//!  for each cycle, for each contender in turn:     Create ─ Start ─ first byte ─ exit ─ Delete, then 20 ms of peace
//!  then, while a guest sleeps:                     memory, threads and processes
//!  then, without containerd:                       the shim's own start
//! ```
//!
//! All in one run, interleaved: figures of different runs, or of another machine, do not compare; ratios do.

#![forbid(unsafe_code)]
#![allow(clippy::panic, reason = "a measurement that cannot be made must fail")]

mod contender;
mod cycle;
mod goals;
mod report;
mod sample;
mod shim_start;

use contender::Contender;
use cycle::Cycles;
use pinnace_e2e::{Cost, Node};
use sample::Sample;
use std::time::Duration;

/// Between two cycles: back to back, one pays for what the kernel puts off in the other.
const GAP: Duration = Duration::from_millis(20);

/// What was found out about one contender.
struct Measured {
    name: &'static str,
    cycles: Cycles,
    shim_start: Sample,
    /// Of each guest that sleeps: what it is, and its processes.
    asleep: Vec<(&'static str, Vec<Cost>)>,
}

fn main() {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let json = words.iter().any(|word| word == "--json");
    let cycles = words.iter().find_map(|word| word.parse().ok()).unwrap_or(100);

    // Pages of a program that are not on disk yet would count as its private memory.
    rustix::fs::sync();
    let node = Node::start();
    let contenders = contender::all(&node);
    let mut measured: Vec<_> = contenders.iter().map(Measured::nothing_yet).collect();
    for contender in &contenders {
        // Compiles the guest, and brings every program into memory.
        Cycles::default().add(&node, contender);
    }
    for round in 0..cycles {
        if round % 10 == 0 {
            eprintln!("{round} of {cycles} cycles");
        }
        for (contender, measured) in contenders.iter().zip(&mut measured) {
            measured.cycles.add(&node, contender);
            // The one fixed time in this crate, and it is what is wanted: peace.
            std::thread::sleep(GAP);
        }
    }
    for (contender, measured) in contenders.iter().zip(&mut measured) {
        measured.asleep = contender.asleep(&node);
        measured.shim_start = shim_start::measure(&node, contender);
    }
    let goals = goals::judge(&measured);
    if json {
        println!("{:#}", report::json(&node, &measured, &goals));
    } else {
        report::table(&node, &measured, &goals);
    }
}

impl Measured {
    fn nothing_yet(contender: &Contender) -> Self {
        Self {
            name: contender.name,
            cycles: Cycles::default(),
            shim_start: Sample::default(),
            asleep: Vec::new(),
        }
    }
}
