//! `pinnace cache`: compiled modules of this node.

use crate::{config, error::CliError};
use clap::Subcommand;
use pinnace_cache::Entry;
use pinnace_node::boot_dir;
use std::{fmt::Write, time::Duration};

#[derive(Subcommand)]
pub(crate) enum Cache {
    /// List compiled modules, least recently used first
    List,
    /// Remove all of them; what runs goes on, what starts is compiled anew
    Clear,
}

impl Cache {
    pub(crate) fn run(self) -> Result<String, CliError> {
        let config = config::load()?;
        let state = boot_dir(config.state.dir.as_path())?;
        let cache =
            pinnace_cache::Cache::open(config.cache.dir.as_path(), &state, config.cache.max_bytes.get())?;
        match self {
            Self::List => Ok(table(&cache.list()?, config.cache.max_bytes.get())),
            Self::Clear => {
                let (count, bytes) = cache.clear()?;
                Ok(format!("removed {count} compiled modules, {}\n", size(bytes)))
            }
        }
    }
}

fn table(entries: &[Entry], bound: u64) -> String {
    let mut text = format!("{:<71}  {:<16}  {:<9}  {:>9}  USED\n", "MODULE", "ENGINE", "KIND", "SIZE");
    for entry in entries {
        let (module, engine) = entry.key.split_once('-').unwrap_or((&entry.key, ""));
        let kind = entry.kind.map_or("unknown".into(), |kind| format!("{kind:?}").to_lowercase());
        let age = entry.used.elapsed().map_or("now".into(), ago);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "sha256:{module}  {engine:<16}  {kind:<9}  {:>9}  {age}", size(entry.bytes));
    }
    let total = entries.iter().map(|entry| entry.bytes).sum();
    let _ = writeln!(text, "{} of {} in {} compiled modules", size(total), size(bound), entries.len());
    text
}

fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(unit, name)| format!("{:.1} {name}", bytes as f64 / *unit as f64),
    )
}

fn ago(age: Duration) -> String {
    match age.as_secs() {
        0..60 => "now".into(),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..86400 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} d ago", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn the_table_is_for_people() {
        let entry = Entry {
            key: format!("{}-0123456789abcdef", "ab".repeat(32)),
            bytes: 64_000_000,
            used: SystemTime::now() - Duration::from_secs(7300),
            kind: None,
        };
        let text = table(&[entry], 4 << 30);
        assert!(text.contains("abab  0123456789abcdef  unknown     61.0 MiB  2 h ago\n"), "{text}");
        assert!(text.ends_with("61.0 MiB of 4.0 GiB in 1 compiled modules\n"), "{text}");
        assert_eq!(size(5), "5 B");
    }
}
