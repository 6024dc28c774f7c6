//! The ceiling, asked whenever the guest grows.

use crate::error::PrepareError;
use pinnace_engine::{Ceiling, Headroom};
use wasmtime::{ResourceLimiter, ResourcesRequired};

/// Bytes of one element of a table.
const ELEMENT: u64 = size_of::<usize>() as u64;

/// Bytes of one page of memory.
const PAGE: u64 = 64 << 10;

/// What a guest has, and what it was refused.
#[derive(Debug)]
pub(crate) struct Limiter {
    ceiling: Ceiling,
    /// Bytes of all memories and tables.
    used: u64,
    /// What the last accepted growth added, until it is known to have happened.
    last: u64,
    /// The limit that refused a growth, if any ever did.
    refused: Option<u64>,
}

impl Limiter {
    pub(crate) fn new(ceiling: Ceiling) -> Self {
        Self { ceiling, used: 0, last: 0, refused: None }
    }

    /// The limit that refused the guest memory, if one did.
    pub(crate) fn refused(&self) -> Option<u64> {
        self.refused
    }

    /// Fails if the guest would be above the ceiling before it did anything.
    pub(crate) fn admit(&self, name: &str, required: &ResourcesRequired) -> Result<(), PrepareError> {
        let headroom =
            self.ceiling.read().map_err(|source| PrepareError::Ceiling { name: name.to_owned(), source })?;
        let needed = required
            .max_initial_memory_size
            .unwrap_or_default()
            .saturating_mul(PAGE)
            .saturating_add(required.max_initial_table_size.unwrap_or_default().saturating_mul(ELEMENT));
        match headroom {
            Some(Headroom { limit, guest }) if needed > guest => {
                Err(PrepareError::TooLarge { name: name.to_owned(), needed, limit, guest })
            }
            _ => Ok(()),
        }
    }

    fn grow(&mut self, added: u64) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add(added);
        // A limit that cannot be read is an end, not a way around it.
        if let Some(Headroom { limit, guest }) = self.ceiling.read()?
            && wanted > guest
        {
            self.refused = Some(limit);
            return Ok(false);
        }
        self.used = wanted;
        self.last = added;
        Ok(true)
    }

    fn undo(&mut self) {
        self.used = self.used.saturating_sub(std::mem::take(&mut self.last));
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.last = 0;
        // Beyond its own maximum it is the guest that says no; that is no lack of memory.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current) as u64)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.last = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow((desired.saturating_sub(current) as u64).saturating_mul(ELEMENT))
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn instances(&self) -> usize {
        usize::MAX
    }

    fn tables(&self) -> usize {
        usize::MAX
    }

    fn memories(&self) -> usize {
        usize::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    const MIB: usize = 1 << 20;

    fn limiter(limit: &str) -> Limiter {
        let mut file: File = tempfile::tempfile().expect("a file");
        file.write_all(limit.as_bytes()).expect("written");
        Limiter::new(Ceiling::new(vec![file.into()]))
    }

    #[test]
    fn all_memories_and_tables_count_together() {
        let mut limiter = limiter("67108864");
        assert!(limiter.memory_growing(0, 30 * MIB, None).expect("read"));
        assert!(limiter.table_growing(0, MIB, None).expect("read"));
        assert_eq!(limiter.refused(), None);
        assert!(!limiter.memory_growing(0, 30 * MIB, None).expect("read"));
        assert_eq!(limiter.refused(), Some(64 << 20));
    }

    #[test]
    fn growth_that_failed_is_not_counted() {
        let mut limiter = limiter("67108864");
        assert!(limiter.memory_growing(0, 50 * MIB, None).expect("read"));
        limiter.memory_grow_failed(wasmtime::Error::msg("mmap")).expect("noted");
        assert!(limiter.memory_growing(0, 50 * MIB, None).expect("read"));
    }

    #[test]
    fn a_guests_own_maximum_is_no_lack_of_memory() {
        let mut limiter = limiter("67108864");
        assert!(!limiter.memory_growing(0, 60 * MIB, Some(MIB)).expect("read"));
        assert_eq!(limiter.refused(), None);
    }

    #[test]
    fn a_limit_that_cannot_be_read_is_an_error() {
        assert!(limiter("plenty").memory_growing(0, MIB, None).is_err());
    }
}
