//! A module on its way to the compiler: copied once, hashed on the way, then unchangeable.

use crate::{
    CacheError, Digest,
    digest::{CHUNK, Hasher},
};
use pinnace_spawn::{memory_file, seal};
use std::{
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
    use std::fs::File;

    #[test]
    fn what_was_hashed_cannot_be_changed() {
        let bytes = vec![7; 3 * CHUNK + 1];
        let input = Input::copy(bytes.as_slice(), u64::MAX, "seven").unwrap();
        assert_eq!(hash_file(&input, u64::MAX, "seven").unwrap(), (input.digest(), bytes.len() as u64));
        let mut file = File::from(input.file);
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(1).is_err());
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
