//! The figures of a run while it runs, and the summary at its end.
//! Leaves what counts as what to `shopper`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use contracts::{CartId, OrderId};
use hdrhistogram::Histogram;
use kernel::{Millis, Timestamp};
use serde::Serialize;

/// An order that the shop acknowledged, and what is needed to ask for it again.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) order: OrderId,
    pub(crate) cart: CartId,
    pub(crate) capability: String,
}

/// How an order ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    Delivered,
    /// Rejected or cancelled, for this reason.
    Refused(String),
}

#[derive(Default)]
struct Counts {
    baskets: u64,
    acknowledged: Vec<Acknowledged>,
    confirmed: u64,
    delivered: u64,
    refused: BTreeMap<String, u64>,
    turned_away: BTreeMap<String, u64>,
    failed: BTreeMap<String, u64>,
    retried: u64,
    troubles: BTreeMap<&'static str, u64>,
    durable: Option<Histogram<u64>>,
    confirming: Option<Histogram<u64>>,
}

/// Counts as they come in, from many tasks.
#[derive(Default)]
pub(crate) struct Figures(Mutex<Counts>);

/// What a progress display shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glance {
    pub(crate) baskets: u64,
    pub(crate) placed: u64,
    pub(crate) confirmed: u64,
    pub(crate) delivered: u64,
    pub(crate) refused: u64,
}

impl Figures {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counting cannot leave them half-changed, so a panic elsewhere does not spoil them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shop has acknowledged an order that was sent then.
    pub(crate) fn acknowledge(&self, order: Acknowledged, sent: Timestamp, now: Timestamp) {
        let mut counts = self.lock();
        counts.acknowledged.push(order);
        record(&mut counts.durable, sent, now);
    }

    /// An order that was sent then was seen confirmed.
    pub(crate) fn confirm(&self, sent: Timestamp, now: Timestamp) {
        let mut counts = self.lock();
        counts.confirmed += 1;
        record(&mut counts.confirming, sent, now);
    }

    /// An order has ended.
    pub(crate) fn end(&self, how: Ended) {
        let mut counts = self.lock();
        match how {
            Ended::Delivered => counts.delivered += 1,
            Ended::Refused(reason) => *counts.refused.entry(reason).or_default() += 1,
        }
    }

    /// A basket is tried again with another slot.
    pub(crate) fn retry(&self) {
        self.lock().retried += 1;
    }

    /// Something went wrong on purpose.
    pub(crate) fn trouble(&self, what: &'static str) {
        *self.lock().troubles.entry(what).or_default() += 1;
    }

    /// A basket was refused before it became an order.
    pub(crate) fn turn_away(&self, reason: String) {
        *self.lock().turned_away.entry(reason).or_default() += 1;
    }

    /// A basket met something that should not be.
    pub(crate) fn fail(&self, what: String) {
        *self.lock().failed.entry(what).or_default() += 1;
    }

    /// A basket is done, however it ended.
    pub(crate) fn finish_basket(&self) {
        self.lock().baskets += 1;
    }

    pub(crate) fn acknowledged(&self) -> Vec<Acknowledged> {
        self.lock().acknowledged.clone()
    }

    pub(crate) fn glance(&self) -> Glance {
        let counts = self.lock();
        Glance {
            baskets: counts.baskets,
            placed: count(counts.acknowledged.len()),
            confirmed: counts.confirmed,
            delivered: counts.delivered,
            refused: counts.refused.values().sum(),
        }
    }

    /// The summary of a run of so many milliseconds, in which so many requests were sent again.
    pub(crate) fn summary(&self, elapsed_ms: Millis, repeats: u64) -> Summary {
        let counts = self.lock();
        let placed = count(counts.acknowledged.len());
        let refused: u64 = counts.refused.values().sum();
        Summary {
            baskets: counts.baskets,
            placed,
            confirmed: counts.confirmed,
            delivered: counts.delivered,
            refused: counts.refused.clone(),
            open: placed.saturating_sub(counts.delivered + refused),
            turned_away: counts.turned_away.clone(),
            retried: counts.retried,
            troubles: counts.troubles.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect(),
            failed: counts.failed.clone(),
            repeats,
            durable: Latency::of(counts.durable.as_ref()),
            confirming: Latency::of(counts.confirming.as_ref()),
            elapsed_s: seconds(elapsed_ms),
            orders_per_s: rate(placed, elapsed_ms),
            faults: Vec::new(),
            audit: None,
        }
    }
}

/// Everything there is to tell of a run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Summary {
    /// Baskets that were tried.
    pub baskets: u64,
    /// Orders that the shop acknowledged.
    pub placed: u64,
    /// Orders that were seen confirmed.
    pub confirmed: u64,
    /// Orders that were delivered.
    pub delivered: u64,
    /// Orders that were rejected or cancelled, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Orders that have not ended: placed less delivered less refused.
    pub open: u64,
    /// Baskets that never became an order, by the reason of the refusal.
    pub turned_away: BTreeMap<String, u64>,
    /// Times that a basket was ordered again with a later slot, after an order was refused for its slot alone.
    pub retried: u64,
    /// What went wrong on purpose, and how often.
    pub troubles: BTreeMap<String, u64>,
    /// Baskets that met what should not be, by what.
    pub failed: BTreeMap<String, u64>,
    /// Requests that were sent again under the same key.
    pub repeats: u64,
    /// From sending an order to its 201.
    pub durable: Latency,
    /// From sending an order to seeing it confirmed.
    pub confirming: Latency,
    /// How long the shopping took.
    pub elapsed_s: f64,
    /// Orders placed per second of it.
    pub orders_per_s: f64,
    /// What was wrong with acknowledged orders when they were all asked for again at the end.
    pub faults: Vec<String>,
    /// The quiescent audit at the end.
    pub audit: Option<audit::Report>,
}

impl Summary {
    /// Whether everything is as it should be: every order ended, nothing failed, every acknowledged order is there once, the
    /// audit found nothing.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let audited = self.audit.as_ref().is_none_or(audit::Report::is_clean);
        self.open == 0 && self.failed.is_empty() && self.faults.is_empty() && self.adds_up() && audited
    }

    /// Whether every basket is accounted for: it became one order, and one more for each time it was tried again, or was
    /// turned away, or failed. What failed may have become an order before.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let turned_away: u64 = self.turned_away.values().sum();
        let failed: u64 = self.failed.values().sum();
        let accounted = self.placed + turned_away;
        (accounted..=accounted + failed).contains(&(self.baskets + self.retried))
    }
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct Latency {
    /// Half are no slower.
    pub p50_ms: f64,
    /// Nine of ten are no slower.
    pub p90_ms: f64,
    /// Ninety-nine of a hundred are no slower.
    pub p99_ms: f64,
    /// None is slower.
    pub max_ms: f64,
}

impl Latency {
    fn of(histogram: Option<&Histogram<u64>>) -> Self {
        histogram.map_or_else(Self::default, |histogram| Self {
            p50_ms: milliseconds(histogram.value_at_quantile(0.5)),
            p90_ms: milliseconds(histogram.value_at_quantile(0.9)),
            p99_ms: milliseconds(histogram.value_at_quantile(0.99)),
            max_ms: milliseconds(histogram.max()),
        })
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, max {:.1} ms", self.p50_ms, self.p90_ms, self.p99_ms, self.max_ms)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused: u64 = self.refused.values().sum();
        writeln!(f, "baskets      {:>8}   in {:.1} s", self.baskets, self.elapsed_s)?;
        writeln!(f, "placed       {:>8}   {:.1} orders/s", self.placed, self.orders_per_s)?;
        writeln!(f, "confirmed    {:>8}", self.confirmed)?;
        writeln!(f, "delivered    {:>8}", self.delivered)?;
        writeln!(f, "refused      {refused:>8}   {}", list(&self.refused))?;
        writeln!(f, "open         {:>8}", self.open)?;
        writeln!(f, "turned away  {:>8}   {}", self.turned_away.values().sum::<u64>(), list(&self.turned_away))?;
        writeln!(f, "other slot   {:>8}", self.retried)?;
        writeln!(f, "repeats      {:>8}", self.repeats)?;
        writeln!(f, "durable      {}", self.durable)?;
        write!(f, "confirmed    {}", self.confirming)?;
        for (what, count) in &self.troubles {
            write!(f, "\ntrouble      {count:>8}   {what}")?;
        }
        for (what, count) in &self.failed {
            write!(f, "\nFAILED       {count:>8}   {what}")?;
        }
        for fault in &self.faults {
            write!(f, "\nFAULT        {fault}")?;
        }
        if let Some(report) = &self.audit {
            write!(f, "\n{report}")?;
        }
        Ok(())
    }
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

/// Keeps how long it took, in microseconds.
fn record(histogram: &mut Option<Histogram<u64>>, sent: Timestamp, now: Timestamp) {
    if histogram.is_none() {
        // Three digits, of whatever length: it grows by itself.
        *histogram = Histogram::new(3).ok();
    }
    if let Some(histogram) = histogram {
        // It can only fail where it could not grow any more, at lengths that no run has.
        let _ = histogram.record(u64::try_from(now.as_micros() - sent.as_micros()).unwrap_or_default());
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[allow(clippy::cast_precision_loss, reason = "figures for people: 2^53 microseconds are enough")]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "figures for people: 2^53 milliseconds are enough")]
fn seconds(ms: Millis) -> f64 {
    ms as f64 / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "figures for people: 2^53 orders are enough")]
fn rate(count: u64, elapsed_ms: Millis) -> f64 {
    count as f64 / seconds(elapsed_ms.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Bucket, Draw, Id};

    /// When everything is sent here.
    const SENT: Timestamp = Timestamp::from_millis(1);

    fn order(seed: u64) -> Acknowledged {
        let id = Id::new(Timestamp::from_millis(1), Bucket(1), &mut Draw::seeded(seed));
        Acknowledged { order: OrderId(id), cart: CartId(id), capability: String::new() }
    }

    #[test]
    fn figures_add_up() {
        let figures = Figures::default();
        for seed in 0..5 {
            figures.acknowledge(order(seed), SENT, SENT.plus_ms(10 + i64::try_from(seed).unwrap_or_default()));
        }
        figures.confirm(SENT, SENT.plus_ms(40));
        figures.confirm(SENT, SENT.plus_ms(60));
        figures.end(Ended::Delivered);
        figures.end(Ended::Refused("stock".to_owned()));
        figures.end(Ended::Refused("slot".to_owned()));
        figures.retry();
        figures.turn_away("store-paused".to_owned());
        (0..5).for_each(|_| figures.finish_basket());

        let summary = figures.summary(2000, 7);
        assert_eq!((summary.placed, summary.confirmed, summary.delivered, summary.open), (5, 2, 1, 2));
        assert_eq!((summary.refused["stock"], summary.refused["slot"], summary.turned_away["store-paused"]), (1, 1, 1));
        let whole_ms = [summary.durable.p50_ms, summary.durable.max_ms, summary.confirming.max_ms].map(f64::floor);
        assert_eq!(format!("{whole_ms:?}"), "[12.0, 14.0, 60.0]");
        assert!((summary.orders_per_s - 2.5).abs() < 1e-9);
        assert!(summary.adds_up() && !summary.is_clean(), "two are open");
    }

    #[test]
    fn long_waits_are_not_cut() {
        let figures = Figures::default();
        [5, 90_000, 3].iter().for_each(|after_ms| figures.confirm(SENT, SENT.plus_ms(*after_ms)));
        let confirming = figures.summary(1, 0).confirming;
        assert!((5.0..5.1).contains(&confirming.p50_ms), "{confirming}");
        assert!((90_000.0..90_100.0).contains(&confirming.max_ms), "{confirming}");
    }

    #[test]
    fn a_basket_that_is_not_accounted_for_is_noticed() {
        let figures = Figures::default();
        figures.acknowledge(order(1), SENT, SENT);
        figures.end(Ended::Delivered);
        figures.finish_basket();
        assert!(figures.summary(1, 0).is_clean());
        figures.finish_basket();
        assert!(!figures.summary(1, 0).adds_up());
        figures.fail("something".to_owned());
        let summary = figures.summary(1, 0);
        assert!(summary.adds_up() && !summary.is_clean());
    }
}
