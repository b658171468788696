//! A courier's own work: the shift, what they are offered, what they bring, and the moves they make with it.
//! Leaves whose delivery it is, and whether a move is legal, to `service`.

use contracts::delivery::Store;
use contracts::orders::Contact;
use contracts::{Address, OrderId, PersonId, Point, Slot, StoreId};
use engine::{Handle, KeyScope, Lane, Stop, Stored, Work};
use kernel::{Fault, Timestamp};
use serde::{Deserialize, Serialize};
use web::{Access, Answer, Body, Caller, Conditions, Fingerprint, IdempotencyKey, Json, NoBody, Path, Prefer, Routes, State};

use super::{App, Sent, parsed, person_of, sent_for, shown, tagged};
use crate::domain::courier::{Courier, Task};
use crate::domain::delivery::{self, Delivery, PinRules};
use crate::domain::store::StoreRecord;
use crate::service;
use crate::store::SERVICE;

const SHIFT: &str = "PUT /v1/courier/shift";
const ACCEPT: &str = "POST /v1/deliveries/{order}/accept";
const DECLINE: &str = "POST /v1/deliveries/{order}/decline";
const AT_PICKUP: &str = "POST /v1/deliveries/{order}/at-pickup";
const PICKED_UP: &str = "POST /v1/deliveries/{order}/picked-up";
const AT_DROPOFF: &str = "POST /v1/deliveries/{order}/at-dropoff";
const DELIVER: &str = "POST /v1/deliveries/{order}/deliver";

/// How many digits a PIN has.
const PIN_DIGITS: usize = 4;

pub(super) fn routes() -> Routes<App> {
    Routes::new(SERVICE)
        .put("/v1/courier/shift", Access::courier(), shift)
        .get("/v1/courier/work", Access::courier(), work)
        .post("/v1/deliveries/{order}/accept", Access::courier(), accept)
        .post("/v1/deliveries/{order}/decline", Access::courier(), decline)
        .post("/v1/deliveries/{order}/at-pickup", Access::courier(), at_pickup)
        .post("/v1/deliveries/{order}/picked-up", Access::courier(), picked_up)
        .post("/v1/deliveries/{order}/at-dropoff", Access::courier(), at_dropoff)
        .post("/v1/deliveries/{order}/deliver", Access::courier(), deliver)
}

/// What a courier is at.
#[derive(Serialize)]
struct WorkView {
    version: i64,
    courier: PersonId,
    name: String,
    store: StoreId,
    vehicle: String,
    on_shift: bool,
    /// What they are asked to bring, until when.
    offer: Option<TaskView>,
    /// What they bring.
    delivery: Option<TaskView>,
}

/// A delivery as its courier sees it; never its PIN.
#[derive(Serialize)]
pub(super) struct TaskView {
    order: OrderId,
    state: delivery::State,
    /// What the courier may do with it now.
    moves: Vec<&'static str>,
    /// Until when an answer to the offer is awaited.
    until: Option<Timestamp>,
    slot: Option<Slot>,
    /// Where the goods are.
    pickup: Option<PickupView>,
    address: Option<Address>,
    /// Whom to meet; from the moment of accepting until it is over.
    contact: Option<Contact>,
    /// Until when no PIN is taken.
    pin_locked_until: Option<Timestamp>,
}

/// Where goods are fetched.
#[derive(Serialize)]
struct PickupView {
    store: StoreId,
    name: String,
    street: String,
    point: Point,
}

impl TaskView {
    /// `delivery` as `person` may see it: what is not, or no longer, theirs shows its state alone.
    pub(super) fn of(delivery: &Delivery, store: Option<&StoreRecord>, person: PersonId) -> Self {
        let theirs = delivery.courier.as_ref().is_some_and(|courier| courier.person == person);
        let errand = delivery.errand.as_ref().filter(|_| theirs);
        Self {
            order: delivery.order,
            state: delivery.state,
            moves: if theirs { delivery.state.moves() } else { Vec::new() },
            until: delivery.open_offer().filter(|_| theirs).map(|offer| offer.until),
            slot: errand.map(|errand| errand.slot),
            pickup: store.filter(|_| theirs).map(|record| PickupView::of(&record.store)),
            address: errand.map(|errand| errand.address.clone()),
            contact: errand.filter(|_| delivery.state.active()).map(|errand| errand.contact.clone()),
            pin_locked_until: delivery.pin_locked_until.filter(|_| theirs),
        }
    }
}

impl PickupView {
    fn of(store: &Store) -> Self {
        Self { store: store.id, name: store.name.clone(), street: store.street.clone(), point: store.point }
    }
}

impl WorkView {
    fn of(courier: &Courier, task: Option<TaskView>) -> Self {
        let (offer, delivery) = match courier.task {
            Task::None => (None, None),
            Task::Offered(_) => (task, None),
            Task::Delivering(_) => (None, task),
        };
        Self {
            version: courier.version,
            courier: courier.person,
            name: courier.name.clone(),
            store: courier.store,
            vehicle: courier.vehicle.clone(),
            on_shift: courier.on_shift,
            offer,
            delivery,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shift {
    on: bool,
}

async fn shift(State(app): State<App>, caller: Caller, key: IdempotencyKey, body: Body<Shift>) -> Result<Answer, Fault> {
    let (person, on) = (person_of(&caller)?, body.value.on);
    let scope = KeyScope::new(&caller, SHIFT, person, person.bucket(), &key, body.fingerprint);
    let sent = Sent { lane: Lane::Money, caller, key: scope, bytes: body.canonical.len() };
    let reply = app.command(sent, move |work| service::set_shift(work, person, on), show_work).await?;
    Ok(tagged(reply, None))
}

/// Answers at once with news, and otherwise as soon as there are some or the wait that is preferred is over.
async fn work(State(app): State<App>, caller: Caller, conditions: Conditions, prefer: Prefer) -> Result<Answer, Fault> {
    let person = person_of(&caller)?;
    let known = |courier: &Courier, _| conditions.fresh(courier.version);
    let found = app.handle.find_changed::<Courier>(&person, known, prefer.wait_ms.unwrap_or(0)).await?;
    let (courier, _) = found.ok_or_else(|| Fault::not_found("courier"))?;
    let view = WorkView::of(&courier, read_task(&app.handle, &courier).await?);
    Ok(conditions.answer(courier.version, view))
}

async fn accept(
    State(app): State<App>,
    caller: Caller,
    Path(order): Path<OrderId>,
    key: IdempotencyKey,
    body: NoBody,
) -> Result<Answer, Fault> {
    make_move(&app, order, ACCEPT, caller, &key, body.fingerprint, service::accept).await
}

async fn decline(
    State(app): State<App>,
    caller: Caller,
    Path(order): Path<OrderId>,
    key: IdempotencyKey,
    body: NoBody,
) -> Result<Answer, Fault> {
    make_move(&app, order, DECLINE, caller, &key, body.fingerprint, service::decline).await
}

async fn at_pickup(
    State(app): State<App>,
    caller: Caller,
    Path(order): Path<OrderId>,
    key: IdempotencyKey,
    body: NoBody,
) -> Result<Answer, Fault> {
    make_move(&app, order, AT_PICKUP, caller, &key, body.fingerprint, service::reach_pickup).await
}

async fn picked_up(
    State(app): State<App>,
    caller: Caller,
    Path(order): Path<OrderId>,
    key: IdempotencyKey,
    body: NoBody,
) -> Result<Answer, Fault> {
    make_move(&app, order, PICKED_UP, caller, &key, body.fingerprint, service::pick_up).await
}

async fn at_dropoff(
    State(app): State<App>,
    caller: Caller,
    Path(order): Path<OrderId>,
    key: IdempotencyKey,
    body: NoBody,
) -> Result<Answer, Fault> {
    make_move(&app, order, AT_DROPOFF, caller, &key, body.fingerprint, service::reach_dropoff).await
}

/// What a decider of a move is.
type Decide = fn(&mut Work<'_>, OrderId, PersonId) -> Result<Stored, Stop>;

async fn make_move(
    app: &App,
    order: OrderId,
    route: &'static str,
    caller: Caller,
    key: &IdempotencyKey,
    fingerprint: Fingerprint,
    decide: Decide,
) -> Result<Answer, Fault> {
    let person = person_of(&caller)?;
    let sent = sent_for(order, route, caller, key, fingerprint);
    let show = move |work: &mut Work<'_>, resource: &str| show_task(work, resource, person);
    let reply = app.command(sent, move |work| decide(work, order, person), show).await?;
    Ok(reply.answer(None))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandedOver {
    pin: String,
}

async fn deliver(
    State(app): State<App>,
    caller: Caller,
    Path(order): Path<OrderId>,
    key: IdempotencyKey,
    body: Body<HandedOver>,
) -> Result<Answer, Fault> {
    let (person, pin) = (person_of(&caller)?, body.value.pin);
    if pin.len() != PIN_DIGITS || !pin.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::invalid_field("/pin", format!("expected the {PIN_DIGITS} digits that the shopper was sent")));
    }
    let rules = PinRules { tries_max: app.config.pin_tries_max, lock_ms: app.config.pin_lock_ms };
    let sent = sent_for(order, DELIVER, caller, &key, body.fingerprint);
    let show = move |work: &mut Work<'_>, resource: &str| show_task(work, resource, person);
    let reply = app.command(sent, move |work| service::deliver(work, order, person, &pin, rules), show).await?;
    if reply.status == service::WRONG_PIN_STATUS {
        return Err(Fault::invalid_field(
            "/pin",
            "this is not the PIN of this order; ask the shopper for the one they were sent",
        ));
    }
    Ok(reply.answer(None))
}

/// What `courier` is at, as it is read.
async fn read_task(handle: &Handle, courier: &Courier) -> Result<Option<TaskView>, Fault> {
    let Some(order) = courier.order() else { return Ok(None) };
    let Some((delivery, _)) = handle.find::<Delivery>(&order).await? else { return Ok(None) };
    read_task_of(handle, &delivery, courier.person).await.map(Some)
}

/// `delivery` as `person` may see it.
pub(super) async fn read_task_of(handle: &Handle, delivery: &Delivery, person: PersonId) -> Result<TaskView, Fault> {
    let store = match delivery.store() {
        Some(store) => handle.find::<StoreRecord>(&store).await?.map(|(record, _)| record),
        None => None,
    };
    Ok(TaskView::of(delivery, store.as_ref(), person))
}

fn show_work(work: &mut Work<'_>, resource: &str) -> Result<Json, Stop> {
    let courier = work.load::<Courier>(&parsed(resource)?, "courier")?;
    let task = match courier.order() {
        Some(order) => {
            let delivery = work.load::<Delivery>(&order, "delivery")?;
            Some(task_of(work, &delivery, courier.person)?)
        }
        None => None,
    };
    Ok(shown(&WorkView::of(&courier, task)))
}

fn show_task(work: &mut Work<'_>, resource: &str, person: PersonId) -> Result<Json, Stop> {
    let delivery = work.load::<Delivery>(&parsed(resource)?, "delivery")?;
    Ok(shown(&task_of(work, &delivery, person)?))
}

fn task_of(work: &mut Work<'_>, delivery: &Delivery, person: PersonId) -> Result<TaskView, Stop> {
    let store = match delivery.store() {
        Some(store) => work.find::<StoreRecord>(&store)?,
        None => None,
    };
    Ok(TaskView::of(delivery, store.as_deref(), person))
}
