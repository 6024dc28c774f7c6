//! Figures as containerd, CRI and Docker read them.
//!
//! The type's name is the whole URL: with a `type.googleapis.com/` in front, CRI fails for every container
//! of the node. Both fail where a message is absent that they do not check for: v1's CPU usage and
//! throttling (Docker panics) and the memory limit (CRI computes with it). So those are always there.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests"))]

use crate::cgroups::{
    BlockIoEntry, HugePages, MemoryCounter, MemoryEvents, MemoryV1, MemoryV2, Pids, Pressure, PressureLine,
    Stats, StatsV1, StatsV2,
};
use containerd_shim_protos::cgroups::metrics as v1;
use containerd_shim_protos::cgroups_v2::metrics as v2;
use containerd_shim_protos::protobuf::{Message, MessageField, well_known_types::any::Any};

/// The type of a v1 answer.
const V1: &str = "io.containerd.cgroups.v1.Metrics";
/// The type of a v2 answer.
const V2: &str = "io.containerd.cgroups.v2.Metrics";

/// The answer to `Stats`.
pub(crate) fn to_any(stats: &Stats) -> containerd_shim_protos::protobuf::Result<Any> {
    let (type_url, value) = match stats {
        Stats::V1(stats) => (V1, metrics_v1(stats).write_to_bytes()?),
        Stats::V2(stats) => (V2, metrics_v2(stats).write_to_bytes()?),
    };
    Ok(Any { type_url: type_url.to_owned(), value, ..Any::default() })
}

fn optional<T, M>(part: Option<T>, message: impl FnOnce(T) -> M) -> MessageField<M> {
    MessageField::from_option(part.map(message))
}

fn metrics_v1(stats: &StatsV1) -> v1::Metrics {
    let cpu = &stats.cpu;
    v1::Metrics {
        pids: optional(stats.pids, |Pids { current, limit }| v1::PidsStat {
            current,
            // Zero is v1's "no limit".
            limit: limit.unwrap_or(0),
            ..v1::PidsStat::default()
        }),
        cpu: MessageField::some(v1::CPUStat {
            usage: MessageField::some(v1::CPUUsage {
                total: cpu.total,
                kernel: cpu.kernel,
                user: cpu.user,
                per_cpu: cpu.per_cpu.clone(),
                ..v1::CPUUsage::default()
            }),
            throttling: MessageField::some(v1::Throttle {
                periods: cpu.periods,
                throttled_periods: cpu.throttled_periods,
                throttled_time: cpu.throttled_time,
                ..v1::Throttle::default()
            }),
            ..v1::CPUStat::default()
        }),
        memory: optional(stats.memory.as_ref(), memory_v1),
        blkio: MessageField::some(v1::BlkIOStat {
            io_service_bytes_recursive: stats.block_io.service_bytes.iter().map(block_io).collect(),
            io_serviced_recursive: stats.block_io.serviced.iter().map(block_io).collect(),
            ..v1::BlkIOStat::default()
        }),
        hugetlb: stats.huge_pages.iter().map(huge_pages_v1).collect(),
        memory_oom_control: optional(stats.oom, |oom| v1::MemoryOomControl {
            oom_kill_disable: oom.oom_kill_disable,
            under_oom: oom.under_oom,
            oom_kill: oom.oom_kill,
            ..v1::MemoryOomControl::default()
        }),
        ..v1::Metrics::default()
    }
}

fn memory_v1(memory: &MemoryV1) -> v1::MemoryStat {
    v1::MemoryStat {
        cache: memory.cache,
        rss: memory.rss,
        rss_huge: memory.rss_huge,
        mapped_file: memory.mapped_file,
        dirty: memory.dirty,
        writeback: memory.writeback,
        pg_pg_in: memory.pgpgin,
        pg_pg_out: memory.pgpgout,
        pg_fault: memory.pgfault,
        pg_maj_fault: memory.pgmajfault,
        inactive_anon: memory.inactive_anon,
        active_anon: memory.active_anon,
        inactive_file: memory.inactive_file,
        active_file: memory.active_file,
        unevictable: memory.unevictable,
        hierarchical_memory_limit: memory.hierarchical_memory_limit,
        hierarchical_swap_limit: memory.hierarchical_memsw_limit,
        total_cache: memory.total_cache,
        total_rss: memory.total_rss,
        total_rss_huge: memory.total_rss_huge,
        total_mapped_file: memory.total_mapped_file,
        total_dirty: memory.total_dirty,
        total_writeback: memory.total_writeback,
        total_pg_pg_in: memory.total_pgpgin,
        total_pg_pg_out: memory.total_pgpgout,
        total_pg_fault: memory.total_pgfault,
        total_pg_maj_fault: memory.total_pgmajfault,
        total_inactive_anon: memory.total_inactive_anon,
        total_active_anon: memory.total_active_anon,
        total_inactive_file: memory.total_inactive_file,
        total_active_file: memory.total_active_file,
        total_unevictable: memory.total_unevictable,
        usage: MessageField::some(memory_entry(memory.usage)),
        swap: optional(memory.swap, memory_entry),
        kernel: optional(memory.kernel, memory_entry),
        kernel_tcp: optional(memory.kernel_tcp, memory_entry),
        ..v1::MemoryStat::default()
    }
}

fn memory_entry(counter: MemoryCounter) -> v1::MemoryEntry {
    v1::MemoryEntry {
        limit: counter.limit,
        usage: counter.usage,
        max: counter.max_usage,
        failcnt: counter.failcnt,
        ..v1::MemoryEntry::default()
    }
}

fn block_io(entry: &BlockIoEntry) -> v1::BlkIOEntry {
    v1::BlkIOEntry {
        op: entry.op.clone(),
        device: entry.device.clone(),
        major: entry.major,
        minor: entry.minor,
        value: entry.value,
        ..v1::BlkIOEntry::default()
    }
}

fn huge_pages_v1(pages: &HugePages) -> v1::HugetlbStat {
    v1::HugetlbStat {
        usage: pages.usage,
        max: pages.max,
        failcnt: pages.failcnt,
        pagesize: pages.size.clone(),
        ..v1::HugetlbStat::default()
    }
}

fn huge_pages_v2(pages: &HugePages) -> v2::HugeTlbStat {
    v2::HugeTlbStat {
        current: pages.usage,
        max: pages.max,
        failcnt: pages.failcnt,
        pagesize: pages.size.clone(),
        ..v2::HugeTlbStat::default()
    }
}

fn metrics_v2(stats: &StatsV2) -> v2::Metrics {
    let cpu = &stats.cpu;
    v2::Metrics {
        pids: optional(stats.pids, |Pids { current, limit }| v2::PidsStat {
            current,
            limit: limit.unwrap_or(u64::MAX),
            ..v2::PidsStat::default()
        }),
        cpu: MessageField::some(v2::CPUStat {
            usage_usec: cpu.usage_usec,
            user_usec: cpu.user_usec,
            system_usec: cpu.system_usec,
            nr_periods: cpu.nr_periods,
            nr_throttled: cpu.nr_throttled,
            throttled_usec: cpu.throttled_usec,
            nr_bursts: cpu.nr_bursts,
            burst_usec: cpu.burst_usec,
            psi: optional(cpu.pressure, pressure),
            ..v2::CPUStat::default()
        }),
        memory: optional(stats.memory.as_ref(), memory_v2),
        io: MessageField::some(v2::IOStat {
            usage: stats.io.iter().map(io_entry).collect(),
            psi: optional(stats.io_pressure, pressure),
            ..v2::IOStat::default()
        }),
        hugetlb: stats.huge_pages.iter().map(huge_pages_v2).collect(),
        memory_events: optional(stats.memory_events, memory_events),
        ..v2::Metrics::default()
    }
}

fn memory_v2(memory: &MemoryV2) -> v2::MemoryStat {
    v2::MemoryStat {
        anon: memory.anon,
        file: memory.file,
        kernel_stack: memory.kernel_stack,
        slab: memory.slab,
        sock: memory.sock,
        shmem: memory.shmem,
        file_mapped: memory.file_mapped,
        file_dirty: memory.file_dirty,
        file_writeback: memory.file_writeback,
        anon_thp: memory.anon_thp,
        inactive_anon: memory.inactive_anon,
        active_anon: memory.active_anon,
        inactive_file: memory.inactive_file,
        active_file: memory.active_file,
        unevictable: memory.unevictable,
        slab_reclaimable: memory.slab_reclaimable,
        slab_unreclaimable: memory.slab_unreclaimable,
        pgfault: memory.pgfault,
        pgmajfault: memory.pgmajfault,
        workingset_refault: memory.workingset_refault,
        workingset_activate: memory.workingset_activate,
        workingset_nodereclaim: memory.workingset_nodereclaim,
        pgrefill: memory.pgrefill,
        pgscan: memory.pgscan,
        pgsteal: memory.pgsteal,
        pgactivate: memory.pgactivate,
        pgdeactivate: memory.pgdeactivate,
        pglazyfree: memory.pglazyfree,
        pglazyfreed: memory.pglazyfreed,
        thp_fault_alloc: memory.thp_fault_alloc,
        thp_collapse_alloc: memory.thp_collapse_alloc,
        usage: memory.usage,
        usage_limit: memory.limit,
        swap_usage: memory.swap_usage,
        swap_limit: memory.swap_limit,
        max_usage: memory.peak,
        swap_max_usage: memory.swap_peak,
        psi: optional(memory.pressure, pressure),
        ..v2::MemoryStat::default()
    }
}

fn memory_events(events: MemoryEvents) -> v2::MemoryEvents {
    v2::MemoryEvents {
        low: events.low,
        high: events.high,
        max: events.max,
        oom: events.oom,
        oom_kill: events.oom_kill,
        oom_group_kill: events.oom_group_kill,
        ..v2::MemoryEvents::default()
    }
}

fn io_entry(io: &crate::cgroups::Io) -> v2::IOEntry {
    v2::IOEntry {
        major: io.major,
        minor: io.minor,
        rbytes: io.rbytes,
        wbytes: io.wbytes,
        rios: io.rios,
        wios: io.wios,
        ..v2::IOEntry::default()
    }
}

fn pressure(pressure: Pressure) -> v2::PSIStats {
    v2::PSIStats {
        some: MessageField::some(pressure_line(pressure.some)),
        full: MessageField::some(pressure_line(pressure.full)),
        ..v2::PSIStats::default()
    }
}

fn pressure_line(line: PressureLine) -> v2::PSIData {
    v2::PSIData {
        avg10: line.avg10,
        avg60: line.avg60,
        avg300: line.avg300,
        total: line.total,
        ..v2::PSIData::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_always_has_what_docker_and_cri_do_not_check_for() {
        let any = to_any(&Stats::V1(Box::default())).unwrap();
        assert_eq!(any.type_url, "io.containerd.cgroups.v1.Metrics");
        let metrics = v1::Metrics::parse_from_bytes(&any.value).unwrap();
        assert!(metrics.cpu.usage.is_some() && metrics.cpu.throttling.is_some());

        let usage = MemoryCounter { usage: 5, max_usage: 6, limit: 7, failcnt: 8 };
        let memory = MemoryV1 { usage, total_rss: 1, total_inactive_file: 2, ..MemoryV1::default() };
        let stats = StatsV1 { memory: Some(memory), ..StatsV1::default() };
        let metrics = metrics_v1(&stats);
        assert_eq!((metrics.memory.usage.usage, metrics.memory.usage.limit), (5, 7));
        assert_eq!((metrics.memory.total_rss, metrics.memory.total_inactive_file), (1, 2));
        assert!(metrics.memory.swap.is_none());
    }

    #[test]
    fn huge_pages_are_in_both() {
        let pages = HugePages { size: "2MB".to_owned(), usage: 1, max: 2, failcnt: 3 };
        let one = metrics_v1(&StatsV1 { huge_pages: vec![pages.clone()], ..StatsV1::default() });
        let told = &one.hugetlb[0];
        assert_eq!((told.pagesize.as_str(), told.usage, told.max, told.failcnt), ("2MB", 1, 2, 3));
        let two = metrics_v2(&StatsV2 { huge_pages: vec![pages], ..StatsV2::default() });
        let told = &two.hugetlb[0];
        assert_eq!((told.pagesize.as_str(), told.current, told.max, told.failcnt), ("2MB", 1, 2, 3));
    }

    #[test]
    fn v2_has_its_own_type_and_no_limit_is_the_greatest_number() {
        let memory = MemoryV2 { usage: 9, limit: u64::MAX, ..MemoryV2::default() };
        let pids = Some(Pids { current: 3, limit: None });
        let stats = StatsV2 { memory: Some(memory), pids, ..StatsV2::default() };
        let any = to_any(&Stats::V2(Box::new(stats))).unwrap();
        assert_eq!(any.type_url, "io.containerd.cgroups.v2.Metrics");
        let metrics = v2::Metrics::parse_from_bytes(&any.value).unwrap();
        assert_eq!((metrics.memory.usage, metrics.memory.usage_limit), (9, u64::MAX));
        assert_eq!((metrics.pids.current, metrics.pids.limit), (3, u64::MAX));
        assert!(metrics.cpu.is_some() && metrics.memory_events.is_none());
    }
}
