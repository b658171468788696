//! How an order lives. It keeps what it has heard of hold, payment and delivery, and one pure function, `Order::advance`,
//! decides what follows; so facts of different services may arrive in any order and any number of times.
//!
//! Reading order: `state`, `heard`, `machine` (what follows by itself), `moves` (what people may ask), `lines` (short picks),
//! `refunds`. Leaves storing and saying what it decides to `service`.

mod heard;
mod lines;
mod machine;
mod moves;
mod refunds;
mod state;

use std::collections::BTreeMap;

use contracts::orders::{Contact, Line};
use contracts::{Address, CartId, OrderId, PersonId, Sku, Slot, StoreId};
use kernel::{Millis, Money, Timestamp};
use serde::{Deserialize, Serialize};

pub use heard::{Delivery, Dispute, Failure, Heard, Hold, Payment};
pub use lines::{LineNow, Picked};
use machine::Cause;
pub use machine::Said;
pub use moves::{Asker, Part, Wish};
pub use refunds::{Refund, RefundState, Share};
pub use state::{State, Waits};

/// What happened, where the history shows something else than a state that was entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Another means of payment is tried.
    PaymentAgain,
    /// The shopper was asked to do something before the money is authorised.
    ActionRequired,
    /// A further means of payment was refused.
    Declined,
    /// The provider let the authorisation go after the goods were handed over.
    PaymentExpired,
    /// Fewer units were picked than were ordered.
    ShortPicked,
    /// The staff took the slot away.
    SlotWithdrawn,
    /// Whoever was to bring it no longer is.
    CourierUnassigned,
    /// The goods came back to the store.
    GoodsBack,
    /// It was handed over before it could be called back.
    RecallTooLate,
    /// A refund was asked for.
    RefundAsked,
    /// A refund was paid.
    RefundPaid,
    /// The provider refused a refund.
    RefundFailed,
    /// The shopper's bank disputes the payment.
    Disputed,
    /// A dispute was decided.
    DisputeClosed,
}

/// One step of the history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Moment {
    /// The state then; the one entered, unless `what` says that something else happened.
    pub state: State,
    /// When.
    pub at: Timestamp,
    /// Who or what moved it, as `shopper`, `picker`, `inventory`.
    pub by: String,
    /// What happened, if it was not a state that was entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<What>,
    /// Who that was, if they were known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// Why, in a word or in theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Its id; the key of its hold, payment and delivery.
    pub id: OrderId,
    /// The cart it came from.
    pub cart: CartId,
    /// Who ordered, if signed in.
    pub customer: Option<PersonId>,
    /// The store that delivers.
    pub store: StoreId,
    /// How to reach the shopper.
    pub contact: Contact,
    /// Where.
    pub address: Address,
    /// When.
    pub slot: Slot,
    /// Whether the store's staff took the slot away.
    #[serde(default)]
    pub slot_withdrawn: bool,
    /// What was sold; [`Order::lines_now`] is what there is of it.
    pub lines: Vec<Line>,
    /// How many units there are, of SKUs that are short.
    #[serde(default)]
    pub picked: BTreeMap<Sku, i64>,
    /// What delivery costs.
    pub fee: Money,
    /// The tax in the total.
    pub tax: Money,
    /// All of it, as it is now.
    pub total: Money,
    /// The provider's token for the shopper's present means of payment.
    pub payment_token: String,
    /// The how-manieth means of payment that is.
    #[serde(default = "first")]
    pub payment_attempt: i64,
    /// Where it is.
    pub state: State,
    /// What inventory has said.
    pub hold: Hold,
    /// What payments has said.
    pub payment: Payment,
    /// What delivery has said.
    pub delivery: Delivery,
    /// What is, or was to be, given back after it was delivered.
    #[serde(default)]
    pub refunds: Vec<Refund>,
    /// How much payments has said was given back in all, in minor units.
    #[serde(default)]
    pub refunded_minor: i64,
    /// Whether the shopper's bank disputes the payment.
    #[serde(default)]
    pub dispute: Option<Dispute>,
    /// Why it ends, as `gave-up`, once it does.
    pub reason: Option<String>,
    /// Where it has been, and what happened there.
    pub history: Vec<Moment>,
    /// When it was taken.
    pub placed_at: Timestamp,
}

/// How long an order waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// For stock and money, from when it was placed.
    pub promise_ms: Millis,
    /// For being handed over, from the end of its slot or from when it came into its state, whichever is later.
    pub delivery_ms: Millis,
    /// For a decision on a failed delivery.
    pub decision_ms: Millis,
    /// For what others give back, before they are asked again.
    pub answer_ms: Millis,
}

impl Order {
    /// When it has waited long enough in its state; never in its ends.
    #[must_use]
    pub fn due_at(&self, now: Timestamp, patience: Patience) -> Option<Timestamp> {
        Some(match self.state.waits()? {
            Waits::ForPromise => self.placed_at.plus_ms(patience.promise_ms),
            Waits::ForDelivery => self.slot.ends_at.max(self.entered_at()).plus_ms(patience.delivery_ms),
            Waits::ForDecision => self.entered_at().plus_ms(patience.decision_ms),
            Waits::ForReturn => now.plus_ms(patience.answer_ms),
        })
    }

    /// What it cost as it was ordered, before anything was short.
    #[must_use]
    pub fn ordered_total(&self) -> Money {
        let lines: i64 = self.lines.iter().map(|line| line.total.minor).sum();
        Money::new(lines + self.fee.minor, self.total.currency)
    }

    /// When it came into its state.
    fn entered_at(&self) -> Timestamp {
        self.history.iter().rev().find(|moment| moment.what.is_none()).map_or(self.placed_at, |moment| moment.at)
    }

    /// Whether it has been in `state`.
    pub(crate) fn was(&self, state: State) -> bool {
        self.history.iter().any(|moment| moment.state == state)
    }
}

fn first() -> i64 {
    1
}

#[cfg(test)]
mod tests;
