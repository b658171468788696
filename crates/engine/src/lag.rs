//! How old the oldest event is that somebody on the way of a log has met and not dealt with yet, and how many there are where
//! the database cannot tell: set by whoever reads, relays or consumes it. Leaves how many of an outbox there are to `service`.

use std::sync::atomic::{AtomicI64, Ordering};

use kernel::{Millis, Timestamp};

const NOBODY_READS: i64 = i64::MIN;
const CAUGHT_UP: i64 = i64::MAX;

/// The lag of one reader of a log in this process. Nothing is told of it while another process reads.
#[derive(Debug)]
pub(crate) struct Lag {
    said_at: AtomicI64,
    unread: AtomicI64,
}

impl Default for Lag {
    fn default() -> Self {
        Self { said_at: AtomicI64::new(NOBODY_READS), unread: AtomicI64::new(0) }
    }
}

impl Lag {
    /// The oldest event that is not dealt with was said at `said_at`; `None` if all are.
    pub(crate) fn stands(&self, said_at: Option<Timestamp>) {
        self.said_at.store(said_at.map_or(CAUGHT_UP, Timestamp::as_micros), Ordering::Relaxed);
    }

    /// This process does not read the log any more.
    pub(crate) fn leave(&self) {
        self.said_at.store(NOBODY_READS, Ordering::Relaxed);
    }

    /// So many records are there for this process that it has not read.
    pub(crate) fn counts(&self, unread: i64) {
        self.unread.store(unread, Ordering::Relaxed);
    }

    /// How many records this process has not read, as it last knew.
    pub(crate) fn unread(&self) -> i64 {
        self.unread.load(Ordering::Relaxed)
    }

    /// How old the oldest event is that is not dealt with, 0 if all are; `None` if this process does not read the log.
    pub(crate) fn age_ms(&self, now: Timestamp) -> Option<Millis> {
        match self.said_at.load(Ordering::Relaxed) {
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
