//! Durations, and what is said of them.

use std::time::Duration;

/// Every value of one phase.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sample {
    sorted: Vec<Duration>,
}

impl Sample {
    pub(crate) fn add(&mut self, value: Duration) {
        let place = self.sorted.partition_point(|other| *other < value);
        self.sorted.insert(place, value);
    }

    /// The value that `percent` of all values do not exceed, in milliseconds; 0 without any.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        let place = (last * percent).div_ceil(100);
        self.sorted.get(place).map_or(0.0, |value| value.as_secs_f64() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let mut sample = Sample::default();
        assert!(sample.percentile(50) < f64::EPSILON);
        for value in [3, 1, 2, 5, 4] {
            sample.add(Duration::from_millis(value));
        }
        let seen = [0, 50, 99, 100].map(|percent| sample.percentile(percent).round());
        assert_eq!(seen.map(|value| value.to_string()), ["1", "3", "5", "5"]);
    }
}
