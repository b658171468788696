//! What catalog does on others' events: it keeps copies of stores and of how much is left.
//! Leaves what follows from them to `service`, when a product is written, and to the reads.

use contracts::catalog::ListingChanged;
use contracts::delivery::StoreChanged;
use contracts::inventory::SupplyChanged;
use engine::{Republish, Subscription, TokenKeys};

use crate::service::{keep_store, keep_supply, say_listing, say_no_listing};
use crate::store;

/// The subscriptions, one to each other service that catalog listens to.
pub(crate) fn subscriptions() -> Vec<Subscription> {
    vec![
        TokenKeys::copied_by(Subscription::to("identity")),
        Subscription::to("delivery").copy(|work, event: &StoreChanged| keep_store(work, event)),
        Subscription::to("inventory").copy(|work, event: &SupplyChanged| keep_supply(work, event)),
    ]
}

/// What it says again.
pub(crate) fn state() -> Vec<Republish> {
    let listings = |handle, after, limit| Box::pin(async move { store::listing_keys(&handle, after, limit).await }) as _;
    vec![Republish::of::<ListingChanged, _>(listings, say_listing).or_gone(say_no_listing)]
}
