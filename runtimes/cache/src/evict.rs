//! The bound: least recently used first.
//!
//! An artifact in use may go too: who has it open or mapped keeps it, only its name is gone.

use crate::{Cache, CacheError, store::RECORD};
use pinnace_plan::Kind;
use rustix::fs::{AtFlags, Dir, statat};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// An artifact without a record may be one that is being made; one as old as this is not.
const ABANDONED: Duration = Duration::from_secs(600);

/// One artifact, as [`Cache::list`] shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key: the digest of the Wasm and the fingerprint of the engine.
    pub key: String,
    /// What it takes.
    pub bytes: u64,
    /// Its last use, to the minute.
    pub used: SystemTime,
    /// The world its compiler saw; none if there is no such record, and then it is never used.
    pub kind: Option<Kind>,
}

impl Cache {
    /// Every entry, least recently used first.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, CacheError> {
        let failed = |error| self.error("list", "", error);
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for file in Dir::read_from(self.artifacts()).map_err(failed)? {
            let file = file.map_err(failed)?;
            let Ok(name) = file.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            // One that is gone by now was evicted by another.
            let Ok(seen) = statat(self.artifacts(), name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let key = name.strip_suffix(RECORD).unwrap_or(name);
            let entry = entries.entry(key.to_owned()).or_insert_with(|| Entry {
                key: key.to_owned(),
                bytes: 0,
                used: UNIX_EPOCH,
                kind: None,
            });
            entry.bytes += seen.st_size as u64;
            if name.ends_with(RECORD) {
                entry.kind = self.record(name)?.map(|(record, _)| record.kind);
            }
            let modified = UNIX_EPOCH + Duration::new(seen.st_mtime.max(0) as u64, seen.st_mtime_nsec as u32);
            // The record's time is the last use; the artifact's only counts where there is no record.
            if name.ends_with(RECORD) || entry.used == UNIX_EPOCH {
                entry.used = modified;
            }
        }
        let mut entries: Vec<_> = entries.into_values().collect();
        entries.sort_by_key(|entry| entry.used);
        Ok(entries)
    }

    /// Removes entries until the bound holds, and what a killed server left half-made; returns their number.
    ///
    /// # Errors
    /// If the directory cannot be read, or a file cannot be removed.
    pub fn evict(&self) -> Result<usize, CacheError> {
        let entries = self.list()?;
        let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let mut gone = 0;
        for entry in entries {
            let abandoned = entry.kind.is_none() && entry.used.elapsed().is_ok_and(|age| age > ABANDONED);
            if total > self.max_bytes || abandoned {
                self.forget(&entry)?;
                total -= entry.bytes;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Removes every entry; returns how many and what they took.
    ///
    /// # Errors
    /// As [`Cache::evict`].
    pub fn clear(&self) -> Result<(usize, u64), CacheError> {
        let entries = self.list()?;
        for entry in &entries {
            self.forget(entry)?;
        }
        Ok((entries.len(), entries.iter().map(|entry| entry.bytes).sum()))
    }

    /// The record first: without it nothing is used.
    fn forget(&self, entry: &Entry) -> Result<(), CacheError> {
        log::info!("evicting {} ({} bytes)", entry.key, entry.bytes);
        self.remove(&format!("{}{RECORD}", entry.key))?;
        self.remove(&entry.key)
    }
}
