//! Waiting for a condition, never for a time.
//!
//! On a machine that is slow by its nature, an emulated one, every limit is longer: by the factor
//! `PINNACE_PATIENCE`.

use std::env;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How many times slower than others this machine may be.
static FACTOR: LazyLock<u32> = LazyLock::new(|| match env::var("PINNACE_PATIENCE") {
    Ok(factor) => factor.parse().expect("PINNACE_PATIENCE is a factor: a whole number"),
    Err(_) => 1,
});

/// Waits until `condition` gives a value; fails the test, naming `what`, when patience ends.
#[track_caller]
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, condition).unwrap_or_else(|| panic!("waited {:?} for {what}", PATIENCE * *FACTOR))
}

/// Waits until `condition` gives a value, at most for `limit`, on a slow machine longer.
pub fn within<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit * *FACTOR;
    loop {
        let began = Instant::now();
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        // Between two looks, not instead of one: most conditions here have no descriptor to poll. A look that
        // takes long is not to take the processor from what is waited for.
        std::thread::sleep(began.elapsed().max(Duration::from_millis(2)));
    }
}
