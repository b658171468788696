//! A delivery and its courier together: every move that concerns both changes both, so that they always agree, and tells what
//! is to be said of it. Leaves the rules of each side to `delivery` and `courier`.

use contracts::delivery::FailureReason;
use kernel::{Millis, Timestamp};

use super::courier::{Courier, Duty, Task};
use super::delivery::{Again, Delivery, HandOver, Holder, PinRules, Refusal, Waiting, Withdrawal};
use super::offers::Outcome;
use super::state::{Move, State};
use super::turn::{Turn, Why};

/// Why a courier who said yes brings it no longer, as others are told.
const DROPPED_OUT: &str = "courier-dropped-out";
const SILENT: &str = "courier-silent";
const TAKEN_AWAY: &str = "withdrawn";

/// How offers are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OfferRules {
    /// How long one stands.
    pub(crate) ttl_ms: Millis,
    /// How many of one delivery are remembered.
    pub(crate) kept_max: usize,
}

/// What others are to hear of a move.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Assigned,
    Unassigned(&'static str),
    PickedUp,
    Arrived,
    Delivered,
    Failed(FailureReason, String),
    Returned,
    Withdrawn,
}

/// Whether a move was made, and what is to be said of it.
pub(crate) type Moved = Result<Vec<Said>, Refusal>;

/// A delivery and whoever holds it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Pair {
    pub(crate) delivery: Delivery,
    /// Its holder; before an offer, whom it is to be offered to.
    pub(crate) courier: Option<Courier>,
}

impl Pair {
    /// Offers the delivery to the courier if it waits for one and they are free, on shift and of its store; says whether it
    /// did, since something may have changed after they were matched.
    pub(crate) fn offer(&mut self, rules: OfferRules, turn: &Turn) -> bool {
        let fits = |courier: &&Courier| courier.duty() == Duty::Free && self.delivery.store() == Some(courier.store);
        let Some(courier) = self.courier.as_ref().filter(fits) else { return false };
        let to = Holder { person: courier.person, name: courier.name.clone() };
        let until = turn.now.plus_ms(rules.ttl_ms);
        self.change(turn, |delivery| delivery.offer(to, until, rules.kept_max, turn)).is_ok()
    }

    /// The courier says yes.
    pub(crate) fn accept(&mut self, turn: &Turn) -> Moved {
        self.change(turn, |delivery| delivery.accept(turn))?;
        Ok(vec![Said::Assigned])
    }

    /// The courier will not have it.
    pub(crate) fn decline(&mut self, turn: &Turn) -> Moved {
        self.give_back(Outcome::Declined, turn)
    }

    /// The courier is in the store.
    pub(crate) fn reach_pickup(&mut self, turn: &Turn) -> Moved {
        self.change(turn, |delivery| delivery.reach_pickup(turn))?;
        Ok(Vec::new())
    }

    /// The courier has the goods.
    pub(crate) fn pick_up(&mut self, turn: &Turn) -> Moved {
        self.change(turn, |delivery| delivery.pick_up(turn))?;
        Ok(vec![Said::PickedUp])
    }

    /// The courier is at the door.
    pub(crate) fn reach_dropoff(&mut self, turn: &Turn) -> Moved {
        self.change(turn, |delivery| delivery.reach_dropoff(turn))?;
        Ok(vec![Said::Arrived])
    }

    /// The courier says the PIN that the shopper said; of a wrong one nothing is said.
    pub(crate) fn hand_over(&mut self, pin: &str, rules: PinRules, turn: &Turn) -> Moved {
        let said = self.change(turn, |delivery| delivery.hand_over(pin, rules, turn))?;
        Ok(match said {
            HandOver::Done => vec![Said::Delivered],
            HandOver::WrongPin => Vec::new(),
        })
    }

    /// The courier will not fetch it after all, for the reason in `note`.
    pub(crate) fn drop_out(&mut self, note: &str, turn: &Turn) -> Moved {
        self.lose_courier(Move::Drop, Outcome::Dropped, DROPPED_OUT, note, turn)
    }

    /// Staff take it from its courier, for the reason in `note`.
    pub(crate) fn withdraw(&mut self, note: &str, turn: &Turn) -> Moved {
        self.lose_courier(Move::Withdraw, Outcome::Withdrawn, TAKEN_AWAY, note, turn)
    }

    /// It cannot be handed over.
    pub(crate) fn fail(&mut self, reason: FailureReason, note: &str, turn: &Turn) -> Moved {
        self.change(turn, |delivery| delivery.fail(reason, note, turn))?;
        Ok(vec![Said::Failed(reason, note.to_owned())])
    }

    /// The courier brings back what failed.
    pub(crate) fn turn_back(&mut self, turn: &Turn) -> Moved {
        self.change(turn, |delivery| delivery.turn_back(turn))?;
        Ok(Vec::new())
    }

    /// The goods are back in the store.
    pub(crate) fn take_in(&mut self, turn: &Turn) -> Moved {
        self.change(turn, |delivery| delivery.take_in(turn))?;
        let over = self.delivery.is_settled();
        Ok(std::iter::once(Said::Returned).chain(over.then_some(Said::Withdrawn)).collect())
    }

    /// The courier rides no longer, for the reason in `note`: what they are offered is over as `outcome` says, what they were to
    /// fetch is for another, what they were to bring has failed; goods that they have they still have to bring back.
    pub(crate) fn leave(&mut self, outcome: Outcome, note: &str, turn: &Turn) -> Moved {
        match self.delivery.state {
            State::Offered => self.give_back(outcome, turn),
            state if state.is_before_pickup() => self.drop_out(note, turn),
            state if state.is_on_the_way() => self.fail(FailureReason::CourierDroppedOut, note, turn),
            _ => Ok(Vec::new()),
        }
    }

    /// The order is to end. Each time that is said while there is nothing to deliver any more, that is said again.
    pub(crate) fn recall(&mut self, reason: &str, turn: &Turn) -> Moved {
        let withdrawal = self.change(turn, |delivery| Ok(delivery.recall(reason, turn)))?;
        Ok(match withdrawal {
            Withdrawal::Done => vec![Said::Withdrawn],
            Withdrawal::UnderWay | Withdrawal::TooLate => Vec::new(),
        })
    }

    /// Orders wants what failed to be tried once more.
    pub(crate) fn try_again(&mut self, attempt: i64, turn: &Turn) -> Moved {
        let courier_rides = self.courier.as_ref().is_some_and(|courier| courier.on_shift);
        let again = self.change(turn, |delivery| Ok(delivery.try_again(attempt, courier_rides, turn)))?;
        Ok(match again {
            Again::OnTheWay => vec![Said::PickedUp],
            Again::Waiting | Again::Nothing => Vec::new(),
        })
    }

    /// The clock of the present state has run out, if it has.
    pub(crate) fn time_out(&mut self, turn: &Turn) -> Moved {
        match self.delivery.waits() {
            Some((waiting, until)) if until <= turn.now => self.end(waiting, turn),
            _ => Ok(Vec::new()),
        }
    }

    fn end(&mut self, waiting: Waiting, turn: &Turn) -> Moved {
        match waiting {
            Waiting::Answer => self.give_back(Outcome::TimedOut, turn),
            Waiting::Pickup => self.lose_courier(Move::Withdraw, Outcome::TimedOut, SILENT, "", turn),
            Waiting::Dropoff => self.fail(FailureReason::CourierSilent, "", turn),
            Waiting::Courier => {
                self.delivery.find_nobody(turn);
                Ok(vec![Said::Failed(FailureReason::NoCourier, String::new())])
            }
            Waiting::Return => self.change(turn, |delivery| {
                delivery.be_overdue(turn);
                Ok(Vec::new())
            }),
        }
    }

    fn give_back(&mut self, outcome: Outcome, turn: &Turn) -> Moved {
        self.change(turn, |delivery| delivery.give_back(outcome, turn))?;
        Ok(Vec::new())
    }

    fn lose_courier(&mut self, step: Move, outcome: Outcome, reason: &'static str, note: &str, turn: &Turn) -> Moved {
        self.change(turn, |delivery| delivery.lose_courier(step, outcome, Why { reason, note }, turn))?;
        Ok(vec![Said::Unassigned(reason)])
    }

    /// Changes the delivery, and its courier with it.
    fn change<T>(&mut self, turn: &Turn, change: impl FnOnce(&mut Delivery) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let before = self.delivery.clone();
        let came_to = change(&mut self.delivery)?;
        if self.delivery != before {
            self.agree(turn.now);
        }
        Ok(came_to)
    }

    /// Gives the courier the task that the delivery has for them now.
    fn agree(&mut self, now: Timestamp) {
        let (delivery, Some(courier)) = (&self.delivery, &mut self.courier) else { return };
        assert!(courier.order().is_none_or(|order| order == delivery.order), "a courier's task agrees with the delivery");
        let task = match delivery.state {
            _ if delivery.holder() != Some(courier.person) => Task::None,
            State::Offered => Task::Offered(delivery.order),
            _ => Task::Delivering(delivery.order),
        };
        if courier.task == task { courier.touch() } else { courier.set_task(task, now) }
    }
}

#[cfg(test)]
mod tests {
    use contracts::StoreId;
    use contracts::identity::CourierChanged;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::delivery::tests::{RULES, at, delivery, id, person, rider, staff, turn};
    use crate::domain::dispatch::match_offers;
    use crate::domain::state::Goods;
    use crate::domain::turn::By;

    const OFFERS: OfferRules = OfferRules { ttl_ms: 30_000, kept_max: 4 };
    const DELIVERIES: usize = 3;
    const COURIERS: usize = 3;
    /// How far a step moves the clock: far enough that every clock runs out in some walks, and in none at once.
    const TICK_MS: Millis = 20_000;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Ready(usize),
        Recall(usize),
        Again(usize, i64),
        TimeOut(usize),
        Wait(i64),
        Shift(usize, bool),
        Changed(usize, bool),
        Dispatch,
        Offer(usize, usize),
        Couriers(Move, usize, usize),
        Staffs(Move, usize),
        Deliver(usize, usize, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        let (d, c) = (0..DELIVERIES, 0..COURIERS);
        let forward = [Move::Accept, Move::AtPickup, Move::PickedUp, Move::AtDropoff];
        let ways_out = [Move::Decline, Move::Drop, Move::Fail, Move::Return, Move::Returned];
        let by_courier = |moves: Vec<Move>| (prop::sample::select(moves), 0..DELIVERIES, 0..COURIERS);
        prop_oneof![
            1 => d.clone().prop_map(Step::Ready),
            1 => d.clone().prop_map(Step::Recall),
            2 => (d.clone(), 0i64..5).prop_map(|(d, attempt)| Step::Again(d, attempt)),
            2 => d.clone().prop_map(Step::TimeOut),
            1 => (1i64..40).prop_map(Step::Wait),
            2 => (c.clone(), prop::bool::weighted(0.8)).prop_map(|(c, on)| Step::Shift(c, on)),
            1 => (c.clone(), prop::bool::weighted(0.9)).prop_map(|(c, active)| Step::Changed(c, active)),
            3 => Just(Step::Dispatch),
            1 => (d.clone(), c.clone()).prop_map(|(d, c)| Step::Offer(d, c)),
            16 => by_courier(forward.to_vec()).prop_map(|(step, d, c)| Step::Couriers(step, d, c)),
            4 => by_courier(ways_out.to_vec()).prop_map(|(step, d, c)| Step::Couriers(step, d, c)),
            1 => (prop::sample::select(Move::STAFFS), d.clone()).prop_map(|(step, d)| Step::Staffs(step, d)),
            4 => (d, c, any::<bool>()).prop_map(|(d, c, right)| Step::Deliver(d, c, right)),
        ]
    }

    #[derive(Clone, PartialEq, Debug)]
    struct World {
        deliveries: Vec<Delivery>,
        couriers: Vec<Courier>,
        /// What was said of each delivery.
        said: Vec<Vec<Said>>,
        ms: Millis,
    }

    fn said(courier: usize, active: bool) -> CourierChanged {
        let courier = person(courier as u64);
        CourierChanged { courier, name: "Rider".into(), store: StoreId(id(1)), vehicle: "cargo-bike".into(), active }
    }

    impl World {
        fn new() -> Self {
            let couriers = (0..COURIERS).map(|index| {
                let mut courier = Courier::hired(&said(index, true), at(0));
                courier.set_shift(true, at(0)).unwrap();
                courier
            });
            let mut deliveries: Vec<Delivery> = (0..DELIVERIES).map(|seed| delivery(seed as u64)).collect();
            for delivery in &mut deliveries {
                delivery.make_ready(&turn(By::ORDERS, 0));
            }
            // One is still being picked.
            deliveries[0] = delivery(0);
            Self { deliveries, couriers: couriers.collect(), said: vec![Vec::new(); DELIVERIES], ms: 0 }
        }

        fn holder(&self, delivery: usize) -> Option<usize> {
            let holder = self.deliveries[delivery].holder()?;
            self.couriers.iter().position(|courier| courier.person == holder)
        }

        /// Moves a delivery with its holder, or with a candidate; a refusal is an answer too, that changes nothing.
        fn with(&mut self, d: usize, candidate: Option<usize>, change: impl FnOnce(&mut Pair) -> Moved) {
            let courier = candidate.or_else(|| self.holder(d));
            let before =
                Pair { delivery: self.deliveries[d].clone(), courier: courier.map(|index| self.couriers[index].clone()) };
            let mut pair = before.clone();
            match change(&mut pair) {
                Ok(said) => self.said[d].extend(said),
                Err(_) => assert_eq!(pair, before, "what is refused changes nothing"),
            }
            self.deliveries[d] = pair.delivery;
            if let (Some(index), Some(courier)) = (courier, pair.courier) {
                self.couriers[index] = courier;
            }
        }

        fn offer(&mut self, d: usize, c: usize) {
            let delivery_offers = turn(By::DELIVERY, self.ms);
            self.with(d, Some(c), |pair| {
                pair.offer(OFFERS, &delivery_offers);
                Ok(Vec::new())
            });
        }

        fn leave(&mut self, c: usize, outcome: Outcome, by: &Turn) {
            let order = self.couriers[c].order();
            if let Some(d) = self.deliveries.iter().position(|delivery| Some(delivery.order) == order) {
                self.with(d, None, |pair| pair.leave(outcome, "leaves", by));
            }
        }

        fn apply(&mut self, step: Step) {
            let (ms, now) = (self.ms, at(self.ms));
            match step {
                Step::Ready(d) => _ = self.deliveries[d].make_ready(&turn(By::ORDERS, ms)),
                Step::Recall(d) => self.with(d, None, |pair| pair.recall("gave-up", &turn(By::ORDERS, ms))),
                Step::Again(d, attempt) => self.with(d, None, |pair| pair.try_again(attempt, &turn(By::ORDERS, ms))),
                Step::TimeOut(d) => self.with(d, None, |pair| pair.time_out(&turn(By::DELIVERY, ms))),
                Step::Wait(ticks) => self.ms += ticks * TICK_MS,
                Step::Shift(c, on) => {
                    if !on {
                        self.leave(c, Outcome::Declined, &rider(c as u64, ms));
                    }
                    _ = self.couriers[c].set_shift(on, now);
                }
                Step::Changed(c, active) => {
                    if !active {
                        self.leave(c, Outcome::Withdrawn, &turn(By::IDENTITY, ms));
                    }
                    self.couriers[c].changed(&said(c, active), now);
                }
                Step::Dispatch => {
                    let waiting: Vec<Delivery> =
                        self.deliveries.iter().filter(|delivery| delivery.state == State::Unassigned).cloned().collect();
                    let free = self.couriers.iter().filter(|courier| courier.duty() == Duty::Free);
                    let free: Vec<_> = free.map(|courier| courier.person).collect();
                    for (order, to) in match_offers(&waiting, &free, now, 60_000) {
                        let d = self.deliveries.iter().position(|delivery| delivery.order == order).unwrap();
                        let c = self.couriers.iter().position(|courier| courier.person == to).unwrap();
                        self.offer(d, c);
                        assert_eq!(self.deliveries[d].state, State::Offered, "what is matched fits");
                    }
                }
                Step::Offer(d, c) => self.offer(d, c),
                Step::Couriers(step, d, c) => self.with(d, None, |pair| make(pair, step, &rider(c as u64, ms))),
                Step::Staffs(step, d) => self.with(d, None, |pair| make(pair, step, &staff(ms))),
                Step::Deliver(d, c, right) => {
                    let pin = if right { "0042" } else { "9999" };
                    self.with(d, None, |pair| pair.hand_over(pin, RULES, &rider(c as u64, ms)));
                }
            }
        }

        fn check(&self, before: &Self) -> Result<(), TestCaseError> {
            for (d, delivery) in self.deliveries.iter().enumerate() {
                self.check_delivery(delivery, &self.said[d])?;
            }
            for (now, earlier) in self.deliveries.iter().zip(&before.deliveries) {
                prop_assert!(!earlier.is_settled() || now == earlier, "what is settled stays so");
            }
            for (now, earlier) in self.couriers.iter().zip(&before.couriers) {
                let work = |world: &Self, courier: &Courier| {
                    world.deliveries.iter().find(|delivery| courier.order() == Some(delivery.order)).cloned()
                };
                let same = now == earlier && work(self, now) == work(before, earlier);
                prop_assert!(same || now.version > earlier.version, "whatever changes for a courier has its own version");
            }
            Ok(())
        }

        fn check_delivery(&self, delivery: &Delivery, said: &[Said]) -> Result<(), TestCaseError> {
            let (state, goods) = (delivery.state, delivery.goods());
            let brought = state.is_before_pickup() || goods != Goods::Store;
            prop_assert_eq!(delivery.offers.accepted(), i64::from(brought), "one accepted offer while somebody is at it");
            prop_assert_eq!(state == State::Offered, delivery.offers.open().is_some());
            prop_assert_eq!(delivery.history.last().map(|reached| reached.state), Some(state));
            for step in delivery.history.windows(2) {
                prop_assert!(step[0].state.next().contains(&step[1].state), "the history is a way through the machine");
            }
            let task = match state {
                State::Offered => Some(Task::Offered(delivery.order)),
                _ if delivery.holder().is_some() => Some(Task::Delivering(delivery.order)),
                _ => None,
            };
            prop_assert!(goods != Goods::Courier || task.is_some(), "goods are with somebody");
            let holders: Vec<_> = self.couriers.iter().filter(|courier| courier.order() == Some(delivery.order)).collect();
            prop_assert_eq!(holders.len(), usize::from(task.is_some()));
            for courier in holders {
                prop_assert_eq!(Some(courier.task), task);
                prop_assert_eq!(Some(courier.person), delivery.holder());
            }
            let rests = matches!(state, State::Created | State::Failed | State::Returned) || delivery.is_settled();
            prop_assert_eq!(delivery.waits().is_none(), rests, "every waiting state has its clock, and no other");
            prop_assert!(delivery.recalled.is_none() || delivery.is_settled() || state == State::Returning);
            let count = |wanted: fn(&Said) -> bool| said.iter().filter(|said| wanted(said)).count();
            prop_assert_eq!(count(|said| *said == Said::Delivered), usize::from(state == State::Delivered));
            let withdrawn = delivery.is_settled() && state != State::Delivered;
            prop_assert_eq!(count(|said| *said == Said::Withdrawn) > 0, withdrawn);
            let tries = usize::try_from(delivery.attempt).unwrap_or_default();
            prop_assert!(count(|said| matches!(said, Said::Failed(..))) <= tries, "a try fails once");
            prop_assert!(count(|said| *said == Said::Returned) <= tries);
            Ok(())
        }
    }

    fn make(pair: &mut Pair, step: Move, turn: &Turn) -> Moved {
        match step {
            Move::Accept => pair.accept(turn),
            Move::Decline => pair.decline(turn),
            Move::AtPickup => pair.reach_pickup(turn),
            Move::PickedUp => pair.pick_up(turn),
            Move::AtDropoff => pair.reach_dropoff(turn),
            Move::Deliver => pair.hand_over("0042", RULES, turn),
            Move::Drop => pair.drop_out("flat tyre", turn),
            Move::Fail => pair.fail(FailureReason::NobodyHome, "", turn),
            Move::Return => pair.turn_back(turn),
            Move::Returned => pair.take_in(turn),
            Move::Withdraw => pair.withdraw("another is nearer", turn),
        }
    }

    fn walk(steps: Vec<Step>, mut after: impl FnMut(&mut World, &World, Step) -> Result<(), TestCaseError>) -> TestCaseResult {
        let mut world = World::new();
        for step in steps {
            let before = world.clone();
            world.ms += TICK_MS;
            world.apply(step);
            after(&mut world, &before, step)?;
        }
        Ok(())
    }

    type TestCaseResult = Result<(), TestCaseError>;

    proptest! {
        #[test]
        fn no_sequence_breaks_an_invariant(steps in prop::collection::vec(step(), 0..300)) {
            walk(steps, |world, before, _| world.check(before))?;
        }

        #[test]
        fn what_is_said_twice_changes_nothing(steps in prop::collection::vec(step(), 0..150)) {
            walk(steps, |world, _, step| {
                // Guesses are counted, identity's word is taken and time passes each time; every other step is done once. What
                // is over is said to be over as often as that is asked.
                if !matches!(step, Step::Deliver(_, _, false) | Step::Changed(..) | Step::Wait(_) | Step::TimeOut(_)) {
                    let once = world.clone();
                    world.apply(step);
                    prop_assert_eq!(&world.deliveries, &once.deliveries);
                    prop_assert_eq!(&world.couriers, &once.couriers);
                }
                Ok(())
            })?;
        }

        #[test]
        fn from_everywhere_there_is_a_way_to_an_end(steps in prop::collection::vec(step(), 0..200)) {
            let mut last = World::new();
            walk(steps, |world, _, _| {
                last = world.clone();
                Ok(())
            })?;
            for d in 0..DELIVERIES {
                last.apply(Step::Recall(d));
                if !last.deliveries[d].is_settled() {
                    prop_assert_eq!(last.deliveries[d].goods(), Goods::Courier);
                    last.apply(Step::Staffs(Move::Returned, d));
                }
                prop_assert!(last.deliveries[d].is_settled());
            }
            prop_assert!(last.couriers.iter().all(|courier| courier.order().is_none()), "whoever is done is free");
        }

        #[test]
        fn nothing_waits_for_ever(steps in prop::collection::vec(step(), 0..100)) {
            let mut last = World::new();
            walk(steps, |world, _, _| {
                last = world.clone();
                Ok(())
            })?;
            // Nobody does anything any more: only time passes, until it is for orders or for the store to act.
            for d in 0..DELIVERIES {
                for _ in 0..4 {
                    let Some((waiting, until)) = last.deliveries[d].waits() else { break };
                    last.ms = last.ms.max(until.since_ms(at(0)));
                    last.apply(Step::TimeOut(d));
                    if waiting == Waiting::Return {
                        prop_assert!(last.deliveries[d].overdue > 0);
                        break;
                    }
                }
                let state = last.deliveries[d].state;
                let acted_on = matches!(state, State::Created | State::Failed | State::Returning | State::Returned);
                prop_assert!(acted_on || last.deliveries[d].is_settled(), "{state}");
            }
        }
    }
}
