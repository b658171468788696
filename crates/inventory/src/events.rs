//! What inventory does on others' events: it obeys the commands of orders and keeps copies of stores.
//! Leaves what a command comes to to `service`.

use contracts::delivery::StoreChanged;
use contracts::inventory::{HoldCommit, HoldConsume, HoldReduce, HoldRelease, HoldRequest, SlotOffered, SupplyChanged};
use engine::{Republish, Subscription, TokenKeys};

use crate::config::Config;
use crate::domain::hold::Ask;
use crate::{service, store};

/// The subscriptions, one to each other service that inventory listens to.
pub(crate) fn subscriptions(config: &Config) -> Vec<Subscription> {
    vec![TokenKeys::copied_by(Subscription::to("identity")), orders(config), delivery()]
}

fn orders(config: &Config) -> Subscription {
    let hold_ttl_ms = config.hold_ttl_ms;
    Subscription::to("orders")
        .work(move |work, event: &HoldRequest| service::request(work, event, hold_ttl_ms))
        .work(|work, event: &HoldCommit| service::move_on(work, event.order, Some(event.store), Ask::Commit))
        .work(|work, event: &HoldRelease| service::move_on(work, event.order, Some(event.store), Ask::Release))
        .work(|work, event: &HoldReduce| service::reduce(work, event))
        .work(|work, event: &HoldConsume| service::move_on(work, event.order, Some(event.store), Ask::Consume))
}

fn delivery() -> Subscription {
    Subscription::to("delivery").copy(|work, event: &StoreChanged| service::copy_store(work, &event.store))
}

/// What it says again.
pub(crate) fn state() -> Vec<Republish> {
    let slots = |handle, after, limit| Box::pin(async move { store::slot_keys(&handle, after, limit).await }) as _;
    let stock = |handle, after, limit| Box::pin(async move { store::stock_keys(&handle, after, limit).await }) as _;
    vec![
        Republish::of::<SlotOffered, _>(slots, service::say_slot).or_gone(service::say_no_slot),
        Republish::of::<SupplyChanged, _>(stock, service::say_supply),
    ]
}
