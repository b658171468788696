//! Deliveries as the staff of their store see them: one, or a store's list; and a dispatcher's help with a locked PIN.
//! Leaves a courier's own view and moves to `courier`.

use contracts::orders::Contact;
use contracts::{Address, OrderId, PersonId, Slot, StoreId};
use engine::{Stop, Work};
use kernel::{Fault, Timestamp};
use serde::{Deserialize, Serialize};
use web::{
    Access, Answer, Caller, Conditions, IdempotencyKey, Json, Listing, NoBody, Page, Path, Query, Role, Routes, State, Who,
};

use super::courier::read_task_of;
use super::{App, parsed, sent_for, shown};
use crate::domain::delivery::{self, Delivery, Offer, Reached};
use crate::store::SERVICE;
use crate::{service, store};

const UNLOCK_PIN: &str = "POST /v1/deliveries/{order}/unlock-pin";

pub(super) fn routes() -> Routes<App> {
    let dispatch = Access::any_of([Who::Role(Role::Dispatcher), Who::Role(Role::Manager)]);
    Routes::new(SERVICE)
        .get("/v1/deliveries/{order}", Access::staff().or(Who::Role(Role::Courier)), read)
        .get("/v1/stores/{store}/deliveries", Access::staff(), list)
        .post("/v1/deliveries/{order}/unlock-pin", dispatch, unlock_pin)
}

/// A delivery as staff see it; never its PIN.
#[derive(Serialize)]
struct DeliveryView<'a> {
    order: OrderId,
    state: delivery::State,
    store: Option<StoreId>,
    slot: Option<Slot>,
    address: Option<&'a Address>,
    contact: Option<&'a Contact>,
    created_at: Timestamp,
    ready_at: Option<Timestamp>,
    courier: Option<CourierView<'a>>,
    offers: &'a [Offer],
    pin_locked_until: Option<Timestamp>,
    history: &'a [Reached],
}

/// Whom a delivery is offered to, who brings it, or who had it at its end.
#[derive(Serialize)]
struct CourierView<'a> {
    id: PersonId,
    name: &'a str,
}

impl<'a> DeliveryView<'a> {
    fn of(delivery: &'a Delivery) -> Self {
        let errand = delivery.errand.as_ref();
        Self {
            order: delivery.order,
            state: delivery.state,
            store: delivery.store(),
            slot: errand.map(|errand| errand.slot),
            address: errand.map(|errand| &errand.address),
            contact: errand.map(|errand| &errand.contact),
            created_at: delivery.created_at,
            ready_at: delivery.ready_at,
            courier: delivery.courier.as_ref().map(|courier| CourierView { id: courier.person, name: &courier.name }),
            offers: &delivery.offers,
            pin_locked_until: delivery.pin_locked_until,
            history: &delivery.history,
        }
    }
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(order): Path<OrderId>,
    conditions: Conditions,
) -> Result<Answer, Fault> {
    let (delivery, version) = app.handle.find::<Delivery>(&order).await?.ok_or_else(|| Fault::not_found("delivery"))?;
    let at_home = delivery.store().map_or_else(|| caller.has(Role::Admin), |store| works_in(&caller, store));
    if at_home {
        return Ok(conditions.answer(version, DeliveryView::of(&delivery)));
    }
    let person = super::person_of(&caller)?;
    if delivery.courier.as_ref().is_none_or(|courier| courier.person != person) {
        return Err(Fault::not_found("delivery"));
    }
    Ok(conditions.answer(version, read_task_of(&app.handle, &delivery, person).await?))
}

/// Which deliveries are asked for.
#[derive(Deserialize)]
struct Filter {
    state: Option<delivery::State>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(store): Path<StoreId>,
    Query(filter): Query<Filter>,
    page: Page<(Timestamp, OrderId)>,
) -> Result<Answer, Fault> {
    if !works_in(&caller, store) {
        return Err(Fault::forbidden("this is for the staff of the store, and for admins"));
    }
    let Listing { items, next } = store::deliveries_of(&app.handle, store, filter.state, &page).await?;
    Ok(Answer::ok(Listing { items: items.iter().map(DeliveryView::of).collect(), next }))
}

async fn unlock_pin(
    State(app): State<App>,
    caller: Caller,
    Path(order): Path<OrderId>,
    key: IdempotencyKey,
    body: NoBody,
) -> Result<Answer, Fault> {
    let sent = sent_for(order, UNLOCK_PIN, caller.clone(), &key, body.fingerprint);
    let reply = app.command(sent, move |work| service::unlock_pin(work, order, &caller), show).await?;
    Ok(reply.answer(None))
}

fn show(work: &mut Work<'_>, resource: &str) -> Result<Json, Stop> {
    let delivery = work.load::<Delivery>(&parsed(resource)?, "delivery")?;
    Ok(shown(&DeliveryView::of(&delivery)))
}

/// Whether the caller is of the staff of `store`, or an admin.
fn works_in(caller: &Caller, store: StoreId) -> bool {
    [Role::Manager, Role::Picker, Role::Dispatcher].into_iter().any(|role| caller.may(role, store.0))
}
