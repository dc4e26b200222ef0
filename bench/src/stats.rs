//! Samples and what is told of them. No measuring here.

use std::fmt;
use std::time::Duration;

/// Measured times, in the order in which they were taken.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<Duration>);

/// What a table shows of some samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Half of the samples are at most this.
    pub median: Duration,
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// 99 of 100 samples are at most this.
    pub p99: Duration,
    /// How many there were.
    pub count: usize,
}

impl Samples {
    /// Takes one more.
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// Median and company; `None` without samples.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        Some(Summary {
            median: quantile(&sorted, 0.5)?,
            min: *sorted.first()?,
            max: *sorted.last()?,
            p99: quantile(&sorted, 0.99)?,
            count: sorted.len(),
        })
    }

    /// The median; `None` without samples.
    #[must_use]
    pub fn median(&self) -> Option<Duration> {
        self.summary().map(|summary| summary.median)
    }

    /// Adds all samples of `more`.
    pub fn extend(&mut self, more: Samples) {
        self.0.extend(more.0);
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<T: IntoIterator<Item = Duration>>(samples: T) -> Self {
        Self(samples.into_iter().collect())
    }
}

/// The smallest sample that at least the fraction `q` of all does not exceed (nearest rank).
fn quantile(sorted: &[Duration], q: f64) -> Option<Duration> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// A time with three significant digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0.as_nanos() as f64;
        let (value, unit) = match ns {
            _ if ns < 999.5 => (ns, "ns"),
            _ if ns < 999.5e3 => (ns / 1e3, "µs"),
            _ if ns < 999.5e6 => (ns / 1e6, "ms"),
            _ => (ns / 1e9, "s"),
        };
        write!(f, "{} {unit}", significant(value))
    }
}

/// A number of bytes, with its unit: KiB or MB where it is larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1024 => write!(f, "{} B", self.0),
            1024..1_000_000 => write!(f, "{} KiB", significant(bytes / 1024.0)),
            _ => write!(f, "{} MB", significant(bytes / 1e6)),
        }
    }
}

/// How many times `a` is as large as `b`; `None` when `b` is nothing.
#[must_use]
pub fn ratio(a: Duration, b: Duration) -> Option<f64> {
    (!b.is_zero()).then(|| a.as_secs_f64() / b.as_secs_f64())
}

/// Three significant digits.
#[must_use]
pub fn significant(value: f64) -> String {
    let decimals = match value.abs() {
        a if a >= 99.95 => 0,
        a if a >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(values: &[u64]) -> Samples {
        values.iter().map(|v| Duration::from_micros(*v)).collect()
    }

    #[test]
    fn medians_and_extremes() {
        assert_eq!(us(&[]).summary(), None);
        for (values, median, p99) in [
            (&[7][..], 7, 7),
            (&[3, 1, 2], 2, 3),
            (&[4, 1, 3, 2], 2, 4),
            (&[9, 9, 9, 1, 1], 9, 9),
        ] {
            let summary = us(values).summary().unwrap();
            assert_eq!(summary.median, Duration::from_micros(median), "{values:?}");
            assert_eq!(summary.p99, Duration::from_micros(p99), "{values:?}");
            assert_eq!(summary.count, values.len());
        }
        let hundred: Vec<u64> = (1..=100).collect();
        let summary = us(&hundred).summary().unwrap();
        assert_eq!(summary.p99, Duration::from_micros(99));
        assert_eq!(
            (summary.min, summary.max),
            (Duration::from_micros(1), Duration::from_micros(100))
        );
    }

    #[test]
    fn samples_add_up() {
        let mut all = us(&[1, 2]);
        all.extend(us(&[9]));
        all.push(Duration::from_micros(9));
        all.push(Duration::from_micros(9));
        assert_eq!(all.median(), Some(Duration::from_micros(9)));
    }

    #[test]
    fn times_in_three_digits() {
        for (ns, text) in [
            (0, "0.00 ns"),
            (420, "420 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_345, "12.3 µs"),
            (700_000, "700 µs"),
            (999_700, "1.00 ms"),
            (18_300_000, "18.3 ms"),
            (3_210_000_000, "3.21 s"),
        ] {
            assert_eq!(Time(Duration::from_nanos(ns)).to_string(), text);
        }
    }

    #[test]
    fn bytes_and_ratios() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (40 * 1024, "40.0 KiB"),
            (8_248_000, "8.25 MB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        let ms = Duration::from_millis;
        assert_eq!(ratio(ms(3), ms(2)), Some(1.5));
        assert_eq!(ratio(ms(3), Duration::ZERO), None);
    }
}
