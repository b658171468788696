//! How old the oldest event is that somebody on the way of a log has met and not dealt with yet: set by whoever reads, relays
//! or consumes it, told as seconds. Leaves how many there are to `service`, which asks the log.

use std::sync::atomic::{AtomicI64, Ordering};

use kernel::{Millis, Timestamp};

const NOBODY_READS: i64 = i64::MIN;
const CAUGHT_UP: i64 = i64::MAX;

/// The lag of one reader of a log in this process. Nothing is told of it while another process reads.
#[derive(Debug)]
pub(crate) struct Lag(AtomicI64);

impl Default for Lag {
    fn default() -> Self {
        Self(AtomicI64::new(NOBODY_READS))
    }
}

impl Lag {
    /// The oldest event that is not dealt with was said at `said_at`; `None` if all are.
    pub(crate) fn stands(&self, said_at: Option<Timestamp>) {
        self.0.store(said_at.map_or(CAUGHT_UP, Timestamp::as_micros), Ordering::Relaxed);
    }

    /// This process does not read the log any more.
    pub(crate) fn leave(&self) {
        self.0.store(NOBODY_READS, Ordering::Relaxed);
    }

    /// How old the oldest event is that is not dealt with, 0 if all are; `None` if this process does not read the log.
    pub(crate) fn age_ms(&self, now: Timestamp) -> Option<Millis> {
        match self.0.load(Ordering::Relaxed) {
            NOBODY_READS => None,
            CAUGHT_UP => Some(0),
            said_at => Some(now.since_ms(Timestamp::from_micros(said_at)).max(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_as_old_as_the_oldest_event() {
        let (lag, now) = (Lag::default(), Timestamp::from_millis(5000));
        assert_eq!(lag.age_ms(now), None);
        lag.stands(Some(Timestamp::from_millis(3000)));
        assert_eq!((lag.age_ms(now), lag.age_ms(now.plus_ms(10))), (Some(2000), Some(2010)));
        lag.stands(Some(now.plus_ms(9)));
        assert_eq!(lag.age_ms(now), Some(0));
        lag.stands(None);
        assert_eq!(lag.age_ms(now), Some(0));
        lag.leave();
        assert_eq!(lag.age_ms(now), None);
    }
}
