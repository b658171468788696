//! One delivery: what is to be brought where, who is at it, how far it is, its PIN and its history; each move of it.
//! Leaves the machine to `state`, offers to `offers`, and the courier's side of each move to `assignment`.

use contracts::delivery::FailureReason;
use contracts::orders::Contact;
use contracts::{Address, OrderId, PersonId, Slot, StoreId};
use kernel::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

use super::offers::{Offers, Outcome};
use super::state::{Goods, Move, State};
use super::turn::{By, Turn, Why};

/// How many steps of its history a delivery keeps: a bound for couriers who come and go, never reached by a sound one.
const HISTORY_MAX: usize = 200;

/// Why a move is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// The delivery was never this courier's.
    NotYours,
    /// It was offered to this courier, who has it no longer.
    OfferOver(State),
    /// It does not fit the state; what would.
    Illegal(State, Vec<&'static str>),
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

/// What the end of an order found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Withdrawal {
    /// There is nothing to deliver any more, and the goods are in the store.
    Done,
    /// The courier brings the goods back.
    UnderWay,
    /// They were handed over before.
    TooLate,
}

/// What a further try to deliver begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Again {
    /// The courier still has the goods and goes to the door once more.
    OnTheWay,
    /// Another courier is looked for, now or once the goods are back.
    Waiting,
    /// It is no news.
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

/// For what a delivery waits with a clock running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waiting {
    Answer,
    Courier,
    Pickup,
    Dropoff,
    Return,
}

impl Waiting {
    pub(crate) const ALL: [Self; 5] = [Self::Answer, Self::Courier, Self::Pickup, Self::Dropoff, Self::Return];

    /// The timer that ends it; its subject is the order.
    pub(crate) fn timer(self) -> &'static str {
        match self {
            Self::Answer => "offer-timeout",
            Self::Courier => "no-courier",
            Self::Pickup => "pickup-timeout",
            Self::Dropoff => "dropoff-timeout",
            Self::Return => "return-overdue",
        }
    }
}

/// What is to be brought where; known once the order is confirmed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Errand {
    /// Where the goods come from.
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

/// When a state was entered, by whom and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Reached {
    pub(crate) state: State,
    pub(crate) at: Timestamp,
    /// Not kept of what is older than the keeping.
    #[serde(default)]
    pub(crate) by: Option<By>,
    /// A word for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What a person added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

impl Reached {
    fn new(state: State, why: Why<'_>, now: Timestamp, by: By) -> Self {
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Self { state, at: now, by: Some(by), reason: said(why.reason), note: said(why.note) }
    }
}

/// That the order is to end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Recall {
    /// As orders names it.
    pub(crate) reason: String,
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
    /// Since when, in this try, the goods wait in the store or have waited there.
    pub(crate) ready_at: Option<Timestamp>,
    /// Whom it is offered to, who brings it or has its goods, or who had it at its end.
    pub(crate) courier: Option<Holder>,
    pub(crate) offers: Offers,
    /// How many wrong PINs were said since the last lock.
    pub(crate) wrong_pins: i64,
    pub(crate) pin_locked_until: Option<Timestamp>,
    /// The how-manieth try to deliver this is.
    #[serde(default = "first_attempt")]
    pub(crate) attempt: i64,
    /// The try that is to begin once the goods are back.
    #[serde(default)]
    pub(crate) again: Option<i64>,
    /// Set once the order is to end.
    #[serde(default)]
    pub(crate) recalled: Option<Recall>,
    /// Until when the present state may last; while it is offered, until when somebody must have accepted.
    #[serde(default)]
    pub(crate) due_at: Option<Timestamp>,
    /// How often the goods, on their way back, were found to be late.
    #[serde(default)]
    pub(crate) overdue: i64,
    /// Its states in their order. Of offers that came to nothing only `offers` tells.
    pub(crate) history: Vec<Reached>,
}

fn first_attempt() -> i64 {
    1
}

impl Delivery {
    /// The delivery of an order that was confirmed.
    pub(crate) fn confirmed(order: OrderId, errand: Errand, now: Timestamp) -> Self {
        Self::new(order, State::Created, Some(errand), Why::NONE, now)
    }

    /// What remains of an order that was cancelled before it was confirmed, so that a late confirmation creates nothing.
    pub(crate) fn tombstone(order: OrderId, reason: &str, now: Timestamp) -> Self {
        Self::new(order, State::Cancelled, None, Why::of(reason), now)
    }

    fn new(order: OrderId, state: State, errand: Option<Errand>, why: Why<'_>, now: Timestamp) -> Self {
        Self {
            order,
            state,
            errand,
            created_at: now,
            ready_at: None,
            courier: None,
            offers: Offers::default(),
            wrong_pins: 0,
            pin_locked_until: None,
            attempt: first_attempt(),
            again: None,
            recalled: None,
            due_at: None,
            overdue: 0,
            history: vec![Reached::new(state, why, now, By::ORDERS)],
        }
    }

    /// Where the goods come from, if that is known.
    pub(crate) fn store(&self) -> Option<StoreId> {
        self.errand.as_ref().map(|errand| errand.store)
    }

    /// Who has the goods. What failed before anybody fetched it has no courier.
    pub(crate) fn goods(&self) -> Goods {
        match self.state {
            State::Delivered => Goods::Shopper,
            State::Returning => Goods::Courier,
            State::Failed if self.courier.is_some() => Goods::Courier,
            state if state.is_on_the_way() => Goods::Courier,
            _ => Goods::Store,
        }
    }

    /// Whom it is offered to, who brings it, or who has its goods.
    pub(crate) fn holder(&self) -> Option<PersonId> {
        let held = self.state == State::Offered || self.state.is_before_pickup() || self.goods() == Goods::Courier;
        self.courier.as_ref().filter(|_| held).map(|courier| courier.person)
    }

    /// Whether nothing will happen any more.
    pub(crate) fn is_settled(&self) -> bool {
        match self.state {
            State::Delivered | State::Cancelled => true,
            State::Returned => self.recalled.is_some(),
            _ => false,
        }
    }

    /// What of `moves` would be legal now.
    pub(crate) fn legal(&self, moves: &[Move]) -> Vec<&'static str> {
        moves.iter().filter(|step| step.is_legal(self.state, self.goods())).map(|step| step.as_str()).collect()
    }

    /// For what it waits, and until when.
    pub(crate) fn waits(&self) -> Option<(Waiting, Timestamp)> {
        let waiting = match self.state {
            State::Offered => return self.offers.open().map(|offer| (Waiting::Answer, offer.until)),
            State::Unassigned => Waiting::Courier,
            State::Returning => Waiting::Return,
            state if state.is_before_pickup() => Waiting::Pickup,
            state if state.is_on_the_way() => Waiting::Dropoff,
            _ => return None,
        };
        self.due_at.map(|until| (waiting, until))
    }

    /// Whether it waits for a courier, and not for too long already.
    pub(crate) fn may_be_offered(&self, now: Timestamp) -> bool {
        self.state == State::Unassigned && self.due_at.is_none_or(|due_at| due_at > now)
    }

    /// The goods are picked; says whether that is news.
    pub(crate) fn make_ready(&mut self, turn: &Turn) -> bool {
        let news = self.state == State::Created;
        if news {
            self.wait_for_courier(Why::NONE, turn);
        }
        news
    }

    /// Offers it to `to` until `until`; refused unless it waits for a courier.
    pub(crate) fn offer(&mut self, to: Holder, until: Timestamp, offers_kept_max: usize, turn: &Turn) -> Result<(), Refusal> {
        if !self.may_be_offered(turn.now) {
            return Err(Refusal::Illegal(self.state, Vec::new()));
        }
        self.offers.ask(to.person, turn.now, until, offers_kept_max);
        self.courier = Some(to);
        self.enter(State::Offered, Why::NONE, turn);
        Ok(())
    }

    /// Whoever it is offered to will not have it, for the reason that `outcome` says.
    pub(crate) fn give_back(&mut self, outcome: Outcome, turn: &Turn) -> Result<(), Refusal> {
        self.check(Move::Decline, turn.by)?;
        self.offers.end(outcome, turn.now);
        self.courier = None;
        // It waits as it did before it was offered, and for no longer.
        self.state = State::Unassigned;
        self.history.pop();
        Ok(())
    }

    /// The courier says yes and is on the way.
    pub(crate) fn accept(&mut self, turn: &Turn) -> Result<(), Refusal> {
        self.check(Move::Accept, turn.by)?;
        self.offers.end(Outcome::Accepted, turn.now);
        self.enter(State::Assigned, Why::NONE, turn);
        self.enter(State::ToPickup, Why::NONE, turn);
        Ok(())
    }

    /// The courier is in the store.
    pub(crate) fn reach_pickup(&mut self, turn: &Turn) -> Result<(), Refusal> {
        self.check(Move::AtPickup, turn.by)?;
        self.enter(State::AtPickup, Why::NONE, turn);
        Ok(())
    }

    /// The courier has the goods and is on the way.
    pub(crate) fn pick_up(&mut self, turn: &Turn) -> Result<(), Refusal> {
        self.check(Move::PickedUp, turn.by)?;
        self.enter(State::PickedUp, Why::NONE, turn);
        self.enter(State::ToDropoff, Why::NONE, turn);
        Ok(())
    }

    /// The courier is at the door.
    pub(crate) fn reach_dropoff(&mut self, turn: &Turn) -> Result<(), Refusal> {
        self.check(Move::AtDropoff, turn.by)?;
        self.enter(State::AtDropoff, Why::NONE, turn);
        Ok(())
    }

    /// The courier says what the shopper said; a wrong PIN is counted, and after too many none is taken for a while.
    pub(crate) fn hand_over(&mut self, pin: &str, rules: PinRules, turn: &Turn) -> Result<HandOver, Refusal> {
        self.check(Move::Deliver, turn.by)?;
        if let Some(until) = self.pin_locked_until.filter(|until| *until > turn.now) {
            return Err(Refusal::PinLocked { retry_after_ms: until.since_ms(turn.now).max(1) });
        }
        self.pin_locked_until = None;
        if self.errand.as_ref().is_some_and(|errand| errand.pin == pin) {
            self.wrong_pins = 0;
            self.enter(State::Delivered, Why::NONE, turn);
            return Ok(HandOver::Done);
        }
        self.wrong_pins += 1;
        if self.wrong_pins >= rules.tries_max {
            self.wrong_pins = 0;
            self.pin_locked_until = Some(turn.now.plus_ms(rules.lock_ms));
        }
        Ok(HandOver::WrongPin)
    }

    /// A dispatcher lets the PIN be tried again.
    pub(crate) fn unlock_pin(&mut self) {
        self.wrong_pins = 0;
        self.pin_locked_until = None;
    }

    /// Its courier will not fetch it; `step` is how whoever makes the move calls it.
    pub(crate) fn lose_courier(&mut self, step: Move, outcome: Outcome, why: Why<'_>, turn: &Turn) -> Result<(), Refusal> {
        self.check(step, turn.by)?;
        self.offers.end(outcome, turn.now);
        self.wait_for_courier(why, turn);
        Ok(())
    }

    /// It cannot be handed over; the courier still has the goods.
    pub(crate) fn fail(&mut self, reason: FailureReason, note: &str, turn: &Turn) -> Result<(), Refusal> {
        self.check(Move::Fail, turn.by)?;
        self.enter(State::Failed, Why { reason: reason.as_str(), note }, turn);
        Ok(())
    }

    /// No courier has taken it in time; the goods are still in the store.
    pub(crate) fn find_nobody(&mut self, turn: &Turn) {
        self.enter(State::Failed, Why::of(FailureReason::NoCourier.as_str()), turn);
    }

    /// The courier brings the goods of a failed delivery back.
    pub(crate) fn turn_back(&mut self, turn: &Turn) -> Result<(), Refusal> {
        self.check(Move::Return, turn.by)?;
        self.bring_back(Why::of("turned-back"), turn);
        Ok(())
    }

    /// The goods should have been back by now.
    pub(crate) fn be_overdue(&mut self, turn: &Turn) {
        self.overdue += 1;
        self.due_at = Some(turn.now.plus_ms(turn.deadlines.return_ttl_ms));
    }

    /// The goods are back in the store. If another try was asked for, it begins.
    pub(crate) fn take_in(&mut self, turn: &Turn) -> Result<(), Refusal> {
        self.check(Move::Returned, turn.by)?;
        if self.state == State::Failed {
            self.bring_back(Why::NONE, turn);
        }
        self.offers.end(Outcome::Returned, turn.now);
        self.enter(State::Returned, Why::NONE, turn);
        if let Some(attempt) = self.again.take() {
            self.begin_again(attempt, &Turn { by: By::ORDERS, ..*turn });
        }
        Ok(())
    }

    /// The order is to end: at once if the goods are in the store, else when they are back. What was handed over stays so.
    pub(crate) fn recall(&mut self, reason: &str, turn: &Turn) -> Withdrawal {
        match self.state {
            State::Delivered => return Withdrawal::TooLate,
            State::Cancelled => return Withdrawal::Done,
            _ => {}
        }
        self.again = None;
        self.recalled.get_or_insert_with(|| Recall { reason: reason.to_owned(), at: turn.now });
        match (self.state, self.goods()) {
            (State::Returned, _) => Withdrawal::Done,
            (State::Returning, _) => Withdrawal::UnderWay,
            (_, Goods::Courier) => {
                self.bring_back(Why::of(reason), turn);
                Withdrawal::UnderWay
            }
            _ => {
                self.offers.end(Outcome::Withdrawn, turn.now);
                self.enter(State::Cancelled, Why::of(reason), turn);
                Withdrawal::Done
            }
        }
    }

    /// Orders wants it tried once more. `courier_rides` says whether whoever has the goods could bring them: if not, the goods
    /// come back first.
    pub(crate) fn try_again(&mut self, attempt: i64, courier_rides: bool, turn: &Turn) -> Again {
        if attempt <= self.attempt || self.recalled.is_some() {
            return Again::Nothing;
        }
        match (self.state, self.goods()) {
            (State::Failed, Goods::Courier) if courier_rides => {
                self.attempt = attempt;
                self.enter(State::ToDropoff, Why::of("again"), turn);
                return Again::OnTheWay;
            }
            (State::Failed, Goods::Courier) => {
                self.again = Some(attempt);
                self.bring_back(Why::of("again"), turn);
            }
            (State::Failed | State::Returned, _) => self.begin_again(attempt, turn),
            (State::Returning, _) if self.again != Some(attempt) => self.again = Some(attempt),
            _ => return Again::Nothing,
        }
        Again::Waiting
    }

    /// Whether whoever makes the move `step` may make it now.
    fn check(&self, step: Move, by: By) -> Result<(), Refusal> {
        if let Some(courier) = by.as_courier() {
            let theirs = self.courier.as_ref().is_some_and(|holder| holder.person == courier);
            match (theirs, self.offers.asked(courier)) {
                (true, _) => {}
                (false, true) => return Err(Refusal::OfferOver(self.state)),
                (false, false) => return Err(Refusal::NotYours),
            }
        }
        if step.is_legal(self.state, self.goods()) {
            return Ok(());
        }
        Err(Refusal::Illegal(self.state, self.legal(by.moves())))
    }

    fn begin_again(&mut self, attempt: i64, turn: &Turn) {
        self.attempt = attempt;
        self.wait_for_courier(Why::of("again"), turn);
        self.ready_at = Some(turn.now);
    }

    fn wait_for_courier(&mut self, why: Why<'_>, turn: &Turn) {
        self.courier = None;
        self.ready_at.get_or_insert(turn.now);
        self.enter(State::Unassigned, why, turn);
    }

    fn bring_back(&mut self, why: Why<'_>, turn: &Turn) {
        self.overdue = 0;
        self.enter(State::Returning, why, turn);
    }

    fn enter(&mut self, next: State, why: Why<'_>, turn: &Turn) {
        assert!(self.state.next().contains(&next), "a delivery cannot go from {} to {next}", self.state);
        self.state = next;
        self.due_at = self.due_at_of(next, turn);
        if self.history.len() >= HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push(Reached::new(next, why, turn.now, turn.by));
    }

    fn due_at_of(&self, state: State, turn: &Turn) -> Option<Timestamp> {
        let Turn { now, deadlines, .. } = turn;
        match state {
            // The offer has its own clock, and that of the delivery goes on behind it.
            State::Offered => self.due_at,
            State::Unassigned => {
                let slot_ends = self.errand.as_ref().map_or(*now, |errand| errand.slot.ends_at);
                Some(slot_ends.max(*now).plus_ms(deadlines.no_courier_after_ms))
            }
            State::Returning => Some(now.plus_ms(deadlines.return_ttl_ms)),
            state if state.is_before_pickup() => Some(now.plus_ms(deadlines.pickup_ttl_ms)),
            state if state.is_on_the_way() => Some(now.plus_ms(deadlines.dropoff_ttl_ms)),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use contracts::{Point, SlotKey};
    use kernel::{Bucket, Draw, Id};

    use super::*;
    use crate::domain::turn::{Deadlines, Part};

    pub(crate) const RULES: PinRules = PinRules { tries_max: 5, lock_ms: 60_000 };
    pub(crate) const DEADLINES: Deadlines =
        Deadlines { pickup_ttl_ms: 100_000, dropoff_ttl_ms: 200_000, return_ttl_ms: 300_000, no_courier_after_ms: 400_000 };
    /// When the slot of each delivery here ends.
    const SLOT_ENDS_MS: Millis = 3_600_000;

    pub(crate) fn id(seed: u64) -> Id {
        Id::new(Timestamp::from_millis(1), Bucket(3), &mut Draw::seeded(seed))
    }

    pub(crate) fn person(seed: u64) -> PersonId {
        PersonId(id(1000 + seed))
    }

    pub(crate) fn at(ms: Millis) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    pub(crate) fn turn(by: By, ms: Millis) -> Turn {
        Turn { now: at(ms), by, deadlines: DEADLINES }
    }

    pub(crate) fn rider(seed: u64, ms: Millis) -> Turn {
        turn(By::courier(person(seed)), ms)
    }

    pub(crate) fn staff(ms: Millis) -> Turn {
        turn(By { role: Part::Dispatcher, person: Some(person(99)) }, ms)
    }

    pub(crate) fn errand(store: StoreId) -> Errand {
        Errand {
            store,
            contact: Contact { name: "Ada".into(), email: "ada@example.test".into(), phone: String::new() },
            address: Address { street: "1 Main St".into(), note: String::new(), point: Point { lat: 33.7, lon: -84.3 } },
            slot: Slot { starts_at: SlotKey(at(0)), ends_at: at(SLOT_ENDS_MS), cutoff_at: at(0) },
            pin: "0042".into(),
        }
    }

    pub(crate) fn delivery(seed: u64) -> Delivery {
        Delivery::confirmed(OrderId(id(seed)), errand(StoreId(id(1))), at(0))
    }

    pub(crate) fn offer_to(delivery: &mut Delivery, to: u64, ms: Millis) -> Result<(), Refusal> {
        let holder = Holder { person: person(to), name: "Rider".into() };
        delivery.offer(holder, at(ms + 30_000), 3, &turn(By::DELIVERY, ms))
    }

    fn offered(to: u64) -> Delivery {
        let mut delivery = delivery(7);
        assert!(delivery.make_ready(&turn(By::ORDERS, 1)));
        offer_to(&mut delivery, to, 2).unwrap();
        delivery
    }

    fn to_pickup() -> Delivery {
        let mut delivery = offered(1);
        delivery.accept(&rider(1, 3)).unwrap();
        delivery
    }

    fn to_dropoff() -> Delivery {
        let mut delivery = to_pickup();
        delivery.reach_pickup(&rider(1, 4)).unwrap();
        delivery.pick_up(&rider(1, 5)).unwrap();
        delivery
    }

    fn at_dropoff() -> Delivery {
        let mut delivery = to_dropoff();
        delivery.reach_dropoff(&rider(1, 6)).unwrap();
        delivery
    }

    fn failed() -> Delivery {
        let mut delivery = at_dropoff();
        delivery.fail(FailureReason::NobodyHome, "rang twice", &rider(1, 7)).unwrap();
        delivery
    }

    fn illegal(state: State, legal: &[&'static str]) -> Refusal {
        Refusal::Illegal(state, legal.to_vec())
    }

    fn passed(delivery: &Delivery) -> Vec<&'static str> {
        delivery.history.iter().map(|reached| reached.state.as_str()).collect()
    }

    #[test]
    fn the_straight_way_passes_every_state() {
        let mut delivery = at_dropoff();
        assert_eq!(delivery.hand_over("0042", RULES, &rider(1, 7)), Ok(HandOver::Done));
        let expected = "created unassigned offered assigned to-pickup at-pickup picked-up to-dropoff at-dropoff delivered";
        assert_eq!(passed(&delivery).join(" "), expected);
        assert_eq!((delivery.offers.accepted(), delivery.holder(), delivery.goods()), (1, None, Goods::Shopper));
    }

    #[test]
    fn only_whom_it_is_offered_to_may_accept() {
        let mut delivery = offered(1);
        assert_eq!(delivery.accept(&rider(2, 3)), Err(Refusal::NotYours));
        assert_eq!(offer_to(&mut delivery, 2, 3), Err(illegal(State::Offered, &[])));
        delivery.give_back(Outcome::TimedOut, &turn(By::DELIVERY, 4)).unwrap();
        assert_eq!(delivery.accept(&rider(1, 5)), Err(Refusal::OfferOver(State::Unassigned)));
        offer_to(&mut delivery, 2, 6).unwrap();
        assert_eq!(delivery.accept(&rider(1, 7)), Err(Refusal::OfferOver(State::Offered)));
        assert_eq!(delivery.accept(&rider(2, 7)), Ok(()));
        assert_eq!(delivery.accept(&rider(2, 8)), Err(illegal(State::ToPickup, &["at-pickup", "drop"])));
        assert_eq!(delivery.offers.accepted(), 1);
        assert_eq!(passed(&delivery), ["created", "unassigned", "offered", "assigned", "to-pickup"]);
    }

    #[test]
    fn who_drops_out_has_it_no_longer_and_the_next_may_accept() {
        let mut delivery = to_pickup();
        let why = Why { reason: "courier-dropped-out", note: "flat tyre" };
        delivery.lose_courier(Move::Drop, Outcome::Dropped, why, &rider(1, 4)).unwrap();
        assert_eq!((delivery.state, delivery.holder(), delivery.offers.accepted()), (State::Unassigned, None, 0));
        assert_eq!(delivery.reach_pickup(&rider(1, 5)), Err(Refusal::OfferOver(State::Unassigned)));
        let last = delivery.history.last().unwrap();
        assert_eq!((last.reason.as_deref(), last.note.as_deref()), (Some("courier-dropped-out"), Some("flat tyre")));
        assert_eq!(last.by.unwrap().person, Some(person(1)));
        offer_to(&mut delivery, 2, 6).unwrap();
        delivery.accept(&rider(2, 7)).unwrap();
        assert_eq!((delivery.offers.accepted(), delivery.attempt), (1, 1), "it was not tried yet");
        let withdrawn = delivery.lose_courier(Move::Withdraw, Outcome::Withdrawn, Why::of("withdrawn"), &staff(8));
        assert_eq!((withdrawn, delivery.state), (Ok(()), State::Unassigned));
        let refused = at_dropoff().lose_courier(Move::Withdraw, Outcome::Withdrawn, Why::of("withdrawn"), &staff(8));
        assert_eq!(refused, Err(illegal(State::AtDropoff, &["fail"])));
    }

    #[test]
    fn what_failed_is_tried_again_by_who_has_it() {
        let mut delivery = failed();
        assert_eq!((delivery.holder(), delivery.goods(), delivery.waits()), (Some(person(1)), Goods::Courier, None));
        assert_eq!(delivery.try_again(1, true, &turn(By::ORDERS, 8)), Again::Nothing, "an old try");
        assert_eq!(delivery.try_again(2, true, &turn(By::ORDERS, 8)), Again::OnTheWay);
        assert_eq!(delivery.try_again(2, true, &turn(By::ORDERS, 9)), Again::Nothing, "said twice");
        delivery.reach_dropoff(&rider(1, 10)).unwrap();
        assert_eq!(delivery.hand_over("0042", RULES, &rider(1, 11)), Ok(HandOver::Done));
        assert_eq!((delivery.attempt, delivery.offers.accepted()), (2, 1));
    }

    #[test]
    fn goods_that_are_back_go_out_with_another_or_are_kept() {
        let mut delivery = failed();
        delivery.turn_back(&rider(1, 8)).unwrap();
        assert_eq!(delivery.reach_dropoff(&rider(1, 9)), Err(illegal(State::Returning, &["returned"])));
        delivery.take_in(&staff(10)).unwrap();
        assert_eq!((delivery.state, delivery.holder(), delivery.offers.accepted()), (State::Returned, None, 0));
        assert!(!delivery.is_settled());
        let mut kept = delivery.clone();
        assert_eq!(kept.recall("gave-up", &turn(By::ORDERS, 11)), Withdrawal::Done);
        assert!(kept.is_settled());
        assert_eq!(kept.try_again(2, false, &turn(By::ORDERS, 12)), Again::Nothing);
        assert_eq!(delivery.try_again(2, false, &turn(By::ORDERS, 12)), Again::Waiting);
        assert_eq!((delivery.state, delivery.attempt, delivery.ready_at), (State::Unassigned, 2, Some(at(12))));
    }

    #[test]
    fn a_courier_who_cannot_go_on_brings_the_goods_back_before_the_next_try() {
        let mut delivery = failed();
        assert_eq!(delivery.try_again(2, false, &turn(By::ORDERS, 8)), Again::Waiting);
        assert_eq!((delivery.state, delivery.attempt), (State::Returning, 1));
        let before = delivery.clone();
        assert_eq!(delivery.try_again(2, false, &turn(By::ORDERS, 9)), Again::Nothing);
        assert_eq!(delivery, before);
        delivery.take_in(&rider(1, 10)).unwrap();
        assert_eq!((delivery.state, delivery.attempt, delivery.again), (State::Unassigned, 2, None));
        assert_eq!(delivery.history.iter().rev().nth(1).unwrap().state, State::Returned);
    }

    #[test]
    fn a_recall_ends_it_as_soon_as_the_goods_are_in_the_store() {
        for mut in_store in [delivery(7), offered(1), to_pickup()] {
            assert_eq!(in_store.recall("gave-up", &turn(By::ORDERS, 9)), Withdrawal::Done);
            assert_eq!((in_store.state, in_store.offers.accepted()), (State::Cancelled, 0));
        }
        for mut out in [to_dropoff(), at_dropoff(), failed()] {
            assert_eq!(out.recall("gave-up", &turn(By::ORDERS, 9)), Withdrawal::UnderWay);
            assert_eq!(out.recall("gave-up", &turn(By::ORDERS, 10)), Withdrawal::UnderWay, "said twice");
            assert_eq!(out.hand_over("0042", RULES, &rider(1, 11)), Err(illegal(State::Returning, &["returned"])));
            out.take_in(&rider(1, 12)).unwrap();
            assert!(out.is_settled());
            assert_eq!(out.recall("gave-up", &turn(By::ORDERS, 13)), Withdrawal::Done, "said later");
        }
        let mut nobody = offered(1);
        nobody.give_back(Outcome::Declined, &rider(1, 3)).unwrap();
        nobody.find_nobody(&turn(By::DELIVERY, 4));
        assert_eq!((nobody.goods(), nobody.legal(Move::STAFFS)), (Goods::Store, Vec::new()));
        assert_eq!(nobody.recall("gave-up", &turn(By::ORDERS, 9)), Withdrawal::Done);
        assert_eq!(nobody.state, State::Cancelled);
    }

    #[test]
    fn every_waiting_state_has_its_clock() {
        let clock = |delivery: &Delivery| delivery.waits().map(|(waiting, until)| (waiting, until.since_ms(at(0))));
        assert_eq!(clock(&delivery(7)), None);
        assert_eq!(clock(&offered(1)), Some((Waiting::Answer, 30_002)));
        let mut waiting = offered(1);
        waiting.give_back(Outcome::TimedOut, &turn(By::DELIVERY, 30_002)).unwrap();
        assert_eq!(clock(&waiting), Some((Waiting::Courier, SLOT_ENDS_MS + 400_000)));
        assert_eq!(offer_to(&mut waiting, 2, SLOT_ENDS_MS + 400_000), Err(illegal(State::Unassigned, &[])), "too late");
        assert_eq!(clock(&to_pickup()), Some((Waiting::Pickup, 100_003)));
        assert_eq!(clock(&to_dropoff()), Some((Waiting::Dropoff, 200_005)));
        assert_eq!(clock(&at_dropoff()), Some((Waiting::Dropoff, 200_006)));
        let mut returning = failed();
        assert_eq!(clock(&returning), None, "orders decides");
        returning.turn_back(&rider(1, 8)).unwrap();
        assert_eq!(clock(&returning), Some((Waiting::Return, 300_008)));
        returning.be_overdue(&turn(By::DELIVERY, 300_008));
        assert_eq!((clock(&returning), returning.overdue), (Some((Waiting::Return, 600_008)), 1));
        returning.take_in(&staff(700_000)).unwrap();
        assert_eq!(clock(&returning), None);
        // Whoever is late for the slot still has a while to find a courier.
        let mut late = to_pickup();
        let dropped = rider(1, SLOT_ENDS_MS + 900_000);
        late.lose_courier(Move::Drop, Outcome::Dropped, Why::NONE, &dropped).unwrap();
        assert_eq!(clock(&late), Some((Waiting::Courier, SLOT_ENDS_MS + 1_300_000)));
    }

    #[test]
    fn too_many_wrong_pins_lock_for_a_while() {
        let mut delivery = at_dropoff();
        for _ in 0..5 {
            assert_eq!(delivery.hand_over("0000", RULES, &rider(1, 10)), Ok(HandOver::WrongPin));
        }
        let locked = Refusal::PinLocked { retry_after_ms: 60_000 };
        assert_eq!(delivery.hand_over("0042", RULES, &rider(1, 10)), Err(locked));
        let mut unlocked = delivery.clone();
        unlocked.unlock_pin();
        assert_eq!(unlocked.hand_over("0042", RULES, &rider(1, 11)), Ok(HandOver::Done));
        assert_eq!(delivery.hand_over("1111", RULES, &rider(1, 60_010)), Ok(HandOver::WrongPin));
        assert_eq!(delivery.hand_over("0042", RULES, &rider(1, 60_011)), Ok(HandOver::Done));
    }

    #[test]
    fn what_is_settled_stays_so() {
        let mut delivered = at_dropoff();
        delivered.hand_over("0042", RULES, &rider(1, 7)).unwrap();
        let mut cancelled = offered(1);
        cancelled.recall("gave-up", &turn(By::ORDERS, 8));
        let tombstone = Delivery::tombstone(OrderId(id(9)), "gave-up", at(0));
        for mut settled in [delivered, cancelled, tombstone] {
            let before = settled.clone();
            settled.recall("gave-up", &turn(By::ORDERS, 9));
            assert_eq!(settled.try_again(2, true, &turn(By::ORDERS, 9)), Again::Nothing);
            assert!(!settled.make_ready(&turn(By::ORDERS, 9)));
            assert!(offer_to(&mut settled, 2, 9).is_err() && settled.take_in(&staff(9)).is_err());
            assert_eq!(settled, before);
        }
    }

    #[test]
    fn a_history_is_bounded_and_ends_with_the_present() {
        let mut delivery = delivery(7);
        delivery.make_ready(&turn(By::ORDERS, 1));
        for round in 0..100 {
            offer_to(&mut delivery, 1, round).unwrap();
            delivery.accept(&rider(1, round)).unwrap();
            delivery.lose_courier(Move::Drop, Outcome::Dropped, Why::NONE, &rider(1, round)).unwrap();
        }
        assert_eq!((delivery.history.len(), delivery.history.last().unwrap().state), (HISTORY_MAX, State::Unassigned));
    }

    #[test]
    fn a_delivery_of_before_all_ways_out_still_loads() {
        let mut document = serde_json::to_value(to_dropoff()).unwrap();
        for field in ["attempt", "again", "recalled", "due_at", "overdue"] {
            document.as_object_mut().unwrap().remove(field);
        }
        for reached in document["history"].as_array_mut().unwrap() {
            reached.as_object_mut().unwrap().remove("by");
        }
        let loaded: Delivery = serde_json::from_value(document).unwrap();
        assert_eq!((loaded.attempt, loaded.holder(), loaded.goods()), (1, Some(person(1)), Goods::Courier));
        assert_eq!(loaded.waits(), None, "its clock starts with its next move");
    }
}
