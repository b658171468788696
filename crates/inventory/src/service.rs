//! What inventory does with each input: load, let `domain` decide, save, say. One function for each use case.
//! Leaves HTTP to `http` and which event asks for what to `events`.

use contracts::delivery::Store;
use contracts::inventory::{
    Band, HoldCommitRefused, HoldCommitted, HoldConsumed, HoldExpired, HoldReduce, HoldRejected, HoldReleased, HoldRequest,
    HoldReserved, SlotClosed, SlotOffered, SlotWithdrawn, SupplyChanged, Thing,
};
use contracts::{OrderId, PersonId, Sku, Slot, SlotKey, StoreId};
use engine::{Entity, Stop, Stored, Work};
use kernel::{Fault, Id, Millis, Timestamp};
use web::Role;

use crate::domain::hold::{Ask, Effect, Hold, Lost, Part, Said, State, parts_of, short_of, step};
use crate::domain::slots::{StoreCopy, next_midnight};
use crate::domain::supply::{BelowHeld, Level, word_of};
use crate::domain::timetable::{Change, Made, Timetable, plan};
use crate::domain::withdrawal::{self, Move};
use crate::store::{HoldLine, Movement, OfferedSlot, SKUS_BEGIN, SlotMove, Supply, Telling};

/// The timer that ends a hold which nobody committed; its subject is the order.
pub(crate) const HOLD_EXPIRY: &str = "hold-expiry";
/// The timer that makes a store's slots; its subject is the store.
pub(crate) const MAKE_SLOTS: &str = "make-slots";

/// Holds all that an order wants, or nothing. A request of an order that is known already changes and says nothing.
pub(crate) fn request(work: &mut Work<'_>, event: &HoldRequest, hold_ttl_ms: Millis) -> Result<(), Stop> {
    let parts = parts_of(&event.lines, event.slot);
    let keys: Vec<(StoreId, String)> = parts.iter().map(|part| supply_key(event.store, &part.thing)).collect();
    keys.iter().for_each(|key| work.want::<Supply>(key));
    work.want::<OfferedSlot>(&(event.store, event.slot));
    if work.find::<Hold>(&event.order)?.is_some() {
        return Ok(());
    }
    let now = work.now();
    let offered = work.find::<OfferedSlot>(&(event.store, event.slot))?;
    let open = offered.is_some_and(|slot| slot.cutoff_at > now && slot.withdrawn.is_none());
    let supplies = work.find_all::<Supply>(&keys)?;
    let left = parts.iter().zip(&supplies).map(|(part, supply)| match part.thing {
        Thing::Slot(_) if !open => (part, 0),
        _ => (part, supply.as_ref().map_or(0, |supply| supply.available)),
    });
    let short = short_of(left);
    if !short.is_empty() {
        work.save(Hold::rejected(event.order, event.store, parts, short.clone(), now));
        return work.emit(&HoldRejected { order: event.order, store: event.store, short });
    }
    let expires_at = now.plus_ms(hold_ttl_ms);
    work.set_timer(HOLD_EXPIRY, &event.order.to_string(), event.store.bucket(), expires_at)?;
    for part in &parts {
        change(work, event.store, &part.thing, |level| level.reserve(part.units))?;
        work.create(HoldLine {
            order_id: event.order,
            thing: part.thing.to_string(),
            bucket: event.store.bucket(),
            store: event.store,
            units: part.units,
        })?;
    }
    work.save(Hold::reserved(event.order, event.store, parts, now, expires_at));
    work.emit(&HoldReserved { order: event.order, store: event.store, expires_at })
}

/// Does what `ask` does to the hold of `order`. `store` is where one would be, if whoever asks knows it.
pub(crate) fn move_on(work: &mut Work<'_>, order: OrderId, store: Option<StoreId>, ask: Ask) -> Result<(), Stop> {
    let hold = work.find::<Hold>(&order)?;
    let Some(step) = step(hold.as_ref().map(|hold| hold.state), ask) else { return Ok(()) };
    let now = work.now();
    let known = hold.is_some();
    let unknown = || store.map(|store| Hold::unknown(order, store, now));
    let Some(hold) = hold.map(|hold| (*hold).clone()).or_else(unknown) else { return Ok(()) };
    if step.effect != Effect::Keep {
        hold.parts.iter().for_each(|part| work.want::<Supply>(&supply_key(hold.store, &part.thing)));
    }
    if hold.state == State::Reserved {
        work.clear_timer(HOLD_EXPIRY, &order.to_string())?;
    }
    settle(work, &hold, step.effect)?;
    if !known || step.next != hold.state {
        work.save(hold.at(step.next, now));
    }
    say(work, order, hold.store, step.said)
}

/// Does to the supply of a hold what becomes of it.
fn settle(work: &mut Work<'_>, hold: &Hold, effect: Effect) -> Result<(), Stop> {
    if effect == Effect::Keep {
        return Ok(());
    }
    for Part { thing, units } in &hold.parts {
        change(work, hold.store, thing, |level| match effect {
            Effect::Keep => level,
            Effect::GiveBack => level.give_back(*units),
            Effect::TakeAway => level.consume(*units),
        })?;
        if let (Thing::Sku(sku), Effect::TakeAway) = (thing, effect) {
            let gone = Moved { sku, reason: "consumed", units: -units, counted: None, order: Some(hold.order), person: None };
            record(work, hold.store, &gone)?;
        }
    }
    Ok(())
}

/// Leaves the hold of an order no more than was picked of the SKUs that are short.
pub(crate) fn reduce(work: &mut Work<'_>, event: &HoldReduce) -> Result<(), Stop> {
    let Some(hold) = work.find::<Hold>(&event.order)? else { return Ok(()) };
    let (reduced, lost) = hold.reduced(&event.lines);
    if lost.is_empty() {
        return Ok(());
    }
    lost.iter().for_each(|lost| work.want::<Supply>(&supply_key(hold.store, &Thing::Sku(lost.sku.clone()))));
    for Lost { sku, units, restock } in &lost {
        let thing = Thing::Sku(sku.clone());
        change(work, hold.store, &thing, |level| if *restock { level.give_back(*units) } else { level.consume(*units) })?;
        keep_line(work, &reduced, &thing);
        if !restock {
            let gone = Moved { sku, reason: "not-found", units: -units, counted: None, order: Some(hold.order), person: None };
            record(work, hold.store, &gone)?;
        }
    }
    work.save(reduced);
    Ok(())
}

/// Makes the line of a thing say what its hold says.
fn keep_line(work: &mut Work<'_>, hold: &Hold, thing: &Thing) {
    let (order_id, store, units) = (hold.order, hold.store, hold.units_of(thing));
    let line = HoldLine { order_id, thing: thing.to_string(), bucket: store.bucket(), store, units };
    if units > 0 { work.save(line) } else { work.remove::<HoldLine>(&line.key()) }
}

fn say(work: &mut Work<'_>, order: OrderId, store: StoreId, said: Said) -> Result<(), Stop> {
    match said {
        Said::Committed => work.emit(&HoldCommitted { order, store }),
        Said::CommitRefused => work.emit(&HoldCommitRefused { order, store }),
        Said::Released => work.emit(&HoldReleased { order, store }),
        Said::Expired => work.emit(&HoldExpired { order, store }),
        Said::Consumed => work.emit(&HoldConsumed { order, store }),
    }
}

/// Keeps what there is to know of a store, and has its slots made at once.
pub(crate) fn copy_store(work: &mut Work<'_>, store: &Store) -> Result<(), Stop> {
    work.save(StoreCopy::from(store));
    let now = work.now();
    work.set_timer(MAKE_SLOTS, &store.id.to_string(), store.id.bucket(), now)
}

/// Makes the slots that a store lacks, and looks again when its next day begins.
pub(crate) fn make_slots(work: &mut Work<'_>, store: StoreId, slots_max: usize) -> Result<(), Stop> {
    work.want::<Timetable>(&store);
    let Some(copy) = work.find::<StoreCopy>(&store)? else { return Ok(()) };
    let now = work.now();
    let made = made_of(work, store)?;
    let planned = plan(&copy, &made, now, slots_max).and_then(|planned| Ok((planned, next_midnight(&copy, now)?)));
    let ((changes, timetable), midnight) = match planned {
        Ok(planned) => planned,
        Err(zone) => {
            tracing::warn!(store = %store, time_zone = zone.0, "no slots are made: the time zone is not known");
            return Ok(());
        }
    };
    want_slots(work, store, changes.iter().map(|change| slot_of(*change).starts_at));
    for change in changes {
        match change {
            Change::Make(slot, places) => offer(work, store, slot, places, false)?,
            Change::Alter(slot, places) => {
                let by_hand = made.iter().any(|made| made.slot.starts_at == slot.starts_at && made.by_hand);
                offer(work, store, slot, places, by_hand)?;
            }
            Change::Drop(slot) => {
                offer(work, store, slot, 0, false)?;
                work.remove::<OfferedSlot>(&(store, slot.starts_at));
                work.emit(&SlotClosed { store, slot: slot.starts_at })?;
            }
        }
    }
    work.save(timetable);
    match midnight {
        Some(midnight) => work.set_timer(MAKE_SLOTS, &store.to_string(), store.bucket(), midnight),
        None => Ok(()),
    }
}

/// The slots of a store that are made and not long over.
fn made_of(work: &mut Work<'_>, store: StoreId) -> Result<Vec<Made>, Stop> {
    let Some(timetable) = work.find::<Timetable>(&store)? else { return Ok(Vec::new()) };
    want_slots(work, store, timetable.slots.iter().copied());
    let slot_keys: Vec<(StoreId, SlotKey)> = timetable.slots.iter().map(|slot| (store, *slot)).collect();
    let supply_keys: Vec<(StoreId, String)> = timetable.slots.iter().map(|slot| supply_key(store, &Thing::Slot(*slot))).collect();
    let (slots, supplies) = (work.find_all::<OfferedSlot>(&slot_keys)?, work.find_all::<Supply>(&supply_keys)?);
    let made = slots.iter().zip(&supplies).filter_map(|(slot, supply)| Some(slot.as_ref()?.made(supply.as_ref()?.available)));
    Ok(made.collect())
}

fn want_slots(work: &mut Work<'_>, store: StoreId, slots: impl Iterator<Item = SlotKey>) {
    for slot in slots {
        work.want::<OfferedSlot>(&(store, slot));
        work.want::<Supply>(&supply_key(store, &Thing::Slot(slot)));
    }
}

fn slot_of(change: Change) -> Slot {
    match change {
        Change::Make(slot, _) | Change::Alter(slot, _) | Change::Drop(slot) => slot,
    }
}

/// Gives a slot, which is not withdrawn, so many places, whether it is there or not, and says so.
fn offer(work: &mut Work<'_>, store: StoreId, slot: Slot, places: i64, by_hand: bool) -> Result<(), Stop> {
    let before = work.find::<OfferedSlot>(&(store, slot.starts_at))?.map_or(0, |slot| slot.places);
    let Slot { starts_at, ends_at, cutoff_at } = slot;
    work.save(OfferedSlot { store, starts_at, bucket: store.bucket(), ends_at, cutoff_at, places, by_hand, withdrawn: None });
    if places > 0 {
        work.emit(&SlotOffered { store, slot, places })?;
    }
    set(work, store, &Thing::Slot(starts_at), |level| level.resize(before, places))
}

/// Counts the units of a SKU: what is held stays held.
pub(crate) fn count(work: &mut Work<'_>, store: StoreId, sku: &Sku, on_hand: i64, person: PersonId) -> Result<Stored, Stop> {
    let thing = Thing::Sku(sku.clone());
    work.want::<Supply>(&supply_key(store, &thing));
    work.load::<StoreCopy>(&store, "store")?;
    let before = level_of(work, store, &thing)?.on_hand();
    set(work, store, &thing, |level| level.count(on_hand))?;
    let units = on_hand - before;
    let counted = Moved { sku, reason: "counted", units, counted: Some(on_hand), order: None, person: Some(person) };
    record(work, store, &counted)?;
    Ok(Stored { status: 200, resource: sku.to_string() })
}

/// Who does something to a slot, as what, and why.
#[derive(Clone, Debug)]
pub(crate) struct By {
    pub(crate) person: PersonId,
    pub(crate) role: Role,
    pub(crate) reason: Option<String>,
}

/// Gives a slot as many places as the people of its store say, whatever its template says from now on.
pub(crate) fn set_places(work: &mut Work<'_>, store: StoreId, slot: SlotKey, places: i64, by: &By) -> Result<Stored, Stop> {
    work.want::<Supply>(&supply_key(store, &Thing::Slot(slot)));
    let offered = allowed(work, store, slot, Move::SetPlaces)?;
    offer(work, store, offered.slot(), places, true)?;
    note(work, store, slot, Move::SetPlaces, Some(places), by)?;
    Ok(Stored { status: 200, resource: slot.to_string() })
}

/// Says a slot again that can still be ordered, for whoever rebuilds a copy of it.
pub(crate) fn say_slot(work: &mut Work<'_>, key: &(StoreId, SlotKey)) -> Result<(), Stop> {
    let now = work.now();
    let open = work.find::<OfferedSlot>(key)?.filter(|slot| slot.places > 0 && slot.cutoff_at > now && slot.withdrawn.is_none());
    open.map_or(Ok(()), |slot| work.emit(&SlotOffered { store: slot.store, slot: slot.slot(), places: slot.places }))
}

/// Says of a slot that it is closed, if there is none or it is withdrawn, for whoever copied that it can be ordered.
pub(crate) fn say_no_slot(work: &mut Work<'_>, key: &(StoreId, SlotKey)) -> Result<(), Stop> {
    match work.find::<OfferedSlot>(key)?.filter(|slot| slot.withdrawn.is_none()) {
        Some(_) => Ok(()),
        None => work.emit(&SlotClosed { store: key.0, slot: key.1 }),
    }
}

/// Says again how much is left of a SKU, for whoever rebuilds a copy of it.
pub(crate) fn say_supply(work: &mut Work<'_>, key: &(StoreId, String)) -> Result<(), Stop> {
    let Some(supply) = work.find::<Supply>(key)? else { return Ok(()) };
    let Some(sku) = key.1.strip_prefix(SKUS_BEGIN) else { return Ok(()) };
    let sku = sku.parse().map_err(|_| Stop::Broken(format!("`{sku}` is no SKU")))?;
    work.emit(&SupplyChanged { store: key.0, thing: Thing::Sku(sku), band: Band::of(supply.available) })
}

/// Takes a slot away: from now on nobody gets a place of it, and everybody who holds one is told.
pub(crate) fn withdraw(work: &mut Work<'_>, store: StoreId, slot: SlotKey, by: &By) -> Result<Stored, Stop> {
    let offered = allowed(work, store, slot, Move::Withdraw)?;
    let withdrawn = Some(by.reason.clone().unwrap_or_default());
    work.save(OfferedSlot { withdrawn, ..offered });
    let moved = note(work, store, slot, Move::Withdraw, None, by)?;
    work.save(Telling { store, starts_at: slot, bucket: store.bucket(), moved, told_to: before_all() });
    work.emit(&SlotClosed { store, slot })?;
    Ok(Stored { status: 200, resource: slot.to_string() })
}

/// Gives a slot back. Whoever was told that it was taken away stays told; nobody else will be.
pub(crate) fn reopen(work: &mut Work<'_>, store: StoreId, slot: SlotKey, by: &By) -> Result<Stored, Stop> {
    let offered = allowed(work, store, slot, Move::Reopen)?;
    let (places, reopened) = (offered.places, offered.slot());
    work.save(OfferedSlot { withdrawn: None, ..offered });
    work.remove::<Telling>(&(store, slot));
    note(work, store, slot, Move::Reopen, None, by)?;
    if places > 0 {
        work.emit(&SlotOffered { store, slot: reopened, places })?;
    }
    // What its template says meanwhile passed it by.
    let now = work.now();
    work.set_timer(MAKE_SLOTS, &store.to_string(), store.bucket(), now)?;
    Ok(Stored { status: 200, resource: slot.to_string() })
}

/// Tells those of `orders` that still hold a place of a withdrawn slot, each once; they are the next after those that were told.
/// If they are the `last`, all are. Nothing is done if the slot was given back, or if they were told already.
pub(crate) fn tell(work: &mut Work<'_>, telling: &Telling, orders: &[OrderId], last: bool) -> Result<(), Stop> {
    let key = telling.key();
    work.want::<OfferedSlot>(&key);
    orders.iter().for_each(|order| work.want::<Hold>(order));
    if work.find::<Telling>(&key)?.is_none_or(|found| *found != *telling) {
        return Ok(());
    }
    let (store, slot) = key;
    let reason = work.find::<OfferedSlot>(&key)?.and_then(|offered| offered.withdrawn.clone()).unwrap_or_default();
    for hold in work.find_all::<Hold>(orders)?.into_iter().flatten() {
        if hold.lives() && !hold.told_withdrawn {
            work.save(Hold { told_withdrawn: true, ..(*hold).clone() });
            work.emit(&SlotWithdrawn { order: hold.order, store, slot, reason: reason.clone() })?;
        }
    }
    match orders.last().filter(|_| !last) {
        Some(order) => work.save(Telling { told_to: order.0, ..telling.clone() }),
        None => work.remove::<Telling>(&key),
    }
    Ok(())
}

/// A slot of which this may be done now.
fn allowed(work: &mut Work<'_>, store: StoreId, slot: SlotKey, wanted: Move) -> Result<OfferedSlot, Stop> {
    let offered = work.load::<OfferedSlot>(&(store, slot), "slot")?;
    state_of(&offered, work.now()).allow(wanted)?;
    Ok((*offered).clone())
}

/// Where a slot stands.
pub(crate) fn state_of(offered: &OfferedSlot, now: Timestamp) -> withdrawal::State {
    withdrawal::State::of(offered.withdrawn.is_some(), offered.ends_at, now)
}

/// Keeps who did what to a slot, and gives the name of that.
fn note(work: &mut Work<'_>, store: StoreId, starts_at: SlotKey, did: Move, places: Option<i64>, by: &By) -> Result<Id, Stop> {
    let (id, at, bucket) = (work.new_id(store.bucket()), work.now(), store.bucket());
    let (did, role, reason, person) = (did.as_str().to_owned(), by.role.to_string(), by.reason.clone(), by.person);
    work.create(SlotMove { store, id, bucket, starts_at, did, reason, places, person, role, at })?;
    Ok(id)
}

/// What comes before every id.
pub(crate) fn before_all() -> Id {
    Id::from_bytes([0; 16])
}

/// The level of a thing; nothing, if there is no supply of it.
pub(crate) fn level_of(work: &mut Work<'_>, store: StoreId, thing: &Thing) -> Result<Level, Stop> {
    Ok(work.find::<Supply>(&supply_key(store, thing))?.map_or_else(Level::default, |supply| supply.level()))
}

/// The key of the supply of a thing.
pub(crate) fn supply_key(store: StoreId, thing: &Thing) -> (StoreId, String) {
    (store, thing.to_string())
}

/// Changes the level of a thing of which there must be supply.
fn change(work: &mut Work<'_>, store: StoreId, thing: &Thing, next: impl FnOnce(Level) -> Level) -> Result<(), Stop> {
    let supply = work.find::<Supply>(&supply_key(store, thing))?;
    let supply = supply.ok_or_else(|| Stop::Broken(format!("{store} has no supply of {thing}, which is held")))?;
    let level = next(supply.level());
    keep(work, Supply { available: level.available, held: level.held, ..(*supply).clone() }, thing)
}

/// Sets the level of a thing as people, or a template, say, whether there was supply of it or not.
fn set(
    work: &mut Work<'_>,
    store: StoreId,
    thing: &Thing,
    next: impl FnOnce(Level) -> Result<Level, BelowHeld>,
) -> Result<(), Stop> {
    let (key, now) = (supply_key(store, thing), work.now());
    let supply = work.find::<Supply>(&key)?;
    let supply = supply.map_or_else(|| Supply::none(store, key.1, now), |supply| (*supply).clone());
    let level = next(supply.level()).map_err(below_held)?;
    keep(work, Supply { available: level.available, held: level.held, set_at: now, ..supply }, thing)
}

/// Saves supply, and says so if it fell into another band.
fn keep(work: &mut Work<'_>, supply: Supply, thing: &Thing) -> Result<(), Stop> {
    let band = Band::of(supply.available);
    if supply.band != word_of(band) {
        work.emit(&SupplyChanged { store: supply.store, thing: thing.clone(), band })?;
    }
    work.save(Supply { band: word_of(band).to_owned(), ..supply });
    Ok(())
}

fn below_held(BelowHeld(least): BelowHeld) -> Fault {
    let detail = format!("{least} are promised to orders already; give a number of at least {least}, or end those orders first");
    Fault::conflict("below-held", detail).with("least", least)
}

/// A change of what is physically there.
struct Moved<'a> {
    sku: &'a Sku,
    reason: &'a str,
    units: i64,
    counted: Option<i64>,
    order: Option<OrderId>,
    person: Option<PersonId>,
}

fn record(work: &mut Work<'_>, store: StoreId, moved: &Moved<'_>) -> Result<(), Stop> {
    let (id, at) = (work.new_id(store.bucket()), work.now());
    work.create(Movement {
        store,
        id,
        bucket: store.bucket(),
        sku: moved.sku.clone(),
        reason: moved.reason.to_owned(),
        units: moved.units,
        counted: moved.counted,
        order_id: moved.order,
        person: moved.person,
        at,
    })
}
