//! v1: the spec's limits as values for the kernel's files.

use super::value::{Value, Values, Without};
use crate::cgroups::Controller;
use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxResources, LinuxThrottleDevice,
};

/// What is written for a spec's limits.
pub(super) fn values(resources: &LinuxResources) -> Vec<Value> {
    let mut values = Values(Vec::new());
    resources.memory().iter().for_each(|memory| values.memory(memory));
    resources.cpu().iter().for_each(|cpu| values.cpu(cpu));
    if let Some(pids) = resources.pids() {
        let limit = pids.limit();
        let limit = if limit > 0 { limit.to_string() } else { "max".to_owned() };
        values.add(Controller::Pids, "pids.max", limit);
    }
    resources.block_io().iter().for_each(|io| values.io(io));
    for pages in resources.hugepage_limits().iter().flatten() {
        let (size, limit) = (pages.page_size(), pages.limit());
        values.add(Controller::Hugetlb, &format!("hugetlb.{size}.limit_in_bytes"), limit);
        // Pages that are reserved and not yet touched: Linux 5.7.
        values.add(Controller::Hugetlb, &format!("hugetlb.{size}.rsvd.limit_in_bytes"), limit);
        values.last_without(Without::PassOver);
    }
    resources.network().iter().for_each(|network| values.network(network));
    values.0
}

impl Values {
    fn memory(&mut self, memory: &LinuxMemory) {
        let of = Controller::Memory;
        self.set(of, "memory.limit_in_bytes", memory.limit());
        self.set(of, "memory.memsw.limit_in_bytes", memory.swap());
        // No limit of memory under one of memory with swap would be none.
        if memory.limit() == Some(-1) && memory.swap().is_none() {
            self.add(of, "memory.memsw.limit_in_bytes", -1);
            self.last_without(Without::PassOver);
        }
        self.set(of, "memory.soft_limit_in_bytes", memory.reservation());
        if let Some(disabled) = memory.disable_oom_killer() {
            self.add(of, "memory.oom_control", u8::from(disabled));
        }
        if let Some(swappiness) = memory.swappiness() {
            self.add(of, "memory.swappiness", swappiness);
        }
    }

    fn cpu(&mut self, cpu: &LinuxCpu) {
        let of = Controller::Cpu;
        self.set(of, "cpu.shares", cpu.shares());
        self.set(of, "cpu.cfs_period_us", cpu.period());
        self.set(of, "cpu.cfs_quota_us", cpu.quota());
        self.set_or_zero(of, "cpu.cfs_burst_us", cpu.burst());
        self.set(of, "cpu.rt_period_us", cpu.realtime_period());
        self.set(of, "cpu.rt_runtime_us", cpu.realtime_runtime());
        self.set_or_zero(of, "cpu.idle", cpu.idle());
        self.set(Controller::Cpuset, "cpuset.cpus", cpu.cpus().clone());
        self.set(Controller::Cpuset, "cpuset.mems", cpu.mems().clone());
    }

    fn io(&mut self, io: &LinuxBlockIo) {
        let of = Controller::Blkio;
        if let Some(weight) = io.weight().filter(|weight| *weight != 0) {
            // Of the scheduler CFQ, before Linux 5.0; of BFQ.
            self.add(of, "blkio.weight", weight);
            self.last_without(Without::Take("blkio.bfq.weight"));
        }
        let mut rates = |file: &str, devices: &Option<Vec<LinuxThrottleDevice>>| {
            for device in devices.iter().flatten() {
                let rate = format!("{}:{} {}", device.major(), device.minor(), device.rate());
                self.add(of, file, rate);
            }
        };
        rates("blkio.throttle.read_bps_device", io.throttle_read_bps_device());
        rates("blkio.throttle.write_bps_device", io.throttle_write_bps_device());
        rates("blkio.throttle.read_iops_device", io.throttle_read_iops_device());
        rates("blkio.throttle.write_iops_device", io.throttle_write_iops_device());
    }

    fn network(&mut self, network: &LinuxNetwork) {
        self.set(Controller::NetCls, "net_cls.classid", network.class_id());
        for interface in network.priorities().iter().flatten() {
            let priority = format!("{} {}", interface.name(), interface.priority());
            self.add(Controller::NetPrio, "net_prio.ifpriomap", priority);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::{Cgroup, Hierarchies};
    use std::fs;

    fn written(json: &str) -> Vec<String> {
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        values(&resources).into_iter().map(|value| format!("{}={}", value.file, value.value)).collect()
    }

    #[test]
    fn every_field_has_its_file() {
        for (json, expected) in [
            (
                r#"{"memory":{"limit":9,"swap":10,"reservation":8,"swappiness":0,"disableOOMKiller":false}}"#,
                &[
                    "memory.limit_in_bytes=9",
                    "memory.memsw.limit_in_bytes=10",
                    "memory.soft_limit_in_bytes=8",
                    "memory.oom_control=0",
                    "memory.swappiness=0",
                ][..],
            ),
            (r#"{"memory":{"limit":-1}}"#, &["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"]),
            (
                r#"{"cpu":{"shares":2,"quota":-1,"period":1000,"burst":0,"cpus":"0-1","mems":"0","idle":1}}"#,
                &[
                    "cpu.shares=2",
                    "cpu.cfs_period_us=1000",
                    "cpu.cfs_quota_us=-1",
                    "cpu.cfs_burst_us=0",
                    "cpu.idle=1",
                    "cpuset.cpus=0-1",
                    "cpuset.mems=0",
                ],
            ),
            (r#"{"cpu":{"shares":0,"quota":0,"cpus":""}}"#, &[]),
            (r#"{"pids":{"limit":7}}"#, &["pids.max=7"]),
            (r#"{"pids":{"limit":-1}}"#, &["pids.max=max"]),
            (
                r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4}]}"#,
                &["hugetlb.2MB.limit_in_bytes=4", "hugetlb.2MB.rsvd.limit_in_bytes=4"],
            ),
            (
                r#"{"blockIO":{"weight":10,"throttleReadBpsDevice":[{"major":8,"minor":1,"rate":5}]}}"#,
                &["blkio.weight=10", "blkio.throttle.read_bps_device=8:1 5"],
            ),
            (
                r#"{"network":{"classID":3,"priorities":[{"name":"lo","priority":1},{"name":"eth0","priority":2}]}}"#,
                &["net_cls.classid=3", "net_prio.ifpriomap=lo 1", "net_prio.ifpriomap=eth0 2"],
            ),
        ] {
            assert_eq!(written(json), expected, "{json}");
        }
    }

    #[test]
    fn rules_for_devices_are_never_written() {
        let rules =
            r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3}]}"#;
        assert_eq!(written(rules), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_a_kernel_lacks_is_passed_over_replaced_or_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("c")).unwrap();
        let file = |name: &str| dir.path().join("c").join(name);
        for name in ["memory.limit_in_bytes", "blkio.bfq.weight"] {
            fs::write(file(name), "").unwrap();
        }
        let hierarchies = Hierarchies::v1_at(&[(&[Controller::Memory, Controller::Blkio], dir.path())]);
        let cgroup = Cgroup::open(&hierarchies, "/c").unwrap();
        let limit = |json: &str| cgroup.limit(&serde_json::from_str(json).unwrap());
        limit(r#"{"memory":{"limit":-1},"blockIO":{"weight":300}}"#).unwrap();
        assert_eq!(fs::read_to_string(file("memory.limit_in_bytes")).unwrap(), "-1");
        assert_eq!(fs::read_to_string(file("blkio.bfq.weight")).unwrap(), "300");
        let error = limit(r#"{"memory":{"limit":5,"swap":6}}"#).unwrap_err().to_string();
        assert!(error.contains("memory.memsw.limit_in_bytes") && error.contains("\"6\""), "{error}");
    }
}
