//! Every invariant that is audited, by its name: what it says, when it holds, and who checks it. Documents and tests
//! enumerate this table; a rule without a planted breach that is found fails a test.
//! Leaves checking to `judge`, to `pending`, and to the services' own routes of breaches.

use std::fmt;

use serde::Serialize;

/// One invariant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Rule {
    /// Its name, as breaches carry it.
    pub name: &'static str,
    /// What is so, in one sentence.
    pub says: &'static str,
    /// When it is so.
    pub holds: Holds,
    /// Who looks.
    pub by: By,
}

/// When a rule holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// At every instant; between services as soon as what was said has been heard.
    Always,
    /// Once nobody concerned has anything left to do by itself.
    Settled,
}

/// Who checks a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "service")]
pub enum By {
    /// A service, in its own tables.
    Service(&'static str),
    /// The audit, over what all services say of an order.
    Join,
    /// The audit, over what the services have before them.
    Pending,
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::Settled => "settled",
        })
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service(service) => service,
            Self::Join => "join",
            Self::Pending => "pending",
        })
    }
}

const fn always(name: &'static str, by: By, says: &'static str) -> Rule {
    Rule { name, says, holds: Holds::Always, by }
}

const fn settled(name: &'static str, by: By, says: &'static str) -> Rule {
    Rule { name, says, holds: Holds::Settled, by }
}

const ORDERS: By = By::Service("orders");
const INVENTORY: By = By::Service("inventory");
const PAYMENTS: By = By::Service("payments");
const DELIVERY: By = By::Service("delivery");
const NOTIFICATIONS: By = By::Service("notifications");

/// All of them.
pub static RULES: &[Rule] = &[
    always("total-equals-lines-and-fee", ORDERS, "The lines and the fee of an order add up to its total."),
    always("tax-equals-lines", ORDERS, "The tax of an order is that of its lines."),
    always("history-ends-in-state", ORDERS, "The last step of an order's history is the state it is in."),
    always("one-end", ORDERS, "No order was both delivered and cancelled."),
    always("captured-within-total", ORDERS, "As far as orders has heard, no more was taken than an order costs."),
    always("refunds-within-captured", ORDERS, "As far as orders has heard, no more was given back than was taken."),
    always("held-equals-live-holds", INVENTORY, "What is held of a thing is what the live holds took of it."),
    always("available-not-negative", INVENTORY, "No store has less than nothing of a thing to promise."),
    always("held-not-negative", INVENTORY, "No store holds less than nothing of a thing."),
    always("stock-equals-ledger", INVENTORY, "What a store has of a SKU is what its movements add up to."),
    always("captured-within-authorised", PAYMENTS, "No more was taken and let go than was authorised."),
    always("captured-or-voided", PAYMENTS, "The money of an order is taken or let go, not both."),
    always("refunded-within-captured", PAYMENTS, "No more is given back than was taken."),
    always("columns-equal-documents", PAYMENTS, "What a payment is searched for by is what it says of itself."),
    always("ledger-equals-documents", PAYMENTS, "The ledger of a payment adds up to what the payment says of itself."),
    always("one-attempt-alive", PAYMENTS, "At most one means of payment may give the money of an order."),
    always("wanted-is-asked", PAYMENTS, "Whatever a payment still wants is about to be asked of the provider."),
    settled("intent-theirs-only", PAYMENTS, "The provider holds, or took, nothing that we do not know of."),
    settled("intent-ours-only", PAYMENTS, "We believe nothing to be held, or taken, that the provider does not know of."),
    settled("intent-amounts-differ", PAYMENTS, "The provider's books and ours name the same amounts."),
    always("one-accepted-offer-per-delivery", DELIVERY, "At most one courier has accepted a delivery."),
    always("one-delivery-per-courier", DELIVERY, "A courier has at most one delivery in hand."),
    always("goods-are-with-somebody", DELIVERY, "Goods that have left the store are with a courier whom the delivery names."),
    always("accepted-offer-has-courier", DELIVERY, "A delivery of which an offer was accepted names who brings it."),
    always(
        "courier-agrees-with-delivery",
        DELIVERY,
        "The courier that a delivery names, and the delivery that a courier names, are each other's.",
    ),
    always("messages-are-sent-or-given-up", NOTIFICATIONS, "No message waits to be sent for longer than it may."),
    always("order-is-decided-in-time", By::Join, "An order is promised or ends within a day of being placed."),
    always("authorised-within-ordered", By::Join, "No more is authorised than an order was to cost when it was placed."),
    always("authorised-order-has-money", By::Join, "The money of an order that counts on it is authorised."),
    always(
        "promised-order-has-hold",
        By::Join,
        "An order that is promised, or whose goods are not back yet, has its stock and slot committed.",
    ),
    always("promised-order-has-money", By::Join, "The money of an order that is promised is authorised."),
    always("promised-order-has-delivery", By::Join, "An order that is promised has a delivery that was not given up."),
    always("order-on-its-way-was-picked-up", By::Join, "The goods of an order on its way have been picked up."),
    always("recalled-order-keeps-its-money", By::Join, "Money is let go only once the goods are back in the store."),
    settled("delivered-order-consumed-hold", By::Join, "What a delivered order held has left the stock."),
    settled("delivered-order-captured-money", By::Join, "The money of a delivered order was taken."),
    always("delivered-order-was-delivered", By::Join, "A courier has handed over every delivered order."),
    settled("delivered-order-is-paid", By::Join, "What was taken for a delivered order is what it costs."),
    settled("refunds-agree", By::Join, "What orders says was given back of a delivered order is what payments has given back."),
    always("rejected-order-holds-nothing", By::Join, "Nothing is held for an order that was rejected."),
    always("rejected-order-charges-nothing", By::Join, "No money is held or taken for an order that was rejected."),
    always("rejected-order-brings-nothing", By::Join, "Nothing is brought for an order that was rejected."),
    always("cancelled-order-holds-nothing", By::Join, "An order counts as cancelled only once nothing is held for it."),
    always(
        "cancelled-order-charges-nothing",
        By::Join,
        "An order counts as cancelled only once no money is held or taken for it.",
    ),
    always("cancelled-order-brings-nothing", By::Join, "An order counts as cancelled only once nothing is brought for it."),
    always("hold-has-order", By::Join, "Nothing is held for an order that does not exist."),
    always("money-has-order", By::Join, "No money is held or taken for an order that does not exist."),
    always("delivery-has-order", By::Join, "Nothing is brought for an order that does not exist."),
    always("no-event-is-parked", By::Pending, "No event lies aside because its consumer cannot handle it."),
    always("events-are-heard", By::Pending, "What a service says is heard by all whom it concerns, within half a minute."),
];

/// The rule of that name.
#[must_use]
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_rule_is_a_sentence() {
        let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
        assert!(names.len() == RULES.len() && RULES.len() >= 20);
        assert!(RULES.iter().all(|rule| rule.says.ends_with('.') && rule.says.len() > 20));
    }
}
