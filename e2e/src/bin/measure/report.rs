//! The figures, as a table for people and as JSON for machines.

use crate::Measured;
use crate::cycle::PHASES;
use crate::goals::Goal;
use crate::sample::Sample;
use pinnace_e2e::{Node, places};
use serde_json::{Value, json};
use std::fs;

pub(crate) fn table(node: &Node, measured: &[Measured], goals: &[Goal]) {
    println!("containerd {}; milliseconds, p50 / p95 / p99", node.version());
    row("", measured, |of| of.name.to_owned());
    row("shim start", measured, |of| percentiles(&of.shim_start));
    for phase in PHASES {
        row(phase, measured, |of| percentiles(of.cycles.phase(phase)));
    }
    row("CPU per cycle", measured, |of| format!("{:.1}", of.cycles.cpu()));
    println!("\n{:<40}{:>12}{:>12}{:>10}", "while a guest sleeps", "private KiB", "PSS KiB", "threads");
    for of in measured {
        for (guest, cost) in &of.asleep {
            for process in cost {
                println!(
                    "{:<8} {guest:<14} {:<16}{:>12}{:>12}{:>10}",
                    of.name, process.name, process.private, process.pss, process.threads
                );
            }
        }
    }
    println!("\n{:<30}{:>10}", "size of programs", "KiB");
    for (name, size) in sizes() {
        println!("{name:<30}{:>10}", size / 1024);
    }
    println!("\ngoals");
    for goal in goals {
        let verdict = if goal.reached() { "reached" } else { "MISSED" };
        let blame = goal.blame.as_deref().map(|blame| format!(": {blame}")).unwrap_or_default();
        println!("{verdict:<8} {} {:.2} (at most {:.2}){blame}", goal.what, goal.value, goal.limit);
    }
}

pub(crate) fn json(node: &Node, measured: &[Measured], goals: &[Goal]) -> Value {
    let goal = |goal: &Goal| {
        json!({
            "what": goal.what, "limit": goal.limit, "value": goal.value, "reached": goal.reached(),
            "blame": goal.blame,
        })
    };
    json!({
        "containerd": node.version(),
        "contenders": measured.iter().map(contender).collect::<Vec<_>>(),
        "program_bytes": sizes().into_iter().map(|(name, size)| (name, json!(size))).collect::<Value>(),
        "goals": goals.iter().map(goal).collect::<Vec<_>>(),
    })
}

fn contender(of: &Measured) -> Value {
    let sample = |sample: &Sample| json!({ "p50": sample.percentile(50), "p95": sample.percentile(95), "p99": sample.percentile(99) });
    let asleep = of.asleep.iter().map(|(guest, cost)| {
        let processes = cost.iter().map(|process| {
            json!({
                "name": process.name, "private_kib": process.private, "pss_kib": process.pss,
                "threads": process.threads,
            })
        });
        json!({ "guest": guest, "processes": processes.collect::<Vec<_>>() })
    });
    json!({
        "name": of.name,
        "shim_start_ms": sample(&of.shim_start),
        "phases_ms": PHASES.map(|phase| (phase, sample(of.cycles.phase(phase)))).into_iter().collect::<Value>(),
        "cpu_ms_per_cycle": of.cycles.cpu(),
        "asleep": asleep.collect::<Vec<_>>(),
    })
}

fn row(name: &str, measured: &[Measured], cell: impl Fn(&Measured) -> String) {
    let cells = measured.iter().map(|of| format!("{:>24}", cell(of)));
    println!("{name:<14}{}", cells.collect::<String>());
}

fn percentiles(sample: &Sample) -> String {
    let [middle, most, nearly_all] = [50, 95, 99].map(|percent| sample.percentile(percent));
    format!("{middle:.1} / {most:.1} / {nearly_all:.1}")
}

/// The release programs and their sizes; links are other names of the same.
fn sizes() -> Vec<(String, u64)> {
    let entries = fs::read_dir(places::dist()).into_iter().flatten().flatten();
    let mut sizes: Vec<_> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.metadata().ok()?.len())))
        .collect();
    sizes.sort();
    sizes
}
