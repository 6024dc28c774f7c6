//! The kernel's controllers, by the names mount options and `cgroup.controllers` use.

use std::fmt;

/// A cgroup controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the kernel's own")]
pub enum Controller {
    Cpu,
    Cpuacct,
    Cpuset,
    Memory,
    Devices,
    Freezer,
    Blkio,
    Io,
    Pids,
    Hugetlb,
    NetCls,
    NetPrio,
    PerfEvent,
    Rdma,
    Misc,
    Debug,
}

impl Controller {
    const NAMES: [(&'static str, Self); 16] = [
        ("cpu", Self::Cpu),
        ("cpuacct", Self::Cpuacct),
        ("cpuset", Self::Cpuset),
        ("memory", Self::Memory),
        ("devices", Self::Devices),
        ("freezer", Self::Freezer),
        ("blkio", Self::Blkio),
        ("io", Self::Io),
        ("pids", Self::Pids),
        ("hugetlb", Self::Hugetlb),
        ("net_cls", Self::NetCls),
        ("net_prio", Self::NetPrio),
        ("perf_event", Self::PerfEvent),
        ("rdma", Self::Rdma),
        ("misc", Self::Misc),
        ("debug", Self::Debug),
    ];

    /// The controller of a name; `None` for a mount option or a controller newer than this list.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, controller)| *controller)
    }

    /// The kernel's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, controller)| *controller == self).map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Controller;

    #[test]
    fn every_controller_has_its_name() {
        for (name, controller) in Controller::NAMES {
            assert_eq!(Controller::from_name(name), Some(controller));
            assert_eq!(controller.name(), name);
        }
        assert_eq!(Controller::from_name("rw"), None);
    }
}
