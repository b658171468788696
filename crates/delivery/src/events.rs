//! What delivery does on others' events: orders begin, release and end deliveries; identity names couriers and token keys.
//! Leaves the deciding to `service`.

use contracts::delivery::StoreChanged;
use contracts::identity::CourierChanged;
use contracts::orders::{OrderCancelling, OrderConfirmed, OrderReady};
use engine::{Republish, Subscription, TokenKeys};

use crate::{service, store};

/// At most one for each other service.
pub(crate) fn subscriptions() -> Vec<Subscription> {
    vec![
        Subscription::to("orders")
            .work(|work, said: &OrderConfirmed| service::create_delivery(work, said))
            .work(|work, said: &OrderReady| service::make_ready(work, said.order))
            .work(|work, said: &OrderCancelling| service::withdraw(work, said.order)),
        TokenKeys::copied_by(Subscription::to("identity")).copy(|work, said: &CourierChanged| service::keep_courier(work, said)),
    ]
}

/// What it says again.
pub(crate) fn state() -> Vec<Republish> {
    let stores = |handle, after, limit| Box::pin(async move { store::store_ids(&handle, after, limit).await }) as _;
    vec![Republish::of::<StoreChanged, _>(stores, |work, id| service::say_store(work, *id))]
}
