//! What a move is made with: who makes it, when, why, and how long what follows may last.
//! Leaves the moves to `delivery`.

use contracts::PersonId;
use kernel::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

use super::state::Move;

/// As what somebody or something moves a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// Delivery itself, which matches couriers and looks at the clock.
    Delivery,
    /// An order that goes on or ends.
    Orders,
    /// Identity, which says who rides.
    Identity,
    Courier,
    Dispatcher,
    Manager,
    Admin,
}

/// Who makes a move.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct By {
    pub(crate) role: Part,
    /// Nobody, if it is a service.
    pub(crate) person: Option<PersonId>,
}

impl By {
    pub(crate) const DELIVERY: Self = Self { role: Part::Delivery, person: None };
    pub(crate) const ORDERS: Self = Self { role: Part::Orders, person: None };
    pub(crate) const IDENTITY: Self = Self { role: Part::Identity, person: None };

    pub(crate) fn courier(person: PersonId) -> Self {
        Self { role: Part::Courier, person: Some(person) }
    }

    /// Who may move only what is theirs.
    pub(crate) fn as_courier(self) -> Option<PersonId> {
        self.person.filter(|_| self.role == Part::Courier)
    }

    /// What they may do at all.
    pub(crate) fn moves(self) -> &'static [Move] {
        match self.role {
            Part::Courier => Move::COURIERS,
            Part::Dispatcher | Part::Manager | Part::Admin => Move::STAFFS,
            Part::Delivery | Part::Orders | Part::Identity => &[],
        }
    }
}

/// How long each waiting state may last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Deadlines {
    /// From each move of a courier who fetches goods to their next.
    pub(crate) pickup_ttl_ms: Millis,
    /// From each move of a courier who brings goods to their next.
    pub(crate) dropoff_ttl_ms: Millis,
    /// Until goods that a courier brings back should be in the store.
    pub(crate) return_ttl_ms: Millis,
    /// How long after the end of its slot a delivery still waits for a courier.
    pub(crate) no_courier_after_ms: Millis,
}

/// Who makes a move, when, and how long what follows may last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Turn {
    pub(crate) now: Timestamp,
    pub(crate) by: By,
    pub(crate) deadlines: Deadlines,
}

/// Why a move is made: a word for machines and what a person adds; both may be empty.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Why<'a> {
    pub(crate) reason: &'a str,
    pub(crate) note: &'a str,
}

impl<'a> Why<'a> {
    /// It speaks for itself.
    pub(crate) const NONE: Self = Self { reason: "", note: "" };

    pub(crate) fn of(reason: &'a str) -> Self {
        Self { reason, note: "" }
    }
}
