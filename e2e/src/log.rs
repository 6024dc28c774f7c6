//! containerd's own log: a warning or an error that no test declared is a failure.

use std::fs;
use std::path::Path;

/// What containerd says on its own about the machine or about being stopped, whatever we do.
const OWN: [&str; 8] = [
    // It closes a shim's log while it still reads it.
    "file already closed",
    // In every removal, also an orderly one.
    "cleaning up after shim disconnected",
    // A private containerd has no place for it, and no test needs it.
    "failed to load plugin",
    "skip loading plugin",
    "could not use snapshotter",
    // Its own start on a machine with limits of its own.
    "failed to get the root cgroup",
    "failed check for fsverity support",
    // 2.3 deletes a task that could not be created, and wonders that there is none.
    "failed to delete task\" error=\"rpc error: code = NotFound",
];

/// What the shims of others cause: they are here to be compared with, not to be judged.
pub(crate) const OTHERS: [&str; 4] = [
    // The own words of runc's shim, which arrive in containerd's log.
    "runtime=io.containerd.runc",
    // runc's `delete` says so when its Delete was faster.
    "failed to read init pid file",
    // And this, when runc has forgotten the container by then.
    "failed to remove runc container",
    // A shim that exits while its last event is answered.
    "failed sending message on channel",
];

/// A log that grows, and what of it does not count: the words of a daemon that is being stopped.
#[derive(Debug, Default)]
pub(crate) struct Log {
    counted: String,
    /// How far the file has been read.
    read: usize,
}

impl Log {
    /// Takes what was said so far into account.
    pub(crate) fn count(&mut self, file: &Path) {
        let text = fs::read_to_string(file).unwrap_or_default();
        self.counted.push_str(text.get(self.read..).unwrap_or_default());
        self.read = text.len();
    }

    /// Passes over what was said since.
    pub(crate) fn skip(&mut self, file: &Path) {
        self.read = fs::read_to_string(file).unwrap_or_default().len();
    }

    /// The lines at warning or above that are neither containerd's own nor expected.
    pub(crate) fn unexpected(&self, expected: &[String]) -> Vec<String> {
        unexpected(&self.counted, expected)
    }
}

fn unexpected(text: &str, expected: &[String]) -> Vec<String> {
    let known = |line: &&str| {
        OWN.iter().any(|part| line.contains(part)) || expected.iter().any(|part| line.contains(part.as_str()))
    };
    text.lines().filter(|line| grave(line)).filter(|line| !known(line)).map(str::to_owned).collect()
}

/// containerd's lines carry a level; lines without one are a shim's own words or a panic.
fn grave(line: &str) -> bool {
    let level = line.split(' ').find_map(|word| word.strip_prefix("level="));
    !matches!(level, Some("trace" | "debug" | "info")) && !line.is_empty()
}

#[cfg(test)]
mod tests {
    use super::grave;

    #[test]
    fn only_lines_at_warning_or_above_count_and_lines_without_a_level_do_too() {
        assert!(!grave(r#"time="2026" level=info msg="a level=error in a message""#));
        assert!(grave(r#"time="2026" level=warning msg=x"#));
        assert!(grave("panic: runtime error"));
    }
}
