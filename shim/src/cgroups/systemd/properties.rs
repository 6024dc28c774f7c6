//! What systemd is told of a scope: who is in it, and the limits the kernel's files have.
//!
//! A value that every new cgroup has is not told: an older systemd refuses a call for one property it does
//! not know, so only who asks for a limit needs a systemd that has it. `TasksMax` is told at the start: without it
//! systemd would set a limit of its own.

use super::Scope;
use super::wire::Value;

/// A property by its name, as `StartTransientUnit` takes it.
pub(super) type Property = (&'static str, Value);

/// A file of the kernel, the properties that say the same, and what takes them back.
type Row = (&'static str, fn(&str) -> Vec<Property>, Property);

/// A number that says there is no such limit, or weight.
const NONE: Value = Value::U64(u64::MAX);

/// v2 and v1 together: a cgroup has the files of one of them, and `pids.max` is both's.
const FILES: [Row; 16] = [
    ("memory.max", |text| number("MemoryMax", text, None), ("MemoryMax", NONE)),
    ("memory.high", |text| number("MemoryHigh", text, None), ("MemoryHigh", NONE)),
    ("memory.low", |text| number("MemoryLow", text, Some(0)), ("MemoryLow", Value::U64(0))),
    ("memory.min", |text| number("MemoryMin", text, Some(0)), ("MemoryMin", Value::U64(0))),
    ("memory.swap.max", |text| number("MemorySwapMax", text, None), ("MemorySwapMax", NONE)),
    ("cpu.weight", |text| number("CPUWeight", text, Some(100)), ("CPUWeight", NONE)),
    ("cpu.max", |text| split(text, quota), ("CPUQuotaPerSecUSec", NONE)),
    (
        "io.weight",
        |text| {
            let default = text.lines().next().and_then(|line| line.strip_prefix("default "));
            number("IOWeight", default.unwrap_or_default(), Some(100))
        },
        ("IOWeight", NONE),
    ),
    ("cpuset.cpus", |text| set("AllowedCPUs", text), ("AllowedCPUs", Value::Bytes(Vec::new()))),
    ("cpuset.mems", |text| set("AllowedMemoryNodes", text), ("AllowedMemoryNodes", Value::Bytes(Vec::new()))),
    ("pids.max", |text| number("TasksMax", text, None), ("TasksMax", NONE)),
    ("memory.limit_in_bytes", |text| number("MemoryLimit", text, None), ("MemoryLimit", NONE)),
    ("cpu.shares", |text| number("CPUShares", text, Some(1024)), ("CPUShares", NONE)),
    ("blkio.weight", |text| number("BlockIOWeight", text, Some(500)), ("BlockIOWeight", NONE)),
    // The two files of a v1 quota, joined by `read`.
    ("cpu.cfs_quota_us cpu.cfs_period_us", |text| split(text, quota), ("CPUQuotaPerSecUSec", NONE)),
    ("blkio.bfq.weight", |text| number("BlockIOWeight", text, Some(100)), ("BlockIOWeight", NONE)),
];

/// v1 has no word for "no limit": it is the greatest number of pages.
const V1_UNLIMITED: u64 = 1 << 62;

/// What a new scope is.
pub(super) fn of(scope: &Scope, pid: u32) -> Vec<Property> {
    let flag = |name| (name, Value::Bool(true));
    vec![
        ("Description", Value::Text(format!("Wasm container {}", scope.unit))),
        ("Slice", Value::Text(scope.slice.clone())),
        ("PIDs", Value::Pids(vec![pid])),
        flag("Delegate"),
        ("DefaultDependencies", Value::Bool(false)),
        ("CollectMode", Value::Text("inactive-or-failed".to_owned())),
        flag("CPUAccounting"),
        flag("MemoryAccounting"),
        flag("TasksAccounting"),
        flag("IOAccounting"),
        ("TasksMax", Value::U64(u64::MAX)),
    ]
}

/// What its files say; `file` reads one.
pub(super) fn limits(file: &impl Fn(&str) -> Option<String>) -> Vec<Property> {
    FILES.iter().filter_map(|(names, told, _)| Some(told(&read(names, file)?))).flatten().collect()
}

/// What those of its files say that were changed, also that there is no limit any more.
pub(super) fn changes<'a>(
    file: &impl Fn(&str) -> Option<String>,
    changed: impl Iterator<Item = &'a str>,
) -> Vec<Property> {
    let changed: Vec<&str> = changed.collect();
    let mut properties = Vec::new();
    for (names, told, taken_back) in FILES {
        if !names.split(' ').any(|name| changed.contains(&name)) {
            continue;
        }
        let said = read(names, file).map(|text| told(&text)).unwrap_or_default();
        properties.extend(if said.is_empty() { vec![taken_back] } else { said });
    }
    properties
}

/// The text of a file, or of some.
fn read(names: &str, file: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let texts: Option<Vec<String>> = names.split(' ').map(file).collect();
    Some(texts?.join(" "))
}

fn split(text: &str, told: fn(Option<&str>, Option<&str>) -> Vec<Property>) -> Vec<Property> {
    let mut words = text.split_whitespace();
    told(words.next(), words.next())
}

fn number(property: &'static str, text: &str, untold: Option<u64>) -> Vec<Property> {
    match text.trim().parse() {
        Ok(value) if Some(value) != untold && value < V1_UNLIMITED => vec![(property, Value::U64(value))],
        _ => Vec::new(),
    }
}

/// A quota in a period, as microseconds in a second. systemd counts in hundredths of a processor, so it is
/// rounded up to one: never less than was asked.
fn quota(quota: Option<&str>, period: Option<&str>) -> Vec<Property> {
    const USUAL: u64 = 100_000;
    const PERCENT: u64 = 10_000;
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
    let (Some(quota), Some(period)) = (number(quota), number(period).filter(|period| *period > 0)) else {
        return Vec::new();
    };
    let second = quota.saturating_mul(1_000_000) / period;
    let mut told = vec![("CPUQuotaPerSecUSec", Value::U64(second.div_ceil(PERCENT).saturating_mul(PERCENT)))];
    if period != USUAL {
        told.push(("CPUQuotaPeriodUSec", Value::U64(period)));
    }
    told
}

/// `0-2,5` as a mask, lowest byte first.
fn set(property: &'static str, text: &str) -> Vec<Property> {
    let mut mask: Vec<u8> = Vec::new();
    for range in text.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else { return Vec::new() };
        for bit in usize::from(first)..=usize::from(last) {
            if mask.len() <= bit / 8 {
                mask.resize(bit / 8 + 1, 0);
            }
            mask[bit / 8] |= 1 << (bit % 8);
        }
    }
    if mask.is_empty() { Vec::new() } else { vec![(property, Value::Bytes(mask))] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The properties of these files.
    fn told(files: &[(&str, &str)]) -> Vec<Property> {
        limits(&|name: &str| files.iter().find(|(file, _)| *file == name).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn a_scope_has_its_process_and_its_slice_and_is_delegated() {
        let scope = Scope::parse("a.slice:b:c").unwrap().unwrap();
        let properties = of(&scope, 7);
        for expected in [
            ("PIDs", Value::Pids(vec![7])),
            ("Slice", Value::Text("a.slice".to_owned())),
            ("Delegate", Value::Bool(true)),
            ("CollectMode", Value::Text("inactive-or-failed".to_owned())),
            ("TasksMax", Value::U64(u64::MAX)),
        ] {
            assert!(properties.contains(&expected), "{expected:?}");
        }
    }

    #[test]
    fn what_a_new_cgroup_has_is_not_told() {
        let v2 = [
            ("memory.max", "max\n"),
            ("memory.high", "max\n"),
            ("memory.low", "0\n"),
            ("memory.swap.max", "max\n"),
            ("cpu.weight", "100\n"),
            ("cpu.max", "max 100000\n"),
            ("io.weight", "default 100\n"),
            ("cpuset.cpus", "\n"),
            ("pids.max", "max\n"),
        ];
        let v1 = [
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("cpu.shares", "1024\n"),
            ("cpu.cfs_quota_us", "-1\n"),
            ("cpu.cfs_period_us", "100000\n"),
            ("blkio.weight", "500\n"),
        ];
        assert_eq!((told(&v2), told(&v1)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn each_file_has_its_property() {
        let number = |name, value| (name, Value::U64(value));
        for (files, expected) in [
            (vec![("memory.max", "67108864\n")], vec![number("MemoryMax", 67_108_864)]),
            (vec![("memory.max", "0\n")], vec![number("MemoryMax", 0)]),
            (vec![("memory.swap.max", "0\n")], vec![number("MemorySwapMax", 0)]),
            (vec![("cpu.weight", "39\n")], vec![number("CPUWeight", 39)]),
            (vec![("cpu.max", "50000 100000\n")], vec![number("CPUQuotaPerSecUSec", 500_000)]),
            (
                vec![("cpu.max", "1000 30000\n")],
                vec![number("CPUQuotaPerSecUSec", 40_000), number("CPUQuotaPeriodUSec", 30_000)],
            ),
            (
                vec![("cpu.cfs_quota_us", "150000\n"), ("cpu.cfs_period_us", "100000\n")],
                vec![number("CPUQuotaPerSecUSec", 1_500_000)],
            ),
            (vec![("io.weight", "default 50\n8:0 70\n")], vec![number("IOWeight", 50)]),
            (vec![("pids.max", "100\n")], vec![number("TasksMax", 100)]),
            (vec![("cpuset.cpus", "0-1,9\n")], vec![("AllowedCPUs", Value::Bytes(vec![3, 2]))]),
            (vec![("cpuset.mems", "0\n")], vec![("AllowedMemoryNodes", Value::Bytes(vec![1]))]),
            (vec![("memory.limit_in_bytes", "67108864\n")], vec![number("MemoryLimit", 67_108_864)]),
            (vec![("cpu.shares", "512\n")], vec![number("CPUShares", 512)]),
        ] {
            assert_eq!(told(&files), expected, "{files:?}");
        }
    }

    #[test]
    fn of_what_was_changed_the_end_of_a_limit_is_told_too() {
        let files = [
            ("memory.max", "max\n"),
            ("cpu.max", "max 100000\n"),
            ("pids.max", "9\n"),
            ("cpuset.cpus", "\n"),
        ];
        let file =
            |name: &str| files.iter().find(|(file, _)| *file == name).map(|(_, text)| (*text).to_owned());
        let told = changes(&file, ["memory.max", "cpu.max", "cpuset.cpus", "cpu.idle"].into_iter());
        assert_eq!(
            told,
            [("MemoryMax", NONE), ("CPUQuotaPerSecUSec", NONE), ("AllowedCPUs", Value::Bytes(Vec::new()))]
        );
        assert_eq!(changes(&file, ["pids.max"].into_iter()), [("TasksMax", Value::U64(9))]);
        let one_of_two = changes(&|_: &str| Some("-1\n".to_owned()), ["cpu.cfs_quota_us"].into_iter());
        assert_eq!(one_of_two, [("CPUQuotaPerSecUSec", NONE)]);
    }

    proptest! {
        #[test]
        fn a_quota_is_never_rounded_below_what_was_asked(quota in 1_000_u64..10_000_000, period in 1_000_u64..1_000_000) {
            let files = format!("{quota} {period}\n");
            let properties = told(&[("cpu.max", &files)]);
            let Value::U64(second) = properties[0].1 else { panic!("{properties:?}") };
            prop_assert!(second / 10_000 * 10_000 == second);
            prop_assert!(second * period >= (quota * 1_000_000 / period) * period);
            prop_assert!(second < quota * 1_000_000 / period + 10_000);
        }

        #[test]
        fn no_content_of_a_file_is_a_panic(text in ".{0,40}") {
            for (names, ..) in FILES {
                let name = names.split(' ').next().unwrap();
                told(&[(name, &text)]);
            }
        }
    }
}
