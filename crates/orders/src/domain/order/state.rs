//! Where an order can be, and for what it waits there.
//! Leaves what leads from one state to another to `machine`.

use serde::{Deserialize, Serialize};

/// Where an order is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Taken; stock and slot are being held.
    Placed,
    /// Held; the money is being authorised.
    Reserved,
    /// The money is there; the hold is being committed.
    Authorised,
    /// Promised.
    Confirmed,
    /// Being picked.
    Picking,
    /// Waits for its courier.
    Ready,
    /// On its way.
    OutForDelivery,
    /// Handed over.
    Delivered,
    /// Stock or slot were short.
    Rejected,
    /// The money was refused; the hold still lives.
    PaymentFailed,
    /// It could not be handed over; somebody decides what comes next.
    DeliveryFailed,
    /// Ending, but the goods may be with a courier: they are called back first.
    Returning,
    /// Ending: what is held and authorised is given back.
    Cancelling,
    /// Ended, and everything was given back.
    Cancelled,
}

/// For what an order waits, which says how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waits {
    /// For stock and money.
    ForPromise,
    /// For the people who pick and bring it.
    ForDelivery,
    /// For somebody to decide what comes after a failed delivery.
    ForDecision,
    /// For other services to give back what they have for it.
    ForReturn,
}

impl State {
    /// The state in its text form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Reserved => "reserved",
            Self::Authorised => "authorised",
            Self::Confirmed => "confirmed",
            Self::Picking => "picking",
            Self::Ready => "ready",
            Self::OutForDelivery => "out_for_delivery",
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::PaymentFailed => "payment_failed",
            Self::DeliveryFailed => "delivery_failed",
            Self::Returning => "returning",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_final(self) -> bool {
        self.waits().is_none()
    }

    /// Whether it is on its way to its end, or there, without having been handed over.
    #[must_use]
    pub fn is_ending(self) -> bool {
        matches!(self, Self::Rejected | Self::Returning | Self::Cancelling | Self::Cancelled)
    }

    /// For what an order waits here; for nothing in its ends.
    #[must_use]
    pub fn waits(self) -> Option<Waits> {
        match self {
            Self::Placed | Self::Reserved | Self::Authorised | Self::PaymentFailed => Some(Waits::ForPromise),
            Self::Confirmed | Self::Picking | Self::Ready | Self::OutForDelivery => Some(Waits::ForDelivery),
            Self::DeliveryFailed => Some(Waits::ForDecision),
            Self::Returning | Self::Cancelling => Some(Waits::ForReturn),
            Self::Delivered | Self::Rejected | Self::Cancelled => None,
        }
    }
}
