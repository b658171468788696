//! A courier's side: whether on shift, and the one delivery that is offered to them or that they bring.
//! Leaves the delivery's side to `delivery`; who they are and whether they still ride comes from identity.

use contracts::identity::CourierChanged;
use contracts::{OrderId, PersonId, StoreId};
use kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// What a courier has to do: one thing at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Task {
    /// Nothing.
    None,
    /// To answer an offer.
    Offered(OrderId),
    /// To bring a delivery, or its goods back.
    Delivering(OrderId),
}

/// How a courier stands to dispatch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Duty {
    Off,
    Free,
    Offered,
    Delivering,
}

impl Duty {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Free => "free",
            Self::Offered => "offered",
            Self::Delivering => "delivering",
        }
    }
}

/// A courier who is no longer one wants to go on shift.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RidesNoLonger;

/// One courier.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Courier {
    pub(crate) person: PersonId,
    /// Grows with every change of the courier and of what they are doing: their work's entity tag.
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) store: StoreId,
    pub(crate) vehicle: String,
    /// Whether they still ride.
    pub(crate) active: bool,
    pub(crate) on_shift: bool,
    pub(crate) task: Task,
    /// Since when their duty is what it is: who has waited longest is asked first.
    pub(crate) since: Timestamp,
}

impl Courier {
    /// A courier whom nobody has heard of before.
    pub(crate) fn hired(said: &CourierChanged, now: Timestamp) -> Self {
        Self {
            person: said.courier,
            version: 1,
            name: said.name.clone(),
            store: said.store,
            vehicle: said.vehicle.clone(),
            active: said.active,
            on_shift: false,
            task: Task::None,
            since: now,
        }
    }

    /// Whether identity says nothing new.
    pub(crate) fn known_as(&self, said: &CourierChanged) -> bool {
        let CourierChanged { courier, name, store, vehicle, active } = said;
        (self.person, &self.name, self.store, &self.vehicle, self.active) == (*courier, name, *store, vehicle, *active)
    }

    /// The courier as identity says now. Whoever rides no longer goes off shift; goods in hand are still theirs to bring back.
    pub(crate) fn changed(&mut self, said: &CourierChanged, now: Timestamp) {
        self.change(now, |courier| {
            courier.name.clone_from(&said.name);
            courier.store = said.store;
            courier.vehicle.clone_from(&said.vehicle);
            courier.active = said.active;
            courier.on_shift &= said.active;
        });
    }

    /// How they stand to dispatch.
    pub(crate) fn duty(&self) -> Duty {
        match self.task {
            Task::Offered(_) => Duty::Offered,
            Task::Delivering(_) => Duty::Delivering,
            Task::None if self.on_shift => Duty::Free,
            Task::None => Duty::Off,
        }
    }

    /// The order that they are offered or bring.
    pub(crate) fn order(&self) -> Option<OrderId> {
        match self.task {
            Task::None => None,
            Task::Offered(order) | Task::Delivering(order) => Some(order),
        }
    }

    /// Goes on or off shift; goods in hand outlive it.
    pub(crate) fn set_shift(&mut self, on: bool, now: Timestamp) -> Result<(), RidesNoLonger> {
        if on && !self.active {
            return Err(RidesNoLonger);
        }
        if self.on_shift != on {
            self.change(now, |courier| courier.on_shift = on);
        }
        Ok(())
    }

    pub(crate) fn set_task(&mut self, task: Task, now: Timestamp) {
        self.change(now, |courier| courier.task = task);
    }

    /// What they are at has changed although their task is the same.
    pub(crate) fn touch(&mut self) {
        self.version += 1;
    }

    fn change(&mut self, now: Timestamp, change: impl FnOnce(&mut Self)) {
        let before = self.duty();
        change(self);
        self.version += 1;
        if self.duty() != before {
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::tests::{at, id, person};

    fn said(active: bool) -> CourierChanged {
        CourierChanged { courier: person(1), name: "Rider".into(), store: StoreId(id(1)), vehicle: "cargo-bike".into(), active }
    }

    #[test]
    fn only_who_rides_goes_on_shift() {
        let mut courier = Courier::hired(&said(true), at(0));
        assert_eq!(courier.duty(), Duty::Off);
        assert_eq!(courier.set_shift(true, at(1)), Ok(()));
        assert_eq!((courier.duty(), courier.since), (Duty::Free, at(1)));
        let before = courier.clone();
        assert_eq!(courier.set_shift(true, at(2)), Ok(()));
        assert_eq!(courier, before, "the same again is no news");
        courier.changed(&said(false), at(3));
        assert_eq!((courier.duty(), courier.set_shift(true, at(4))), (Duty::Off, Err(RidesNoLonger)));
    }

    #[test]
    fn goods_in_hand_outlive_the_shift() {
        let mut courier = Courier::hired(&said(true), at(0));
        courier.set_shift(true, at(1)).unwrap();
        courier.set_task(Task::Delivering(OrderId(id(5))), at(2));
        courier.set_shift(false, at(3)).unwrap();
        assert_eq!((courier.duty(), courier.since), (Duty::Delivering, at(2)));
        courier.set_task(Task::None, at(4));
        assert_eq!(courier.duty(), Duty::Off);
    }
}
