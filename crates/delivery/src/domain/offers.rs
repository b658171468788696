//! Whom a delivery was offered to and what became of it: at most one offer is open or accepted, and it is the last.
//! Leaves when offers are made and ended to `delivery`.

use contracts::PersonId;
use kernel::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// What became of an offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The courier has not answered yet.
    Open,
    /// The courier brings it, or has brought it.
    Accepted,
    /// The courier does not want it.
    Declined,
    /// The courier did not answer, or did not fetch it, in time.
    TimedOut,
    /// The courier had accepted, and will not fetch it after all.
    Dropped,
    /// The courier has brought the goods back to the store.
    Returned,
    /// It was taken back: the order ended, the courier rides no longer, or a dispatcher wanted it so.
    Withdrawn,
}

impl Outcome {
    fn lives(self) -> bool {
        matches!(self, Self::Open | Self::Accepted)
    }

    /// Whether the courier should not be asked again at once.
    fn refuses(self) -> bool {
        matches!(self, Self::Declined | Self::TimedOut | Self::Dropped)
    }
}

/// That a courier was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Offer {
    pub(crate) courier: PersonId,
    pub(crate) offered_at: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) ended_at: Option<Timestamp>,
}

/// The latest offers of a delivery, in their order.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Offers(Vec<Offer>);

impl Offers {
    /// The offer that waits for an answer.
    pub(crate) fn open(&self) -> Option<&Offer> {
        self.0.last().filter(|offer| offer.outcome == Outcome::Open)
    }

    /// How many are accepted: one at most.
    pub(crate) fn accepted(&self) -> i64 {
        self.0.iter().map(|offer| i64::from(offer.outcome == Outcome::Accepted)).sum()
    }

    /// Whether `courier` was ever asked, as far as that is remembered.
    pub(crate) fn asked(&self, courier: PersonId) -> bool {
        self.0.iter().any(|offer| offer.courier == courier)
    }

    /// Whether `courier` refused it less than `within_ms` before `now`.
    pub(crate) fn refused_by(&self, courier: PersonId, now: Timestamp, within_ms: Millis) -> bool {
        self.0.iter().any(|offer| {
            let recently = offer.ended_at.is_some_and(|ended| now.since_ms(ended) < within_ms);
            offer.courier == courier && offer.outcome.refuses() && recently
        })
    }

    /// Asks `courier`, and forgets the oldest of more than `kept_max`.
    pub(crate) fn ask(&mut self, courier: PersonId, now: Timestamp, until: Timestamp, kept_max: usize) {
        let surplus = (self.0.len() + 1).saturating_sub(kept_max);
        self.0.drain(..surplus);
        self.0.push(Offer { courier, offered_at: now, until, outcome: Outcome::Open, ended_at: None });
    }

    /// The open or accepted one, if there is one, has come to `outcome`.
    pub(crate) fn end(&mut self, outcome: Outcome, now: Timestamp) {
        if let Some(offer) = self.0.last_mut().filter(|offer| offer.outcome.lives()) {
            offer.outcome = outcome;
            offer.ended_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::tests::{at, person};

    #[test]
    fn a_refusal_is_remembered_for_a_while_and_offers_are_bounded() {
        for outcome in [Outcome::Declined, Outcome::TimedOut, Outcome::Dropped] {
            let mut offers = Offers::default();
            offers.ask(person(1), at(0), at(9), 3);
            offers.end(outcome, at(10));
            assert!(offers.refused_by(person(1), at(10 + 999), 1000));
            assert!(!offers.refused_by(person(1), at(10 + 1000), 1000));
            assert!(!offers.refused_by(person(2), at(11), 1000));
        }
        let mut offers = Offers::default();
        for round in 0..10 {
            offers.ask(person(2), at(20 + round), at(50), 3);
            offers.end(Outcome::Withdrawn, at(20 + round));
        }
        assert_eq!(offers.0.len(), 3);
        assert!(!offers.refused_by(person(2), at(40), 1000), "what was taken back was not refused");
    }

    #[test]
    fn what_has_ended_stays_so() {
        let mut offers = Offers::default();
        offers.ask(person(1), at(0), at(9), 3);
        offers.end(Outcome::Accepted, at(1));
        assert_eq!((offers.accepted(), offers.open()), (1, None));
        offers.end(Outcome::Dropped, at(2));
        offers.end(Outcome::Accepted, at(3));
        assert_eq!((offers.accepted(), offers.asked(person(1)), offers.asked(person(2))), (0, true, false));
    }
}
