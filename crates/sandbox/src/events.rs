//! What the provider does on others' events: nothing. It stands outside the shop, which speaks to it by HTTP.
//! Leaves what it is told to `http`.

use engine::Subscription;

/// The subscriptions of the provider.
pub(crate) fn subscriptions() -> Vec<Subscription> {
    Vec::new()
}
