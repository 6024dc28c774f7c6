//! A name for everything an artifact depends on beside its Wasm.

use sha2::{Digest, Sha256};
use std::hash::{Hash, Hasher};
use wasmtime::Engine;

/// Raised when our own use of artifacts changes in a way Wasmtime's settings do not show.
const FORMAT: &str = "pinnace-wasmtime-1";

/// The fingerprint of an engine, in hexadecimal: its version, its settings, the processor's features.
pub(crate) fn fingerprint(engine: &Engine) -> String {
    let mut hasher = Sha(Sha256::new_with_prefix(FORMAT));
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Feeds whatever is hashed to a hash that is the same in every build.
struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not asked for: the digest is taken from the inside.
    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinnace_wasmtime_config::config;

    #[test]
    fn equal_settings_have_equal_fingerprints() {
        let one = fingerprint(&Engine::new(&config()).expect("an engine"));
        let other = fingerprint(&Engine::new(&config()).expect("an engine"));
        assert_eq!(one, other);
        assert_eq!(one.len(), 32);
    }

    #[test]
    fn another_setting_is_another_fingerprint() {
        let one = fingerprint(&Engine::new(&config()).expect("an engine"));
        let mut config = config();
        config.memory_guard_size(64 << 10);
        assert_ne!(one, fingerprint(&Engine::new(&config).expect("an engine")));
    }
}
