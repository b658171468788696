//! What delivery decides, one function per use case: load, let the domain decide, save, say it.
//! Leaves the rules to `domain`, HTTP to `http` and others' events to `events`.

use std::sync::Arc;

use contracts::delivery::{
    DeliveryArrived, DeliveryAssigned, DeliveryCreated, DeliveryDelivered, DeliveryPickedUp, DeliveryWithdrawn, Proof,
    StoreChanged,
};
use contracts::identity::CourierChanged;
use contracts::orders::OrderConfirmed;
use contracts::{OrderId, PersonId, StoreId};
use engine::{Stop, Stored, Work};
use kernel::{Buckets, Fault, FaultKind, Id};
use web::{Caller, Expected, Role};

use crate::domain::assignment::{self, OfferRules};
use crate::domain::courier::{Courier, Task};
use crate::domain::delivery::{Delivery, Errand, HandOver, Outcome, PinRules, Refusal, State, Withdrawal};
use crate::domain::store::{StorePlan, StoreRecord};

/// The timer that ends an offer; its subject is the order.
pub(crate) const OFFER_TIMEOUT: &str = "offer-timeout";
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

/// Goes on or off shift; whoever goes off declines what they are offered.
pub(crate) fn set_shift(work: &mut Work<'_>, person: PersonId, on: bool) -> Result<Stored, Stop> {
    let mut courier = (*work.load::<Courier>(&person, "courier")?).clone();
    if !on {
        take_offer_back(work, &mut courier, Outcome::Declined)?;
    }
    let now = work.now();
    courier.set_shift(on, now).map_err(|_| Fault::forbidden("you are no longer a courier of this shop"))?;
    work.save(courier);
    Ok(stored(200, person))
}

/// Keeps what identity says of a courier; whoever rides no longer, or elsewhere, loses what they are offered.
pub(crate) fn keep_courier(work: &mut Work<'_>, said: &CourierChanged) -> Result<(), Stop> {
    let now = work.now();
    let Some(known) = work.find::<Courier>(&said.courier)? else {
        work.save(Courier::hired(said, now));
        return Ok(());
    };
    let mut courier = (*known).clone();
    if !said.active || said.store != courier.store {
        take_offer_back(work, &mut courier, Outcome::Withdrawn)?;
    }
    courier.changed(said, now);
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
pub(crate) fn make_ready(work: &mut Work<'_>, order: OrderId) -> Result<(), Stop> {
    // An order is confirmed before it is ready, on the same topic: without a delivery there is nothing to make ready.
    let Some(known) = work.find::<Delivery>(&order)? else { return Ok(()) };
    let mut delivery = (*known).clone();
    if delivery.make_ready(work.now()) {
        work.save(delivery);
    }
    Ok(())
}

/// The order ends: its delivery, too, and its courier is free. Also if there is none yet, so that none is created later.
pub(crate) fn withdraw(work: &mut Work<'_>, order: OrderId) -> Result<(), Stop> {
    let now = work.now();
    let Some(known) = work.find::<Delivery>(&order)? else {
        work.save(Delivery::tombstone(order, now));
        return work.emit(&DeliveryWithdrawn { order });
    };
    let mut delivery = (*known).clone();
    let held = match delivery.holder() {
        Some(person) => work.find::<Courier>(&person)?,
        None => None,
    };
    let mut courier = held.map(|courier| (*courier).clone());
    if delivery.state == State::Offered {
        work.clear_timer(OFFER_TIMEOUT, &order.to_string())?;
    }
    if assignment::cancel(&mut delivery, courier.as_mut(), now) == Withdrawal::Nothing {
        return Ok(());
    }
    if let Some(courier) = courier {
        work.save(courier);
    }
    work.save(delivery);
    work.emit(&DeliveryWithdrawn { order })
}

/// Offers a delivery to a courier, if it still waits and they are still free; says whether it did.
pub(crate) fn offer(work: &mut Work<'_>, order: OrderId, person: PersonId, rules: OfferRules) -> Result<bool, Stop> {
    work.want::<Courier>(&person);
    let (delivery, courier) = (work.find::<Delivery>(&order)?, work.find::<Courier>(&person)?);
    let (Some(delivery), Some(courier)) = (delivery, courier) else { return Ok(false) };
    let (mut delivery, mut courier) = ((*delivery).clone(), (*courier).clone());
    let Some(until) = assignment::offer(&mut delivery, &mut courier, work.now(), rules) else { return Ok(false) };
    work.set_timer(OFFER_TIMEOUT, &order.to_string(), order.bucket(), until)?;
    save_both(work, delivery, courier);
    Ok(true)
}

/// An offer has stood as long as it may: the delivery waits again.
pub(crate) fn end_offer(work: &mut Work<'_>, subject: &str) -> Result<(), Stop> {
    let order: OrderId = subject.parse().map_err(|_| Stop::Broken(format!("{subject} is no order")))?;
    let now = work.now();
    let Some(delivery) = work.find::<Delivery>(&order)? else { return Ok(()) };
    if delivery.open_offer().is_none_or(|offer| offer.until > now) {
        return Ok(());
    }
    let Some(person) = delivery.holder() else { return Ok(()) };
    let Some(courier) = work.find::<Courier>(&person)? else {
        return Err(Stop::Broken(format!("{order} is offered to {person}, who is unknown")));
    };
    let (mut delivery, mut courier) = ((*delivery).clone(), (*courier).clone());
    assignment::give_back(&mut delivery, &mut courier, Outcome::TimedOut, now).map_err(fault_of)?;
    save_both(work, delivery, courier);
    Ok(())
}

/// The courier brings it.
pub(crate) fn accept(work: &mut Work<'_>, order: OrderId, person: PersonId) -> Result<Stored, Stop> {
    let (mut delivery, mut courier) = load_both(work, order, person)?;
    assignment::accept(&mut delivery, &mut courier, work.now()).map_err(fault_of)?;
    work.clear_timer(OFFER_TIMEOUT, &order.to_string())?;
    work.emit(&DeliveryAssigned { order, courier: person, courier_name: courier.name.clone() })?;
    save_both(work, delivery, courier);
    Ok(stored(200, order))
}

/// The courier does not want it.
pub(crate) fn decline(work: &mut Work<'_>, order: OrderId, person: PersonId) -> Result<Stored, Stop> {
    let (mut delivery, mut courier) = load_both(work, order, person)?;
    assignment::give_back(&mut delivery, &mut courier, Outcome::Declined, work.now()).map_err(fault_of)?;
    work.clear_timer(OFFER_TIMEOUT, &order.to_string())?;
    save_both(work, delivery, courier);
    Ok(stored(200, order))
}

/// The courier is in the store.
pub(crate) fn reach_pickup(work: &mut Work<'_>, order: OrderId, person: PersonId) -> Result<Stored, Stop> {
    let (mut delivery, mut courier) = load_both(work, order, person)?;
    assignment::reach_pickup(&mut delivery, &mut courier, work.now()).map_err(fault_of)?;
    save_both(work, delivery, courier);
    Ok(stored(200, order))
}

/// The courier has the goods.
pub(crate) fn pick_up(work: &mut Work<'_>, order: OrderId, person: PersonId) -> Result<Stored, Stop> {
    let (mut delivery, mut courier) = load_both(work, order, person)?;
    let at = work.now();
    assignment::pick_up(&mut delivery, &mut courier, at).map_err(fault_of)?;
    work.emit(&DeliveryPickedUp { attempt: 1, order, at })?;
    save_both(work, delivery, courier);
    Ok(stored(200, order))
}

/// The courier is at the door.
pub(crate) fn reach_dropoff(work: &mut Work<'_>, order: OrderId, person: PersonId) -> Result<Stored, Stop> {
    let (mut delivery, mut courier) = load_both(work, order, person)?;
    let at = work.now();
    assignment::reach_dropoff(&mut delivery, &mut courier, at).map_err(fault_of)?;
    work.emit(&DeliveryArrived { attempt: 1, order, at })?;
    save_both(work, delivery, courier);
    Ok(stored(200, order))
}

/// The courier says the PIN that the shopper said; a wrong one is stored as such, so that it counts.
pub(crate) fn deliver(work: &mut Work<'_>, order: OrderId, person: PersonId, pin: &str, rules: PinRules) -> Result<Stored, Stop> {
    let (mut delivery, mut courier) = load_both(work, order, person)?;
    let at = work.now();
    let said = assignment::hand_over(&mut delivery, &mut courier, pin, at, rules).map_err(fault_of)?;
    if said == HandOver::Done {
        work.emit(&DeliveryDelivered { attempt: 1, order, proof: Proof::Pin, at })?;
    }
    save_both(work, delivery, courier);
    Ok(stored(if said == HandOver::Done { 200 } else { WRONG_PIN_STATUS }, order))
}

/// A dispatcher or manager of the store lets the PIN be tried again.
pub(crate) fn unlock_pin(work: &mut Work<'_>, order: OrderId, caller: &Caller) -> Result<Stored, Stop> {
    let mut delivery = (*work.load::<Delivery>(&order, "delivery")?).clone();
    let store =
        delivery.store().filter(|store| [Role::Dispatcher, Role::Manager].into_iter().any(|role| caller.may(role, store.0)));
    if store.is_none() {
        return Err(Fault::not_found("delivery").into());
    }
    delivery.unlock_pin();
    work.save(delivery);
    Ok(stored(200, order))
}

/// The delivery and the courier who would move it. Whoever is no courier here has no delivery either.
fn load_both(work: &mut Work<'_>, order: OrderId, person: PersonId) -> Result<(Delivery, Courier), Stop> {
    work.want::<Courier>(&person);
    let delivery: Arc<Delivery> = work.load(&order, "delivery")?;
    let courier: Arc<Courier> = work.load(&person, "delivery")?;
    Ok(((*delivery).clone(), (*courier).clone()))
}

fn save_both(work: &mut Work<'_>, delivery: Delivery, courier: Courier) {
    work.save(delivery);
    work.save(courier);
}

/// Takes back what the courier is offered, if they are; `courier` is saved by the caller.
fn take_offer_back(work: &mut Work<'_>, courier: &mut Courier, outcome: Outcome) -> Result<(), Stop> {
    let Task::Offered(order) = courier.task else { return Ok(()) };
    let mut delivery = (*work.load::<Delivery>(&order, "delivery")?).clone();
    assignment::give_back(&mut delivery, courier, outcome, work.now()).map_err(fault_of)?;
    work.clear_timer(OFFER_TIMEOUT, &order.to_string())?;
    work.save(delivery);
    Ok(())
}

fn stored(status: u16, resource: impl Into<Id>) -> Stored {
    let id: Id = resource.into();
    Stored { status, resource: id.to_string() }
}

/// What a courier is told who may not make a move.
fn fault_of(refusal: Refusal) -> Fault {
    let conflict = |reason: &str, state: State, moves: Vec<&str>, detail: String| {
        Fault::conflict(reason, detail).with("state", state.as_str()).with("legal_moves", moves)
    };
    match refusal {
        Refusal::NotYours => Fault::not_found("delivery"),
        Refusal::OfferOver(state) => {
            let detail = format!("your offer of this delivery is over; the delivery is {state} and no longer yours to move");
            conflict("offer-over", state, Vec::new(), detail)
        }
        Refusal::Illegal(state) => {
            let moves = state.moves();
            let can = if moves.is_empty() { "nothing".to_owned() } else { moves.join(" or ") };
            let detail = format!("the delivery is {state}; what its courier can do now: {can}");
            conflict("illegal-move", state, moves, detail)
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
