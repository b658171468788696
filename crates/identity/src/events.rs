//! What identity does on others' events: it keeps which stores there are, and its own public keys like every service.
//! Leaves all else that a store is to delivery.

use contracts::PersonId;
use contracts::delivery::StoreChanged;
use contracts::identity::{CourierChanged, TokenKeyPublished};
use engine::{Republish, Subscription, TokenKeys};
use web::Role;

use crate::service::{SIGNING_KEY_NUMBER, know_store, say_courier, say_signing_key};
use crate::store::people;

/// Identity's subscriptions.
pub(crate) fn subscriptions() -> Vec<Subscription> {
    let stores = Subscription::to("delivery").copy(|work, event: &StoreChanged| {
        know_store(work, event.store.id);
        Ok(())
    });
    vec![stores, TokenKeys::copied_by(Subscription::to(crate::NAME))]
}

/// What it says again.
pub(crate) fn state() -> Vec<Republish> {
    let keys = |_, after: Option<i64>, _| {
        Box::pin(async move { Ok(after.is_none().then_some(SIGNING_KEY_NUMBER).into_iter().collect()) }) as _
    };
    let couriers = |handle, after: Option<PersonId>, limit| {
        Box::pin(async move {
            let couriers = people(&handle, Some(Role::Courier), after, limit).await?;
            Ok(couriers.into_iter().map(|person| person.id).collect())
        }) as _
    };
    vec![
        Republish::of::<TokenKeyPublished, _>(keys, |work, number| say_signing_key(work, *number)),
        Republish::of::<CourierChanged, _>(couriers, |work, id| say_courier(work, *id)),
    ]
}
