//! What critest leaves on the machine that does not carry its node's name.
//!
//! Its pods name no cgroup above theirs, so containerd puts them below its namespace; and one spec makes a segment
//! of System V memory with the host's `ipcmk` and forgets it. The plugin that gives pods a port of the node keeps the
//! chains for its rules.

use pinnace_e2e::places;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The namespace, which is the name of the cgroup above all pods.
const ABOVE: &str = "k8s.io";

/// The size of critest's segments.
const SEGMENT: &str = "1048576";

/// How the plugin's chains begin.
const CHAINS: &str = "CNI-HOSTPORT-";

/// What was there before.
pub(crate) struct Traces {
    cgroups: BTreeSet<PathBuf>,
    segments: BTreeSet<String>,
    rules: Vec<String>,
}

impl Traces {
    /// Looks around.
    pub(crate) fn before() -> Self {
        Self { cgroups: cgroups(), segments: segments(), rules: rules() }
    }

    /// Fails if cgroups of containers are left, and removes what is critest's own.
    pub(crate) fn remove_own(&self) {
        for segment in segments().difference(&self.segments) {
            let removed = Command::new("ipcrm").args(["-m", segment]).status().expect("ipcrm");
            assert!(removed.success(), "ipcrm -m {segment}: {removed}");
        }
        let rules: Vec<_> = rules().into_iter().filter(|rule| !self.rules.contains(rule)).collect();
        // A chain goes once no rule names it and none is in it.
        for (made, undone) in [("-A ", "-D "), ("-N ", "-X ")] {
            rules.iter().filter_map(|rule| rule.strip_prefix(made)).for_each(|rule| {
                let removed = iptables(&format!("{undone}{rule}"));
                assert!(removed.status.success(), "{undone}{rule}: {removed:?}");
            });
        }
        let left = cgroups();
        let left: Vec<_> = left.difference(&self.cgroups).collect();
        let (above, below): (Vec<_>, Vec<_>) = left.into_iter().partition(|dir| dir.ends_with(ABOVE));
        assert!(below.is_empty(), "cgroups are left: {below:?}");
        for dir in above {
            // Another's pods may have come meanwhile.
            let _in_use = fs::remove_dir(dir);
        }
    }
}

/// Those of pods, and the one above them, in all hierarchies.
fn cgroups() -> BTreeSet<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let above = entries(root).map(|hierarchy| hierarchy.join(ABOVE)).chain([root.join(ABOVE)]);
    let above: Vec<_> = above.filter(|dir| dir.is_dir()).collect();
    let below = above.iter().flat_map(|dir| entries(dir)).filter(|dir| dir.is_dir()).collect::<Vec<_>>();
    above.into_iter().chain(below).collect()
}

/// Segments as large as critest's that nobody uses.
fn segments() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let unused = rows.filter(|row| row.get(3) == Some(&SEGMENT) && row.get(6) == Some(&"0"));
    unused.filter_map(|row| row.get(1).map(|id| (*id).to_owned())).collect()
}

/// The plugin's chains and rules, as `iptables` takes them; none where it does not work.
fn rules() -> Vec<String> {
    let all = String::from_utf8(iptables("-S").stdout).expect("text");
    all.lines().filter(|line| line.contains(CHAINS)).map(str::to_owned).collect()
}

/// Has `iptables` do this; the words are quoted as for a shell.
fn iptables(words: &str) -> Output {
    let line = format!("exec {} -t nat {words}", places::tools().join("iptables").display());
    Command::new("sh").args(["-c", &line]).output().expect("a shell")
}
