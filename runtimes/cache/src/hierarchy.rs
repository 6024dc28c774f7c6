//! Where the control group trees of this node are, v1 or v2.

use crate::cage::{CageError, step};
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

/// Where control groups are mounted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trees {
    /// One tree per controller, or per few.
    V1(Vec<PathBuf>),
    /// One tree.
    V2(PathBuf),
}

/// The controllers a compilation is bounded or counted by.
const CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];

impl Trees {
    pub(crate) fn discover() -> Result<Self, CageError> {
        let path = Path::new("/proc/self/mountinfo");
        let table = fs::read_to_string(path).map_err(step("read", path))?;
        Self::from_mountinfo(&table).ok_or(CageError::NoHierarchy)
    }

    /// A node whose memory controller is in a v1 tree is a v1 node, whatever else is mounted.
    fn from_mountinfo(table: &str) -> Option<Self> {
        let mut seen = HashSet::new();
        let mut v1 = Vec::new();
        let mut v2 = None;
        let mut has_memory = false;
        for line in table.lines() {
            let Some((mount, source)) = line.split_once(" - ") else { continue };
            let mut mount = mount.split(' ').skip(2);
            let (Some(device), Some(point)) = (mount.next(), mount.nth(1).map(PathBuf::from)) else {
                continue;
            };
            // A tree mounted twice is one tree; its first mount is the one everybody uses.
            if !seen.insert(device) {
                continue;
            }
            let mut source = source.split(' ');
            match (source.next(), source.nth(1)) {
                (Some("cgroup"), Some(options)) => {
                    let has = |wanted: &str| options.split(',').any(|option| option == wanted);
                    has_memory |= has("memory");
                    v1.extend(CONTROLLERS.iter().any(|wanted| has(wanted)).then_some(point));
                }
                (Some("cgroup2"), _) => v2 = v2.or(Some(point)),
                _ => {}
            }
        }
        if has_memory { Some(Self::V1(v1)) } else { v2.map(Self::V2) }
    }

    pub(crate) fn directories(&self, below: &Path) -> Vec<PathBuf> {
        let below = below.strip_prefix("/").unwrap_or(below);
        match self {
            Self::V1(trees) => trees.iter().map(|tree| tree.join(below)).collect(),
            Self::V2(tree) => vec![tree.join(below)],
        }
    }
}

/// v2: a group has only the controllers that every group above it hands down. What cannot be handed down shows
/// when the limit is written. A group that has processes, and is not the real root, is left alone: the kernel lets
/// it hand down what threads can share (cpu, pids), and then takes it for threaded and nobody into a group below.
pub(crate) fn hand_down(root: &Path, cgroup: &Path) {
    let below = cgroup.strip_prefix("/").unwrap_or(cgroup);
    let mut above: Vec<_> = below.ancestors().map(|part| root.join(part)).collect();
    above.reverse();
    for directory in above {
        let path = directory.join("cgroup.subtree_control");
        // The real root is the one without a type.
        let has_processes = || {
            fs::read_to_string(directory.join("cgroup.procs")).is_ok_and(|processes| !processes.is_empty())
        };
        if directory.join("cgroup.type").exists() && has_processes() {
            continue;
        }
        for controller in ["+memory", "+cpu", "+pids"] {
            if let Err(error) = fs::write(&path, controller) {
                log::debug!("cannot write {controller} to {}: {error}", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
34 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
35 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
36 24 0:28 /docker /mnt/memory rw - cgroup cgroup rw,memory
";

    #[test]
    fn a_hybrid_node_is_v1_for_what_bounds_a_compilation() {
        let trees = Trees::from_mountinfo(HYBRID).unwrap();
        let tree = |name: &str| Path::new("/sys/fs/cgroup").join(name);
        assert_eq!(trees, Trees::V1(vec![tree("cpu,cpuacct"), tree("memory")]));
        assert_eq!(
            trees.directories(Path::new("/pinnace-compile/0")),
            [tree("cpu,cpuacct/pinnace-compile/0"), tree("memory/pinnace-compile/0")]
        );
    }

    #[test]
    fn a_unified_node_is_v2_and_one_without_any_is_refused() {
        let unified = "35 30 0:31 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(Trees::from_mountinfo(unified), Some(Trees::V2("/sys/fs/cgroup".into())));
        assert_eq!(Trees::from_mountinfo("1 0 8:1 / / rw - ext4 /dev/vda rw\n"), None);
    }
}
