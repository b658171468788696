//! The chain: each event names the one before it on its way, so that a reader knows whether something is missing.
//! Leaves the cursor's compare-and-set, which makes the rule hold among rivals, to `engine`.

use std::collections::HashMap;

use store::{Mechanism, Sabotage};

use crate::LogEvent;

/// What a cursor at a certain `seq` does with an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It is the next one: apply it.
    Next,
    /// It was applied before: drop it.
    Seen,
    /// One before it is missing: do not apply it, read on or again.
    Gap,
}

/// What a consumer whose cursor stands at `cursor` does with the event `seq` whose predecessor is `prev`.
/// Checked as an exhaustive model of two relays and two consumers: partitions are applied as prefixes of the true sequence.
#[must_use]
pub fn admit(cursor: i64, prev: i64, seq: i64) -> Admission {
    if seq <= cursor {
        return Admission::Seen;
    }
    if prev > cursor && !Sabotage::off(Mechanism::Chain) {
        return Admission::Gap;
    }
    Admission::Next
}

/// The last `seq` of each topic and partition.
pub type Tails = HashMap<(String, u16), i64>;

/// Gives each event the `prev` of its own topic and partition, for a log between databases.
/// `tails` holds the last `seq` of each topic and partition before `events`, and is moved on; an absent one is 0.
pub fn link(tails: &mut Tails, events: &mut [LogEvent]) {
    for event in events {
        let tail = tails.entry((event.topic.clone(), event.partition.0)).or_default();
        event.prev = *tail;
        *tail = event.seq;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a log loses, doubles and reorders: what is applied is a prefix of what was sent.
        #[test]
        fn a_prefix_is_applied(seqs in proptest::collection::btree_set(1i64..1000, 1..40), deliveries in proptest::collection::vec(0usize..40, 0..200)) {
            let sent: Vec<i64> = seqs.into_iter().collect();
            let (mut cursor, mut applied) = (0, Vec::new());
            for index in deliveries.into_iter().filter(|index| *index < sent.len()) {
                let prev = if index == 0 { 0 } else { sent[index - 1] };
                if admit(cursor, prev, sent[index]) == Admission::Next {
                    cursor = sent[index];
                    applied.push(cursor);
                }
            }
            prop_assert_eq!(&applied[..], &sent[..applied.len()]);
        }
    }
}
