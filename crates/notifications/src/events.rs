//! What notifications does on others' events: it keeps how to reach whoever ordered, and writes on news of the order.
//! Leaves when there is somebody to write to, and what is written, to `domain`. No event is refused: news that come before
//! their order wait for it, and repetitions find their message written. A refusal of money is told on the word of payments, which
//! says of which attempt it is; a refund that fails, or a dispute, is no news for the shopper.

use std::sync::Arc;

use contracts::delivery::{DeliveryAssigned, DeliveryFailed, DeliveryPickedUp};
use contracts::inventory::SlotWithdrawn;
use contracts::orders::{
    OrderCancelled, OrderCancelling, OrderConfirmed, OrderDelivered, OrderDeliveryAgain, OrderPlaced, OrderRecalled,
    OrderRejected, OrderShortPicked,
};
use contracts::payments::{PaymentActionRequired, PaymentDeclined, PaymentRefunded};
use contracts::{Event, OrderId};
use engine::{Subscription, TokenKeys};
use kernel::Money;

use crate::config::Config;
use crate::domain::letter::News;
use crate::service::{hear, hear_that_it_ends, keep_contact};

/// The subscriptions, one to each other service that notifications listens to.
pub(crate) fn subscriptions(config: &Config) -> Vec<Subscription> {
    let config = Arc::new(config.clone());
    let identity = TokenKeys::copied_by(Subscription::to("identity"));
    vec![identity, orders(&config), payments(&config), delivery(&config), inventory(&config)]
}

fn orders(config: &Arc<Config>) -> Subscription {
    let placing = config.clone();
    let orders = Subscription::to("orders")
        .work(move |work, event: &OrderPlaced| keep_contact(work, event, &placing))
        .work(|work, event: &OrderCancelling| hear_that_it_ends(work, event.order));
    let orders = news(orders, config, |e: &OrderConfirmed| (e.order, News::Confirmed));
    let orders = news(orders, config, |e: &OrderRejected| (e.order, News::Rejected { detail: e.detail.clone() }));
    let orders = news(orders, config, |e: &OrderCancelled| (e.order, News::Cancelled { reason: e.reason.clone() }));
    let orders = news(orders, config, |e: &OrderDeliveryAgain| (e.order, News::DeliveryAgain { attempt: e.attempt }));
    let orders = news(orders, config, |e: &OrderRecalled| (e.order, News::Returning { reason: e.reason.clone() }));
    let orders = news_of_price(orders, config, |e: &OrderShortPicked| {
        (e.order, News::ShortPicked { short: e.short.clone(), total: e.total }, e.total)
    });
    news_of_price(orders, config, |e: &OrderDelivered| (e.order, News::Delivered, e.amount))
}

fn payments(config: &Arc<Config>) -> Subscription {
    let payments = news(Subscription::to("payments"), config, |e: &PaymentDeclined| {
        (e.order, News::PaymentFailed { detail: e.reason.clone(), attempt: e.attempt })
    });
    let payments = news(payments, config, |e: &PaymentActionRequired| {
        (e.order, News::ActionRequired { url: e.url.clone(), until: e.until, attempt: e.attempt })
    });
    news(payments, config, |e: &PaymentRefunded| {
        (e.order, News::RefundPaid { refund: e.refund, amount: e.amount, refunded: e.refunded })
    })
}

fn delivery(config: &Arc<Config>) -> Subscription {
    let delivery = news(Subscription::to("delivery"), config, |e: &DeliveryAssigned| {
        (e.order, News::Assigned { courier_name: e.courier_name.clone(), courier: Some(e.courier) })
    });
    let delivery = news(delivery, config, |e: &DeliveryPickedUp| match e.attempt {
        ..=1 => (e.order, News::PickedUp),
        attempt => (e.order, News::PickedUpAgain { attempt }),
    });
    news(delivery, config, |e: &DeliveryFailed| (e.order, News::DeliveryFailed { reason: e.reason, attempt: e.attempt }))
}

fn inventory(config: &Arc<Config>) -> Subscription {
    news(Subscription::to("inventory"), config, |e: &SlotWithdrawn| (e.order, News::SlotWithdrawn { reason: e.reason.clone() }))
}

fn news<E: Event>(subscription: Subscription, config: &Arc<Config>, of: fn(&E) -> (OrderId, News)) -> Subscription {
    let config = config.clone();
    subscription.work(move |work, event: &E| {
        let (order, news) = of(event);
        hear(work, order, news, None, &config)
    })
}

/// News after which the order costs what they say.
fn news_of_price<E: Event>(
    subscription: Subscription,
    config: &Arc<Config>,
    of: fn(&E) -> (OrderId, News, Money),
) -> Subscription {
    let config = config.clone();
    subscription.work(move |work, event: &E| {
        let (order, news, total) = of(event);
        hear(work, order, news, Some(total), &config)
    })
}
