//! The ceiling of a guest's memory: the cgroup's limit, read whenever the guest grows.
//!
//! Reading it anew makes a `docker update` count at once. What the guest gets is the limit without a
//! [`Headroom`] for the process around it: its own pages, page tables and what the kernel charges beside
//! them. Without headroom the kernel would kill the process before `memory.grow` is ever refused.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// Version 1 writes "no limit" as the largest number of pages; anything from here on is none.
const UNLIMITED: u64 = 1 << 62;

/// The limits that bind a guest.
#[derive(Debug)]
pub struct Ceiling {
    files: Vec<File>,
}

/// A limit could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CeilingError {
    /// The file failed.
    #[error("cannot read the memory limit of the container's cgroup")]
    Read(#[source] io::Error),
    /// What it holds is neither a number nor `max`.
    #[error("the memory limit of the container's cgroup reads {text:?}, not a number of bytes")]
    Text {
        /// What was read.
        text: String,
    },
}

/// What a limit leaves to the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    /// The cgroup's limit, as its owner set it.
    pub limit: u64,
    /// How much of it the guest may have.
    pub guest: u64,
}

impl Headroom {
    /// Measured on 6.18: an engine charges under 1.5 MiB beside the guest's memory, and 1/512 of what is
    /// touched goes to page tables. Both are doubled.
    fn below(limit: u64) -> Self {
        let kept = (3 << 20) + limit / 256;
        Self { limit, guest: limit.saturating_sub(kept) }
    }
}

impl Ceiling {
    /// A ceiling over these limit files, innermost first.
    #[must_use]
    pub fn new(files: Vec<OwnedFd>) -> Self {
        Self { files: files.into_iter().map(File::from).collect() }
    }

    /// The smallest limit as it is now, `None` without any.
    ///
    /// # Errors
    /// When a file cannot be read or understood. A guest must not grow then.
    pub fn read(&self) -> Result<Option<Headroom>, CeilingError> {
        let mut smallest: Option<u64> = None;
        for file in &self.files {
            let mut buffer = [0; 32];
            let length = file.read_at(&mut buffer, 0).map_err(CeilingError::Read)?;
            if let Some(limit) = parse(&buffer[..length])? {
                smallest = Some(smallest.map_or(limit, |other| other.min(limit)));
            }
        }
        Ok(smallest.map(Headroom::below))
    }
}

fn parse(bytes: &[u8]) -> Result<Option<u64>, CeilingError> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    if text == "max" {
        return Ok(None);
    }
    match text.parse::<u64>() {
        Ok(limit) => Ok((limit < UNLIMITED).then_some(limit)),
        Err(_) => Err(CeilingError::Text { text: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    fn limits(texts: &[&str]) -> Ceiling {
        let files = texts.iter().map(|text| {
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(text.as_bytes()).expect("written");
            file.into()
        });
        Ceiling::new(files.collect())
    }

    #[test]
    fn every_way_a_kernel_writes_a_limit_is_read() {
        assert_eq!(parse(b"max\n").expect("none"), None);
        assert_eq!(parse(b"9223372036854771712\n").expect("none in version 1"), None);
        assert_eq!(parse(b"67108864\n").expect("a number"), Some(64 << 20));
        assert!(matches!(parse(b"plenty\n"), Err(CeilingError::Text { .. })));
        assert!(parse(b"").is_err());
    }

    #[test]
    fn the_smallest_limit_counts_and_leaves_headroom() {
        let ceiling = limits(&["max\n", "268435456\n", "67108864\n"]);
        let headroom = ceiling.read().expect("read").expect("a limit");
        assert_eq!(headroom.limit, 64 << 20);
        assert!(headroom.guest < headroom.limit && headroom.guest > 60 << 20, "{headroom:?}");
    }

    #[test]
    fn a_tiny_limit_leaves_nothing_rather_than_wrapping() {
        assert_eq!(Headroom::below(1 << 20).guest, 0);
    }

    #[test]
    fn no_limit_file_is_no_limit() {
        assert_eq!(limits(&[]).read().expect("read"), None);
    }

    #[test]
    fn a_changed_limit_counts_at_once() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"max\n").expect("written");
        let ceiling = Ceiling::new(vec![file.try_clone().expect("a clone").into()]);
        assert_eq!(ceiling.read().expect("read"), None);
        file.rewind().expect("rewound");
        file.write_all(b"16777216\n").expect("written");
        assert_eq!(ceiling.read().expect("read").map(|headroom| headroom.limit), Some(16 << 20));
    }
}
