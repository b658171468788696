//! How one address of a pool stands: whether it answers when it is looked at, and what became of what it was asked.
//! A circuit breaker that two hands hold. Leaves looking and asking to `pool`.

use kernel::{Millis, Timestamp};

/// After how many failures on end an address is asked no more for a while.
const FAILURES_MAX: u32 = 5;

/// After how many looks without an answer an address counts as silent, until it answers anything.
const MISSES_MAX: u32 = 2;

/// For how long a breaker lets nothing through; then one request is let through to see.
const OPEN_MS: Millis = 1000;

/// In which order addresses are asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Rank {
    /// Nothing speaks against it.
    Well,
    /// It has said that it is about to end.
    Leaving,
    /// It gives no sign of life: it may be frozen, or only very busy.
    Silent,
}

/// What is known of one address.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Health {
    /// Looks without an answer on end.
    misses: u32,
    /// Whether nobody listened there when it was last looked.
    gone: bool,
    /// Whether it has said that it is about to end.
    leaving: bool,
    /// Requests without an answer on end.
    failures: u32,
    /// When the next request may see whether it is well again.
    open_until: Option<Timestamp>,
    /// The last failure.
    why: String,
}

impl Health {
    /// What speaks against asking it.
    pub(super) fn why_not(&self) -> Option<String> {
        if self.leaving {
            return Some("it is about to end".to_owned());
        }
        (self.gone || self.misses >= MISSES_MAX || self.open_until.is_some()).then(|| self.why.clone())
    }

    /// Whether it is asked before others.
    pub(super) fn rank(&self) -> Rank {
        match self.misses {
            MISSES_MAX.. => Rank::Silent,
            _ if self.leaving => Rank::Leaving,
            _ => Rank::Well,
        }
    }

    /// Whether a request may go there now. A yes while the breaker is open is for this one request.
    pub(super) fn lets_through(&mut self, now: Timestamp) -> bool {
        if self.gone {
            return false;
        }
        match self.open_until {
            Some(until) if now < until => false,
            Some(_) => {
                self.open_until = Some(now.plus_ms(OPEN_MS));
                true
            }
            None => true,
        }
    }

    /// A request was answered, which is a sign of life too.
    pub(super) fn answered(&mut self) {
        (self.misses, self.gone, self.failures, self.open_until) = (0, false, 0, None);
    }

    /// A request was not answered.
    pub(super) fn failed(&mut self, why: &str, now: Timestamp) {
        self.failures += 1;
        why.clone_into(&mut self.why);
        if self.failures >= FAILURES_MAX {
            self.open_until = Some(now.plus_ms(OPEN_MS));
        }
    }

    /// It answered a look. What it has failed of while it lived is not forgiven by that, only that it was away.
    pub(super) fn seen(&mut self, leaving: bool) {
        if self.gone || self.misses > 0 {
            (self.failures, self.open_until) = (0, None);
        }
        (self.misses, self.gone, self.leaving) = (0, false, leaving);
    }

    /// It did not answer a look.
    pub(super) fn missed(&mut self, why: &str, reached: bool) {
        why.clone_into(&mut self.why);
        (self.misses, self.gone) = (self.misses + u32::from(reached), !reached);
    }

    /// Whether nobody listens there.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: Millis) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn is_well(health: &Health) -> bool {
        health.why_not().is_none()
    }

    #[test]
    fn after_some_failures_on_end_one_request_at_a_time_sees_whether_it_is_well_again() {
        let mut health = Health::default();
        for _ in 1..FAILURES_MAX {
            health.failed("no", at(0));
        }
        assert!(health.lets_through(at(0)), "not yet");
        health.failed("no", at(0));
        assert!(!health.lets_through(at(OPEN_MS - 1)) && health.why_not() == Some("no".to_owned()));
        assert!(health.lets_through(at(OPEN_MS)) && !health.lets_through(at(OPEN_MS)), "one, and no other beside it");
        health.failed("still no", at(OPEN_MS));
        assert!(!health.lets_through(at(OPEN_MS + 1)));
        assert!(health.lets_through(at(2 * OPEN_MS)));
        health.answered();
        assert!(is_well(&health) && health.lets_through(at(2 * OPEN_MS)) && health.lets_through(at(2 * OPEN_MS)));
    }

    #[test]
    fn an_answer_in_between_starts_the_count_again() {
        let mut health = Health::default();
        for _ in 0..3 * FAILURES_MAX {
            health.failed("no", at(0));
            health.failed("no", at(0));
            health.answered();
        }
        assert!(is_well(&health));
    }

    #[test]
    fn who_misses_looks_comes_last_until_it_answers_anything() {
        let mut health = Health::default();
        health.missed("silence", true);
        assert!(is_well(&health));
        health.missed("silence", true);
        assert!(!is_well(&health) && health.rank() == Rank::Silent && health.lets_through(at(0)), "it may be only busy");
        health.answered();
        assert!(is_well(&health) && health.rank() == Rank::Well, "what was asked before is answered after all");
        health.missed("refused", false);
        assert!(health.is_gone() && !health.lets_through(at(0)), "nobody listens there");
        health.seen(false);
        assert!(is_well(&health) && health.lets_through(at(0)));
    }

    #[test]
    fn a_look_that_is_answered_does_not_forgive_what_fails_all_the_same() {
        let mut health = Health::default();
        (0..FAILURES_MAX).for_each(|_| health.failed("silence", at(0)));
        health.seen(false);
        assert!(!health.lets_through(at(1)), "it lives and does not work");
        health.missed("refused", false);
        health.seen(false);
        assert!(health.lets_through(at(1)), "it was started again");
    }

    #[test]
    fn who_leaves_is_asked_if_nobody_else_is_there() {
        let mut health = Health::default();
        health.seen(true);
        assert!(!is_well(&health) && health.rank() == Rank::Leaving && health.lets_through(at(0)));
    }
}
