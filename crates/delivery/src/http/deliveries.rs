//! Deliveries as the staff of their store see them: one, or a store's list; what dispatchers and managers do with one, and their
//! help with a locked PIN. Leaves a courier's own view and moves to `courier`.

use contracts::delivery::FailureReason;
use contracts::orders::Contact;
use contracts::{Address, OrderId, PersonId, Slot, StoreId};
use engine::{Stop, Work};
use kernel::{Fault, Timestamp};
use serde::{Deserialize, Serialize};
use web::{
    Access, Answer, Body, Caller, Conditions, Fingerprint, IdempotencyKey, Json, Listing, NoBody, Page, Path, Query, Role,
    Routes, State, Who,
};

use super::courier::read_task_of;
use super::{App, Failed, Reason, parsed, sent_for, shown};
use crate::domain::assignment::{Moved, Pair};
use crate::domain::delivery::{Delivery, Reached, Recall};
use crate::domain::offers::Offers;
use crate::domain::state::{self, Goods, Move};
use crate::domain::turn::Turn;
use crate::store::SERVICE;
use crate::{service, store};

const UNLOCK_PIN: &str = "POST /v1/deliveries/{order}/unlock-pin";
const WITHDRAW: &str = "POST /v1/deliveries/{order}/withdraw";
const FAIL: &str = "POST /v1/deliveries/{order}/fail";
const RETURNED: &str = "POST /v1/deliveries/{order}/returned";

/// What staff may say of a failure: anything that happens on the way.
const FAILURES: [FailureReason; 7] = [
    FailureReason::NobodyHome,
    FailureReason::Refused,
    FailureReason::WrongAddress,
    FailureReason::NoAccess,
    FailureReason::Damaged,
    FailureReason::CourierDroppedOut,
    FailureReason::CourierSilent,
];

pub(super) fn routes() -> Routes<App> {
    let dispatch = Access::any_of([Who::Role(Role::Dispatcher), Who::Role(Role::Manager)]);
    Routes::new(SERVICE)
        .get("/v1/deliveries/{order}", Access::staff().or(Who::Role(Role::Courier)), read)
        .get("/v1/stores/{store}/deliveries", Access::staff(), list)
        .post("/v1/deliveries/{order}/unlock-pin", dispatch.clone(), unlock_pin)
        .post("/v1/deliveries/{order}/withdraw", dispatch.clone(), withdraw)
        .post("/v1/deliveries/{order}/fail", dispatch.clone(), fail)
        .post("/v1/deliveries/{order}/returned", dispatch, returned)
}

/// A delivery as staff see it; never its PIN.
#[derive(Serialize)]
struct DeliveryView<'a> {
    order: OrderId,
    state: state::State,
    /// Why it is in that state, if that does not speak for itself, and what somebody added.
    reason: Option<&'a str>,
    note: Option<&'a str>,
    /// Who has the goods.
    goods: Goods,
    /// The how-manieth try to deliver this is.
    attempt: i64,
    /// What dispatchers and managers may do with it now.
    moves: Vec<&'static str>,
    /// Until when the present state may last.
    until: Option<Timestamp>,
    /// How often the goods, on their way back, were found to be late.
    overdue: i64,
    /// That the order is to end, since when and why.
    recalled: Option<&'a Recall>,
    store: Option<StoreId>,
    slot: Option<Slot>,
    address: Option<&'a Address>,
    contact: Option<&'a Contact>,
    created_at: Timestamp,
    ready_at: Option<Timestamp>,
    courier: Option<CourierView<'a>>,
    offers: &'a Offers,
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
        let (errand, last) = (delivery.errand.as_ref(), delivery.history.last());
        Self {
            order: delivery.order,
            state: delivery.state,
            reason: last.and_then(|reached| reached.reason.as_deref()),
            note: last.and_then(|reached| reached.note.as_deref()),
            goods: delivery.goods(),
            attempt: delivery.attempt,
            moves: delivery.legal(Move::STAFFS),
            until: delivery.waits().map(|(_, until)| until),
            overdue: delivery.overdue,
            recalled: delivery.recalled.as_ref(),
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
    state: Option<state::State>,
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

async fn withdraw(
    State(app): State<App>,
    caller: Caller,
    Path(order): Path<OrderId>,
    key: IdempotencyKey,
    body: Body<Reason>,
) -> Result<Answer, Fault> {
    let reason = body.value.checked()?;
    make_move(&app, (order, WITHDRAW), caller, &key, body.fingerprint, move |pair, turn| pair.withdraw(&reason, turn)).await
}

async fn fail(
    State(app): State<App>,
    caller: Caller,
    Path(order): Path<OrderId>,
    key: IdempotencyKey,
    body: Body<Failed>,
) -> Result<Answer, Fault> {
    let (reason, note) = body.value.checked(&FAILURES)?;
    make_move(&app, (order, FAIL), caller, &key, body.fingerprint, move |pair, turn| pair.fail(reason, &note, turn)).await
}

async fn returned(
    State(app): State<App>,
    caller: Caller,
    Path(order): Path<OrderId>,
    key: IdempotencyKey,
    body: NoBody,
) -> Result<Answer, Fault> {
    make_move(&app, (order, RETURNED), caller, &key, body.fingerprint, Pair::take_in).await
}

async fn make_move(
    app: &App,
    (order, route): (OrderId, &'static str),
    caller: Caller,
    key: &IdempotencyKey,
    fingerprint: Fingerprint,
    step: impl Fn(&mut Pair, &Turn) -> Moved + Send + Sync + 'static,
) -> Result<Answer, Fault> {
    let deadlines = app.config.deadlines();
    let sent = sent_for(order, route, caller.clone(), key, fingerprint);
    let decide = move |work: &mut Work<'_>| service::move_as_staff(work, order, &caller, deadlines, &step);
    Ok(app.command(sent, decide, show).await?.answer(None))
}

fn show(work: &mut Work<'_>, resource: &str) -> Result<Json, Stop> {
    let delivery = work.load::<Delivery>(&parsed(resource)?, "delivery")?;
    Ok(shown(&DeliveryView::of(&delivery)))
}

/// Whether the caller is of the staff of `store`, or an admin.
fn works_in(caller: &Caller, store: StoreId) -> bool {
    [Role::Manager, Role::Picker, Role::Dispatcher].into_iter().any(|role| caller.may(role, store.0))
}
