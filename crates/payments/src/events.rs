//! What payments does on others' events: the order's wishes, and the keys of tokens.
//! Leaves what follows to `service`.

use engine::{Subscription, TokenKeys};

use crate::service;

/// The subscriptions of payments.
pub(crate) fn subscriptions() -> Vec<Subscription> {
    let orders = Subscription::to("orders")
        .work(service::reserve)
        .work(service::pay_again)
        .work(service::deliver)
        .work(service::cancel)
        .work(service::refund);
    vec![orders, TokenKeys::copied_by(Subscription::to("identity"))]
}
