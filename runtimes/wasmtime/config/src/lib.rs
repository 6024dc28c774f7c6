//! The Wasmtime settings that runner and compile program must share.
//!
//! An artifact remembers the settings it was compiled with and is refused under others, so both programs
//! call [`config`] and change nothing that counts. Everything not named here is Wasmtime's default, which
//! is also what its security fixes are tested with.

#![forbid(unsafe_code)]

use wasmtime::{Collector, Config, InstanceAllocationStrategy};

/// The version of Wasmtime both programs are built with: the workspace pins it.
pub const WASMTIME: &str = "48.0.8";

/// The name nodes and images choose this engine by.
pub const NAME: &str = "wasmtime";

/// The worlds that run.
pub const WORLDS: &[&str] = &["wasi:snapshot-preview1", "wasi:cli/command@0.2"];

/// The proposals that are on beyond the first version of the standard: all that Wasmtime calls stable.
///
/// Off, as Wasmtime has them: shared memories (the instructions of the threads proposal are on),
/// component-model async (WASI 0.3), stack switching, legacy exceptions, custom page sizes, wide arithmetic,
/// shared-everything threads.
pub const PROPOSALS: &[&str] = &[
    "mutable-global",
    "sign-extension",
    "saturating-float-to-int",
    "multi-value",
    "bulk-memory",
    "reference-types",
    "simd",
    "relaxed-simd",
    "extended-const",
    "tail-call",
    "multi-memory",
    "memory64",
    "threads",
    "function-references",
    "gc",
    "exceptions",
    "component-model",
];

/// Bytes of address space a memory reserves, so that a 32-bit one never moves.
const RESERVATION: u64 = 4 << 30;

/// Bytes behind it that nobody may touch: with the reservation, hardly any access needs a bounds check.
const GUARD: u64 = 32 << 20;

/// The settings of both programs.
#[must_use]
pub fn config() -> Config {
    let mut config = Config::new();
    // One guest a process: a pool would reserve and touch memory for guests that never come.
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    // Address space is free in a process of its own; only what the guest touches is charged to it. Wasmtime's
    // own defaults on 64 bits, said here because artifacts depend on them.
    config.memory_reservation(RESERVATION);
    config.memory_guard_size(GUARD);
    config.guard_before_linear_memory(true);
    // Data segments are mapped from the artifact and copied page by page when written.
    config.memory_init_cow(true);
    // The one collector that both programs carry and that frees cycles.
    config.collector(Collector::Copying);
    // Signals end a guest by ending the process, so its code needs neither fuel nor epochs.
    config.epoch_interruption(false);
    config.consume_fuel(false);
    // WASI 0.3 is not offered yet; without it a store needs no tables for it.
    config.concurrency_support(false);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_built() {
        let lock = include_str!("../../../../Cargo.lock");
        let locked = format!("name = \"wasmtime\"\nversion = \"{WASMTIME}\"\n");
        assert!(lock.contains(&locked), "Cargo.lock has another version than {WASMTIME}");
    }
}
