//! A module on its way to the compiler: copied once, hashed on the way, then unchangeable.
//!
//! ```text
//!  a file ──────────────── copy ──▶ memory file, hashed ─┐
//!  a layer, which its reader has written and hashed ─────┴─▶ sealed ─▶ the compile process
//! ```

use crate::{
    CacheError, Digest,
    digest::{CHUNK, Hasher},
};
use pinnace_spawn::{memory_file, seal};
use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// What `/proc` calls a module on its way.
const MEMORY_FILE: &str = "pinnace-module";

/// A module in a sealed memory file, so that the bytes compiled are the bytes hashed.
#[derive(Debug)]
pub struct Input {
    file: OwnedFd,
    digest: Digest,
    length: u64,
    name: String,
}

impl Input {
    /// Copies a module, of at most `max` bytes. `name` is what messages call it.
    ///
    /// # Errors
    /// If it cannot be read, is too large, or there is no memory for it.
    pub fn copy(mut module: impl Read, max: u64, name: &str) -> Result<Self, CacheError> {
        let name = printable(name);
        let failed = |source: io::Error| CacheError::Seal { name: name.clone(), source };
        let mut file = memory_file(MEMORY_FILE).map_err(failed)?;
        let mut hasher = Hasher::new();
        let mut chunk = vec![0; CHUNK];
        let mut length = 0;
        loop {
            let count = match module.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(CacheError::Read { name, source }),
            };
            length += count as u64;
            if length > max {
                return Err(CacheError::TooLarge { name, max });
            }
            let bytes = chunk.get(..count).unwrap_or_default();
            hasher.update(bytes);
            file.write_all(bytes).map_err(failed)?;
        }
        let file = seal(file).map_err(failed)?;
        Ok(Self { file, digest: hasher.finish(), length, name })
    }

    /// Takes a memory file that holds a module of this digest and length, and nothing else: whoever wrote it has
    /// checked that. `name` is what messages call it.
    ///
    /// # Errors
    /// If it cannot be sealed.
    pub fn verified(module: File, digest: Digest, length: u64, name: &str) -> Result<Self, CacheError> {
        let name = printable(name);
        match seal(module) {
            Ok(file) => Ok(Self { file, digest, length, name }),
            Err(source) => Err(CacheError::Seal { name, source }),
        }
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// An image names its files as it likes; a message is one line and moves no cursor.
pub(crate) fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash_file;

    #[test]
    fn what_was_hashed_cannot_be_changed() {
        let bytes = vec![7; 3 * CHUNK + 1];
        let copied = Input::copy(bytes.as_slice(), u64::MAX, "seven").unwrap();
        let mut written = memory_file("seven").unwrap();
        written.write_all(&bytes).unwrap();
        let verified = Input::verified(written, copied.digest(), copied.length(), "seven").unwrap();
        for input in [copied, verified] {
            assert_eq!(hash_file(&input, u64::MAX, "seven").unwrap(), (input.digest(), bytes.len() as u64));
            let mut file = File::from(input.file);
            let mut first = [0];
            assert!(file.read_exact(&mut first).is_ok() && first == [7], "it is read from its start");
            assert!(file.write_all(b"x").is_err());
            assert!(file.set_len(1).is_err());
        }
        assert!(Input::verified(tempfile::tempfile().unwrap(), Digest([0; 32]), 0, "a file").is_err());
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        let input = Input::copy(&b""[..], 1, "/a\n\x1b[2Jroot: all is well").unwrap();
        assert!(!input.name().chars().any(char::is_control));
    }

    #[test]
    fn a_module_over_the_bound_is_not_read_to_its_end() {
        let error = Input::copy(io::repeat(0), 1 << 20, "endless").expect_err("too large");
        assert!(matches!(error, CacheError::TooLarge { max: 1_048_576, .. }), "{error}");
    }
}
