//! Huge pages, by size, where their controller is.

use super::Dir;
use std::fs;
use std::sync::OnceLock;

/// Huge pages of one size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HugePages {
    /// `2MB`, as the kernel's files have it.
    pub size: String,
    /// In bytes.
    pub usage: u64,
    /// v1: the most there was. v2: the limit, `u64::MAX` without one.
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// The sizes of this machine, which do not change.
static SIZES: OnceLock<Vec<String>> = OnceLock::new();

fn sizes() -> &'static [String] {
    SIZES.get_or_init(|| {
        let entries = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
        let mut sizes: Vec<u64> =
            entries.filter_map(|entry| kilobytes(entry.file_name().to_str()?)).collect();
        sizes.sort_unstable();
        sizes.into_iter().map(name).collect()
    })
}

/// `hugepages-2048kB`
fn kilobytes(name: &str) -> Option<u64> {
    name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()
}

fn name(kilobytes: u64) -> String {
    match kilobytes {
        0..1024 => format!("{kilobytes}KB"),
        1024..1_048_576 => format!("{}MB", kilobytes >> 10),
        _ => format!("{}GB", kilobytes >> 20),
    }
}

pub(super) fn v1(dir: &Dir) -> Vec<HugePages> {
    let of = |size: &String| {
        let number = |file: &str| dir.number(&format!("hugetlb.{size}.{file}"));
        Some(HugePages {
            size: size.clone(),
            usage: number("usage_in_bytes")?,
            max: number("max_usage_in_bytes").unwrap_or_default(),
            failcnt: number("failcnt").unwrap_or_default(),
        })
    };
    if dir.exists() { sizes().iter().filter_map(of).collect() } else { Vec::new() }
}

pub(super) fn v2(dir: &Dir) -> Vec<HugePages> {
    let of = |size: &String| {
        let number = |file: &str| dir.number(&format!("hugetlb.{size}.{file}"));
        let events = dir.text(&format!("hugetlb.{size}.events"));
        Some(HugePages {
            size: size.clone(),
            usage: number("current")?,
            max: number("max").unwrap_or(u64::MAX),
            failcnt: events.map_or(0, |events| super::flat_value(&events, "max")),
        })
    };
    sizes().iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_named_as_the_kernel_names_its_files() {
        for (directory, file) in [
            ("hugepages-64kB", "64KB"),
            ("hugepages-2048kB", "2MB"),
            ("hugepages-32768kB", "32MB"),
            ("hugepages-1048576kB", "1GB"),
        ] {
            assert_eq!(name(kilobytes(directory).unwrap()), file);
        }
        assert_eq!(kilobytes("hugepages-x"), None);
    }
}
