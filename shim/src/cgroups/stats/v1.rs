//! The figures of the v1 hierarchies.

use super::{Dir, HugePages, Pids, flat, huge_pages};
use crate::cgroups::Controller;
use std::path::Path;

/// Everything v1 tells of a cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatsV1 {
    /// CPU time; always there, for `docker stats` relies on it.
    pub cpu: CpuV1,
    /// Memory, if its controller is mounted.
    pub memory: Option<MemoryV1>,
    /// OOM handling, likewise.
    pub oom: Option<OomControl>,
    /// Processes.
    pub pids: Option<Pids>,
    /// Block devices.
    pub block_io: BlockIo,
    /// Huge pages, if their controller is mounted.
    pub huge_pages: Vec<HugePages>,
}

/// CPU time in nanoseconds, and throttling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the kernel's own")]
pub struct CpuV1 {
    pub total: u64,
    pub user: u64,
    pub kernel: u64,
    pub per_cpu: Vec<u64>,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_time: u64,
}

/// One kind of memory that is counted and can be limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryCounter {
    /// In bytes.
    pub usage: u64,
    /// The most there was.
    pub max_usage: u64,
    /// The limit; nearly 2⁶³ without one.
    pub limit: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// `memory.stat` and the counters, in bytes and events; `total_` is with the cgroups below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the kernel's own")]
pub struct MemoryV1 {
    pub usage: MemoryCounter,
    /// Memory and swap together, if swap is accounted.
    pub swap: Option<MemoryCounter>,
    pub kernel: Option<MemoryCounter>,
    pub kernel_tcp: Option<MemoryCounter>,
    pub cache: u64,
    pub rss: u64,
    pub rss_huge: u64,
    pub mapped_file: u64,
    pub dirty: u64,
    pub writeback: u64,
    pub pgpgin: u64,
    pub pgpgout: u64,
    pub pgfault: u64,
    pub pgmajfault: u64,
    pub inactive_anon: u64,
    pub active_anon: u64,
    pub inactive_file: u64,
    pub active_file: u64,
    pub unevictable: u64,
    pub hierarchical_memory_limit: u64,
    pub hierarchical_memsw_limit: u64,
    pub total_cache: u64,
    pub total_rss: u64,
    pub total_rss_huge: u64,
    pub total_mapped_file: u64,
    pub total_dirty: u64,
    pub total_writeback: u64,
    pub total_pgpgin: u64,
    pub total_pgpgout: u64,
    pub total_pgfault: u64,
    pub total_pgmajfault: u64,
    pub total_inactive_anon: u64,
    pub total_active_anon: u64,
    pub total_inactive_file: u64,
    pub total_active_file: u64,
    pub total_unevictable: u64,
}

/// `memory.oom_control`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the kernel's own")]
pub struct OomControl {
    pub oom_kill_disable: u64,
    pub under_oom: u64,
    pub oom_kill: u64,
}

/// Traffic with block devices, as the throttling layer counts it: the only counters that do not depend on
/// the I/O scheduler (CFQ's, which older tools read, left the kernel in 5.0).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockIo {
    /// Bytes.
    pub service_bytes: Vec<BlockIoEntry>,
    /// Operations.
    pub serviced: Vec<BlockIoEntry>,
}

/// One device and kind of operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockIoEntry {
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// `/dev/…`, if the device is still there.
    pub device: String,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard` or `Total`.
    pub op: String,
    /// Bytes or operations.
    pub value: u64,
}

/// Ticks a second in files meant for people: 100 on every architecture there is (USER_HZ).
const NANOSECONDS_A_TICK: u64 = 1_000_000_000 / 100;

/// `None` if the cgroup is in no hierarchy.
pub(super) fn read(dir: impl Fn(Controller) -> Dir) -> Option<StatsV1> {
    let (cpu, cpuacct) = (dir(Controller::Cpu), dir(Controller::Cpuacct));
    let (memory, pids, blkio) = (dir(Controller::Memory), dir(Controller::Pids), dir(Controller::Blkio));
    if ![&cpu, &cpuacct, &memory, &pids, &blkio].into_iter().any(Dir::exists) {
        return None;
    }
    Some(StatsV1 {
        cpu: cpu_time(&cpu, &cpuacct),
        memory: memory.exists().then(|| memory_use(&memory)),
        oom: memory.text("memory.oom_control").map(|content| oom_control(&content)),
        pids: pids.pids(),
        block_io: BlockIo {
            service_bytes: throttled(&blkio, "io_service_bytes"),
            serviced: throttled(&blkio, "io_serviced"),
        },
        huge_pages: huge_pages::v1(&dir(Controller::Hugetlb)),
    })
}

fn cpu_time(cpu: &Dir, cpuacct: &Dir) -> CpuV1 {
    let mut time = CpuV1 { total: cpuacct.number("cpuacct.usage").unwrap_or_default(), ..CpuV1::default() };
    let per_cpu = cpuacct.text("cpuacct.usage_percpu").unwrap_or_default();
    time.per_cpu = per_cpu.split_whitespace().filter_map(|time| time.parse().ok()).collect();
    for (name, ticks) in flat(&cpuacct.text("cpuacct.stat").unwrap_or_default()) {
        match name {
            "user" => time.user = ticks.saturating_mul(NANOSECONDS_A_TICK),
            "system" => time.kernel = ticks.saturating_mul(NANOSECONDS_A_TICK),
            _ => {}
        }
    }
    for (name, value) in flat(&cpu.text("cpu.stat").unwrap_or_default()) {
        match name {
            "nr_periods" => time.periods = value,
            "nr_throttled" => time.throttled_periods = value,
            "throttled_time" => time.throttled_time = value,
            _ => {}
        }
    }
    time
}

fn memory_use(dir: &Dir) -> MemoryV1 {
    let mut memory = MemoryV1 {
        usage: counter(dir, "memory").unwrap_or_default(),
        swap: counter(dir, "memory.memsw"),
        kernel: counter(dir, "memory.kmem"),
        kernel_tcp: counter(dir, "memory.kmem.tcp"),
        ..MemoryV1::default()
    };
    for (name, value) in flat(&dir.text("memory.stat").unwrap_or_default()) {
        if let Some(field) = memory.field(name) {
            *field = value;
        }
    }
    memory
}

fn counter(dir: &Dir, prefix: &str) -> Option<MemoryCounter> {
    let number = |name: &str| dir.number(&format!("{prefix}.{name}"));
    Some(MemoryCounter {
        usage: number("usage_in_bytes")?,
        max_usage: number("max_usage_in_bytes").unwrap_or_default(),
        limit: number("limit_in_bytes").unwrap_or_default(),
        failcnt: number("failcnt").unwrap_or_default(),
    })
}

impl MemoryV1 {
    /// The field of a name in `memory.stat`.
    fn field(&mut self, name: &str) -> Option<&mut u64> {
        Some(match name {
            "cache" => &mut self.cache,
            "rss" => &mut self.rss,
            "rss_huge" => &mut self.rss_huge,
            "mapped_file" => &mut self.mapped_file,
            "dirty" => &mut self.dirty,
            "writeback" => &mut self.writeback,
            "pgpgin" => &mut self.pgpgin,
            "pgpgout" => &mut self.pgpgout,
            "pgfault" => &mut self.pgfault,
            "pgmajfault" => &mut self.pgmajfault,
            "inactive_anon" => &mut self.inactive_anon,
            "active_anon" => &mut self.active_anon,
            "inactive_file" => &mut self.inactive_file,
            "active_file" => &mut self.active_file,
            "unevictable" => &mut self.unevictable,
            "hierarchical_memory_limit" => &mut self.hierarchical_memory_limit,
            "hierarchical_memsw_limit" => &mut self.hierarchical_memsw_limit,
            "total_cache" => &mut self.total_cache,
            "total_rss" => &mut self.total_rss,
            "total_rss_huge" => &mut self.total_rss_huge,
            "total_mapped_file" => &mut self.total_mapped_file,
            "total_dirty" => &mut self.total_dirty,
            "total_writeback" => &mut self.total_writeback,
            "total_pgpgin" => &mut self.total_pgpgin,
            "total_pgpgout" => &mut self.total_pgpgout,
            "total_pgfault" => &mut self.total_pgfault,
            "total_pgmajfault" => &mut self.total_pgmajfault,
            "total_inactive_anon" => &mut self.total_inactive_anon,
            "total_active_anon" => &mut self.total_active_anon,
            "total_inactive_file" => &mut self.total_inactive_file,
            "total_active_file" => &mut self.total_active_file,
            "total_unevictable" => &mut self.total_unevictable,
            _ => return None,
        })
    }
}

fn oom_control(content: &str) -> OomControl {
    let value = |name| super::flat_value(content, name);
    OomControl {
        oom_kill_disable: value("oom_kill_disable"),
        under_oom: value("under_oom"),
        oom_kill: value("oom_kill"),
    }
}

/// With the cgroups below, where the kernel counts them.
fn throttled(dir: &Dir, name: &str) -> Vec<BlockIoEntry> {
    let content = dir
        .text(&format!("blkio.throttle.{name}_recursive"))
        .or_else(|| dir.text(&format!("blkio.throttle.{name}")))
        .unwrap_or_default();
    content.lines().filter_map(entry).collect()
}

/// `major:minor op value`; the closing `Total value` of the whole file has no device.
fn entry(line: &str) -> Option<BlockIoEntry> {
    let mut words = line.split_whitespace();
    let (major, minor) = words.next()?.split_once(':')?;
    let (op, value) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    Some(BlockIoEntry { major, minor, device: device(major, minor), op, value })
}

fn device(major: u64, minor: u64) -> String {
    let link = std::fs::read_link(Path::new("/sys/dev/block").join(format!("{major}:{minor}")));
    let name = link.ok().and_then(|target| Some(target.file_name()?.to_str()?.to_owned()));
    name.map_or_else(String::new, |name| format!("/dev/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::{Cgroup, CgroupError, Hierarchies, Stats};
    use std::fs;
    use std::path::Path;

    const CONTROLLERS: [Controller; 5] =
        [Controller::Cpu, Controller::Cpuacct, Controller::Memory, Controller::Pids, Controller::Blkio];

    fn recorded(dir: &Path, files: &[(&str, &str)]) -> StatsV1 {
        fs::create_dir_all(dir.join("c")).unwrap();
        for (name, content) in files {
            fs::write(dir.join("c").join(name), content).unwrap();
        }
        let cgroup = Cgroup::open(&Hierarchies::v1_at(&[(&CONTROLLERS, dir)]), "/c").unwrap();
        match cgroup.stats().unwrap() {
            Stats::V1(stats) => *stats,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn recorded_files_become_figures() {
        let dir = tempfile::tempdir().unwrap();
        let stats = recorded(
            dir.path(),
            &[
                ("cpuacct.usage", "56386819590\n"),
                ("cpuacct.usage_percpu", "37427684725 18959134865 \n"),
                ("cpuacct.stat", "user 81\nsystem 31\n"),
                ("cpu.stat", "nr_periods 5\nnr_throttled 2\nthrottled_time 900\nnr_bursts 0\nburst_time 0\n"),
                ("memory.stat", include_str!("../testdata/v1.memory.stat")),
                ("memory.usage_in_bytes", "92016640\n"),
                ("memory.max_usage_in_bytes", "95000000\n"),
                ("memory.limit_in_bytes", "134217728\n"),
                ("memory.failcnt", "3\n"),
                ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
                ("pids.current", "4\n"),
                ("pids.max", "max\n"),
                (
                    "blkio.throttle.io_service_bytes_recursive",
                    "254:0 Read 4096\n254:0 Total 4096\nTotal 4096\n",
                ),
                ("blkio.throttle.io_serviced", "254:0 Read 1\nTotal 1\n"),
            ],
        );
        let expected = CpuV1 {
            total: 56_386_819_590,
            user: 810_000_000,
            kernel: 310_000_000,
            per_cpu: vec![37_427_684_725, 18_959_134_865],
            periods: 5,
            throttled_periods: 2,
            throttled_time: 900,
        };
        assert_eq!(stats.cpu, expected);
        let memory = stats.memory.unwrap();
        let usage =
            MemoryCounter { usage: 92_016_640, max_usage: 95_000_000, limit: 134_217_728, failcnt: 3 };
        assert_eq!(memory.usage, usage);
        assert_eq!(memory.swap, None);
        assert_eq!((memory.total_rss, memory.total_inactive_file), (22_622_208, 38_805_504));
        assert_eq!((memory.total_pgfault, memory.total_pgmajfault), (4_637_782, 1829));
        assert_eq!(memory.hierarchical_memory_limit, 9_223_372_036_854_771_712);
        assert_eq!(stats.oom.unwrap().oom_kill, 1);
        assert_eq!(stats.pids, Some(Pids { current: 4, limit: None }));
        let ops: Vec<_> = stats.block_io.service_bytes.iter().map(|entry| entry.op.as_str()).collect();
        assert_eq!(ops, ["Read", "Total"]);
        assert_eq!(stats.block_io.serviced[0].value, 1);
    }

    #[test]
    fn missing_and_broken_files_cost_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let stats = recorded(
            dir.path(),
            &[
                ("cpuacct.usage", "12\n"),
                ("memory.stat", "rss nonsense\ncache 7\n"),
                ("pids.current", "x"),
                ("cpuacct.stat", "user 18446744073709551615\n"),
                ("blkio.throttle.io_serviced", "254 Read\n:: a b\n1:2 Read x\n"),
            ],
        );
        assert_eq!((stats.cpu.total, stats.cpu.user), (12, u64::MAX));
        let memory = stats.memory.unwrap();
        assert_eq!((memory.rss, memory.cache, memory.usage), (0, 7, MemoryCounter::default()));
        assert_eq!((stats.pids, stats.block_io), (None, BlockIo::default()));
    }

    #[test]
    fn a_cgroup_in_no_hierarchy_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let cgroup = Cgroup::open(&Hierarchies::v1_at(&[(&CONTROLLERS, dir.path())]), "/c").unwrap();
        assert!(matches!(cgroup.stats(), Err(CgroupError::Gone { .. })));
    }
}
