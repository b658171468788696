//! The three kinds of metrics, each a few atomics: to count costs an addition.
//! Leaves their names and labels to whoever tells them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use kernel::Timestamp;

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Raises it by `more`, which may be negative.
    pub fn add(&self, more: i64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What it stands at.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The buckets of a histogram, and the unit it is told in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scale {
    /// The upper bound of each bucket, as it is observed.
    bounds: &'static [u64],
    /// How much of what is observed makes one of what is told.
    per_unit: u32,
}

impl Scale {
    /// Durations from half a millisecond to ten seconds: observed in microseconds, told in seconds.
    pub const DURATION: Self = Self {
        bounds: &[
            500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
            10_000_000,
        ],
        per_unit: 1_000_000,
    };

    /// How many there are of something, up to a thousand and more.
    pub const NUMBER: Self = Self { bounds: &[0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000], per_unit: 1 };

    pub(crate) fn told(self, observed: u64) -> f64 {
        // Exact up to 2^53, which is centuries in microseconds.
        observed as f64 / f64::from(self.per_unit)
    }
}

/// How often something was how large.
#[derive(Debug)]
pub struct Histogram {
    scale: Scale,
    /// One for each bound, and one for what lies above all.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// An empty one.
    #[must_use]
    pub fn new(scale: Scale) -> Self {
        let buckets = (0..=scale.bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { scale, buckets, sum: AtomicU64::new(0) }
    }

    /// Counts one of the size `value`.
    pub fn observe(&self, value: u64) {
        let bucket = self.scale.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts what took from `from` to `to`; a clock that was set back is no time at all.
    pub fn observe_between(&self, from: Timestamp, to: Timestamp) {
        self.observe(u64::try_from(to.as_micros() - from.as_micros()).unwrap_or(0));
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// The sum of their sizes, as it is told.
    pub(crate) fn sum(&self) -> f64 {
        self.scale.told(self.sum.load(Ordering::Relaxed))
    }

    /// For each bound as it is told, and then for all, how many are not above it.
    pub(crate) fn up_to(&self) -> impl Iterator<Item = (Option<f64>, u64)> {
        let bounds = self.scale.bounds.iter().map(|bound| Some(self.scale.told(*bound))).chain([None]);
        bounds.zip(self.buckets.iter()).scan(0, |below, (bound, bucket)| {
            *below += bucket.load(Ordering::Relaxed);
            Some((bound, *below))
        })
    }
}
