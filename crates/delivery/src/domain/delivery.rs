//! The machine of one delivery: its states, who may make which move, its offers and its PIN.
//! Leaves the courier's side of each move to `courier`, and the two together to `assignment`.

use std::fmt;

use contracts::orders::Contact;
use contracts::{Address, OrderId, PersonId, Slot, StoreId};
use kernel::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// Where a delivery stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// The order is confirmed and not yet picked.
    Created,
    /// The goods wait for a courier.
    Unassigned,
    /// A courier is asked.
    Offered,
    /// A courier has said yes.
    Assigned,
    /// On the way to the store.
    ToPickup,
    /// In the store.
    AtPickup,
    /// The goods are with the courier.
    PickedUp,
    /// On the way to the door.
    ToDropoff,
    /// At the door.
    AtDropoff,
    /// Handed over.
    Delivered,
    /// There is nothing to deliver any more.
    Cancelled,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Unassigned => "unassigned",
            Self::Offered => "offered",
            Self::Assigned => "assigned",
            Self::ToPickup => "to-pickup",
            Self::AtPickup => "at-pickup",
            Self::PickedUp => "picked-up",
            Self::ToDropoff => "to-dropoff",
            Self::AtDropoff => "at-dropoff",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing will happen any more.
    pub(crate) fn settled(self) -> bool {
        matches!(self, Self::Delivered | Self::Cancelled)
    }

    /// Whether a courier who accepted is at it.
    pub(crate) fn active(self) -> bool {
        !matches!(self, Self::Created | Self::Unassigned | Self::Offered | Self::Delivered | Self::Cancelled)
    }

    /// The whole machine: where each state may lead.
    pub(crate) fn leads_to(self, next: Self) -> bool {
        match self {
            Self::Created => matches!(next, Self::Unassigned | Self::Cancelled),
            Self::Unassigned => matches!(next, Self::Offered | Self::Cancelled),
            Self::Offered => matches!(next, Self::Assigned | Self::Unassigned | Self::Cancelled),
            Self::Assigned => matches!(next, Self::ToPickup | Self::Cancelled),
            Self::ToPickup => matches!(next, Self::AtPickup | Self::Cancelled),
            Self::AtPickup => matches!(next, Self::PickedUp | Self::Cancelled),
            Self::PickedUp => matches!(next, Self::ToDropoff | Self::Cancelled),
            Self::ToDropoff => matches!(next, Self::AtDropoff | Self::Cancelled),
            Self::AtDropoff => matches!(next, Self::Delivered | Self::Cancelled),
            Self::Delivered | Self::Cancelled => false,
        }
    }

    /// What its courier may do with it, as the routes name it.
    pub(crate) fn moves(self) -> Vec<&'static str> {
        Move::ALL.iter().filter(|step| step.from() == self).map(|step| step.as_str()).collect()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a courier may do with a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Move {
    Accept,
    Decline,
    AtPickup,
    PickedUp,
    AtDropoff,
    Deliver,
}

impl Move {
    pub(crate) const ALL: [Self; 6] =
        [Self::Accept, Self::Decline, Self::AtPickup, Self::PickedUp, Self::AtDropoff, Self::Deliver];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Decline => "decline",
            Self::AtPickup => "at-pickup",
            Self::PickedUp => "picked-up",
            Self::AtDropoff => "at-dropoff",
            Self::Deliver => "deliver",
        }
    }

    /// The one state in which it may be made.
    pub(crate) fn from(self) -> State {
        match self {
            Self::Accept | Self::Decline => State::Offered,
            Self::AtPickup => State::ToPickup,
            Self::PickedUp => State::AtPickup,
            Self::AtDropoff => State::ToDropoff,
            Self::Deliver => State::AtDropoff,
        }
    }
}

/// Why a courier's move is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// The delivery was never this courier's.
    NotYours,
    /// It was offered to this courier, who has it no longer.
    OfferOver(State),
    /// It does not fit the state.
    Illegal(State),
    /// Too many wrong PINs were said.
    PinLocked {
        /// For how long it stays so.
        retry_after_ms: Millis,
    },
}

/// What a PIN that was said led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HandOver {
    /// It is the order's: the goods are handed over.
    Done,
    /// It is not; that has been counted.
    WrongPin,
}

/// What a cancellation led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Withdrawal {
    /// The delivery is cancelled now.
    Done,
    /// It was settled before: nothing changed.
    Nothing,
}

/// How the PIN is guarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PinRules {
    /// How many wrong ones lock it.
    pub(crate) tries_max: i64,
    /// For how long.
    pub(crate) lock_ms: Millis,
}

/// What is to be brought where; known once the order is confirmed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Errand {
    /// Where the goods are.
    pub(crate) store: StoreId,
    /// Whom the courier meets.
    pub(crate) contact: Contact,
    /// Where.
    pub(crate) address: Address,
    /// When.
    pub(crate) slot: Slot,
    /// Four digits that only the shopper knows.
    pub(crate) pin: String,
}

/// A courier as a delivery names them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) person: PersonId,
    pub(crate) name: String,
}

/// What became of an offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The courier has not answered yet.
    Open,
    /// The courier brings it.
    Accepted,
    /// The courier does not want it.
    Declined,
    /// The courier did not answer in time.
    TimedOut,
    /// It was taken back: the order ended, or the courier rides no longer.
    Withdrawn,
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

/// When a state was last entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Reached {
    pub(crate) state: State,
    pub(crate) at: Timestamp,
}

/// The delivery of one order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) order: OrderId,
    pub(crate) state: State,
    /// `None` if the order was cancelled before it was confirmed.
    pub(crate) errand: Option<Errand>,
    pub(crate) created_at: Timestamp,
    pub(crate) ready_at: Option<Timestamp>,
    /// Whom it is offered to, who brings it, or who had it at its end.
    pub(crate) courier: Option<Holder>,
    /// The latest, in their order; an accepted one is the last.
    pub(crate) offers: Vec<Offer>,
    /// How many wrong PINs were said since the last lock.
    pub(crate) wrong_pins: i64,
    pub(crate) pin_locked_until: Option<Timestamp>,
    /// Each state that it has been in, in the order in which they were last entered.
    pub(crate) history: Vec<Reached>,
}

impl Delivery {
    /// The delivery of an order that was confirmed.
    pub(crate) fn confirmed(order: OrderId, errand: Errand, now: Timestamp) -> Self {
        Self::new(order, State::Created, Some(errand), now)
    }

    /// What remains of an order that was cancelled before it was confirmed, so that a late confirmation creates nothing.
    pub(crate) fn tombstone(order: OrderId, now: Timestamp) -> Self {
        Self::new(order, State::Cancelled, None, now)
    }

    fn new(order: OrderId, state: State, errand: Option<Errand>, now: Timestamp) -> Self {
        Self {
            order,
            state,
            errand,
            created_at: now,
            ready_at: None,
            courier: None,
            offers: Vec::new(),
            wrong_pins: 0,
            pin_locked_until: None,
            history: vec![Reached { state, at: now }],
        }
    }

    /// Where the goods are, if that is known.
    pub(crate) fn store(&self) -> Option<StoreId> {
        self.errand.as_ref().map(|errand| errand.store)
    }

    /// Whom it is offered to or who brings it now.
    pub(crate) fn holder(&self) -> Option<PersonId> {
        let held = self.state == State::Offered || self.state.active();
        self.courier.as_ref().filter(|_| held).map(|courier| courier.person)
    }

    /// The offer that waits for an answer.
    pub(crate) fn open_offer(&self) -> Option<&Offer> {
        self.offers.last().filter(|offer| offer.outcome == Outcome::Open)
    }

    /// How many offers were accepted: one at most.
    pub(crate) fn accepted(&self) -> i64 {
        self.offers.iter().map(|offer| i64::from(offer.outcome == Outcome::Accepted)).sum()
    }

    /// Whether `courier` declined it or let its offer lapse, less than `within_ms` before `now`.
    pub(crate) fn refused_by(&self, courier: PersonId, now: Timestamp, within_ms: Millis) -> bool {
        self.offers.iter().any(|offer| {
            let refused = matches!(offer.outcome, Outcome::Declined | Outcome::TimedOut);
            refused && offer.courier == courier && offer.ended_at.is_some_and(|ended| now.since_ms(ended) < within_ms)
        })
    }

    /// The goods are picked; says whether that is news.
    pub(crate) fn make_ready(&mut self, now: Timestamp) -> bool {
        if self.state != State::Created {
            return false;
        }
        self.ready_at = Some(now);
        self.enter(State::Unassigned, now);
        true
    }

    /// Offers it to `to` until `until`; refused unless it waits for a courier.
    pub(crate) fn offer(&mut self, to: Holder, now: Timestamp, until: Timestamp, offers_kept_max: usize) -> Result<(), Refusal> {
        if self.state != State::Unassigned {
            return Err(Refusal::Illegal(self.state));
        }
        let surplus = (self.offers.len() + 1).saturating_sub(offers_kept_max);
        self.offers.drain(..surplus);
        self.offers.push(Offer { courier: to.person, offered_at: now, until, outcome: Outcome::Open, ended_at: None });
        self.courier = Some(to);
        self.enter(State::Offered, now);
        Ok(())
    }

    /// `courier` will not have it, for the reason that `outcome` says.
    pub(crate) fn give_back(&mut self, courier: PersonId, outcome: Outcome, now: Timestamp) -> Result<(), Refusal> {
        self.check(courier, Move::Decline)?;
        self.end_offer(outcome, now);
        self.courier = None;
        self.enter(State::Unassigned, now);
        Ok(())
    }

    /// `courier` says yes and is on the way.
    pub(crate) fn accept(&mut self, courier: PersonId, now: Timestamp) -> Result<(), Refusal> {
        self.check(courier, Move::Accept)?;
        self.end_offer(Outcome::Accepted, now);
        self.enter(State::Assigned, now);
        self.enter(State::ToPickup, now);
        Ok(())
    }

    /// `courier` is in the store.
    pub(crate) fn reach_pickup(&mut self, courier: PersonId, now: Timestamp) -> Result<(), Refusal> {
        self.check(courier, Move::AtPickup)?;
        self.enter(State::AtPickup, now);
        Ok(())
    }

    /// `courier` has the goods and is on the way.
    pub(crate) fn pick_up(&mut self, courier: PersonId, now: Timestamp) -> Result<(), Refusal> {
        self.check(courier, Move::PickedUp)?;
        self.enter(State::PickedUp, now);
        self.enter(State::ToDropoff, now);
        Ok(())
    }

    /// `courier` is at the door.
    pub(crate) fn reach_dropoff(&mut self, courier: PersonId, now: Timestamp) -> Result<(), Refusal> {
        self.check(courier, Move::AtDropoff)?;
        self.enter(State::AtDropoff, now);
        Ok(())
    }

    /// `courier` says what the shopper said; a wrong PIN is counted, and after too many none is taken for a while.
    pub(crate) fn hand_over(
        &mut self,
        courier: PersonId,
        pin: &str,
        now: Timestamp,
        rules: PinRules,
    ) -> Result<HandOver, Refusal> {
        self.check(courier, Move::Deliver)?;
        if let Some(until) = self.pin_locked_until.filter(|until| *until > now) {
            return Err(Refusal::PinLocked { retry_after_ms: until.since_ms(now).max(1) });
        }
        self.pin_locked_until = None;
        if self.errand.as_ref().is_some_and(|errand| errand.pin == pin) {
            self.wrong_pins = 0;
            self.enter(State::Delivered, now);
            return Ok(HandOver::Done);
        }
        self.wrong_pins += 1;
        if self.wrong_pins >= rules.tries_max {
            self.wrong_pins = 0;
            self.pin_locked_until = Some(now.plus_ms(rules.lock_ms));
        }
        Ok(HandOver::WrongPin)
    }

    /// A dispatcher lets the PIN be tried again.
    pub(crate) fn unlock_pin(&mut self) {
        self.wrong_pins = 0;
        self.pin_locked_until = None;
    }

    /// The order ends. What has been handed over stays so.
    pub(crate) fn cancel(&mut self, now: Timestamp) -> Withdrawal {
        if self.state.settled() {
            return Withdrawal::Nothing;
        }
        if self.state == State::Offered {
            self.end_offer(Outcome::Withdrawn, now);
        }
        self.enter(State::Cancelled, now);
        Withdrawal::Done
    }

    /// Whether `courier` may make this move now.
    fn check(&self, courier: PersonId, step: Move) -> Result<(), Refusal> {
        let theirs = self.courier.as_ref().is_some_and(|holder| holder.person == courier);
        let was_asked = self.offers.iter().any(|offer| offer.courier == courier);
        match (theirs, was_asked) {
            (true, _) if self.state == step.from() => Ok(()),
            (true, _) => Err(Refusal::Illegal(self.state)),
            (false, true) => Err(Refusal::OfferOver(self.state)),
            (false, false) => Err(Refusal::NotYours),
        }
    }

    fn end_offer(&mut self, outcome: Outcome, now: Timestamp) {
        let offer = self.offers.last_mut().filter(|offer| offer.outcome == Outcome::Open);
        let offer = offer.expect("what is offered has an open offer");
        offer.outcome = outcome;
        offer.ended_at = Some(now);
    }

    fn enter(&mut self, next: State, now: Timestamp) {
        assert!(self.state.leads_to(next), "a delivery cannot go from {} to {next}", self.state);
        self.state = next;
        // A delivery may be offered many times: only the last time in each state is kept.
        self.history.retain(|reached| reached.state != next);
        self.history.push(Reached { state: next, at: now });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use contracts::{Point, SlotKey};
    use kernel::{Bucket, Draw, Id};

    use super::*;

    pub(crate) const RULES: PinRules = PinRules { tries_max: 5, lock_ms: 60_000 };

    pub(crate) fn id(seed: u64) -> Id {
        Id::new(Timestamp::from_millis(1), Bucket(3), &mut Draw::seeded(seed))
    }

    pub(crate) fn person(seed: u64) -> PersonId {
        PersonId(id(1000 + seed))
    }

    pub(crate) fn at(ms: Millis) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    pub(crate) fn errand(store: StoreId) -> Errand {
        Errand {
            store,
            contact: Contact { name: "Ada".into(), email: "ada@example.test".into(), phone: String::new() },
            address: Address { street: "1 Main St".into(), note: String::new(), point: Point { lat: 33.7, lon: -84.3 } },
            slot: Slot { starts_at: SlotKey(at(0)), ends_at: at(3_600_000), cutoff_at: at(0) },
            pin: "0042".into(),
        }
    }

    pub(crate) fn delivery(seed: u64) -> Delivery {
        Delivery::confirmed(OrderId(id(seed)), errand(StoreId(id(1))), at(0))
    }

    fn holder(seed: u64) -> Holder {
        Holder { person: person(seed), name: "Rider".into() }
    }

    fn offered(to: u64) -> Delivery {
        let mut delivery = delivery(7);
        assert!(delivery.make_ready(at(1)));
        delivery.offer(holder(to), at(2), at(30_002), 3).unwrap();
        delivery
    }

    fn at_dropoff() -> Delivery {
        let mut delivery = offered(1);
        delivery.accept(person(1), at(3)).unwrap();
        delivery.reach_pickup(person(1), at(4)).unwrap();
        delivery.pick_up(person(1), at(5)).unwrap();
        delivery.reach_dropoff(person(1), at(6)).unwrap();
        delivery
    }

    #[test]
    fn the_straight_way_passes_every_state() {
        let mut delivery = at_dropoff();
        assert_eq!(delivery.hand_over(person(1), "0042", at(7), RULES), Ok(HandOver::Done));
        let passed: Vec<&str> = delivery.history.iter().map(|reached| reached.state.as_str()).collect();
        let expected = [
            "created",
            "unassigned",
            "offered",
            "assigned",
            "to-pickup",
            "at-pickup",
            "picked-up",
            "to-dropoff",
            "at-dropoff",
            "delivered",
        ];
        assert_eq!(passed, expected);
        assert_eq!((delivery.accepted(), delivery.holder()), (1, None));
    }

    #[test]
    fn each_move_is_legal_in_one_state_only() {
        let by_state = |state| {
            let mut one = offered(1);
            one.state = state;
            one
        };
        for state in [State::Created, State::Unassigned, State::ToPickup, State::AtPickup, State::ToDropoff, State::AtDropoff] {
            for step in Move::ALL {
                let check = by_state(state).check(person(1), step);
                let expected = if step.from() == state { Ok(()) } else { Err(Refusal::Illegal(state)) };
                assert_eq!(check, expected, "{} in {state}", step.as_str());
            }
        }
        assert_eq!(State::Offered.moves(), ["accept", "decline"]);
        assert_eq!(State::AtDropoff.moves(), ["deliver"]);
        assert!(State::Delivered.moves().is_empty() && State::Unassigned.moves().is_empty());
    }

    #[test]
    fn only_whom_it_is_offered_to_may_accept() {
        let mut delivery = offered(1);
        assert_eq!(delivery.accept(person(2), at(3)), Err(Refusal::NotYours));
        assert_eq!(delivery.offer(holder(2), at(3), at(30_003), 3), Err(Refusal::Illegal(State::Offered)));
        delivery.give_back(person(1), Outcome::TimedOut, at(4)).unwrap();
        assert_eq!(delivery.accept(person(1), at(5)), Err(Refusal::OfferOver(State::Unassigned)));
        delivery.offer(holder(2), at(6), at(30_006), 3).unwrap();
        assert_eq!(delivery.accept(person(1), at(7)), Err(Refusal::OfferOver(State::Offered)));
        assert_eq!(delivery.accept(person(2), at(7)), Ok(()));
        assert_eq!(delivery.accept(person(2), at(8)), Err(Refusal::Illegal(State::ToPickup)));
        assert_eq!(delivery.accepted(), 1);
    }

    #[test]
    fn a_refusal_is_remembered_for_a_while_and_offers_are_bounded() {
        let mut delivery = offered(1);
        delivery.give_back(person(1), Outcome::Declined, at(10)).unwrap();
        assert!(delivery.refused_by(person(1), at(10 + 999), 1000));
        assert!(!delivery.refused_by(person(1), at(10 + 1000), 1000));
        assert!(!delivery.refused_by(person(2), at(11), 1000));
        for round in 0..10 {
            delivery.offer(holder(2), at(20 + round), at(50), 3).unwrap();
            delivery.give_back(person(2), Outcome::Withdrawn, at(20 + round)).unwrap();
        }
        assert_eq!(delivery.offers.len(), 3);
        assert!(!delivery.refused_by(person(2), at(40), 1000), "what was taken back was not refused");
    }

    #[test]
    fn too_many_wrong_pins_lock_for_a_while() {
        let mut delivery = at_dropoff();
        for _ in 0..5 {
            assert_eq!(delivery.hand_over(person(1), "0000", at(10), RULES), Ok(HandOver::WrongPin));
        }
        let locked = Refusal::PinLocked { retry_after_ms: 60_000 };
        assert_eq!(delivery.hand_over(person(1), "0042", at(10), RULES), Err(locked));
        let mut unlocked = delivery.clone();
        unlocked.unlock_pin();
        assert_eq!(unlocked.hand_over(person(1), "0042", at(11), RULES), Ok(HandOver::Done));
        assert_eq!(delivery.hand_over(person(1), "1111", at(60_010), RULES), Ok(HandOver::WrongPin));
        assert_eq!(delivery.hand_over(person(1), "0042", at(60_011), RULES), Ok(HandOver::Done));
    }

    #[test]
    fn what_is_settled_stays_so() {
        let mut delivered = at_dropoff();
        delivered.hand_over(person(1), "0042", at(7), RULES).unwrap();
        let mut cancelled = offered(1);
        assert_eq!(cancelled.cancel(at(8)), Withdrawal::Done);
        for settled in [&mut delivered, &mut cancelled, &mut Delivery::tombstone(OrderId(id(9)), at(0))] {
            let before = settled.clone();
            assert_eq!(settled.cancel(at(9)), Withdrawal::Nothing);
            assert!(!settled.make_ready(at(9)));
            assert!(settled.offer(holder(2), at(9), at(10), 3).is_err());
            assert_eq!(*settled, before);
        }
    }
}
