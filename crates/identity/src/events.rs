//! What identity does on others' events: it keeps which stores there are, and its own public keys like every service.
//! Leaves all else that a store is to delivery.

use contracts::delivery::StoreChanged;
use engine::{Subscription, TokenKeys};

use crate::service::know_store;

/// Identity's subscriptions.
pub(crate) fn subscriptions() -> Vec<Subscription> {
    let stores = Subscription::to("delivery").copy(|work, event: &StoreChanged| {
        know_store(work, event.store.id);
        Ok(())
    });
    vec![stores, TokenKeys::copied_by(Subscription::to(crate::NAME))]
}
