//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` gives a value; fails the test, naming `what`, when patience ends.
#[track_caller]
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, condition).unwrap_or_else(|| panic!("waited {PATIENCE:?} for {what}"))
}

/// Waits until `condition` gives a value, at most for `limit`.
pub fn within<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        // Between two looks, not instead of one: most conditions here have no descriptor to poll.
        std::thread::sleep(Duration::from_millis(2));
    }
}
