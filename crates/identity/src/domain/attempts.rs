//! Attempts to sign in: how many on one address without a success, and for how long it then waits.
//! Leaves whether an address is anybody's out of it: all are treated alike.

use kernel::{Millis, Timestamp};

/// The longest run of doublings: more would leave every lock that may be configured far behind.
const DOUBLINGS_MAX: i64 = 32;

/// The rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Throttle {
    /// From how many attempts on each further one locks.
    pub(crate) free_max: i64,
    /// The first lock.
    pub(crate) lock_first_ms: Millis,
    /// The longest lock.
    pub(crate) lock_max_ms: Millis,
    /// When all attempts are forgotten, after the last.
    pub(crate) forgotten_after_ms: Millis,
}

/// The attempts on one address that were not followed by a success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Attempts {
    /// How many.
    pub(crate) failures: i64,
    /// Until when no further one is let through.
    pub(crate) locked_until: Timestamp,
    /// From when on there were none.
    pub(crate) forgotten_at: Timestamp,
}

impl Throttle {
    /// One more attempt at `now`, or for how long it has to wait. An attempt is charged before the password is looked at,
    /// so that a hundred at once are not all let through; a success takes the charge back with all before it. One that is
    /// refused is not charged, so hammering does not prolong a lock.
    pub(crate) fn charge(&self, before: Option<Attempts>, now: Timestamp) -> Result<Attempts, Millis> {
        let before = before.filter(|before| now < before.forgotten_at);
        if let Some(before) = before.filter(|before| now < before.locked_until) {
            return Err(before.locked_until.since_ms(now).max(1));
        }
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        let locked_until = now.plus_ms(self.lock_ms(failures));
        Ok(Attempts { failures, locked_until, forgotten_at: now.plus_ms(self.forgotten_after_ms) })
    }

    /// For how long attempt number `failures` locks.
    fn lock_ms(&self, failures: i64) -> Millis {
        if failures < self.free_max {
            return 0;
        }
        let doublings = (failures - self.free_max).min(DOUBLINGS_MAX);
        self.lock_first_ms.saturating_mul(1 << doublings).min(self.lock_max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const THROTTLE: Throttle = Throttle { free_max: 3, lock_first_ms: 1000, lock_max_ms: 5000, forgotten_after_ms: 60_000 };

    fn at(ms: Millis) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn locks_double_up_to_the_longest_and_are_forgotten() {
        let (mut before, mut now) = (None, 0);
        for lock_ms in [0, 0, 1000, 2000, 4000, 5000, 5000] {
            let after = THROTTLE.charge(before, at(now)).unwrap();
            assert_eq!(after.locked_until, at(now + lock_ms));
            if lock_ms > 0 {
                assert_eq!(THROTTLE.charge(Some(after), at(now)), Err(lock_ms));
                assert_eq!(THROTTLE.charge(Some(after), at(now + lock_ms - 1)), Err(1));
            }
            (before, now) = (Some(after), now + lock_ms);
        }
        let last = THROTTLE.charge(before, at(now)).unwrap();
        assert_eq!(last.failures, 8);
        assert_eq!(THROTTLE.charge(Some(last), last.forgotten_at).unwrap().failures, 1);
    }

    proptest! {
        #[test]
        fn whoever_waits_as_told_is_let_through(gaps in prop::collection::vec(0i64..10_000, 0..60)) {
            let (mut before, mut now) = (None, at(0));
            for gap in gaps {
                now = now.plus_ms(gap);
                match THROTTLE.charge(before, now) {
                    Ok(after) => before = Some(after),
                    Err(wait_ms) => {
                        prop_assert!((1..=THROTTLE.lock_max_ms).contains(&wait_ms));
                        prop_assert!(THROTTLE.charge(before, now.plus_ms(wait_ms)).is_ok());
                    }
                }
            }
        }

        #[test]
        fn no_number_of_attempts_overflows(failures in 0..=i64::MAX, now in 0i64..200_000_000_000) {
            let before = Attempts { failures, locked_until: at(0), forgotten_at: at(now + 1) };
            let after = THROTTLE.charge(Some(before), at(now)).unwrap();
            prop_assert!(after.locked_until <= at(now).plus_ms(THROTTLE.lock_max_ms));
        }
    }
}
