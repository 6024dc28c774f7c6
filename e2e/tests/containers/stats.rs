//! Stats and Pids: what the CRI and Docker read.

use crate::kernel::value;
use crate::{guest, ready};
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::{cgroups, cgroups_v2};
use pinnace_conformance::guests;
use pinnace_e2e::{Code, Container, Node, until};
use std::fs;

const LIMIT: u64 = 64 << 20;

/// What both messages tell; the machine's hierarchies decide which it is.
struct Figures {
    /// Nanoseconds.
    cpu: u64,
    memory: u64,
    memory_limit: u64,
    processes: u64,
}

fn figures(container: &Container<'_>) -> Figures {
    let any = container.metrics().expect("metrics");
    if any.type_url == "io.containerd.cgroups.v1.Metrics" {
        let metrics = cgroups::metrics::Metrics::parse_from_bytes(&any.value).expect("a message of v1");
        assert!(metrics.cpu().throttling.is_some(), "Docker reads it unasked");
        return Figures {
            cpu: metrics.cpu().usage().total(),
            memory: metrics.memory().usage().usage(),
            memory_limit: metrics.memory().usage().limit(),
            processes: metrics.pids().current(),
        };
    }
    assert_eq!(any.type_url, "io.containerd.cgroups.v2.Metrics");
    let metrics = cgroups_v2::metrics::Metrics::parse_from_bytes(&any.value).expect("a message of v2");
    Figures {
        cpu: metrics.cpu().usage_usec() * 1000,
        memory: metrics.memory().usage(),
        memory_limit: metrics.memory().usage_limit(),
        processes: metrics.pids().current(),
    }
}

#[test]
fn a_running_container_shows_cpu_memory_and_processes() {
    let node = Node::start();
    let image = guest(&node, guests::busy_p1());
    let container = ready(node.container(&image).memory(LIMIT));
    let before = figures(&container).cpu;
    until("CPU time that grows", || (figures(&container).cpu > before + 20_000_000).then_some(()));
    let figures = figures(&container);
    assert_eq!(figures.memory_limit, LIMIT);
    assert!((1..LIMIT).contains(&figures.memory));
    assert_eq!(figures.processes, 1);
    assert_eq!(container.pids().expect("pids"), [container.pid()]);
}

#[test]
fn stats_and_pids_are_there_until_delete() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(3));
    let container = node.container(&image).create().expect("create");
    assert_eq!(container.pids().expect("pids"), [container.pid()], "before Start");
    container.start().expect("start");
    assert_eq!(container.wait(), 3);
    assert!(figures(&container).cpu > 0);
    assert_eq!(container.pids().expect("pids"), [container.pid()], "an empty list would be a leaked shim");
}

#[test]
fn what_is_deleted_has_no_stats() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(0));
    let mut container = node.container(&image).create().expect("create");
    container.delete().expect("delete");
    assert_eq!(container.process().expect_err("state").code(), Code::NotFound);
}

#[test]
fn the_engine_and_nobody_else_is_in_the_containers_cgroups() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = ready(node.container(&image));
    let own = format!("{}/{}", node.cgroup_parent(), container.id());
    let groups = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroups");
    let theirs = groups(container.pid());
    // `ID:CONTROLLERS:PATH`; one without controllers neither limits nor counts beside others that have them.
    let alone = theirs.lines().count() == 1;
    for line in theirs.lines().filter(|line| alone || !(line.contains("::") || line.contains(":name="))) {
        assert!(line.ends_with(&own), "{line}");
    }
    let server = container.cost()[0].pid;
    assert!(!groups(server).contains(&own), "{}", groups(server));
}

/// A busy container with every limit, paused, so that nothing is counted between two looks.
fn at_rest<'node>(node: &'node Node, image: &pinnace_e2e::Image) -> Container<'node> {
    let draft = node.container(image).memory(LIMIT).edit(|spec| {
        spec["linux"]["resources"]["cpu"] = serde_json::json!({ "quota": 20_000, "period": 100_000 });
        spec["linux"]["resources"]["pids"] = serde_json::json!({ "limit": 60 });
    });
    let container = ready(draft);
    let throttled = || {
        value(&container, "cpu.stat")
            .lines()
            .any(|line| matches!(line.split_once(' '), Some(("nr_throttled", count)) if count != "0"))
    };
    until("throttling", || throttled().then_some(()));
    container.pause().expect("pause");
    // The period that has begun is still counted when it ends.
    let period = std::time::Duration::from_millis(250);
    let looks = || (value(&container, "cpu.stat"), std::thread::sleep(period), value(&container, "cpu.stat"));
    until("rest", || Some(looks()).filter(|(before, (), after)| before == after));
    container
}

/// A number in `name value` lines, zero without it.
fn named(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |number| number.trim().parse().expect("a number"))
}

#[test]
fn every_figure_is_the_kernels_own() {
    let node = Node::start();
    let image = guest(&node, guests::busy_p1());
    let container = at_rest(&node, &image);
    // The kernel sums its counters up when it likes, at times between our look and the test's.
    let mut different = Vec::new();
    let equal = (0..20).any(|_| {
        different = all_differences(&container);
        different.is_empty()
    });
    assert!(equal, "{different:?}");
    container.resume().expect("resume");
}

/// What the metrics of a container at rest tell that its cgroups' files do not.
fn all_differences(container: &Container<'_>) -> Vec<String> {
    let any = container.metrics().expect("metrics");
    let number = |file: &str| value(container, file).parse::<u64>().unwrap_or(u64::MAX);
    let pids = [number("pids.current"), number("pids.max")];
    assert_eq!(pids, [1, 60]);
    if any.type_url == "io.containerd.cgroups.v1.Metrics" {
        let metrics = cgroups::metrics::Metrics::parse_from_bytes(&any.value).expect("a message of v1");
        assert_eq!([metrics.pids().current(), metrics.pids().limit()], pids);
        v1_differences(container, &metrics)
    } else {
        let metrics = cgroups_v2::metrics::Metrics::parse_from_bytes(&any.value).expect("a message of v2");
        assert_eq!([metrics.pids().current(), metrics.pids().limit()], pids);
        v2_differences(container, &metrics)
    }
}

/// Each processor holds some pages that are charged and not used, and gives them back when it likes.
fn assert_near(told: u64, is: u64) {
    assert!(told.abs_diff(is) < 2 << 20, "told {told}, is {is}");
}

fn differences(pairs: &[(&str, u64, u64)]) -> Vec<String> {
    let different = pairs.iter().filter(|(_, told, kernel)| told != kernel);
    different.map(|(name, told, kernel)| format!("{name}: told {told}, is {kernel}")).collect()
}

fn v1_differences(container: &Container<'_>, metrics: &cgroups::metrics::Metrics) -> Vec<String> {
    let number = |file: &str| value(container, file).parse::<u64>().expect(file);
    let (usage, throttling) = (metrics.cpu().usage(), metrics.cpu().throttling());
    let (ticks, cpu) = (value(container, "cpuacct.stat"), value(container, "cpu.stat"));
    let (memory, stat) = (metrics.memory(), value(container, "memory.stat"));
    let per_cpu: Vec<u64> = value(container, "cpuacct.usage_percpu")
        .split_whitespace()
        .map(|time| time.parse().expect("time"))
        .collect();
    assert_eq!(usage.per_cpu, per_cpu);
    assert!(usage.total() > 0 && throttling.throttled_periods() > 0);
    let lists = [
        ("blkio.throttle.io_service_bytes_recursive", &metrics.blkio().io_service_bytes_recursive),
        ("blkio.throttle.io_serviced_recursive", &metrics.blkio().io_serviced_recursive),
    ];
    for (file, list) in lists {
        let told: Vec<_> =
            list.iter().map(|one| format!("{}:{} {} {}", one.major, one.minor, one.op, one.value)).collect();
        let text = value(container, file);
        let lines: Vec<_> = text.lines().filter(|line| line.contains(':')).collect();
        assert_eq!(told, lines, "{file}");
    }
    assert!(metrics.rdma.is_none(), "nobody is to think there were such devices");
    assert_near(memory.usage().usage(), number("memory.usage_in_bytes"));
    differences(&[
        ("cpuacct.usage", usage.total(), number("cpuacct.usage")),
        ("user", usage.user(), named(&ticks, "user") * 10_000_000),
        ("system", usage.kernel(), named(&ticks, "system") * 10_000_000),
        ("nr_periods", throttling.periods(), named(&cpu, "nr_periods")),
        ("nr_throttled", throttling.throttled_periods(), named(&cpu, "nr_throttled")),
        ("throttled_time", throttling.throttled_time(), named(&cpu, "throttled_time")),
        ("limit", memory.usage().limit(), LIMIT),
        ("max", memory.usage().max(), number("memory.max_usage_in_bytes")),
        ("failcnt", memory.usage().failcnt(), number("memory.failcnt")),
        ("kernel", memory.kernel().usage(), number("memory.kmem.usage_in_bytes")),
        ("kernel tcp", memory.kernel_tcp().usage(), number("memory.kmem.tcp.usage_in_bytes")),
        ("cache", memory.cache(), named(&stat, "cache")),
        ("rss", memory.rss(), named(&stat, "rss")),
        ("mapped_file", memory.mapped_file(), named(&stat, "mapped_file")),
        ("pgfault", memory.pg_fault(), named(&stat, "pgfault")),
        ("pgmajfault", memory.pg_maj_fault(), named(&stat, "pgmajfault")),
        ("inactive_anon", memory.inactive_anon(), named(&stat, "inactive_anon")),
        ("active_anon", memory.active_anon(), named(&stat, "active_anon")),
        ("inactive_file", memory.inactive_file(), named(&stat, "inactive_file")),
        ("active_file", memory.active_file(), named(&stat, "active_file")),
        ("unevictable", memory.unevictable(), named(&stat, "unevictable")),
        ("hierarchical", memory.hierarchical_memory_limit(), named(&stat, "hierarchical_memory_limit")),
        ("total_cache", memory.total_cache(), named(&stat, "total_cache")),
        ("total_rss", memory.total_rss(), named(&stat, "total_rss")),
        ("total_pgfault", memory.total_pg_fault(), named(&stat, "total_pgfault")),
        ("total_inactive_file", memory.total_inactive_file(), named(&stat, "total_inactive_file")),
        (
            "oom_kill",
            metrics.memory_oom_control().oom_kill(),
            named(&value(container, "memory.oom_control"), "oom_kill"),
        ),
    ])
}

fn v2_differences(container: &Container<'_>, metrics: &cgroups_v2::metrics::Metrics) -> Vec<String> {
    // Without a limit it is the greatest number.
    let number = |file: &str| value(container, file).parse().unwrap_or(u64::MAX);
    let (cpu, told) = (value(container, "cpu.stat"), metrics.cpu());
    let (memory, stat) = (metrics.memory(), value(container, "memory.stat"));
    let (events, counted) = (value(container, "memory.events"), metrics.memory_events());
    assert!(told.usage_usec() > 0 && told.nr_throttled() > 0);
    let directory = crate::kernel::directory(container, "cpu");
    assert_eq!(told.psi.is_some(), directory.join("cpu.pressure").exists());
    assert_eq!(memory.psi.is_some(), directory.join("memory.pressure").exists());
    let peak = if directory.join("memory.peak").exists() { number("memory.peak") } else { 0 };
    assert!(metrics.rdma.is_none(), "nobody is to think there were such devices");
    for pages in &metrics.hugetlb {
        assert_eq!(pages.current(), number(&format!("hugetlb.{}.current", pages.pagesize())));
        assert_eq!(pages.max(), number(&format!("hugetlb.{}.max", pages.pagesize())));
    }
    assert_near(memory.usage(), number("memory.current"));
    // Looking at a file of the cgroup costs it some.
    assert_near(memory.slab(), named(&stat, "slab"));
    let counted_pages = directory.join("hugetlb.2MB.current").exists();
    assert_eq!(metrics.hugetlb.iter().any(|pages| pages.pagesize() == "2MB"), counted_pages);
    differences(&[
        ("usage_usec", told.usage_usec(), named(&cpu, "usage_usec")),
        ("user_usec", told.user_usec(), named(&cpu, "user_usec")),
        ("system_usec", told.system_usec(), named(&cpu, "system_usec")),
        ("nr_periods", told.nr_periods(), named(&cpu, "nr_periods")),
        ("nr_throttled", told.nr_throttled(), named(&cpu, "nr_throttled")),
        ("throttled_usec", told.throttled_usec(), named(&cpu, "throttled_usec")),
        ("memory.max", memory.usage_limit(), LIMIT),
        ("memory.peak", memory.max_usage(), peak),
        ("anon", memory.anon(), named(&stat, "anon")),
        ("file", memory.file(), named(&stat, "file")),
        ("kernel_stack", memory.kernel_stack(), named(&stat, "kernel_stack")),
        ("file_mapped", memory.file_mapped(), named(&stat, "file_mapped")),
        ("inactive_file", memory.inactive_file(), named(&stat, "inactive_file")),
        ("active_file", memory.active_file(), named(&stat, "active_file")),
        ("inactive_anon", memory.inactive_anon(), named(&stat, "inactive_anon")),
        ("active_anon", memory.active_anon(), named(&stat, "active_anon")),
        ("pgfault", memory.pgfault(), named(&stat, "pgfault")),
        ("pgmajfault", memory.pgmajfault(), named(&stat, "pgmajfault")),
        ("max", counted.max(), named(&events, "max")),
        ("oom", counted.oom(), named(&events, "oom")),
        ("oom_kill", counted.oom_kill(), named(&events, "oom_kill")),
    ])
}

#[test]
fn a_thousand_looks_cost_the_server_nothing_that_stays() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = ready(node.container(&image).memory(LIMIT));
    let server = container.cost()[0].pid;
    let descriptors = || fs::read_dir(format!("/proc/{server}/fd")).expect("its descriptors").count();
    // Its own pages: a program written a moment ago has dirty pages too, private once no other server maps them.
    let private = || container.cost()[0].private;
    (0..200).for_each(|_| drop(container.metrics().expect("metrics")));
    let (before, open) = (private(), descriptors());
    (0..1_000).for_each(|_| drop(container.metrics().expect("metrics")));
    assert_eq!(descriptors(), open);
    assert!(private() < before + 256, "{} kB, before {before} kB", private());
}
