//! Stops a subscription whose events fail too often: then the code is broken and not an event, and whatever else was parked
//! would only be more to mend. Leaves parking an event to `subscription` and standing still to `reader`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// Over how many of the last events the share is taken.
const WINDOW_EVENTS: usize = 200;
/// Of a hundred of them, how many may stop their keys.
const SHARE_MAX_PER_CENT: usize = 5;
/// How many must do so, whatever their share: of the first few a few are many of a hundred.
const STOPS_MIN: usize = 10;

/// What became of a subscription's last events, and whether it has stopped.
pub(crate) struct Breaker {
    /// By `seq`, whether the event stopped its key; decided again, it counts as what it came to last.
    recent: Mutex<BTreeMap<i64, bool>>,
    stopped: watch::Sender<Option<String>>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { recent: Mutex::default(), stopped: watch::Sender::new(None) }
    }
}

impl Breaker {
    /// The event `seq` was handled.
    pub(crate) fn handled(&self, seq: i64) {
        self.note(seq, false);
    }

    /// The event `seq` is to be parked and stops its key.
    ///
    /// # Errors
    /// Why the subscription stops instead, now or since earlier.
    pub(crate) fn may_park(&self, seq: i64) -> Result<(), String> {
        if let Some(why) = self.stopped() {
            return Err(why);
        }
        let (stops, events) = self.note(seq, true);
        if stops < STOPS_MIN || stops * 100 <= events * SHARE_MAX_PER_CENT {
            return Ok(());
        }
        let why =
            format!("the code is broken: {stops} of the last {events} events could not be handled; nothing more is applied");
        self.stopped.send_replace(Some(why.clone()));
        Err(why)
    }

    /// Why the subscription has stopped, if it has.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.stopped.borrow().clone()
    }

    /// Lets it go on, with a clean sheet.
    pub(crate) fn resume(&self) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.stopped.send_replace(None);
    }

    /// Waits until somebody lets it go on.
    pub(crate) async fn resumed(&self) {
        // Its sender is here: it cannot end before.
        let _ = self.stopped.subscribe().wait_for(Option::is_none).await;
    }

    /// How many of the last events stopped their keys, and how many these are.
    fn note(&self, seq: i64, stops: bool) -> (usize, usize) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.insert(seq, stops);
        while recent.len() > WINDOW_EVENTS {
            recent.pop_first();
        }
        (recent.values().filter(|stops| **stops).count(), recent.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a subscription stops of which every `n`th event cannot be handled.
    fn stops_at(n: i64) -> Option<i64> {
        let breaker = Breaker::default();
        (1..=5_000).find(|seq| {
            if seq % n != 0 {
                breaker.handled(*seq);
                return false;
            }
            breaker.may_park(*seq).is_err()
        })
    }

    #[test]
    fn a_small_share_goes_on_for_ever_and_more_stops() {
        assert_eq!(stops_at(1), Some(10));
        assert_eq!(stops_at(10), Some(100));
        assert_eq!(stops_at(19), Some(190));
        assert_eq!((stops_at(20), stops_at(100)), (None, None));
    }

    #[test]
    fn it_stays_stopped_until_somebody_lets_it_go_on() {
        let breaker = Breaker::default();
        assert!((1..10).all(|seq| breaker.may_park(seq).is_ok()), "nine are parked");
        assert!((10..30).all(|seq| breaker.may_park(seq).is_err()));
        assert!(breaker.stopped().is_some_and(|why| why.contains("10 of the last 10")));
        breaker.resume();
        assert_eq!((breaker.stopped(), breaker.may_park(30)), (None, Ok(())));
    }

    #[test]
    fn an_event_that_is_decided_again_counts_once() {
        let breaker = Breaker::default();
        assert!((0..100).all(|_| breaker.may_park(7).is_ok()));
    }
}
