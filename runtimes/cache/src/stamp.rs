//! Which file it was, as a word; and what was found out about it, remembered under that word until the next boot.
//!
//! The kernel alone sets a ctime, so a file that was changed or replaced has another word. When that is not certain
//! is told in [`identity`](crate::identity).

use crate::Cache;
use rustix::{
    fs::{Stat, readlinkat, symlinkat},
    io::Errno,
};
use std::fmt;

/// Device, inode, size, mtime, ctime; and before them what it is remembered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(String);

impl Stamp {
    /// The file that was `seen`, on the device of this number.
    pub(crate) fn new(purpose: &str, device: u64, seen: &Stat) -> Self {
        Self(format!(
            "{purpose}-{device:x}-{:x}-{:x}-{:x}.{:x}-{:x}.{:x}",
            seen.st_ino, seen.st_size, seen.st_mtime, seen.st_mtime_nsec, seen.st_ctime, seen.st_ctime_nsec
        ))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Cache {
    /// What is remembered of a file.
    pub(crate) fn recall(&self, file: &Stamp) -> Option<String> {
        readlinkat(self.state(), &file.0, Vec::with_capacity(80)).ok()?.into_string().ok()
    }

    /// Remembers it, best effort, as the text of a link: that is written and read in one call each, so nobody sees
    /// half of one.
    pub(crate) fn remember(&self, file: &Stamp, found: &str) {
        match symlinkat(found, self.state(), &file.0) {
            // Another may have been faster, with the same answer.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => log::warn!("cannot remember {file} until the next boot: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::cache;
    use rustix::fs::stat;

    #[test]
    fn what_was_found_out_is_recalled_for_that_file_and_purpose_alone() {
        let place = cache(u64::MAX);
        let seen = stat("/bin/sh").unwrap();
        let stamps =
            [("a", 1), ("b", 1), ("a", 2)].map(|(purpose, device)| Stamp::new(purpose, device, &seen));
        place.cache.remember(&stamps[0], "this");
        place.cache.remember(&stamps[0], "that comes too late");
        assert_eq!(stamps.map(|stamp| place.cache.recall(&stamp)), [Some("this".to_owned()), None, None]);
    }
}
