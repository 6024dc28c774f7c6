//! One value for one file of the kernel, and how a file says what it has.

use crate::cgroups::Controller;
use crate::cgroups::stats::flat_value;

/// What to do on a kernel that lacks a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Without {
    /// The limit cannot be set.
    Fail,
    /// Without it there is nothing to limit.
    PassOver,
    /// The same limit by another name.
    Take(&'static str),
}

/// One value for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) controller: Controller,
    pub(super) file: String,
    pub(super) value: String,
    pub(super) without: Without,
}

/// Values in the order they are written in.
pub(super) struct Values(pub(super) Vec<Value>);

impl Values {
    pub(super) fn add(&mut self, controller: Controller, file: &str, value: impl ToString) {
        let (file, value) = (file.to_owned(), value.to_string());
        self.0.push(Value { controller, file, value, without: Without::Fail });
    }

    /// Zero is "not set", as everywhere in the spec's memory, CPU and IO parts.
    pub(super) fn set<T: ToString + Default + PartialEq>(
        &mut self,
        of: Controller,
        file: &str,
        value: Option<T>,
    ) {
        if let Some(value) = value.filter(|value| *value != T::default()) {
            self.add(of, file, value);
        }
    }

    /// Zero is a value; on a kernel without the file it is what there is anyway.
    pub(super) fn set_or_zero<T: ToString + Default + PartialEq>(
        &mut self,
        of: Controller,
        file: &str,
        value: Option<T>,
    ) {
        if let Some(value) = value {
            let zero = value == T::default();
            self.add(of, file, value);
            if zero {
                self.last_without(Without::PassOver);
            }
        }
    }

    pub(super) fn last_without(&mut self, without: Without) {
        if let Some(value) = self.0.last_mut() {
            value.without = without;
        }
    }
}

/// What has to be written to a file to have again what it says now, where `written` is about to be.
///
/// Most files say what is written to them. Lists of devices and interfaces take a line at a time and leave out those
/// that have nothing.
pub(super) fn standing(file: &str, text: &str, written: &str) -> String {
    let key = written.split_whitespace().next().unwrap_or_default();
    let line = |otherwise: &str| {
        let found = text.lines().find(|line| line.split_whitespace().next() == Some(key));
        found.map_or_else(|| format!("{key} {otherwise}"), str::to_owned)
    };
    match file {
        "memory.oom_control" => flat_value(text, "oom_kill_disable").to_string(),
        "io.max" => line("rbps=max wbps=max riops=max wiops=max"),
        "io.weight" | "io.bfq.weight" if key.contains(':') => line("default"),
        "io.weight" | "io.bfq.weight" => text.lines().next().unwrap_or_default().to_owned(),
        "net_prio.ifpriomap" => line("0"),
        file if file.starts_with("blkio.throttle.") => line("0"),
        // An empty list of processors is said by an empty line, and taken as one.
        _ if text.trim().is_empty() => "\n".to_owned(),
        _ => text.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::standing;

    #[test]
    fn what_a_file_says_becomes_what_is_written_to_it() {
        for (file, text, written, expected) in [
            ("memory.max", "max\n", "5", "max"),
            ("cpu.max", "50000 100000\n", "7000 8000", "50000 100000"),
            ("cpuset.cpus", "\n", "0", "\n"),
            ("memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 4\n", "0", "1"),
            (
                "io.max",
                "8:0 rbps=5 wbps=max riops=max wiops=max\n",
                "8:0 rbps=7",
                "8:0 rbps=5 wbps=max riops=max wiops=max",
            ),
            (
                "io.max",
                "8:0 rbps=5 wbps=max riops=max wiops=max\n",
                "8:16 rbps=7",
                "8:16 rbps=max wbps=max riops=max wiops=max",
            ),
            ("io.weight", "default 100\n8:0 70\n", "300", "default 100"),
            ("io.weight", "default 100\n8:0 70\n", "8:0 300", "8:0 70"),
            ("io.bfq.weight", "default 100\n", "8:0 300", "8:0 default"),
            ("blkio.throttle.read_bps_device", "8:0 5\n", "8:0 7", "8:0 5"),
            ("blkio.throttle.read_bps_device", "", "8:0 7", "8:0 0"),
            ("net_prio.ifpriomap", "lo 0\neth0 3\n", "eth0 5", "eth0 3"),
        ] {
            assert_eq!(standing(file, text, written), expected, "{file}: {text:?}");
        }
    }
}
