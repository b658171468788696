//! What delivery does on others' events: orders begin, release, try again and end deliveries; identity names couriers and token
//! keys. Leaves the deciding to `service`.

use contracts::delivery::StoreChanged;
use contracts::identity::CourierChanged;
use contracts::orders::{OrderCancelling, OrderConfirmed, OrderDeliveryAgain, OrderReady, OrderRecalled};
use engine::{Republish, Subscription, TokenKeys};

use crate::config::Config;
use crate::{service, store};

/// At most one for each other service.
pub(crate) fn subscriptions(config: &Config) -> Vec<Subscription> {
    let deadlines = config.deadlines();
    vec![
        Subscription::to("orders")
            .work(|work, said: &OrderConfirmed| service::create_delivery(work, said))
            .work(move |work, said: &OrderReady| service::make_ready(work, said.order, deadlines))
            .work(move |work, said: &OrderDeliveryAgain| service::try_again(work, said.order, said.attempt, deadlines))
            // Either may find the goods anywhere: what was said in time may be heard late.
            .work(move |work, said: &OrderRecalled| service::recall(work, said.order, &said.reason, deadlines))
            .work(move |work, said: &OrderCancelling| service::recall(work, said.order, &said.reason, deadlines)),
        TokenKeys::copied_by(Subscription::to("identity"))
            .copy(move |work, said: &CourierChanged| service::keep_courier(work, said, deadlines)),
    ]
}

/// What it says again.
pub(crate) fn state() -> Vec<Republish> {
    let stores = |handle, after, limit| Box::pin(async move { store::store_ids(&handle, after, limit).await }) as _;
    vec![Republish::of::<StoreChanged, _>(stores, |work, id| service::say_store(work, *id))]
}
