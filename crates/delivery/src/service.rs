//! What delivery decides, one function per use case: load, let the domain decide, save, say it.
//! Leaves the rules to `domain`, HTTP to `http` and others' events to `events`.

use contracts::delivery::{
    DeliveryArrived, DeliveryAssigned, DeliveryCreated, DeliveryDelivered, DeliveryFailed, DeliveryPickedUp, DeliveryReturned,
    DeliveryUnassigned, DeliveryWithdrawn, Proof, StoreChanged,
};
use contracts::identity::CourierChanged;
use contracts::orders::OrderConfirmed;
use contracts::{OrderId, PersonId, StoreId};
use engine::{Stop, Stored, Work};
use kernel::{Buckets, Fault, FaultKind, Id, Timestamp};
use web::{Caller, Expected, Role};

use crate::domain::assignment::{Moved, OfferRules, Pair, Said};
use crate::domain::courier::Courier;
use crate::domain::delivery::{Delivery, Errand, PinRules, Refusal, Waiting};
use crate::domain::offers::Outcome;
use crate::domain::state::State;
use crate::domain::store::{StorePlan, StoreRecord};
use crate::domain::turn::{By, Deadlines, Part, Turn};

/// How many PINs there are.
const PINS: u64 = 10_000;
/// The status under which a wrong PIN is stored: it is counted once under its key, and refused again when repeated.
pub(crate) const WRONG_PIN_STATUS: u16 = 422;

/// Opens a new store.
pub(crate) fn create_store(work: &mut Work<'_>, plan: &StorePlan, buckets: Buckets) -> Result<Stored, Stop> {
    let bucket = buckets.any(work.draw());
    let record = StoreRecord::opened(StoreId(work.new_id(bucket)), plan);
    let stored = stored(201, record.store.id);
    work.emit(&StoreChanged { store: record.store.clone() })?;
    work.create(record)?;
    Ok(stored)
}

/// Describes a store anew, if it is still as its manager has read it.
pub(crate) fn change_store(work: &mut Work<'_>, id: StoreId, plan: &StorePlan, expected: &Expected) -> Result<Stored, Stop> {
    let mut record = (*work.load::<StoreRecord>(&id, "store")?).clone();
    expected.check(record.version)?;
    record.change(plan);
    work.emit(&StoreChanged { store: record.store.clone() })?;
    work.save(record);
    Ok(stored(200, id))
}

/// Lets a store take no orders for now, or take them again.
pub(crate) fn pause_store(work: &mut Work<'_>, id: StoreId, paused: bool) -> Result<Stored, Stop> {
    let mut record = (*work.load::<StoreRecord>(&id, "store")?).clone();
    if record.pause(paused) {
        work.emit(&StoreChanged { store: record.store.clone() })?;
        work.save(record);
    }
    Ok(stored(200, id))
}

/// Says again what a store is, for whoever rebuilds a copy of it.
pub(crate) fn say_store(work: &mut Work<'_>, id: StoreId) -> Result<(), Stop> {
    match work.find::<StoreRecord>(&id)? {
        Some(record) => work.emit(&StoreChanged { store: record.store.clone() }),
        None => Ok(()),
    }
}

/// Goes on or off shift; whoever goes off leaves what they are at.
pub(crate) fn set_shift(work: &mut Work<'_>, person: PersonId, on: bool, deadlines: Deadlines) -> Result<Stored, Stop> {
    let turn = Turn { now: work.now(), by: By::courier(person), deadlines };
    let courier = work.load::<Courier>(&person, "courier")?;
    if !on {
        leave(work, &courier, Outcome::Declined, "went off shift", &turn)?;
    }
    let mut courier = (*work.load::<Courier>(&person, "courier")?).clone();
    courier.set_shift(on, turn.now).map_err(|_| Fault::forbidden("you are no longer a courier of this shop"))?;
    work.save(courier);
    Ok(stored(200, person))
}

/// Keeps what identity says of a courier; whoever rides no longer, or elsewhere, leaves what they are at.
pub(crate) fn keep_courier(work: &mut Work<'_>, said: &CourierChanged, deadlines: Deadlines) -> Result<(), Stop> {
    let turn = Turn { now: work.now(), by: By::IDENTITY, deadlines };
    let Some(known) = work.find::<Courier>(&said.courier)? else {
        work.save(Courier::hired(said, turn.now));
        return Ok(());
    };
    if known.known_as(said) {
        return Ok(());
    }
    if !said.active {
        leave(work, &known, Outcome::Withdrawn, "rides no longer", &turn)?;
    } else if said.store != known.store {
        leave(work, &known, Outcome::Withdrawn, "rides for another store", &turn)?;
    }
    let mut courier = (*work.load::<Courier>(&said.courier, "courier")?).clone();
    courier.changed(said, turn.now);
    work.save(courier);
    Ok(())
}

/// There will be a delivery, unless the order was cancelled before.
pub(crate) fn create_delivery(work: &mut Work<'_>, said: &OrderConfirmed) -> Result<(), Stop> {
    if work.find::<Delivery>(&said.order)?.is_some() {
        return Ok(());
    }
    let pin = format!("{:04}", work.draw().below(PINS));
    let errand = Errand {
        store: said.store,
        contact: said.contact.clone(),
        address: said.address.clone(),
        slot: said.slot,
        pin: pin.clone(),
    };
    let now = work.now();
    work.save(Delivery::confirmed(said.order, errand, now));
    work.emit(&DeliveryCreated { order: said.order, pin })
}

/// The goods wait for a courier.
pub(crate) fn make_ready(work: &mut Work<'_>, order: OrderId, deadlines: Deadlines) -> Result<(), Stop> {
    // An order is confirmed before it is ready, on the same topic: without a delivery there is nothing to make ready.
    heard(work, order, deadlines, |pair, turn| {
        pair.delivery.make_ready(turn);
        Ok(Vec::new())
    })
}

/// The order is to end, and with it its delivery: at once if the goods are in the store, else as soon as they are back. Also if
/// there is none yet, so that none is created later.
pub(crate) fn recall(work: &mut Work<'_>, order: OrderId, reason: &str, deadlines: Deadlines) -> Result<(), Stop> {
    if work.find::<Delivery>(&order)?.is_none() {
        let tombstone = Delivery::tombstone(order, reason, work.now());
        work.save(tombstone);
        return work.emit(&DeliveryWithdrawn { order });
    }
    heard(work, order, deadlines, |pair, turn| pair.recall(reason, turn))
}

/// What failed is to be tried once more.
pub(crate) fn try_again(work: &mut Work<'_>, order: OrderId, attempt: i64, deadlines: Deadlines) -> Result<(), Stop> {
    heard(work, order, deadlines, |pair, turn| pair.try_again(attempt, turn))
}

/// Offers a delivery to a courier, if it still waits and they are still free; says whether it did.
pub(crate) fn offer(
    work: &mut Work<'_>,
    order: OrderId,
    person: PersonId,
    rules: OfferRules,
    deadlines: Deadlines,
) -> Result<bool, Stop> {
    work.want::<Courier>(&person);
    let (delivery, courier) = (work.find::<Delivery>(&order)?, work.find::<Courier>(&person)?);
    let (Some(delivery), Some(courier)) = (delivery, courier) else { return Ok(false) };
    let before = Pair { delivery: (*delivery).clone(), courier: Some((*courier).clone()) };
    let mut after = before.clone();
    let offered = after.offer(rules, &Turn { now: work.now(), by: By::DELIVERY, deadlines });
    keep(work, &before, after, &[])?;
    Ok(offered)
}

/// The clock of what a delivery waits for has run out.
pub(crate) fn time_out(work: &mut Work<'_>, subject: &str, deadlines: Deadlines) -> Result<(), Stop> {
    let order: OrderId = subject.parse().map_err(|_| Stop::Broken(format!("{subject} is no order")))?;
    let Some(delivery) = work.find::<Delivery>(&order)? else { return Ok(()) };
    let turn = Turn { now: work.now(), by: By::DELIVERY, deadlines };
    moved(work, &delivery, &turn, |pair, turn| pair.time_out(turn)).map(drop)
}

/// A courier makes a move with what is theirs.
pub(crate) fn move_as_courier(
    work: &mut Work<'_>,
    order: OrderId,
    person: PersonId,
    deadlines: Deadlines,
    step: impl FnOnce(&mut Pair, &Turn) -> Moved,
) -> Result<Stored, Stop> {
    by_courier(work, order, person, deadlines, step)?;
    Ok(stored(200, order))
}

/// The courier says the PIN that the shopper said; a wrong one is stored as such, so that it counts.
pub(crate) fn deliver(
    work: &mut Work<'_>,
    order: OrderId,
    person: PersonId,
    (pin, rules): (&str, PinRules),
    deadlines: Deadlines,
) -> Result<Stored, Stop> {
    let said = by_courier(work, order, person, deadlines, |pair, turn| pair.hand_over(pin, rules, turn))?;
    Ok(stored(if said.contains(&Said::Delivered) { 200 } else { WRONG_PIN_STATUS }, order))
}

/// A dispatcher or manager of the store makes a move.
pub(crate) fn move_as_staff(
    work: &mut Work<'_>,
    order: OrderId,
    caller: &Caller,
    deadlines: Deadlines,
    step: impl FnOnce(&mut Pair, &Turn) -> Moved,
) -> Result<Stored, Stop> {
    let delivery = work.load::<Delivery>(&order, "delivery")?;
    let turn = Turn { now: work.now(), by: staff_of(&delivery, caller)?, deadlines };
    moved(work, &delivery, &turn, step)?;
    Ok(stored(200, order))
}

/// A dispatcher or manager of the store lets the PIN be tried again.
pub(crate) fn unlock_pin(work: &mut Work<'_>, order: OrderId, caller: &Caller) -> Result<Stored, Stop> {
    let mut delivery = (*work.load::<Delivery>(&order, "delivery")?).clone();
    staff_of(&delivery, caller)?;
    delivery.unlock_pin();
    work.save(delivery);
    Ok(stored(200, order))
}

fn by_courier(
    work: &mut Work<'_>,
    order: OrderId,
    person: PersonId,
    deadlines: Deadlines,
    step: impl FnOnce(&mut Pair, &Turn) -> Moved,
) -> Result<Vec<Said>, Stop> {
    // Whoever moves it is most likely who holds it.
    work.want::<Courier>(&person);
    let delivery = work.load::<Delivery>(&order, "delivery")?;
    moved(work, &delivery, &Turn { now: work.now(), by: By::courier(person), deadlines }, step)
}

/// Orders has said something of an order; of one that has no delivery there is nothing to do.
fn heard(
    work: &mut Work<'_>,
    order: OrderId,
    deadlines: Deadlines,
    step: impl FnOnce(&mut Pair, &Turn) -> Moved,
) -> Result<(), Stop> {
    let Some(delivery) = work.find::<Delivery>(&order)? else { return Ok(()) };
    moved(work, &delivery, &Turn { now: work.now(), by: By::ORDERS, deadlines }, step).map(drop)
}

/// Lets the courier leave what they are at, if they are at anything.
fn leave(work: &mut Work<'_>, courier: &Courier, outcome: Outcome, note: &str, turn: &Turn) -> Result<(), Stop> {
    let Some(order) = courier.order() else { return Ok(()) };
    let delivery = work.load::<Delivery>(&order, "delivery")?;
    moved(work, &delivery, turn, |pair, turn| pair.leave(outcome, note, turn)).map(drop)
}

/// Moves a delivery together with whoever holds it; tells what was said.
fn moved(
    work: &mut Work<'_>,
    delivery: &Delivery,
    turn: &Turn,
    step: impl FnOnce(&mut Pair, &Turn) -> Moved,
) -> Result<Vec<Said>, Stop> {
    let courier = match delivery.holder() {
        Some(person) => Some(holder(work, delivery.order, person)?),
        None => None,
    };
    let before = Pair { delivery: delivery.clone(), courier };
    let mut after = before.clone();
    let said = step(&mut after, turn).map_err(fault_of)?;
    keep(work, &before, after, &said)?;
    Ok(said)
}

fn holder(work: &mut Work<'_>, order: OrderId, person: PersonId) -> Result<Courier, Stop> {
    let courier = work.find::<Courier>(&person)?;
    courier.map(|courier| (*courier).clone()).ok_or_else(|| Stop::Broken(format!("{order} is with {person}, who is unknown")))
}

/// Keeps what has changed of both, sets the clock of what is waited for now, and says what is to be said.
fn keep(work: &mut Work<'_>, before: &Pair, after: Pair, said: &[Said]) -> Result<(), Stop> {
    for said in said {
        say(work, &after.delivery, said)?;
    }
    set_clock(work, after.delivery.order, before.delivery.waits(), after.delivery.waits())?;
    let Pair { delivery, courier } = after;
    if let Some(courier) = courier.filter(|courier| before.courier.as_ref() != Some(courier)) {
        work.save(courier);
    }
    if delivery != before.delivery {
        work.save(delivery);
    }
    Ok(())
}

type Clock = Option<(Waiting, Timestamp)>;

fn set_clock(work: &mut Work<'_>, order: OrderId, before: Clock, after: Clock) -> Result<(), Stop> {
    if before == after {
        return Ok(());
    }
    let subject = order.to_string();
    if let Some((waiting, _)) = before {
        work.clear_timer(waiting.timer(), &subject)?;
    }
    match after {
        Some((waiting, until)) => work.set_timer(waiting.timer(), &subject, order.bucket(), until),
        None => Ok(()),
    }
}

fn say(work: &mut Work<'_>, delivery: &Delivery, said: &Said) -> Result<(), Stop> {
    let (order, attempt, at) = (delivery.order, delivery.attempt, work.now());
    match said {
        Said::Assigned => {
            let Some(courier) = &delivery.courier else { return Err(Stop::Broken(format!("{order} is assigned to nobody"))) };
            work.emit(&DeliveryAssigned { order, courier: courier.person, courier_name: courier.name.clone() })
        }
        Said::Unassigned(reason) => work.emit(&DeliveryUnassigned { order, reason: (*reason).to_owned() }),
        Said::PickedUp => work.emit(&DeliveryPickedUp { order, at, attempt }),
        Said::Arrived => work.emit(&DeliveryArrived { order, at, attempt }),
        Said::Delivered => work.emit(&DeliveryDelivered { order, proof: Proof::Pin, at, attempt }),
        Said::Failed(reason, note) => work.emit(&DeliveryFailed { order, reason: *reason, note: note.clone(), at, attempt }),
        Said::Returned => work.emit(&DeliveryReturned { order, at }),
        Said::Withdrawn => work.emit(&DeliveryWithdrawn { order }),
    }
}

/// As whom the caller moves the delivery; whoever neither dispatches nor manages in its store does not know of it.
fn staff_of(delivery: &Delivery, caller: &Caller) -> Result<By, Fault> {
    let may = |role| delivery.store().is_some_and(|store| caller.may(role, store.0));
    let role = match () {
        () if !may(Role::Dispatcher) && !may(Role::Manager) => return Err(Fault::not_found("delivery")),
        () if caller.has(Role::Admin) => Part::Admin,
        () if may(Role::Manager) => Part::Manager,
        () => Part::Dispatcher,
    };
    caller.person().map(|person| By { role, person: Some(PersonId(person.id)) })
}

fn stored(status: u16, resource: impl Into<Id>) -> Stored {
    let id: Id = resource.into();
    Stored { status, resource: id.to_string() }
}

/// What whoever may not make a move is told.
fn fault_of(refusal: Refusal) -> Fault {
    let conflict = |reason: &str, state: State, legal: Vec<&str>, detail: String| {
        Fault::conflict(reason, detail).with("state", state.as_str()).with("legal", legal)
    };
    match refusal {
        Refusal::NotYours => Fault::not_found("delivery"),
        Refusal::OfferOver(state) => {
            let detail = format!("your offer of this delivery is over; the delivery is {state} and no longer yours to move");
            conflict("offer-over", state, Vec::new(), detail)
        }
        Refusal::Illegal(state, legal) => {
            let can = if legal.is_empty() { "nothing".to_owned() } else { legal.join(" or ") };
            let detail = format!("the delivery is {state}; what you can do with it now: {can}");
            conflict("illegal-move", state, legal, detail)
        }
        Refusal::PinLocked { retry_after_ms } => {
            let detail = "too many wrong PINs were said; wait, or ask a dispatcher to let it be tried again";
            let mut fault = Fault::new(FaultKind::Exhausted, "pin-locked", detail);
            fault.retry_after_ms = Some(retry_after_ms);
            fault
        }
    }
}

#[cfg(test)]
mod tests;
