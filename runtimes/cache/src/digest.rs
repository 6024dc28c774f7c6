//! sha256, the one digest here.

use crate::CacheError;
use rustix::{
    fs::fstat,
    io::{Errno, pread},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{fmt, os::fd::AsFd, str::FromStr};

/// A sha256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = ();

    /// From 64 hexadecimal digits, with or without the prefix `sha256:`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
        let (pairs, rest) = hex.as_chunks::<2>();
        if !rest.is_empty() || !hex.iter().all(u8::is_ascii_hexdigit) {
            return Err(());
        }
        let digit = |c: u8| (c as char).to_digit(16).unwrap_or(0) as u8;
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect();
        bytes.try_into().map(Self).map_err(|_| ())
    }
}

/// Bytes on their way into a digest.
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// How much is read at once: calls are a tenth of the time already, and more would stay in the server's heap.
pub(crate) const CHUNK: usize = 32 * 1024;

/// The digest and length of a file, from its start, whatever its offset. It is read, not mapped: one that is
/// cut short meanwhile is a short file, not a signal. `name` is what messages call it.
///
/// # Errors
/// If it cannot be read, or has more than `max` bytes.
pub fn hash_file(file: impl AsFd, max: u64, name: &str) -> Result<(Digest, u64), CacheError> {
    let read = |error: Errno| CacheError::Read { name: name.into(), source: error.into() };
    // Before the first byte: a file of holes is refused as fast as it was made.
    if u64::try_from(fstat(&file).map_err(read)?.st_size).is_ok_and(|size| size > max) {
        return Err(CacheError::TooLarge { name: name.into(), max });
    }
    let mut hasher = Hasher::new();
    let mut chunk = vec![0; CHUNK];
    let mut length = 0;
    loop {
        match pread(file.as_fd(), chunk.as_mut_slice(), length) {
            Ok(0) => return Ok((hasher.finish(), length)),
            Ok(count) => {
                length += count as u64;
                if length > max {
                    return Err(CacheError::TooLarge { name: name.into(), max });
                }
                hasher.update(chunk.get(..count).unwrap_or_default());
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(read(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digests_are_read_as_they_are_written() {
        let digest: Digest = ABC.parse().unwrap();
        assert_eq!(digest.to_string(), ABC);
        assert_eq!(format!("sha256:{ABC}").parse(), Ok(digest));
        for wrong in
            ["", "ba", &ABC[1..], &format!("{ABC}00"), &ABC.replace('b', "g"), &ABC.replace('b', "ä")]
        {
            assert!(Digest::from_str(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_hashed_whole_and_only_within_its_bound() {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        assert_eq!(hash_file(&file, 3, "abc").unwrap(), (ABC.parse().unwrap(), 3));
        let message = hash_file(&file, 2, "abc").expect_err("too large").to_string();
        assert!(message.contains("abc") && message.contains("module.max_bytes"), "{message}");
    }
}
