//! The figures of the unified hierarchy.

use super::{Dir, HugePages, Pids, flat, huge_pages};

/// Everything v2 tells of a cgroup; a part is absent when its controller is not enabled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StatsV2 {
    /// CPU time; always there.
    pub cpu: CpuV2,
    /// Memory.
    pub memory: Option<MemoryV2>,
    /// What happened to its memory.
    pub memory_events: Option<MemoryEvents>,
    /// Processes.
    pub pids: Option<Pids>,
    /// Traffic with block devices.
    pub io: Vec<Io>,
    /// Waiting for block devices.
    pub io_pressure: Option<Pressure>,
    /// Huge pages.
    pub huge_pages: Vec<HugePages>,
}

/// `cpu.stat`, in microseconds and periods.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are the kernel's own")]
pub struct CpuV2 {
    pub usage_usec: u64,
    pub user_usec: u64,
    pub system_usec: u64,
    pub nr_periods: u64,
    pub nr_throttled: u64,
    pub throttled_usec: u64,
    pub nr_bursts: u64,
    pub burst_usec: u64,
    pub pressure: Option<Pressure>,
}

/// `memory.stat` and the counters, in bytes and events, with the cgroups below.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are the kernel's own")]
pub struct MemoryV2 {
    pub usage: u64,
    /// `u64::MAX` without a limit.
    pub limit: u64,
    pub peak: u64,
    pub swap_usage: u64,
    /// `u64::MAX` without a limit, zero without swap accounting.
    pub swap_limit: u64,
    pub swap_peak: u64,
    pub anon: u64,
    pub file: u64,
    pub kernel_stack: u64,
    pub slab: u64,
    pub sock: u64,
    pub shmem: u64,
    pub file_mapped: u64,
    pub file_dirty: u64,
    pub file_writeback: u64,
    pub anon_thp: u64,
    pub inactive_anon: u64,
    pub active_anon: u64,
    pub inactive_file: u64,
    pub active_file: u64,
    pub unevictable: u64,
    pub slab_reclaimable: u64,
    pub slab_unreclaimable: u64,
    pub pgfault: u64,
    pub pgmajfault: u64,
    /// Of pages and files together: since 5.9 the kernel counts them apart.
    pub workingset_refault: u64,
    /// Likewise.
    pub workingset_activate: u64,
    pub workingset_nodereclaim: u64,
    pub pgrefill: u64,
    pub pgscan: u64,
    pub pgsteal: u64,
    pub pgactivate: u64,
    pub pgdeactivate: u64,
    pub pglazyfree: u64,
    pub pglazyfreed: u64,
    pub thp_fault_alloc: u64,
    pub thp_collapse_alloc: u64,
    pub pressure: Option<Pressure>,
}

/// `memory.events`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the kernel's own")]
pub struct MemoryEvents {
    pub low: u64,
    pub high: u64,
    pub max: u64,
    pub oom: u64,
    pub oom_kill: u64,
    pub oom_group_kill: u64,
}

/// One device of `io.stat`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the kernel's own")]
pub struct Io {
    pub major: u64,
    pub minor: u64,
    pub rbytes: u64,
    pub wbytes: u64,
    pub rios: u64,
    pub wios: u64,
}

/// Time lost waiting for a resource.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// While some task waited.
    pub some: PressureLine,
    /// While all tasks waited.
    pub full: PressureLine,
}

/// Shares of the last seconds in percent, and the sum in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are the kernel's own")]
pub struct PressureLine {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

pub(super) fn read(dir: &Dir) -> StatsV2 {
    StatsV2 {
        cpu: cpu_time(dir),
        memory: memory_use(dir),
        memory_events: dir.text("memory.events").map(|content| events(&content)),
        pids: dir.pids(),
        io: dir.text("io.stat").unwrap_or_default().lines().filter_map(io).collect(),
        io_pressure: dir.text("io.pressure").map(|content| pressure(&content)),
        huge_pages: huge_pages::v2(dir),
    }
}

fn cpu_time(dir: &Dir) -> CpuV2 {
    let pressure = dir.text("cpu.pressure").map(|content| pressure(&content));
    let mut cpu = CpuV2 { pressure, ..CpuV2::default() };
    for (name, value) in flat(&dir.text("cpu.stat").unwrap_or_default()) {
        match name {
            "usage_usec" => cpu.usage_usec = value,
            "user_usec" => cpu.user_usec = value,
            "system_usec" => cpu.system_usec = value,
            "nr_periods" => cpu.nr_periods = value,
            "nr_throttled" => cpu.nr_throttled = value,
            "throttled_usec" => cpu.throttled_usec = value,
            "nr_bursts" => cpu.nr_bursts = value,
            "burst_usec" => cpu.burst_usec = value,
            _ => {}
        }
    }
    cpu
}

fn memory_use(dir: &Dir) -> Option<MemoryV2> {
    let number = |file: &str| dir.number(file).unwrap_or_default();
    let mut memory = MemoryV2 {
        usage: dir.number("memory.current")?,
        limit: dir.number("memory.max").unwrap_or(u64::MAX),
        peak: number("memory.peak"),
        swap_usage: number("memory.swap.current"),
        swap_limit: number("memory.swap.max"),
        swap_peak: number("memory.swap.peak"),
        pressure: dir.text("memory.pressure").map(|content| pressure(&content)),
        ..MemoryV2::default()
    };
    for (name, value) in flat(&dir.text("memory.stat").unwrap_or_default()) {
        if let Some(field) = memory.field(name) {
            *field = field.saturating_add(value);
        }
    }
    Some(memory)
}

impl MemoryV2 {
    /// The field a name in `memory.stat` adds to.
    fn field(&mut self, name: &str) -> Option<&mut u64> {
        Some(match name {
            "anon" => &mut self.anon,
            "file" => &mut self.file,
            "kernel_stack" => &mut self.kernel_stack,
            "slab" => &mut self.slab,
            "sock" => &mut self.sock,
            "shmem" => &mut self.shmem,
            "file_mapped" => &mut self.file_mapped,
            "file_dirty" => &mut self.file_dirty,
            "file_writeback" => &mut self.file_writeback,
            "anon_thp" => &mut self.anon_thp,
            "inactive_anon" => &mut self.inactive_anon,
            "active_anon" => &mut self.active_anon,
            "inactive_file" => &mut self.inactive_file,
            "active_file" => &mut self.active_file,
            "unevictable" => &mut self.unevictable,
            "slab_reclaimable" => &mut self.slab_reclaimable,
            "slab_unreclaimable" => &mut self.slab_unreclaimable,
            "pgfault" => &mut self.pgfault,
            "pgmajfault" => &mut self.pgmajfault,
            "workingset_refault" | "workingset_refault_anon" | "workingset_refault_file" => {
                &mut self.workingset_refault
            }
            "workingset_activate" | "workingset_activate_anon" | "workingset_activate_file" => {
                &mut self.workingset_activate
            }
            "workingset_nodereclaim" => &mut self.workingset_nodereclaim,
            "pgrefill" => &mut self.pgrefill,
            "pgscan" => &mut self.pgscan,
            "pgsteal" => &mut self.pgsteal,
            "pgactivate" => &mut self.pgactivate,
            "pgdeactivate" => &mut self.pgdeactivate,
            "pglazyfree" => &mut self.pglazyfree,
            "pglazyfreed" => &mut self.pglazyfreed,
            "thp_fault_alloc" => &mut self.thp_fault_alloc,
            "thp_collapse_alloc" => &mut self.thp_collapse_alloc,
            _ => return None,
        })
    }
}

fn events(content: &str) -> MemoryEvents {
    let value = |name| super::flat_value(content, name);
    MemoryEvents {
        low: value("low"),
        high: value("high"),
        max: value("max"),
        oom: value("oom"),
        oom_kill: value("oom_kill"),
        oom_group_kill: value("oom_group_kill"),
    }
}

/// `major:minor name=value…`
fn io(line: &str) -> Option<Io> {
    let mut words = line.split_whitespace();
    let (major, minor) = words.next()?.split_once(':')?;
    let mut io = Io { major: major.parse().ok()?, minor: minor.parse().ok()?, ..Io::default() };
    for (name, value) in words.filter_map(|word| word.split_once('=')) {
        let value = value.parse().unwrap_or_default();
        match name {
            "rbytes" => io.rbytes = value,
            "wbytes" => io.wbytes = value,
            "rios" => io.rios = value,
            "wios" => io.wios = value,
            _ => {}
        }
    }
    Some(io)
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same with `full`.
fn pressure(content: &str) -> Pressure {
    let mut pressure = Pressure::default();
    for line in content.lines() {
        let mut words = line.split_whitespace();
        let line = match words.next() {
            Some("some") => &mut pressure.some,
            Some("full") => &mut pressure.full,
            _ => continue,
        };
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            match name {
                "avg10" => line.avg10 = value.parse().unwrap_or_default(),
                "avg60" => line.avg60 = value.parse().unwrap_or_default(),
                "avg300" => line.avg300 = value.parse().unwrap_or_default(),
                "total" => line.total = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
    }
    pressure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::{Cgroup, CgroupError, Hierarchies, Stats};
    use std::fs;
    use std::path::Path;

    fn recorded(dir: &Path, files: &[(&str, &str)]) -> StatsV2 {
        fs::create_dir_all(dir.join("c")).unwrap();
        fs::write(dir.join("cgroup.controllers"), "").unwrap();
        for (name, content) in files {
            fs::write(dir.join("c").join(name), content).unwrap();
        }
        match Cgroup::open(&Hierarchies::v2_at(dir), "/c").unwrap().stats().unwrap() {
            Stats::V2(stats) => *stats,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn recorded_files_become_figures() {
        let dir = tempfile::tempdir().unwrap();
        let stats = recorded(
            dir.path(),
            &[
                (
                    "cpu.stat",
                    "usage_usec 105\nuser_usec 70\nsystem_usec 35\nnice_usec 0\nnr_periods 4\nnr_throttled 1\nthrottled_usec 9\nnr_bursts 0\nburst_usec 0\n",
                ),
                (
                    "cpu.pressure",
                    "some avg10=1.50 avg60=0.25 avg300=0.00 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
                ),
                ("memory.current", "1048576\n"),
                ("memory.max", "max\n"),
                ("memory.peak", "2097152\n"),
                ("memory.swap.current", "0\n"),
                ("memory.swap.max", "max\n"),
                (
                    "memory.stat",
                    "anon 4096\nfile 8192\nkernel 1\ninactive_file 4096\npgfault 11\npgmajfault 2\nworkingset_refault_anon 3\nworkingset_refault_file 4\n",
                ),
                ("memory.events", "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 1\n"),
                ("pids.current", "1\n"),
                ("pids.max", "64\n"),
                ("io.stat", "8:0 rbytes=4096 wbytes=512 rios=1 wios=2 dbytes=0 dios=0\n259:1 \n"),
            ],
        );
        assert_eq!((stats.cpu.usage_usec, stats.cpu.throttled_usec), (105, 9));
        let pressure = stats.cpu.pressure.unwrap();
        assert_eq!((pressure.some.avg10, pressure.some.total, pressure.full.total), (1.5, 1234, 7));
        let memory = stats.memory.unwrap();
        assert_eq!((memory.usage, memory.limit, memory.peak), (1_048_576, u64::MAX, 2_097_152));
        assert_eq!(
            (memory.anon, memory.inactive_file, memory.pgfault, memory.pgmajfault),
            (4096, 4096, 11, 2)
        );
        assert_eq!((memory.workingset_refault, memory.swap_limit), (7, u64::MAX));
        assert_eq!(stats.memory_events.unwrap().oom_kill, 4);
        assert_eq!(stats.pids, Some(Pids { current: 1, limit: Some(64) }));
        let first = Io { major: 8, minor: 0, rbytes: 4096, wbytes: 512, rios: 1, wios: 2 };
        assert_eq!(stats.io, [first, Io { major: 259, minor: 1, ..Io::default() }]);
        assert_eq!(stats.io_pressure, None);
    }

    #[test]
    fn without_controllers_only_cpu_time_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let stats = recorded(dir.path(), &[("cpu.stat", "usage_usec 5\nuser_usec 5\nsystem_usec 0\n")]);
        let cpu = CpuV2 { usage_usec: 5, user_usec: 5, ..CpuV2::default() };
        assert_eq!(stats, StatsV2 { cpu, ..StatsV2::default() });
    }

    #[test]
    fn a_missing_directory_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "").unwrap();
        let cgroup = Cgroup::open(&Hierarchies::v2_at(dir.path()), "/c").unwrap();
        assert!(matches!(cgroup.stats(), Err(CgroupError::Gone { .. })));
    }
}
