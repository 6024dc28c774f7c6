//! What was done, counted; and what was wrong, in words.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

/// How a call went.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Went {
    /// Done.
    Well,
    /// Refused, as it had to be.
    Refused,
    /// Failed because of a kill.
    Cut,
}

/// All counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    calls: Mutex<BTreeMap<String, [u64; 3]>>,
    kills: Mutex<BTreeMap<String, u64>>,
    codes: Mutex<u64>,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    pub(crate) fn call(&self, name: &str, went: Went) {
        let mut calls = self.calls.lock().expect("no panic");
        calls.entry(name.to_owned()).or_default()[went as usize] += 1;
    }

    pub(crate) fn kill(&self, name: &str) {
        *self.kills.lock().expect("no panic").entry(name.to_owned()).or_default() += 1;
    }

    /// An exit code that was what it had to be.
    pub(crate) fn code(&self) {
        *self.codes.lock().expect("no panic") += 1;
    }

    pub(crate) fn wrong(&self, what: String) {
        eprintln!("wrong: {what}");
        self.wrong.lock().expect("no panic").push(what);
    }

    pub(crate) fn all_wrong(&self) -> Vec<String> {
        self.wrong.lock().expect("no panic").clone()
    }

    pub(crate) fn kills(&self) -> u64 {
        self.kills.lock().expect("no panic").values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| call | done | refused, rightly | cut off by a kill |\n|---|---|---|---|")?;
        let calls = self.calls.lock().expect("no panic");
        for (name, [well, refused, cut]) in calls.iter() {
            writeln!(f, "| {name} | {well} | {refused} | {cut} |")?;
        }
        let sum = |which: usize| calls.values().map(|counts| counts[which]).sum::<u64>();
        writeln!(f, "| all | {} | {} | {} |", sum(0), sum(1), sum(2))?;
        let kills = self.kills.lock().expect("no panic");
        let kills: Vec<_> = kills.iter().map(|(victim, count)| format!("{victim} {count}")).collect();
        writeln!(f, "\nkilled with -9: {}", kills.join(", "))?;
        let codes = self.codes.lock().expect("no panic");
        write!(f, "exit codes looked at: {codes}; wrong: {}", self.wrong.lock().expect("no panic").len())
    }
}
