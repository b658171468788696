//! What payments says: what became of the money of an order.
//! Leaves providers and attempts to payments.

use kernel::{Money, Timestamp};

use crate::{OrderId, Place, RefundId, events, first, is_first};

events! { "payments.payments";
    /// The provider holds the amount for us.
    PaymentAuthorised = "payment.authorised.v1" at |e| Place::of(e.order) => {
        /// Whose money.
        order: OrderId,
        /// How much.
        amount: Money,
        /// The how-manieth means of payment gave it.
        #[serde(default = "first", skip_serializing_if = "is_first")]
        attempt: i64,
    }
    /// The provider asks the shopper to do something first, as to confirm with their bank.
    PaymentActionRequired = "payment.action-required.v1" at |e| Place::of(e.order) => {
        /// Whose money.
        order: OrderId,
        /// The how-manieth means of payment.
        attempt: i64,
        /// Where the shopper does it.
        url: String,
        /// Until when; after that nothing will be authorised.
        until: Timestamp,
    }
    /// The provider refused.
    PaymentDeclined = "payment.declined.v1" at |e| Place::of(e.order) => {
        /// Whose money.
        order: OrderId,
        /// The provider's reason, as `card-declined`.
        reason: String,
        /// The how-manieth means of payment was refused.
        #[serde(default = "first", skip_serializing_if = "is_first")]
        attempt: i64,
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
    /// The provider no longer holds what it had authorised: nothing can be captured.
    PaymentExpired = "payment.expired.v1" at |e| Place::of(e.order) => {
        /// Whose money.
        order: OrderId,
    }
    /// A refund was paid.
    PaymentRefunded = "payment.refunded.v1" at |e| Place::of(e.order) => {
        /// Whose money.
        order: OrderId,
        /// Which refund.
        refund: RefundId,
        /// How much it was.
        amount: Money,
        /// How much was given back in all.
        refunded: Money,
    }
    /// The provider refused a refund.
    PaymentRefundFailed = "payment.refund-failed.v1" at |e| Place::of(e.order) => {
        /// Whose money.
        order: OrderId,
        /// Which refund.
        refund: RefundId,
        /// The provider's reason.
        reason: String,
    }
    /// The shopper's bank disputes the payment.
    PaymentDisputed = "payment.disputed.v1" at |e| Place::of(e.order) => {
        /// Whose money.
        order: OrderId,
        /// How much is disputed.
        amount: Money,
        /// The bank's reason.
        reason: String,
    }
    /// A dispute has ended.
    PaymentDisputeClosed = "payment.dispute-closed.v1" at |e| Place::of(e.order) => {
        /// Whose money.
        order: OrderId,
        /// Whether the money stays ours.
        won: bool,
    }
}
