//! The machine of a delivery as tables: its states, where each may lead, where the goods are, and who may make which move.
//! Leaves what a move changes to `delivery`.

use std::fmt;

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
    /// It could not be handed over; orders decides what follows.
    Failed,
    /// The courier brings the goods back.
    Returning,
    /// The goods are back in the store; orders decides what follows, or has: then it is over.
    Returned,
    /// There is nothing to deliver any more.
    Cancelled,
}

impl State {
    /// Before a courier who said yes has the goods.
    pub(crate) const BEFORE_PICKUP: &'static [Self] = &[Self::Assigned, Self::ToPickup, Self::AtPickup];
    /// While a courier brings the goods to the door.
    pub(crate) const ON_THE_WAY: &'static [Self] = &[Self::PickedUp, Self::ToDropoff, Self::AtDropoff];

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
            Self::Failed => "failed",
            Self::Returning => "returning",
            Self::Returned => "returned",
            Self::Cancelled => "cancelled",
        }
    }

    /// The whole machine: where each state may lead.
    pub(crate) fn next(self) -> &'static [Self] {
        match self {
            Self::Created => &[Self::Unassigned, Self::Cancelled],
            Self::Unassigned => &[Self::Offered, Self::Failed, Self::Cancelled],
            Self::Offered => &[Self::Assigned, Self::Unassigned, Self::Cancelled],
            Self::Assigned => &[Self::ToPickup, Self::Unassigned, Self::Cancelled],
            Self::ToPickup => &[Self::AtPickup, Self::Unassigned, Self::Cancelled],
            Self::AtPickup => &[Self::PickedUp, Self::Unassigned, Self::Cancelled],
            Self::PickedUp => &[Self::ToDropoff, Self::Failed, Self::Returning],
            Self::ToDropoff => &[Self::AtDropoff, Self::Failed, Self::Returning],
            Self::AtDropoff => &[Self::Delivered, Self::Failed, Self::Returning],
            Self::Failed => &[Self::ToDropoff, Self::Unassigned, Self::Returning, Self::Cancelled],
            Self::Returning => &[Self::Returned],
            Self::Returned => &[Self::Unassigned],
            Self::Delivered | Self::Cancelled => &[],
        }
    }

    pub(crate) fn is_before_pickup(self) -> bool {
        Self::BEFORE_PICKUP.contains(&self)
    }

    pub(crate) fn is_on_the_way(self) -> bool {
        Self::ON_THE_WAY.contains(&self)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who has the goods.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goods {
    Store,
    Courier,
    Shopper,
}

impl Goods {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Courier => "courier",
            Self::Shopper => "shopper",
        }
    }
}

/// What people may do with a delivery, by the names of the routes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Move {
    Accept,
    Decline,
    AtPickup,
    PickedUp,
    AtDropoff,
    Deliver,
    /// The courier will not fetch it after all.
    Drop,
    /// It cannot be handed over.
    Fail,
    /// The courier turns back.
    Return,
    /// The goods are back in the store.
    Returned,
    /// It is taken from its courier.
    Withdraw,
}

impl Move {
    /// What its courier may do; what leads on comes first.
    pub(crate) const COURIERS: &'static [Self] = &[
        Self::Accept,
        Self::Decline,
        Self::AtPickup,
        Self::PickedUp,
        Self::AtDropoff,
        Self::Deliver,
        Self::Drop,
        Self::Fail,
        Self::Return,
        Self::Returned,
    ];
    /// What dispatchers and managers of its store may do.
    pub(crate) const STAFFS: &'static [Self] = &[Self::Withdraw, Self::Fail, Self::Returned];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Decline => "decline",
            Self::AtPickup => "at-pickup",
            Self::PickedUp => "picked-up",
            Self::AtDropoff => "at-dropoff",
            Self::Deliver => "deliver",
            Self::Drop => "drop",
            Self::Fail => "fail",
            Self::Return => "return",
            Self::Returned => "returned",
            Self::Withdraw => "withdraw",
        }
    }

    /// Whether it may be made in `state` with the goods where they are.
    pub(crate) fn is_legal(self, state: State, goods: Goods) -> bool {
        // What failed before anybody fetched it is nobody's to bring back.
        self.from().contains(&state) && (state != State::Failed || goods == Goods::Courier)
    }

    fn from(self) -> &'static [State] {
        match self {
            Self::Accept | Self::Decline => &[State::Offered],
            Self::AtPickup => &[State::ToPickup],
            Self::PickedUp => &[State::AtPickup],
            Self::AtDropoff => &[State::ToDropoff],
            Self::Deliver => &[State::AtDropoff],
            Self::Drop | Self::Withdraw => State::BEFORE_PICKUP,
            Self::Fail => State::ON_THE_WAY,
            Self::Return => &[State::Failed],
            Self::Returned => &[State::Failed, State::Returning],
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ALL: [State; 14] = [
        State::Created,
        State::Unassigned,
        State::Offered,
        State::Assigned,
        State::ToPickup,
        State::AtPickup,
        State::PickedUp,
        State::ToDropoff,
        State::AtDropoff,
        State::Delivered,
        State::Failed,
        State::Returning,
        State::Returned,
        State::Cancelled,
    ];

    #[test]
    fn the_machine_is_this_table() {
        let machine = "
            created: unassigned cancelled
            unassigned: offered failed cancelled
            offered: assigned unassigned cancelled
            assigned: to-pickup unassigned cancelled
            to-pickup: at-pickup unassigned cancelled
            at-pickup: picked-up unassigned cancelled
            picked-up: to-dropoff failed returning
            to-dropoff: at-dropoff failed returning
            at-dropoff: delivered failed returning
            delivered:
            failed: to-dropoff unassigned returning cancelled
            returning: returned
            returned: unassigned
            cancelled:";
        let words = |states: &[State]| states.iter().map(|state| format!(" {state}")).collect::<String>();
        let built: Vec<String> = ALL.iter().map(|state| format!("{state}:{}", words(state.next()))).collect();
        let expected: Vec<&str> = machine.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(built, expected);
    }

    #[test]
    fn who_may_do_what_when_is_this_table() {
        let moves = "
            created: |
            unassigned: |
            offered: accept decline |
            assigned: drop | withdraw
            to-pickup: at-pickup drop | withdraw
            at-pickup: picked-up drop | withdraw
            picked-up: fail | fail
            to-dropoff: at-dropoff fail | fail
            at-dropoff: deliver fail | fail
            delivered: |
            failed: return returned | returned
            returning: returned | returned
            returned: |
            cancelled: |";
        let words = |of: &[Move], state: State| {
            let legal = of.iter().filter(|step| step.is_legal(state, Goods::Courier));
            legal.map(|step| format!("{} ", step.as_str())).collect::<String>()
        };
        let line = |state: &State| {
            let (couriers, staffs) = (words(Move::COURIERS, *state), words(Move::STAFFS, *state));
            format!("{state}: {couriers}| {staffs}").trim_end().to_owned()
        };
        let built: Vec<String> = ALL.iter().map(line).collect();
        let expected: Vec<&str> = moves.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(built, expected);
        let in_store = Move::COURIERS.iter().chain(Move::STAFFS).find(|step| step.is_legal(State::Failed, Goods::Store));
        assert_eq!(in_store, None, "what failed in the store is brought back by nobody");
    }

    #[test]
    fn states_are_read_as_they_are_written() {
        for state in ALL {
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
    }
}
