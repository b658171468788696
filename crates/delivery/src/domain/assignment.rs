//! A delivery and its courier together: every move that concerns both changes both, so that they always agree.
//! Leaves the rules of each side to `delivery` and `courier`.

use kernel::{Millis, Timestamp};

use super::courier::{Courier, Duty, Task};
use super::delivery::{Delivery, HandOver, Holder, Outcome, PinRules, Refusal, Withdrawal};

/// How offers are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OfferRules {
    /// How long one stands.
    pub(crate) ttl_ms: Millis,
    /// How many of one delivery are remembered.
    pub(crate) kept_max: usize,
}

/// Offers the delivery to the courier if it waits for one and they are free, on shift and of its store; says until when
/// the offer stands, or `None` if something has changed since they were matched.
pub(crate) fn offer(delivery: &mut Delivery, courier: &mut Courier, now: Timestamp, rules: OfferRules) -> Option<Timestamp> {
    if courier.duty() != Duty::Free || delivery.store() != Some(courier.store) {
        return None;
    }
    let until = now.plus_ms(rules.ttl_ms);
    let to = Holder { person: courier.person, name: courier.name.clone() };
    delivery.offer(to, now, until, rules.kept_max).ok()?;
    courier.set_task(Task::Offered(delivery.order), now);
    Some(until)
}

/// The courier will not have the delivery, for the reason that `outcome` says.
pub(crate) fn give_back(delivery: &mut Delivery, courier: &mut Courier, outcome: Outcome, now: Timestamp) -> Result<(), Refusal> {
    delivery.give_back(courier.person, outcome, now)?;
    release(delivery, courier, now);
    Ok(())
}

/// The courier says yes.
pub(crate) fn accept(delivery: &mut Delivery, courier: &mut Courier, now: Timestamp) -> Result<(), Refusal> {
    delivery.accept(courier.person, now)?;
    assert_eq!(courier.task, Task::Offered(delivery.order), "a courier's task agrees with the delivery");
    courier.set_task(Task::Delivering(delivery.order), now);
    Ok(())
}

/// The courier is in the store.
pub(crate) fn reach_pickup(delivery: &mut Delivery, courier: &mut Courier, now: Timestamp) -> Result<(), Refusal> {
    delivery.reach_pickup(courier.person, now)?;
    courier.touch();
    Ok(())
}

/// The courier has the goods.
pub(crate) fn pick_up(delivery: &mut Delivery, courier: &mut Courier, now: Timestamp) -> Result<(), Refusal> {
    delivery.pick_up(courier.person, now)?;
    courier.touch();
    Ok(())
}

/// The courier is at the door.
pub(crate) fn reach_dropoff(delivery: &mut Delivery, courier: &mut Courier, now: Timestamp) -> Result<(), Refusal> {
    delivery.reach_dropoff(courier.person, now)?;
    courier.touch();
    Ok(())
}

/// The courier says the PIN that the shopper said.
pub(crate) fn hand_over(
    delivery: &mut Delivery,
    courier: &mut Courier,
    pin: &str,
    now: Timestamp,
    rules: PinRules,
) -> Result<HandOver, Refusal> {
    let said = delivery.hand_over(courier.person, pin, now, rules)?;
    match said {
        HandOver::Done => release(delivery, courier, now),
        HandOver::WrongPin => courier.touch(),
    }
    Ok(said)
}

/// The order ends; `courier` is whoever holds its delivery.
pub(crate) fn cancel(delivery: &mut Delivery, courier: Option<&mut Courier>, now: Timestamp) -> Withdrawal {
    let withdrawal = delivery.cancel(now);
    if let (Withdrawal::Done, Some(courier)) = (withdrawal, courier) {
        release(delivery, courier, now);
    }
    withdrawal
}

fn release(delivery: &Delivery, courier: &mut Courier, now: Timestamp) {
    assert_eq!(courier.order(), Some(delivery.order), "a courier's task agrees with the delivery");
    courier.set_task(Task::None, now);
}

#[cfg(test)]
mod tests {
    use contracts::StoreId;
    use contracts::identity::CourierChanged;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::delivery::State;
    use crate::domain::delivery::tests::{RULES, at, delivery, id, person};
    use crate::domain::dispatch::match_offers;

    const OFFERS: OfferRules = OfferRules { ttl_ms: 30_000, kept_max: 4 };
    const DELIVERIES: usize = 3;
    const COURIERS: usize = 3;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Ready(usize),
        Cancel(usize),
        Shift(usize, bool),
        Changed(usize, bool),
        Dispatch,
        Offer(usize, usize),
        TimeOut(usize),
        Accept(usize, usize),
        Decline(usize, usize),
        AtPickup(usize, usize),
        PickedUp(usize, usize),
        AtDropoff(usize, usize),
        Deliver(usize, usize, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        let (d, c) = (0..DELIVERIES, 0..COURIERS);
        prop_oneof![
            d.clone().prop_map(Step::Ready),
            d.clone().prop_map(Step::Cancel),
            (c.clone(), prop::bool::weighted(0.8)).prop_map(|(c, on)| Step::Shift(c, on)),
            (c.clone(), prop::bool::weighted(0.9)).prop_map(|(c, active)| Step::Changed(c, active)),
            Just(Step::Dispatch),
            (d.clone(), c.clone()).prop_map(|(d, c)| Step::Offer(d, c)),
            d.clone().prop_map(Step::TimeOut),
            (d.clone(), c.clone()).prop_map(|(d, c)| Step::Accept(d, c)),
            (d.clone(), c.clone()).prop_map(|(d, c)| Step::Decline(d, c)),
            (d.clone(), c.clone()).prop_map(|(d, c)| Step::AtPickup(d, c)),
            (d.clone(), c.clone()).prop_map(|(d, c)| Step::PickedUp(d, c)),
            (d.clone(), c.clone()).prop_map(|(d, c)| Step::AtDropoff(d, c)),
            (d, c, any::<bool>()).prop_map(|(d, c, right)| Step::Deliver(d, c, right)),
        ]
    }

    #[derive(Clone, PartialEq, Debug)]
    struct World {
        deliveries: Vec<Delivery>,
        couriers: Vec<Courier>,
    }

    fn said(courier: usize, active: bool) -> CourierChanged {
        let courier = person(courier as u64);
        CourierChanged { courier, name: "Rider".into(), store: StoreId(id(1)), vehicle: "cargo-bike".into(), active }
    }

    impl World {
        fn new() -> Self {
            let couriers = (0..COURIERS).map(|index| Courier::hired(&said(index, true), at(0)));
            Self { deliveries: (0..DELIVERIES).map(|seed| delivery(seed as u64)).collect(), couriers: couriers.collect() }
        }

        fn holder(&self, delivery: usize) -> Option<usize> {
            let holder = self.deliveries[delivery].holder()?;
            self.couriers.iter().position(|courier| courier.person == holder)
        }

        fn take_back(&mut self, courier: usize, outcome: Outcome, now: Timestamp) {
            if let Task::Offered(order) = self.couriers[courier].task {
                let delivery = self.deliveries.iter_mut().find(|delivery| delivery.order == order).unwrap();
                give_back(delivery, &mut self.couriers[courier], outcome, now).unwrap();
            }
        }

        fn apply(&mut self, step: Step, now: Timestamp) {
            let World { deliveries, couriers } = self;
            // A refusal is an answer too: what matters is what is left.
            match step {
                Step::Ready(d) => _ = deliveries[d].make_ready(now),
                Step::Cancel(d) => {
                    let holder = self.holder(d);
                    let courier = holder.map(|index| &mut self.couriers[index]);
                    _ = cancel(&mut self.deliveries[d], courier, now);
                }
                Step::Shift(c, on) => {
                    if !on {
                        self.take_back(c, Outcome::Declined, now);
                    }
                    _ = self.couriers[c].set_shift(on, now);
                }
                Step::Changed(c, active) => {
                    if !active {
                        self.take_back(c, Outcome::Withdrawn, now);
                    }
                    self.couriers[c].changed(&said(c, active), now);
                }
                Step::Dispatch => {
                    let waiting: Vec<Delivery> =
                        deliveries.iter().filter(|delivery| delivery.state == State::Unassigned).cloned().collect();
                    let free: Vec<_> =
                        couriers.iter().filter(|courier| courier.duty() == Duty::Free).map(|courier| courier.person).collect();
                    for (order, to) in match_offers(&waiting, &free, now, 60_000) {
                        let delivery = deliveries.iter_mut().find(|delivery| delivery.order == order).unwrap();
                        let courier = couriers.iter_mut().find(|courier| courier.person == to).unwrap();
                        assert!(offer(delivery, courier, now, OFFERS).is_some(), "what is matched fits");
                    }
                }
                Step::Offer(d, c) => _ = offer(&mut deliveries[d], &mut couriers[c], now, OFFERS),
                Step::TimeOut(d) => {
                    if let (State::Offered, Some(c)) = (self.deliveries[d].state, self.holder(d)) {
                        self.take_back(c, Outcome::TimedOut, now);
                    }
                }
                Step::Accept(d, c) => _ = accept(&mut deliveries[d], &mut couriers[c], now),
                Step::Decline(d, c) => _ = give_back(&mut deliveries[d], &mut couriers[c], Outcome::Declined, now),
                Step::AtPickup(d, c) => _ = reach_pickup(&mut deliveries[d], &mut couriers[c], now),
                Step::PickedUp(d, c) => _ = pick_up(&mut deliveries[d], &mut couriers[c], now),
                Step::AtDropoff(d, c) => _ = reach_dropoff(&mut deliveries[d], &mut couriers[c], now),
                Step::Deliver(d, c, right) => {
                    let pin = if right { "0042" } else { "9999" };
                    _ = hand_over(&mut deliveries[d], &mut couriers[c], pin, now, RULES);
                }
            }
        }

        fn check(&self, before: &Self) -> Result<(), TestCaseError> {
            for delivery in &self.deliveries {
                let accepted = delivery.accepted();
                prop_assert!(accepted <= 1, "two couriers accepted {}", delivery.order);
                prop_assert_eq!(delivery.state.active(), accepted == 1 && !delivery.state.settled());
                prop_assert_eq!(delivery.state == State::Offered, delivery.open_offer().is_some());
                prop_assert!(delivery.offers.len() <= OFFERS.kept_max && delivery.history.len() <= 11);
                prop_assert_eq!(delivery.history.last().map(|reached| reached.state), Some(delivery.state));
                let task = match delivery.state {
                    State::Offered => Some(Task::Offered(delivery.order)),
                    state if state.active() => Some(Task::Delivering(delivery.order)),
                    _ => None,
                };
                let holders: Vec<_> = self.couriers.iter().filter(|courier| courier.order() == Some(delivery.order)).collect();
                prop_assert_eq!(holders.len(), usize::from(task.is_some()));
                for courier in holders {
                    prop_assert_eq!(Some(courier.task), task);
                    prop_assert_eq!(Some(courier.person), delivery.holder());
                }
            }
            for (now, earlier) in self.deliveries.iter().zip(&before.deliveries) {
                prop_assert!(!earlier.state.settled() || now == earlier, "what is settled stays so");
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
    }

    proptest! {
        #[test]
        fn no_sequence_breaks_an_invariant(steps in prop::collection::vec(step(), 0..200)) {
            let mut world = World::new();
            for (tick, step) in steps.into_iter().enumerate() {
                let before = world.clone();
                let now = at(i64::try_from(tick).unwrap_or_default() * 7_000);
                world.apply(step, now);
                world.check(&before)?;
            }
        }

        #[test]
        fn what_is_said_twice_changes_nothing(steps in prop::collection::vec(step(), 0..100)) {
            let mut world = World::new();
            for (tick, step) in steps.into_iter().enumerate() {
                let now = at(i64::try_from(tick).unwrap_or_default() * 7_000);
                world.apply(step, now);
                let once = world.clone();
                // Guesses are counted and identity's word is taken each time; every other step is done once.
                if !matches!(step, Step::Deliver(_, _, false) | Step::Changed(..)) {
                    world.apply(step, now);
                    prop_assert_eq!(&world, &once);
                }
            }
        }
    }
}
