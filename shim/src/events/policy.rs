//! How often an event is tried, and when.

use std::time::Duration;

/// What follows a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another try after this time.
    Again(Duration),
    /// No more.
    GiveUp,
}

const RETRIES: u32 = 5;

/// After the n-th failure in a row: n seconds, and after the last retry nothing.
pub(super) fn after(failures: u32) -> Next {
    match failures {
        0..=RETRIES => Next::Again(Duration::from_secs(failures.into())),
        _ => Next::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_retries_each_a_second_later_than_the_one_before() {
        let again = |seconds| Next::Again(Duration::from_secs(seconds));
        let table =
            [(1, again(1)), (2, again(2)), (3, again(3)), (4, again(4)), (5, again(5)), (6, Next::GiveUp)];
        for (failures, next) in table {
            assert_eq!(after(failures), next, "{failures}");
        }
        assert_eq!(after(u32::MAX), Next::GiveUp);
    }
}
