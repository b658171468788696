//! What becomes of a store's slots when its days go on or its settings change: which are made, altered or dropped.
//! Leaves which slots there should be to `slots`.

use contracts::{Slot, SlotKey, StoreId};
use kernel::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::slots::{StoreCopy, UnknownZone, wanted};

/// How long a slot is remembered after its end: longer than one can be, so that none is made over it again.
const REMEMBERED_MS: Millis = 48 * 3_600_000;

/// The slots of a store that are made and not long over, in their order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Timetable {
    /// Whose.
    pub(crate) store: StoreId,
    /// The slots by their beginning.
    pub(crate) slots: Vec<SlotKey>,
}

/// A slot that is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Made {
    /// The slot.
    pub(crate) slot: Slot,
    /// Its places in all.
    pub(crate) places: i64,
    /// Whether somebody of the store said how many it has.
    pub(crate) by_hand: bool,
    /// How many are held or were used.
    pub(crate) taken: i64,
    /// Whether somebody of the store took it away.
    pub(crate) withdrawn: bool,
}

/// What is to be done with one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// A new one with so many places.
    Make(Slot, i64),
    /// One that is there gets these ends and so many places.
    Alter(Slot, i64),
    /// One that is there, and that nobody has taken a place of, goes.
    Drop(Slot),
}

/// What is to be done so that `store` has its slots, and which it has then.
pub(crate) fn plan(
    store: &StoreCopy,
    made: &[Made],
    now: Timestamp,
    slots_max: usize,
) -> Result<(Vec<Change>, Timetable), UnknownZone> {
    let wanted = wanted(store, now, slots_max)?;
    let mut changes: Vec<Change> = made.iter().filter_map(|made| fate_of(made, &wanted, store, now)).collect();
    let dropped = |made: &Made| changes.contains(&Change::Drop(made.slot));
    let kept: Vec<Slot> = made.iter().filter(|made| !dropped(made)).map(|made| made.slot).collect();
    let free = |slot: &Slot| kept.iter().all(|kept| kept.ends_at <= slot.starts_at.0 || slot.ends_at <= kept.starts_at.0);
    let missing: Vec<Slot> = wanted.into_iter().filter(free).collect();
    let remembered = kept.iter().filter(|slot| slot.ends_at.plus_ms(REMEMBERED_MS) > now);
    let mut slots: Vec<SlotKey> = remembered.chain(&missing).map(|slot| slot.starts_at).collect();
    slots.sort_unstable();
    changes.extend(missing.into_iter().map(|slot| Change::Make(slot, places_of(store))));
    Ok((changes, Timetable { store: store.id, slots }))
}

/// What is to be done with a slot that is made. One that the settings no longer want is dropped, or, if somebody counts on
/// it, offered to nobody else; the word of the store's people goes before the template's. One that they took away stays where
/// it is, so that its time is not offered again by making slots.
fn fate_of(made: &Made, wanted: &[Slot], store: &StoreCopy, now: Timestamp) -> Option<Change> {
    let Made { slot, places, by_hand, taken, withdrawn } = *made;
    if slot.cutoff_at <= now || withdrawn {
        return None;
    }
    let (slot, places) = match wanted.iter().find(|wanted| wanted.starts_at == slot.starts_at && wanted.ends_at == slot.ends_at) {
        Some(wanted) if by_hand => (*wanted, places),
        Some(wanted) => (*wanted, places_of(store).max(taken)),
        None if taken == 0 => return Some(Change::Drop(slot)),
        None if by_hand => (slot, places),
        None => (slot, taken),
    };
    (slot != made.slot || places != made.places).then_some(Change::Alter(slot, places))
}

fn places_of(store: &StoreCopy) -> i64 {
    store.template.places.max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::slots::tests::store;
    use contracts::delivery::Hours;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const MAX: usize = 5000;

    fn noon() -> Timestamp {
        Timestamp::parse("2026-11-24T12:00:00-05:00").unwrap()
    }

    fn new_york(length: i64) -> StoreCopy {
        store("America/New_York", length, Hours::Always(true))
    }

    /// The slots after the changes; how many places are taken is kept.
    fn done(made: &[Made], changes: &[Change]) -> Vec<Made> {
        let mut slots: BTreeMap<SlotKey, Made> = made.iter().map(|made| (made.slot.starts_at, *made)).collect();
        for change in changes {
            match *change {
                Change::Make(slot, places) => {
                    slots.insert(slot.starts_at, Made { slot, places, by_hand: false, taken: 0, withdrawn: false });
                }
                Change::Alter(slot, places) => {
                    let made = slots.get_mut(&slot.starts_at).unwrap();
                    (made.slot, made.places) = (slot, places);
                }
                Change::Drop(slot) => {
                    slots.remove(&slot.starts_at);
                }
            }
        }
        slots.into_values().collect()
    }

    fn fresh(store: &StoreCopy) -> Vec<Made> {
        done(&[], &plan(store, &[], noon(), MAX).unwrap().0)
    }

    #[test]
    fn what_is_there_is_not_made_again_and_a_day_adds_a_day() {
        let store = new_york(60);
        let made = fresh(&store);
        assert_eq!(made.len(), 12 + 2 * 24);
        let (changes, timetable) = plan(&store, &made, noon(), MAX).unwrap();
        assert_eq!((changes.len(), timetable.slots.len()), (0, made.len()));
        let (changes, timetable) = plan(&store, &made, noon().plus_ms(12 * 3_600_000), MAX).unwrap();
        assert_eq!((changes.len(), timetable.slots.len()), (24, made.len() + 24));
        let (_, timetable) = plan(&store, &made, noon().plus_ms(60 * 3_600_000), MAX).unwrap();
        assert_eq!(timetable.slots.len(), 2 * 24 + 3 * 24);
    }

    #[test]
    fn places_follow_the_template_but_not_below_what_is_taken() {
        let mut store = new_york(60);
        let mut made = fresh(&store);
        made[0].taken = 7;
        (made[1].places, made[1].by_hand) = (99, true);
        store.template.places = 4;
        let after = done(&made, &plan(&store, &made, noon(), MAX).unwrap().0);
        assert_eq!([after[0].places, after[1].places, after[2].places], [7, 99, 4]);
    }

    #[test]
    fn what_is_no_longer_wanted_goes_or_is_offered_to_nobody_else() {
        let mut made = fresh(&new_york(60));
        made[0].taken = 2;
        (made[1].taken, made[1].by_hand) = (1, true);
        let (first, second) = (made[0].slot, made[1].slot);
        let after = done(&made, &plan(&new_york(30), &made, noon(), MAX).unwrap().0);
        assert_eq!((after[0].slot, after[0].places), (first, 2));
        assert_eq!((after[1].slot, after[1].places), (second, 10));
        // Those beside them are replaced by slots of half an hour.
        assert_eq!(after.len(), 2 + 2 * (made.len() - 2));
        let closed = store("America/New_York", 60, Hours::Always(false));
        let after = done(&made, &plan(&closed, &made, noon(), MAX).unwrap().0);
        assert_eq!(after.iter().map(|made| made.places).collect::<Vec<_>>(), [2, 10]);
        let reopened = done(&after, &plan(&new_york(60), &after, noon(), MAX).unwrap().0);
        assert_eq!(reopened.len(), made.len());
        assert_eq!(reopened[0].places, 10);
    }

    #[test]
    fn a_slot_that_was_withdrawn_is_neither_dropped_nor_made_again() {
        let mut made = fresh(&new_york(60));
        made[0].withdrawn = true;
        let kept = made[0];
        for store in [new_york(60), new_york(30), store("America/New_York", 60, Hours::Always(false)), new_york(60)] {
            let (changes, timetable) = plan(&store, &made, noon(), MAX).unwrap();
            made = done(&made, &changes);
            assert_eq!((made[0], timetable.slots[0]), (kept, kept.slot.starts_at));
            assert!(made[1..].iter().all(|made| kept.slot.ends_at <= made.slot.starts_at.0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_change_of_settings_makes_slots_overlap_or_breaks_a_promise(
            steps in prop::collection::vec((15i64..200, 0i64..20, 0u8..3, 0i64..(30 * 60), 0usize..500, 0i64..5), 1..6),
        ) {
            let mut now = noon();
            let mut made: Vec<Made> = Vec::new();
            let mut timetable: Vec<SlotKey> = Vec::new();
            for (length, places, open, minutes, which, taken) in steps {
                let mut store = store("America/New_York", length, Hours::Always(open > 0));
                store.template.places = places;
                now = now.plus_ms(minutes * 60_000);
                made.retain(|made| timetable.contains(&made.slot.starts_at));
                let (changes, next) = plan(&store, &made, now, MAX).unwrap();
                let before = made.clone();
                made = done(&made, &changes);
                timetable = next.slots;
                for pair in made.windows(2) {
                    prop_assert!(pair[0].slot.ends_at <= pair[1].slot.starts_at.0);
                }
                for old in before.iter().filter(|made| made.taken > 0) {
                    let kept = made.iter().find(|made| made.slot.starts_at == old.slot.starts_at);
                    prop_assert!(kept.is_some_and(|kept| kept.taken == old.taken && kept.places >= old.taken));
                }
                prop_assert_eq!(plan(&store, &made.iter().filter(|made| timetable.contains(&made.slot.starts_at)).copied().collect::<Vec<_>>(), now, MAX).unwrap().0, Vec::new());
                if let Some(slot) = (!made.is_empty()).then(|| which % made.len()).and_then(|which| made.get_mut(which)) {
                    slot.taken = (slot.taken + taken).min(slot.places);
                }
            }
        }
    }
}
