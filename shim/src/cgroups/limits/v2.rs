//! v2: the spec's limits as values for the kernel's files.
//!
//! The spec speaks of v1, so some are converted: shares and weights to other scales, memory with swap to swap alone.

use super::value::{Value, Values, Without};
use crate::cgroups::Controller;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice};

/// What is written for a spec's limits; `now` reads a file of the cgroup.
pub(super) fn values(resources: &LinuxResources, now: impl Fn(&str) -> Option<String>) -> Vec<Value> {
    let mut values = Values(Vec::new());
    resources.memory().iter().for_each(|memory| set_memory(&mut values, memory));
    resources.cpu().iter().for_each(|cpu| set_processors(&mut values, cpu, &now));
    if let Some(pids) = resources.pids() {
        values.add(Controller::Pids, "pids.max", bound(pids.limit()).unwrap_or("max".to_owned()));
    }
    resources.block_io().iter().for_each(|io| set_devices(&mut values, io, now("io.bfq.weight").is_some()));
    for pages in resources.hugepage_limits().iter().flatten() {
        let (size, limit) = (pages.page_size(), pages.limit());
        values.add(Controller::Hugetlb, &format!("hugetlb.{size}.max"), limit);
        // Pages that are reserved and not yet touched: Linux 5.7.
        values.add(Controller::Hugetlb, &format!("hugetlb.{size}.rsvd.max"), limit);
        values.last_without(Without::PassOver);
    }
    // Last, for they are the kernel's own words; in an order that does not change.
    let mut own: Vec<_> = resources.unified().iter().flatten().collect();
    own.sort();
    for (file, value) in own {
        let controller = file.split('.').next().and_then(Controller::from_name);
        values.add(controller.unwrap_or(Controller::Misc), file, value);
    }
    values.0
}

/// `max` for no limit; nothing for zero, which is "not set".
fn bound(limit: i64) -> Option<String> {
    match limit {
        0 => None,
        1.. => Some(limit.to_string()),
        _ => Some("max".to_owned()),
    }
}

fn set_memory(values: &mut Values, memory: &LinuxMemory) {
    let of = Controller::Memory;
    let limit = memory.limit().unwrap_or_default();
    // No limit of memory under one of swap would be none.
    let swap = match memory.swap().unwrap_or_default() {
        0 if limit < 0 => -1,
        swap => swap,
    };
    if swap != 0 {
        let alone = if swap < 0 { "max".to_owned() } else { (swap - limit).to_string() };
        let none_needed = swap < 0 || swap == limit;
        values.add(of, "memory.swap.max", alone);
        // A kernel that counts no swap: nothing more to forbid, nothing to allow.
        if none_needed {
            values.last_without(Without::PassOver);
        }
    }
    values.set(of, "memory.max", bound(limit));
    values.set(of, "memory.low", memory.reservation().and_then(bound));
}

fn set_processors(values: &mut Values, cpu: &LinuxCpu, now: &impl Fn(&str) -> Option<String>) {
    let of = Controller::Cpu;
    values.set(of, "cpu.weight", cpu.shares().filter(|shares| *shares != 0).map(weight_of_shares));
    let quota = cpu.quota().and_then(bound);
    let period = cpu.period().filter(|period| *period != 0);
    let max = match (quota, period) {
        (quota, Some(period)) => {
            let stands = || now("cpu.max")?.split_whitespace().next().map(str::to_owned);
            let quota = quota.or_else(stands).unwrap_or("max".to_owned());
            Some(format!("{quota} {period}"))
        }
        (quota, None) => quota,
    };
    values.set(of, "cpu.max", max);
    values.set_or_zero(of, "cpu.max.burst", cpu.burst());
    values.set_or_zero(of, "cpu.idle", cpu.idle());
    values.set(Controller::Cpuset, "cpuset.cpus", cpu.cpus().clone());
    values.set(Controller::Cpuset, "cpuset.mems", cpu.mems().clone());
}

fn set_devices(values: &mut Values, io: &LinuxBlockIo, bfq: bool) {
    let of = Controller::Io;
    if let Some(weight) = io.weight().filter(|weight| *weight != 0) {
        match bfq {
            true => values.add(of, "io.bfq.weight", weight),
            false => values.add(of, "io.weight", own_weight(weight)),
        }
    }
    for device in io.weight_device().iter().flatten() {
        if let Some(weight) = device.weight() {
            let weight = format!("{}:{} {weight}", device.major(), device.minor());
            values.add(of, "io.bfq.weight", weight);
        }
    }
    let mut rates = |name: &str, devices: &Option<Vec<LinuxThrottleDevice>>| {
        for device in devices.iter().flatten() {
            // On v1 zero takes a limit away.
            let rate = if device.rate() == 0 { "max".to_owned() } else { device.rate().to_string() };
            values.add(of, "io.max", format!("{}:{} {name}={rate}", device.major(), device.minor()));
        }
    };
    rates("rbps", io.throttle_read_bps_device());
    rates("wbps", io.throttle_write_bps_device());
    rates("riops", io.throttle_read_iops_device());
    rates("wiops", io.throttle_write_iops_device());
}
/// From 2 … 1024 … 262144 to 1 … 100 … 10000, by the curve through these that runc draws since 1.3.2.
fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            (10_f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
        }
    }
}

/// From 10 … 1000 to the kernel's 1 … 10000, for `io.weight`.
fn own_weight(weight: u16) -> u32 {
    1 + u32::from(weight).saturating_sub(10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str, now: &[(&str, &str)]) -> Vec<String> {
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        let now = |name: &str| now.iter().find(|(file, _)| *file == name).map(|(_, text)| (*text).to_owned());
        values(&resources, now).into_iter().map(|value| format!("{}={}", value.file, value.value)).collect()
    }

    #[test]
    fn every_field_has_its_file() {
        for (json, expected) in [
            (
                r#"{"memory":{"limit":9,"swap":10,"reservation":8}}"#,
                &["memory.swap.max=1", "memory.max=9", "memory.low=8"][..],
            ),
            (r#"{"memory":{"limit":9,"swap":9}}"#, &["memory.swap.max=0", "memory.max=9"]),
            (r#"{"memory":{"limit":9,"swap":-1}}"#, &["memory.swap.max=max", "memory.max=9"]),
            (r#"{"memory":{"limit":-1}}"#, &["memory.swap.max=max", "memory.max=max"]),
            (r#"{"memory":{"limit":9}}"#, &["memory.max=9"]),
            (r#"{"memory":{"limit":0,"swap":0,"reservation":-1}}"#, &["memory.low=max"]),
            (
                r#"{"cpu":{"shares":1024,"quota":-1,"period":1000,"burst":0,"cpus":"0-1","mems":"0","idle":1}}"#,
                &[
                    "cpu.weight=100",
                    "cpu.max=max 1000",
                    "cpu.max.burst=0",
                    "cpu.idle=1",
                    "cpuset.cpus=0-1",
                    "cpuset.mems=0",
                ],
            ),
            (r#"{"cpu":{"quota":5000}}"#, &["cpu.max=5000"]),
            (r#"{"cpu":{"period":5000}}"#, &["cpu.max=70 5000"]),
            (r#"{"cpu":{"shares":0,"quota":0,"period":0,"cpus":""}}"#, &[]),
            (r#"{"pids":{"limit":7}}"#, &["pids.max=7"]),
            (r#"{"pids":{"limit":0}}"#, &["pids.max=max"]),
            (
                r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4}]}"#,
                &["hugetlb.2MB.max=4", "hugetlb.2MB.rsvd.max=4"],
            ),
            (
                r#"{"blockIO":{"weight":200,"weightDevice":[{"major":8,"minor":1,"weight":5}],
                    "throttleReadBpsDevice":[{"major":8,"minor":1,"rate":5}],
                    "throttleWriteIOPSDevice":[{"major":8,"minor":1,"rate":0}]}}"#,
                &["io.weight=1920", "io.bfq.weight=8:1 5", "io.max=8:1 rbps=5", "io.max=8:1 wiops=max"],
            ),
            (
                r#"{"memory":{"limit":9},"unified":{"memory.max":"8","memory.high":"7"}}"#,
                &["memory.max=9", "memory.high=7", "memory.max=8"],
            ),
            (r#"{"devices":[{"allow":false,"access":"rwm"}]}"#, &[]),
        ] {
            assert_eq!(written(json, &[("cpu.max", "70 100000\n")]), expected, "{json}");
        }
        let bfq = written(r#"{"blockIO":{"weight":200}}"#, &[("io.bfq.weight", "default 100\n")]);
        assert_eq!(bfq, ["io.bfq.weight=200"]);
    }

    #[test]
    fn scales_meet_at_their_ends_and_defaults() {
        for (shares, weight) in
            [(1, 1), (2, 1), (512, 59), (1024, 100), (262_144, 10_000), (u64::MAX, 10_000)]
        {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        for (weight, own) in [(1, 1), (10, 1), (16, 61), (17, 71), (200, 1920), (1000, 10_000)] {
            assert_eq!(own_weight(weight), own, "{weight}");
        }
    }
}
