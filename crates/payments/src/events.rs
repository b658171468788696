//! What payments does on others' events: the order's wishes, and the keys of tokens.
//! Leaves what follows to `service`.

use engine::{Subscription, TokenKeys};

use crate::service;

/// The subscriptions of payments.
pub(crate) fn subscriptions() -> Vec<Subscription> {
    let orders = Subscription::to("orders").work(service::reserve).work(service::deliver).work(service::cancel);
    vec![orders, TokenKeys::copied_by(Subscription::to("identity"))]
}

/// The subscriptions of the sandbox provider, which hears nothing of the shop but the keys of its tokens.
pub(crate) fn sandbox_subscriptions() -> Vec<Subscription> {
    vec![TokenKeys::copied_by(Subscription::to("identity"))]
}
