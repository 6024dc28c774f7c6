//! What is to be reached, and which phase is to blame where it is not.

use crate::Measured;
use pinnace_e2e::Cost;

/// One goal.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) limit: f64,
    pub(crate) value: f64,
    /// Where the cost lies, if the goal is missed.
    pub(crate) blame: Option<String>,
}

impl Goal {
    pub(crate) fn reached(&self) -> bool {
        self.value <= self.limit
    }
}

/// Holds the first contender against the second and third.
pub(crate) fn judge(measured: &[Measured]) -> Vec<Goal> {
    let [ours, runc, null] = measured else { return Vec::new() };
    let first_byte = |of: &Measured| of.cycles.phase("first byte").percentile(50);
    let mut goals = vec![
        goal("Create to first byte, p50, as a part of runc's", 0.22, first_byte(ours) / first_byte(runc)),
        goal(
            "Create to first byte, p50, as a multiple of the null shim's",
            1.1,
            first_byte(ours) / first_byte(null),
        ),
    ];
    for goal in &mut goals {
        if !goal.reached() {
            goal.blame = Some(dearest_phase(ours, null));
        }
    }
    for (what, cost) in &ours.asleep {
        let (server, engine) = (cost.first(), cost.get(1));
        let private = |process: Option<&Cost>| process.map_or(f64::INFINITY, |process| kib(process.private));
        let threads = engine.map_or(f64::INFINITY, |process| kib(process.threads));
        goals.push(goal(&format!("engine's private memory, {what}, KiB"), 0.6 * 1024.0, private(engine)));
        goals.push(goal(&format!("server's private memory, {what}, KiB"), 1.5 * 1024.0, private(server)));
        goals.push(goal(&format!("engine's threads, {what}"), 1.0, threads));
        goals.push(goal(&format!("processes, {what}"), 2.0, kib(cost.len() as u64)));
    }
    goals
}

fn goal(what: &str, limit: f64, value: f64) -> Goal {
    Goal { what: what.to_owned(), limit, value, blame: None }
}

/// The phase on the way to the first byte that costs most above the null shim's.
fn dearest_phase(ours: &Measured, null: &Measured) -> String {
    let above =
        |phase: &str| ours.cycles.phase(phase).percentile(50) - null.cycles.phase(phase).percentile(50);
    let dearest = ["Create", "Start"].into_iter().max_by(|a, b| above(a).total_cmp(&above(b)));
    dearest
        .map(|phase| format!("{phase} costs {:.1} ms more than the null shim's", above(phase)))
        .unwrap_or_default()
}

/// Small numbers, exactly.
fn kib(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
