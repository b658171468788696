//! What a service's loops count: batches and what is in them, how long commits and inputs take, what fails, and how old the
//! oldest event is that was not applied, or not sent. Leaves what the database knows to `service`.

use kernel::Timestamp;
use store::Error;
use telemetry::{Counter, Histogram, Scale, Text, seconds};

use crate::input::Input;
use crate::lag::Lag;
use crate::lanes::Lane;
use crate::service::Running;

/// The ways in which a batch fails.
const FAILURES: [&str; 5] = ["expectation", "stale-epoch", "broken", "unavailable", "unknown-outcome"];

/// What the loops of one service count.
#[derive(Debug)]
pub(crate) struct Meters {
    waited: [Histogram; 4],
    commit: Histogram,
    inputs: Histogram,
    rows: Histogram,
    events: Histogram,
    failed: [Counter; FAILURES.len()],
    /// Of the way from the outbox to Kafka.
    pub(crate) relay: Lag,
}

/// What is in a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) inputs: usize,
    pub(crate) rows: usize,
    pub(crate) events: usize,
}

impl Default for Meters {
    fn default() -> Self {
        let number = || Histogram::new(Scale::NUMBER);
        Self {
            waited: Lane::ALL.map(|_| Histogram::new(Scale::DURATION)),
            commit: Histogram::new(Scale::DURATION),
            inputs: number(),
            rows: number(),
            events: number(),
            failed: Default::default(),
            relay: Lag::default(),
        }
    }
}

impl Meters {
    /// The executor has taken `inputs` up.
    pub(crate) fn taken_up(&self, inputs: &[Input], now: Timestamp) {
        for input in inputs {
            self.waited[input.lane as usize].observe_between(input.made_at, now);
        }
    }

    /// A batch is durable.
    pub(crate) fn committed(&self, load: Load, begun: Timestamp, ended: Timestamp) {
        self.commit.observe_between(begun, ended);
        for (histogram, count) in [(&self.inputs, load.inputs), (&self.rows, load.rows), (&self.events, load.events)] {
            histogram.observe(count as u64);
        }
    }

    /// A batch has failed and will be decided again.
    pub(crate) fn failed(&self, error: &Error) {
        let at = match error {
            Error::Expectation { .. } => 0,
            Error::StaleEpoch { .. } => 1,
            Error::Broken(_) => 2,
            Error::Unavailable(_) => 3,
            Error::UnknownOutcome(_) => 4,
        };
        self.failed[at].add(1);
    }
}

impl Running {
    /// Tells what the service's loops have counted in this process.
    pub fn tell(&self, text: &mut Text) {
        let (handle, meters) = (&self.handle, &*self.handle.meters);
        let (of, now) = (("service", handle.service), handle.runtime.now());
        let family = text.histogram("swiftcart_input_wait_seconds", "How long inputs waited for the executor, by lane.");
        for (lane, waited) in Lane::ALL.iter().zip(&meters.waited) {
            family.buckets(&[of, ("lane", lane.as_str())], waited);
        }
        let family = text.gauge("swiftcart_inputs_waiting", "Inputs that wait in this process for the executor, by lane.");
        for (lane, count) in handle.lanes.waiting() {
            family.sample(&[of, ("lane", lane)], count);
        }
        let help = "How long commits of batches took, from sending them to knowing that they are durable.";
        text.histogram("swiftcart_commit_duration_seconds", help).buckets(&[of], &meters.commit);
        text.histogram("swiftcart_commit_inputs", "Inputs per commit.").buckets(&[of], &meters.inputs);
        text.histogram("swiftcart_commit_rows", "Changed rows per commit.").buckets(&[of], &meters.rows);
        text.histogram("swiftcart_commit_events", "Events per commit.").buckets(&[of], &meters.events);
        let family = text.counter("swiftcart_batches_failed_total", "Batches that were decided again, by what had failed.");
        for (why, failed) in FAILURES.iter().zip(&meters.failed) {
            family.sample(&[of, ("why", why)], failed.count());
        }
        let help = "How old the oldest event is that a service has met in a log and not applied; 0 if there is none.";
        let family = text.gauge("swiftcart_log_lag_seconds", help);
        for subscription in &self.subscriptions {
            subscription.lag_ms(now).iter().for_each(|ms| _ = family.sample(&[of, ("log", subscription.to)], seconds(*ms)));
        }
        let help = "How old the oldest event of a service is that Kafka has not acknowledged; 0 if there is none.";
        let family = text.gauge("swiftcart_relay_delay_seconds", help);
        meters.relay.age_ms(now).iter().for_each(|ms| _ = family.sample(&[of], seconds(*ms)));
        let family =
            text.gauge("swiftcart_subscription_stopped", "Whether a subscription has stopped: 1 until somebody resumes it.");
        for subscription in &self.subscriptions {
            family.sample(&[of, ("log", subscription.to)], u8::from(subscription.breaker.stopped().is_some()));
        }
    }
}
