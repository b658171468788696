//! What notifications does on others' events: it keeps how to reach whoever ordered, and writes on news of the order.
//! Leaves when there is somebody to write to, and what is written, to `domain`. No event is refused: news that come before
//! their order wait for it, and repetitions find their message written.

use contracts::Event;
use contracts::OrderId;
use contracts::delivery::{DeliveryAssigned, DeliveryPickedUp};
use contracts::orders::{OrderCancelled, OrderConfirmed, OrderDelivered, OrderPaymentFailed, OrderPlaced, OrderRejected};
use engine::{Subscription, TokenKeys};

use crate::domain::letter::News;
use crate::service::{hear, keep_contact};

/// The subscriptions, one to each other service that notifications listens to.
pub(crate) fn subscriptions() -> Vec<Subscription> {
    vec![TokenKeys::copied_by(Subscription::to("identity")), orders(), delivery()]
}

fn orders() -> Subscription {
    let orders = Subscription::to("orders").work(|work, event: &OrderPlaced| keep_contact(work, event));
    let orders = news(orders, |e: &OrderConfirmed| (e.order, News::Confirmed));
    let orders = news(orders, |e: &OrderRejected| (e.order, News::Rejected { detail: e.detail.clone() }));
    let orders = news(orders, |e: &OrderPaymentFailed| (e.order, News::PaymentFailed { detail: e.detail.clone() }));
    let orders = news(orders, |e: &OrderCancelled| (e.order, News::Cancelled { reason: e.reason.clone() }));
    news(orders, |e: &OrderDelivered| (e.order, News::Delivered))
}

fn delivery() -> Subscription {
    let delivery = Subscription::to("delivery");
    let delivery = news(delivery, |e: &DeliveryAssigned| (e.order, News::Assigned { courier_name: e.courier_name.clone() }));
    news(delivery, |e: &DeliveryPickedUp| (e.order, News::PickedUp))
}

fn news<E: Event>(subscription: Subscription, of: fn(&E) -> (OrderId, News)) -> Subscription {
    subscription.work(move |work, event: &E| {
        let (order, news) = of(event);
        hear(work, order, news)
    })
}
