//! What an order has heard of its hold, its payment and its delivery. What is known never goes back: facts merge, so the
//! order in which those of different services come, and how often, does not matter.
//! Leaves what follows from them to `machine`, and refunds to `refunds`.

use contracts::RefundId;
use contracts::delivery::FailureReason;
use contracts::inventory::Short;
use kernel::{Money, Timestamp};
use serde::{Deserialize, Serialize};

/// What inventory has said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Hold {
    /// Nothing yet.
    Requested,
    /// Held until then.
    Reserved {
        /// When it runs out.
        expires_at: Timestamp,
    },
    /// Nothing is held: this was short.
    Rejected {
        /// What was short.
        short: Vec<Short>,
    },
    /// Held for good.
    Committed,
    /// Over: it ran out, or its commit came too late.
    Expired,
    /// Over: given back as asked.
    Released,
    /// Over: handed over.
    Consumed,
}

impl Hold {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::Expired | Self::Released | Self::Consumed)
    }

    /// How far it has come; what was heard never goes back.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Requested => 0,
            Self::Reserved { .. } => 1,
            Self::Committed => 2,
            Self::Rejected { .. } | Self::Expired | Self::Released | Self::Consumed => 3,
        }
    }
}

/// What payments has said of the present means of payment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Payment {
    /// Nothing yet.
    Created,
    /// The shopper is to do something first, as to confirm with their bank.
    ActionRequired {
        /// Where.
        url: String,
        /// Until when.
        until: Timestamp,
    },
    /// The money is held for us.
    Authorised,
    /// The money was refused.
    Declined {
        /// The provider's reason.
        reason: String,
    },
    /// The provider no longer holds what it had authorised.
    Expired,
    /// The money is ours.
    Captured {
        /// How much.
        amount: Money,
    },
    /// Nothing is held and nothing was taken.
    Voided,
}

impl Payment {
    /// How far it has come; what was heard never goes back, unless another means of payment is tried.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Created => 0,
            Self::ActionRequired { .. } => 1,
            Self::Authorised | Self::Declined { .. } => 2,
            Self::Expired => 3,
            Self::Captured { .. } | Self::Voided => 4,
        }
    }

    /// Whether nothing of the shopper's money is held or taken, and nothing will be.
    pub(super) fn is_back(&self) -> bool {
        matches!(self, Self::Expired | Self::Voided)
    }
}

/// That the shopper's bank disputes the payment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dispute {
    /// How much of it.
    pub amount: Money,
    /// The bank's reason.
    pub reason: String,
    /// Whether the money stays ours, once it is decided.
    pub won: Option<bool>,
}

/// Why a try to deliver failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// In a word.
    pub reason: FailureReason,
    /// What the courier or dispatcher added; may be empty.
    pub note: String,
}

/// What delivery has said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// What the shopper tells the courier.
    pub pin: Option<String>,
    /// Who brings it.
    pub courier: Option<String>,
    /// The how-manieth try this is.
    pub attempt: i64,
    /// Whether the courier took the goods, in this try.
    pub picked_up: bool,
    /// Whether the courier is at the door, in this try.
    pub arrived: bool,
    /// Why this try failed, if it did.
    pub failed: Option<Failure>,
    /// Whether the goods came back to the store after they could not be handed over.
    pub returned: bool,
    /// Whether the goods were handed over.
    pub delivered: bool,
    /// Whether there is nothing to deliver any more.
    pub withdrawn: bool,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            pin: None,
            courier: None,
            attempt: 1,
            picked_up: false,
            arrived: false,
            failed: None,
            returned: false,
            delivered: false,
            withdrawn: false,
        }
    }
}

impl Delivery {
    /// Whether a courier is on the way with the goods, or was.
    pub(super) fn is_out(&self) -> bool {
        self.picked_up || self.arrived || self.delivered
    }

    /// The same before its next try.
    pub(super) fn again(&mut self) {
        self.attempt += 1;
        (self.picked_up, self.arrived, self.returned, self.failed) = (false, false, false, None);
    }
}

/// What an order hears from others.
#[derive(Clone, PartialEq, Debug)]
pub enum Heard {
    /// From inventory.
    Hold(Hold),
    /// From inventory: the staff took its slot away.
    SlotWithdrawn {
        /// In their words.
        reason: String,
    },
    /// From payments, of the how-manieth means of payment.
    Attempt(i64, Payment),
    /// From payments, of the payment as a whole.
    Payment(Payment),
    /// From payments: a refund was paid.
    Refunded {
        /// Which.
        refund: RefundId,
        /// How much it was.
        amount: Money,
        /// How much was given back in all.
        refunded: Money,
    },
    /// From payments: the provider refused a refund.
    RefundFailed {
        /// Which.
        refund: RefundId,
        /// The provider's reason.
        reason: String,
    },
    /// From payments: the shopper's bank disputes the payment.
    Disputed {
        /// How much of it.
        amount: Money,
        /// The bank's reason.
        reason: String,
    },
    /// From payments: the dispute was decided.
    DisputeClosed {
        /// Whether the money stays ours.
        won: bool,
    },
    /// From delivery: its PIN.
    Pin(String),
    /// From delivery: who brings it.
    Courier(String),
    /// From delivery: whoever was to bring it no longer is.
    Unassigned {
        /// Why, as `courier-dropped-out`.
        reason: String,
    },
    /// From delivery: the courier has the goods, in this try.
    PickedUp(i64),
    /// From delivery: the courier is at the door, in this try.
    Arrived(i64),
    /// From delivery: this try failed.
    Failed(i64, Failure),
    /// From delivery: the goods are back in the store.
    Returned,
    /// From delivery: handed over, in whichever try.
    Delivered,
    /// From delivery: nothing to deliver any more.
    Withdrawn,
}

impl Heard {
    pub(super) fn by(&self) -> &'static str {
        match self {
            Self::Hold(_) | Self::SlotWithdrawn { .. } => "inventory",
            Self::Attempt(..)
            | Self::Payment(_)
            | Self::Refunded { .. }
            | Self::RefundFailed { .. }
            | Self::Disputed { .. }
            | Self::DisputeClosed { .. } => "payments",
            _ => "delivery",
        }
    }
}
