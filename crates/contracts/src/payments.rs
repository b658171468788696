//! What payments says: what became of the money of an order.
//! Leaves providers and attempts to payments.

use kernel::Money;

use crate::{OrderId, Place, events};

events! { "payments.payments";
    /// The provider holds the amount for us.
    PaymentAuthorised = "payment.authorised.v1" at |e| Place::of(e.order) => {
        /// Whose money.
        order: OrderId,
        /// How much.
        amount: Money,
    }
    /// The provider refused.
    PaymentDeclined = "payment.declined.v1" at |e| Place::of(e.order) => {
        /// Whose money.
        order: OrderId,
        /// The provider's reason, as `card-declined`.
        reason: String,
    }
    /// The amount is ours.
    PaymentCaptured = "payment.captured.v1" at |e| Place::of(e.order) => {
        /// Whose money.
        order: OrderId,
        /// How much.
        amount: Money,
    }
    /// Nothing is held any more, and nothing was taken; also said where there was never anything to give back.
    PaymentVoided = "payment.voided.v1" at |e| Place::of(e.order) => {
        /// Whose money.
        order: OrderId,
    }
}
