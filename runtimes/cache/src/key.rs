//! What an artifact is made from.

use crate::Digest;
use std::fmt;

/// The name of an artifact: these bytes, compiled by this engine with these settings for this processor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    module: Digest,
    engine: String,
}

impl Key {
    /// The key of a module for an engine of this fingerprint. It becomes a file's name, so whatever is not a
    /// lower-case letter or digit in the fingerprint is left out.
    #[must_use]
    pub fn new(module: Digest, fingerprint: &str) -> Self {
        let plain = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit();
        Self { module, engine: fingerprint.chars().filter(plain).take(64).collect() }
    }

    /// The Wasm it is for.
    #[must_use]
    pub fn module(&self) -> Digest {
        self.module
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.module, self.engine)
    }
}
