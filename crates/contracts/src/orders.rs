//! What orders says: the life of an order.
//! Leaves what it asks of inventory to `inventory::commands`.

use kernel::{Money, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Address, CartId, OrderId, PersonId, Place, Quantity, RefundId, Sku, Slot, StoreId, events};

/// One line of an order as it was sold.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// What.
    pub sku: Sku,
    /// Its name when it was sold.
    pub name: String,
    /// How many.
    pub quantity: Quantity,
    /// What one costs.
    pub unit_price: Money,
    /// The tax on the line.
    pub tax: Money,
    /// Price times quantity and tax.
    pub total: Money,
}

/// How to reach whoever ordered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Contact {
    /// For the courier and on messages.
    pub name: String,
    /// Where messages go.
    pub email: String,
    /// For the courier; may be empty.
    #[serde(default)]
    pub phone: String,
}

/// A line of which fewer units could be picked than were ordered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShortLine {
    /// What.
    pub sku: Sku,
    /// Its name when it was sold.
    pub name: String,
    /// How many were ordered.
    pub ordered: i64,
    /// How many there are; 0 if the line is gone.
    pub picked: i64,
}

events! { "orders.orders";
    /// An order was taken; nothing is held yet.
    OrderPlaced = "order.placed.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// The cart it came from.
        cart: CartId,
        /// The store its quote names.
        store: StoreId,
        /// Who ordered, if signed in.
        customer: Option<PersonId>,
        /// How to reach them.
        contact: Contact,
        /// What was ordered.
        lines: Vec<Line>,
        /// When it is to come.
        slot: Slot,
        /// What is to be paid.
        total: Money,
        /// When it was taken.
        placed_at: Timestamp,
    }
    /// Stock and slot are held: the money may be authorised, until `pay_by`.
    OrderReserved = "order.reserved.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// The store, whose currency it is.
        store: StoreId,
        /// What is to be authorised.
        amount: Money,
        /// The provider's token for the shopper's means of payment.
        payment_token: String,
        /// The hold's expiry less a minute.
        pay_by: Timestamp,
    }
    /// The hold is committed and the money authorised: the order is promised.
    OrderConfirmed = "order.confirmed.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// The store that picks it.
        store: StoreId,
        /// Whom the courier meets.
        contact: Contact,
        /// Where.
        address: Address,
        /// When.
        slot: Slot,
    }
    /// It could not be held: stock or slot were short.
    OrderRejected = "order.rejected.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// Why, in a sentence.
        detail: String,
    }
    /// The money was refused; the hold still lives.
    OrderPaymentFailed = "order.payment-failed.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// The provider's reason.
        detail: String,
    }
    /// The shopper offers another means of payment; the hold still lives.
    OrderPaymentAgain = "order.payment-again.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// The how-manieth means of payment this is: 2 for the first that follows a refused one.
        attempt: i64,
        /// What is to be authorised.
        amount: Money,
        /// The provider's token for it.
        payment_token: String,
        /// The hold's expiry less a minute.
        pay_by: Timestamp,
    }
    /// Fewer units were picked than were ordered: it costs less now.
    OrderShortPicked = "order.short-picked.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// The lines that are short of what was ordered.
        short: Vec<ShortLine>,
        /// What it costs now.
        total: Money,
    }
    /// It is to end, but the goods may be with a courier: they are brought back first. Delivery answers that the delivery is
    /// withdrawn, or that it was handed over before.
    OrderRecalled = "order.recalled.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// Why, as `payment-expired`.
        reason: String,
    }
    /// Its delivery failed and is to be tried once more.
    OrderDeliveryAgain = "order.delivery-again.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// The how-manieth try this is: 2 for the first that follows a failed one.
        attempt: i64,
    }
    /// So much is to be given back of what was captured.
    OrderRefundRequested = "order.refund-requested.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// The refund; the same one is paid once.
        refund: RefundId,
        /// How much.
        amount: Money,
        /// Why, in the words of whoever asked for it.
        reason: String,
    }
    /// It is to end: whoever holds something for it gives it back.
    OrderCancelling = "order.cancelling.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// Why, as `gave-up`.
        reason: String,
    }
    /// It has ended and everything was given back.
    OrderCancelled = "order.cancelled.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// Why, as `gave-up`.
        reason: String,
    }
    /// It is picked and waits for a courier.
    OrderReady = "order.ready.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// Where it waits.
        store: StoreId,
    }
    /// It was handed over: the money may be captured.
    OrderDelivered = "order.delivered.v1" at |e| Place::of(e.order) => {
        /// The order.
        order: OrderId,
        /// What is to be captured.
        amount: Money,
    }
}
