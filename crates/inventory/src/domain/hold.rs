//! How a hold lives: requested → reserved | rejected; reserved → committed | released | expired; committed → consumed | released.
//! Leaves supply to `supply`, and what an order does about it to orders.
//!
//! Nothing is stored of a hold that is merely requested: the request is decided at once. A release, or a commit, of an order
//! that no request has come for leaves a hold that is released from the first: a tombstone, so that a request which comes
//! after all holds nothing for an order that was told otherwise.

use std::collections::BTreeMap;

use contracts::inventory::{Kept, Short, Thing, Wanted};
use contracts::{OrderId, Sku, SlotKey, StoreId};
use kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a hold stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// Everything is held until the hold expires.
    Reserved,
    /// Something was short; nothing is held, nor ever was.
    Rejected,
    /// Everything is held until it is used or given back.
    Committed,
    /// It was given back as asked, or asked to be before it was there.
    Released,
    /// It ran out and was given back.
    Expired,
    /// What was held has left the store.
    Consumed,
}

impl State {
    /// The kebab-case word of the state.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Rejected => "rejected",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Consumed => "consumed",
        }
    }
}

/// What is asked of a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    /// Keep it: the order is paid for.
    Commit,
    /// Give it back.
    Release,
    /// What it holds was handed over.
    Consume,
    /// Its time has run out.
    Expire,
}

/// What happens to the supply that a hold holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Nothing.
    Keep,
    /// It can be promised again.
    GiveBack,
    /// It leaves the store.
    TakeAway,
}

/// What is told of a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Committed,
    CommitRefused,
    Released,
    Expired,
    Consumed,
}

/// One step of a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// Where it stands then.
    pub(crate) next: State,
    /// What happens to its supply.
    pub(crate) effect: Effect,
    /// What is told.
    pub(crate) said: Said,
}

/// What `ask` does to a hold in `state`, or to an order without one; `None` if nothing at all.
pub(crate) fn step(state: Option<State>, ask: Ask) -> Option<Step> {
    let to = |next, effect, said| Some(Step { next, effect, said });
    match (state, ask) {
        (Some(State::Reserved), Ask::Commit) => to(State::Committed, Effect::Keep, Said::Committed),
        (Some(State::Reserved | State::Committed), Ask::Release) => to(State::Released, Effect::GiveBack, Said::Released),
        (Some(State::Reserved), Ask::Expire) => to(State::Expired, Effect::GiveBack, Said::Expired),
        (Some(State::Committed), Ask::Consume) => to(State::Consumed, Effect::TakeAway, Said::Consumed),
        // It is over: whoever asks is told how things stand, and nothing moves.
        (Some(over @ (State::Rejected | State::Released | State::Expired)), Ask::Commit) => {
            to(over, Effect::Keep, Said::CommitRefused)
        }
        (Some(over @ (State::Rejected | State::Released | State::Expired)), Ask::Release) => {
            to(over, Effect::Keep, Said::Released)
        }
        // There is no hold: the tombstone.
        (None, Ask::Release) => to(State::Released, Effect::Keep, Said::Released),
        (None, Ask::Commit) => to(State::Released, Effect::Keep, Said::CommitRefused),
        // Repeated, or too late to matter, or (a reserved hold consumed) not a move of this machine.
        (Some(State::Committed | State::Consumed), Ask::Commit)
        | (Some(State::Consumed), Ask::Release)
        | (_, Ask::Expire | Ask::Consume) => None,
    }
}

/// So many of a thing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Of what.
    pub(crate) thing: Thing,
    /// How many.
    pub(crate) units: i64,
}

/// Units of a SKU that a hold lost because they were not picked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lost {
    /// Of what.
    pub(crate) sku: Sku,
    /// How many.
    pub(crate) units: i64,
    /// Whether they are there and can be promised again; else they were not found, and are written off.
    pub(crate) restock: bool,
}

/// The hold of an order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// Whose.
    pub(crate) order: OrderId,
    /// Where; its bucket is the hold's.
    pub(crate) store: StoreId,
    /// Where it stands.
    pub(crate) state: State,
    /// What it is for, each thing once and more than none of it; empty for a tombstone.
    pub(crate) parts: Vec<Part>,
    /// What was short, if it was rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) short: Vec<Short>,
    /// Until when it lives, while it is reserved.
    pub(crate) expires_at: Option<Timestamp>,
    /// When it came to stand where it stands.
    pub(crate) changed_at: Timestamp,
    /// Whether its order was told that the store's people took its slot away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) told_withdrawn: bool,
}

impl Hold {
    /// What the hold of an order is before anything is known of it.
    pub(crate) fn unknown(order: OrderId, store: StoreId, at: Timestamp) -> Self {
        let (parts, short) = (Vec::new(), Vec::new());
        Self { order, store, state: State::Released, parts, short, expires_at: None, changed_at: at, told_withdrawn: false }
    }

    /// A hold of `parts` until `expires_at`.
    pub(crate) fn reserved(order: OrderId, store: StoreId, parts: Vec<Part>, at: Timestamp, expires_at: Timestamp) -> Self {
        Self { state: State::Reserved, parts, expires_at: Some(expires_at), ..Self::unknown(order, store, at) }
    }

    /// A hold of `parts` that was refused, because these were short.
    pub(crate) fn rejected(order: OrderId, store: StoreId, parts: Vec<Part>, short: Vec<Short>, at: Timestamp) -> Self {
        Self { state: State::Rejected, parts, short, ..Self::unknown(order, store, at) }
    }

    /// The same hold in another state.
    pub(crate) fn at(&self, next: State, at: Timestamp) -> Self {
        Self { state: next, expires_at: None, changed_at: at, ..self.clone() }
    }

    /// The same hold with no more than what is `kept` of each SKU that is named there, and what it loses by that. It is told how
    /// many stay, not how many go: so what comes again, or came late and kept more, takes nothing. A hold that is over loses
    /// nothing.
    pub(crate) fn reduced(&self, kept: &[Kept]) -> (Self, Vec<Lost>) {
        let (mut reduced, mut lost) = (self.clone(), Vec::new());
        if !self.lives() {
            return (reduced, lost);
        }
        for Kept { sku, units, restock } in kept {
            let of_sku = |part: &&mut Part| matches!(&part.thing, Thing::Sku(held) if held == sku);
            let Some(part) = reduced.parts.iter_mut().find(of_sku) else { continue };
            let stay = part.units.min((*units).max(0));
            if stay < part.units {
                lost.push(Lost { sku: sku.clone(), units: part.units - stay, restock: *restock });
                part.units = stay;
            }
        }
        reduced.parts.retain(|part| part.units > 0);
        (reduced, lost)
    }

    /// How many of a thing it is for.
    pub(crate) fn units_of(&self, thing: &Thing) -> i64 {
        self.parts.iter().find(|part| part.thing == *thing).map_or(0, |part| part.units)
    }

    /// Whether something is held by it.
    pub(crate) fn lives(&self) -> bool {
        matches!(self.state, State::Reserved | State::Committed)
    }

    /// How many units of SKUs are held for its order now, or have left the store for it.
    pub(crate) fn units(&self) -> i64 {
        match self.state {
            State::Reserved | State::Committed | State::Consumed => {
                self.parts.iter().filter(|part| matches!(part.thing, Thing::Sku(_))).map(|part| part.units).sum()
            }
            State::Rejected | State::Released | State::Expired => 0,
        }
    }

    /// Whether inventory will do nothing more for it by itself: only the expiry of a reserved hold is still to come.
    pub(crate) fn settled(&self) -> bool {
        self.state != State::Reserved
    }
}

/// All that an order wants, each thing once: the units of a SKU over all its lines, and one place of the slot.
pub(crate) fn parts_of(lines: &[Wanted], slot: SlotKey) -> Vec<Part> {
    let mut units: BTreeMap<Thing, i64> = BTreeMap::from([(Thing::Slot(slot), 1)]);
    for line in lines {
        *units.entry(Thing::Sku(line.sku.clone())).or_default() += line.quantity.get();
    }
    units.into_iter().map(|(thing, units)| Part { thing, units }).collect()
}

/// Which of `parts` are more than what is `left` of them, in their order.
pub(crate) fn short_of<'a>(parts: impl IntoIterator<Item = (&'a Part, i64)>) -> Vec<Short> {
    let short = |(part, left): (&Part, i64)| Short { thing: part.thing.clone(), wanted: part.units, left };
    parts.into_iter().filter(|(part, left)| *left < part.units).map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::supply::Level;
    use contracts::Quantity;
    use kernel::{Bucket, Draw, Id};
    use proptest::prelude::*;

    const STATES: [State; 6] =
        [State::Reserved, State::Rejected, State::Committed, State::Released, State::Expired, State::Consumed];

    #[test]
    fn the_machine_makes_these_moves_and_no_other() {
        use State::{Committed, Consumed, Expired, Rejected, Released, Reserved};
        let cases = [
            (
                Some(Reserved),
                [Some("committed Keep Committed"), Some("released GiveBack Released"), None, Some("expired GiveBack Expired")],
            ),
            (Some(Committed), [None, Some("released GiveBack Released"), Some("consumed TakeAway Consumed"), None]),
            (Some(Consumed), [None, None, None, None]),
            (Some(Rejected), [Some("rejected Keep CommitRefused"), Some("rejected Keep Released"), None, None]),
            (Some(Released), [Some("released Keep CommitRefused"), Some("released Keep Released"), None, None]),
            (Some(Expired), [Some("expired Keep CommitRefused"), Some("expired Keep Released"), None, None]),
            (None, [Some("released Keep CommitRefused"), Some("released Keep Released"), None, None]),
        ];
        for (state, expected) in cases {
            for (ask, expected) in [Ask::Commit, Ask::Release, Ask::Consume, Ask::Expire].into_iter().zip(expected) {
                let found = step(state, ask).map(|step| format!("{} {:?} {:?}", step.next.as_str(), step.effect, step.said));
                assert_eq!(found.as_deref(), expected, "{state:?} {ask:?}");
            }
        }
    }

    #[test]
    fn the_words_of_states_are_those_stored() {
        for state in STATES {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    fn line(sku: &str, quantity: i64) -> Wanted {
        Wanted { sku: sku.parse().unwrap(), quantity: Quantity::try_from(quantity).unwrap() }
    }

    fn slot() -> SlotKey {
        SlotKey(Timestamp::from_millis(1_764_000_000_000))
    }

    #[test]
    fn a_sku_in_two_lines_counts_twice() {
        let parts = parts_of(&[line("MILK", 2), line("BREAD", 1), line("MILK", 3)], slot());
        let found: Vec<(String, i64)> = parts.iter().map(|part| (part.thing.to_string(), part.units)).collect();
        let slot = format!("slot:{}", slot());
        assert_eq!(found, [("sku:BREAD".to_owned(), 1), ("sku:MILK".to_owned(), 5), (slot, 1)]);
    }

    #[test]
    fn every_short_thing_is_named() {
        let parts = parts_of(&[line("MILK", 5), line("BREAD", 1), line("EGGS", 2)], slot());
        let left = [("sku:MILK", 4), ("sku:BREAD", 1)];
        let left_of = |part: &Part| left.iter().find(|(thing, _)| *thing == part.thing.to_string()).map_or(0, |(_, left)| *left);
        let short = short_of(parts.iter().map(|part| (part, left_of(part))));
        let found: Vec<(String, i64, i64)> =
            short.iter().map(|short| (short.thing.to_string(), short.wanted, short.left)).collect();
        let slot = format!("slot:{}", slot());
        assert_eq!(found, [("sku:EGGS".to_owned(), 2, 0), ("sku:MILK".to_owned(), 5, 4), (slot, 1, 0)]);
        assert!(short_of(parts.iter().map(|part| (part, part.units))).is_empty());
    }

    fn kept(sku: &str, units: i64, restock: bool) -> Kept {
        Kept { sku: sku.parse().unwrap(), units, restock }
    }

    #[test]
    fn a_hold_keeps_what_was_picked_and_loses_the_rest_once() {
        let at = Timestamp::default();
        let Hold { order, store, .. } = order(1);
        let hold = Hold::reserved(order, store, parts_of(&[line("MILK", 5), line("EGGS", 2)], slot()), at, at);
        let lost = |hold: &Hold, lines: &[Kept]| {
            let (reduced, lost) = hold.reduced(lines);
            let words = |lost: &Lost| format!("{} {} {}", lost.sku, lost.units, lost.restock);
            (reduced, lost.iter().map(words).collect::<Vec<_>>().join(", "))
        };
        let short = [kept("MILK", 3, true), kept("EGGS", 0, false), kept("GHOST", 1, true)];
        let (reduced, first) = lost(&hold, &short);
        assert_eq!(first, "MILK 2 true, EGGS 2 false");
        assert_eq!((reduced.units(), reduced.parts.len()), (3, 2));
        assert_eq!(reduced.units_of(&Thing::Slot(slot())), 1);
        // The same again, an older one that kept more, and one of everything: nothing is left to lose.
        for lines in [short.as_slice(), &[kept("MILK", 4, true), kept("EGGS", 1, true)], &[kept("MILK", 3, false)], &[]] {
            assert_eq!(lost(&reduced, lines), (reduced.clone(), String::new()), "{lines:?}");
        }
        let (gone, last) = lost(&reduced, &[kept("MILK", 1, true), kept("MILK", -7, false)]);
        assert_eq!((last.as_str(), gone.units()), ("MILK 2 true, MILK 1 false", 0));
        for over in [State::Rejected, State::Released, State::Expired, State::Consumed] {
            assert_eq!(lost(&hold.at(over, at), &short).1, "", "{over:?}");
        }
    }

    /// One order and one thing, as the service keeps them: for sequences of any length.
    struct Shelf {
        level: Level,
        hold: Option<Hold>,
        gone: i64,
    }

    fn order(seed: u64) -> Hold {
        let mut draw = Draw::seeded(seed);
        let id = |draw: &mut Draw| Id::new(Timestamp::from_millis(1), Bucket(1), draw);
        let (order, store) = (OrderId(id(&mut draw)), StoreId(id(&mut draw)));
        Hold::unknown(order, store, Timestamp::default())
    }

    impl Shelf {
        fn request(&mut self, units: i64, seed: u64) {
            if self.hold.is_some() {
                return;
            }
            let Hold { order, store, changed_at: at, .. } = order(seed);
            let parts = vec![Part { thing: Thing::Sku("MILK".parse().unwrap()), units }];
            let short = short_of(parts.iter().map(|part| (part, self.level.available)));
            self.hold = Some(if short.is_empty() {
                self.level = self.level.reserve(units);
                Hold::reserved(order, store, parts, at, at)
            } else {
                Hold::rejected(order, store, parts, short, at)
            });
        }

        fn ask(&mut self, ask: Ask, seed: u64) -> Option<Step> {
            let step = step(self.hold.as_ref().map(|hold| hold.state), ask)?;
            let hold = self.hold.take().unwrap_or_else(|| order(seed));
            for part in &hold.parts {
                self.level = match step.effect {
                    Effect::Keep => self.level,
                    Effect::GiveBack => self.level.give_back(part.units),
                    Effect::TakeAway => {
                        self.gone += part.units;
                        self.level.consume(part.units)
                    }
                };
            }
            self.hold = Some(hold.at(step.next, Timestamp::default()));
            Some(step)
        }

        fn reduce(&mut self, units: i64) {
            let Some(hold) = &self.hold else { return };
            // Odd numbers are not found, even ones go back to the shelf.
            let (reduced, lost) = hold.reduced(&[kept("MILK", units, units % 2 == 0)]);
            for Lost { units, restock, .. } in lost {
                self.gone += if restock { 0 } else { units };
                self.level = if restock { self.level.give_back(units) } else { self.level.consume(units) };
            }
            self.hold = Some(reduced);
        }

        fn held(&self) -> i64 {
            self.hold.as_ref().filter(|hold| hold.lives()).map_or(0, Hold::units)
        }
    }

    proptest! {
        #[test]
        fn no_sequence_breaks_supply_and_a_repeat_moves_nothing(stock in 0i64..9, units in 1i64..9, asks in prop::collection::vec(0u8..14, 0..20)) {
            let mut shelf = Shelf { level: Level { available: stock, held: 0 }, hold: None, gone: 0 };
            for number in asks {
                let asked = [Ask::Commit, Ask::Release, Ask::Consume, Ask::Expire].get(usize::from(number)).copied();
                let mut again = Vec::new();
                for _ in 0..2 {
                    match asked {
                        Some(ask) => drop(shelf.ask(ask, 1)),
                        None if number == 4 => shelf.request(units, 1),
                        None => shelf.reduce(i64::from(number) - 5),
                    }
                    again.push((shelf.level, shelf.gone, shelf.hold.clone().map(|hold| hold.state)));
                }
                prop_assert_eq!(&again[0], &again[1]);
                prop_assert_eq!(shelf.held(), shelf.level.held);
                prop_assert_eq!(shelf.level.on_hand() + shelf.gone, stock);
                prop_assert!(shelf.level.available >= 0);
            }
        }

        #[test]
        fn what_is_over_never_lives_again(start in 0usize..6, asks in prop::collection::vec(0u8..4, 0..12)) {
            let mut state = STATES[start];
            for number in asks {
                let ask = [Ask::Commit, Ask::Release, Ask::Consume, Ask::Expire][usize::from(number)];
                let Some(step) = step(Some(state), ask) else { continue };
                let over = |state| !matches!(state, State::Reserved | State::Committed);
                prop_assert!(!over(state) || (step.next == state && step.effect == Effect::Keep));
                state = step.next;
            }
        }
    }
}
