//! A courier's own work: the shift, what they are offered, what they bring, and the moves they make with it.
//! Leaves whose delivery it is, and whether a move is legal, to `service`.

use contracts::delivery::{FailureReason, Store};
use contracts::orders::Contact;
use contracts::{Address, OrderId, PersonId, Point, Slot, StoreId};
use engine::{Handle, KeyScope, Lane, Reply, Stop, Stored, Work};
use kernel::{Fault, Timestamp};
use serde::{Deserialize, Serialize};
use web::{Access, Answer, Body, Caller, Conditions, Fingerprint, IdempotencyKey, Json, NoBody, Path, Prefer, Routes, State};

use super::{App, Failed, Reason, Sent, parsed, person_of, sent_for, shown, tagged};
use crate::domain::assignment::{Moved, Pair};
use crate::domain::courier::{Courier, Task};
use crate::domain::delivery::Delivery;
use crate::domain::state::{self, Move};
use crate::domain::store::StoreRecord;
use crate::domain::turn::Turn;
use crate::service;
use crate::store::SERVICE;

const SHIFT: &str = "PUT /v1/courier/shift";
const DELIVER: &str = "POST /v1/deliveries/{order}/deliver";
const DROP: &str = "POST /v1/courier/deliveries/{order}/drop";
const FAIL: &str = "POST /v1/courier/deliveries/{order}/fail";

/// What a courier does by saying so and nothing more.
type PlainMove = fn(&mut Pair, &Turn) -> Moved;

/// Each such move with its route.
const PLAIN_MOVES: [(&str, PlainMove); 7] = [
    ("POST /v1/deliveries/{order}/accept", Pair::accept),
    ("POST /v1/deliveries/{order}/decline", Pair::decline),
    ("POST /v1/deliveries/{order}/at-pickup", Pair::reach_pickup),
    ("POST /v1/deliveries/{order}/picked-up", Pair::pick_up),
    ("POST /v1/deliveries/{order}/at-dropoff", Pair::reach_dropoff),
    ("POST /v1/courier/deliveries/{order}/return", Pair::turn_back),
    ("POST /v1/courier/deliveries/{order}/returned", Pair::take_in),
];

/// How many digits a PIN has.
const PIN_DIGITS: usize = 4;

/// What a courier may say of a failure; of the others they are not there to speak.
const FAILURES: [FailureReason; 6] = [
    FailureReason::NobodyHome,
    FailureReason::Refused,
    FailureReason::WrongAddress,
    FailureReason::NoAccess,
    FailureReason::Damaged,
    FailureReason::CourierDroppedOut,
];

pub(super) fn routes() -> Routes<App> {
    let routes = Routes::new(SERVICE)
        .put(path_of(SHIFT), Access::courier(), shift)
        .get("/v1/courier/work", Access::courier(), work)
        .post(path_of(DELIVER), Access::courier(), deliver)
        .post(path_of(DROP), Access::courier(), drop_out)
        .post(path_of(FAIL), Access::courier(), fail);
    PLAIN_MOVES.into_iter().fold(routes, |routes, (route, step)| {
        let make = move |State(app): State<App>,
                         caller: Caller,
                         Path(order): Path<OrderId>,
                         key: IdempotencyKey,
                         body: NoBody| async move {
            make_move(&app, (order, route), caller, &key, body.fingerprint, step).await
        };
        routes.post(path_of(route), Access::courier(), make)
    })
}

/// The path of a route that is named with its method.
fn path_of(route: &'static str) -> &'static str {
    route.split_once(' ').map_or(route, |(_, path)| path)
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
    state: state::State,
    /// Why it is in that state, if that does not speak for itself.
    reason: Option<String>,
    /// The how-manieth try to deliver this is.
    attempt: i64,
    /// What the courier may do with it now.
    moves: Vec<&'static str>,
    /// Until when an answer to the offer is awaited.
    until: Option<Timestamp>,
    slot: Option<Slot>,
    /// Where the goods are.
    pickup: Option<PickupView>,
    address: Option<Address>,
    /// Whom to meet; from the moment of accepting until it is handed over or brought back.
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
            reason: delivery.history.last().filter(|_| theirs).and_then(|reached| reached.reason.clone()),
            attempt: delivery.attempt,
            moves: if theirs { delivery.legal(Move::COURIERS) } else { Vec::new() },
            until: delivery.offers.open().filter(|_| theirs).map(|offer| offer.until),
            slot: errand.map(|errand| errand.slot),
            pickup: store.filter(|_| theirs).map(|record| PickupView::of(&record.store)),
            address: errand.map(|errand| errand.address.clone()),
            contact: errand.filter(|_| meets(delivery.state)).map(|errand| errand.contact.clone()),
            pin_locked_until: delivery.pin_locked_until.filter(|_| theirs),
        }
    }
}

/// Whether the courier may have to speak to whoever ordered.
fn meets(state: state::State) -> bool {
    state.is_before_pickup() || state.is_on_the_way() || state == state::State::Failed
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
    let deadlines = app.config.deadlines();
    let reply = app.command(sent, move |work| service::set_shift(work, person, on, deadlines), show_work).await?;
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

async fn drop_out(
    State(app): State<App>,
    caller: Caller,
    Path(order): Path<OrderId>,
    key: IdempotencyKey,
    body: Body<Reason>,
) -> Result<Answer, Fault> {
    let reason = body.value.checked()?;
    make_move(&app, (order, DROP), caller, &key, body.fingerprint, move |pair, turn| pair.drop_out(&reason, turn)).await
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

async fn make_move(
    app: &App,
    (order, route): (OrderId, &'static str),
    caller: Caller,
    key: &IdempotencyKey,
    fingerprint: Fingerprint,
    step: impl Fn(&mut Pair, &Turn) -> Moved + Send + Sync + 'static,
) -> Result<Answer, Fault> {
    let (person, deadlines) = (person_of(&caller)?, app.config.deadlines());
    let decide = move |work: &mut Work<'_>| service::move_as_courier(work, order, person, deadlines, &step);
    run(app, (order, route), caller, key, fingerprint, decide).await.map(|reply| reply.answer(None))
}

/// Runs the decider of a courier's move, and shows them the delivery as it is then.
async fn run(
    app: &App,
    (order, route): (OrderId, &'static str),
    caller: Caller,
    key: &IdempotencyKey,
    fingerprint: Fingerprint,
    decide: impl Fn(&mut Work<'_>) -> Result<Stored, Stop> + Send + Sync + 'static,
) -> Result<Reply, Fault> {
    let person = person_of(&caller)?;
    let sent = sent_for(order, route, caller, key, fingerprint);
    app.command(sent, decide, move |work, resource| show_task(work, resource, person)).await
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
    let (rules, deadlines) = (app.config.pin_rules(), app.config.deadlines());
    let decide = move |work: &mut Work<'_>| service::deliver(work, order, person, (&pin, rules), deadlines);
    let reply = run(&app, (order, DELIVER), caller, &key, body.fingerprint, decide).await?;
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
