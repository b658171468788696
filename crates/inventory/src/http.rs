//! The routes of inventory: slots and supply for everyone, stock, movements and all slots for the people of a store, facts for
//! the audit.
//! Parses, asks `service`, presents. Leaves rules to `domain`.

use contracts::audit::{Breach, Fact};
use contracts::inventory::{Band, Thing};
use contracts::{OrderId, PersonId, Sku, SlotKey, StoreId};
use engine::{Command, DEADLINE_DEFAULT_MS, Entity, Handle, KeyScope, Lane, Stop, Stored, Work};
use kernel::{Fault, Id, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Read, Row};
use web::{Access, Answer, Body, Caller, IdempotencyKey, Json, Listing, Page, Path, Query, Role, RouteInfo, Routes, State, json};

use crate::config::{AUDIT_LEDGERS, AUDIT_ROWS, BREACHES_MAX, Config, REASON_CHARS_MAX, SKUS_ASKED_MAX};
use crate::domain::hold::Hold;
use crate::domain::slots::StoreCopy;
use crate::domain::supply::Level;
use crate::service::{self, By, before_all, level_of, state_of, supply_key};
use crate::store::{
    HELD_OF_NOTHING, HOLDS, MOVEMENTS, Movement, OfferedSlot, SKUS_BEGIN, SKUS_END, SLOT_MOVES, SLOTS, SLOTS_OPEN, STOCK,
    STOCK_AGAINST_LEDGER, SUPPLY_AGAINST_HOLDS, SlotMove, Supply,
};

/// What the handlers work with.
#[derive(Clone)]
struct Inventory {
    handle: Handle,
    config: Config,
}

/// The routes of inventory.
#[must_use]
pub fn routes(handle: Handle, config: &Config) -> Routes {
    all().with_state(Inventory { handle, config: config.clone() })
}

/// What the routes are, and for whom: for a gateway that has them served elsewhere.
#[must_use]
pub fn table() -> Vec<RouteInfo> {
    all().list()
}

fn all() -> Routes<Inventory> {
    Routes::new(crate::store::SERVICE)
        .get("/v1/stores/{store}/slots", Access::anyone(), list_slots)
        .get("/v1/stores/{store}/supply", Access::anyone(), read_supply)
        .get("/v1/stores/{store}/stock", Access::staff(), list_stock)
        .put("/v1/admin/stores/{store}/stock/{sku}", Access::role(Role::Manager), put_stock)
        .get("/v1/admin/stores/{store}/slots", Access::staff(), list_all_slots)
        .put("/v1/admin/stores/{store}/slots/{starts_at}/places", Access::role(Role::Manager), put_places)
        .post("/v1/admin/stores/{store}/slots/{starts_at}/withdraw", Access::role(Role::Manager), withdraw_slot)
        .post("/v1/admin/stores/{store}/slots/{starts_at}/reopen", Access::role(Role::Manager), reopen_slot)
        .get("/v1/admin/stores/{store}/slots/{starts_at}/history", Access::staff(), list_slot_moves)
        .get("/v1/admin/stores/{store}/movements", Access::staff(), list_movements)
        .get("/v1/admin/audit/inventory/facts", Access::admin(), audit_facts)
        .get("/v1/admin/audit/inventory/breaches", Access::admin(), audit_breaches)
}

#[derive(Serialize)]
struct SlotView {
    starts_at: SlotKey,
    ends_at: Timestamp,
    cutoff_at: Timestamp,
    left: i64,
}

async fn list_slots(
    State(inventory): State<Inventory>,
    Path(store): Path<StoreId>,
    page: Page<SlotKey>,
) -> Result<Answer, Fault> {
    let (slots, supplies) = inventory.slots(store, &SLOTS_OPEN, &page).await?;
    let view = |(slot, supply): (&OfferedSlot, Option<Supply>)| SlotView {
        starts_at: slot.starts_at,
        ends_at: slot.ends_at,
        cutoff_at: slot.cutoff_at,
        left: supply.map_or(0, |supply| supply.available),
    };
    let items: Vec<SlotView> = slots.items.iter().zip(supplies).map(view).collect();
    Ok(Answer::ok(json!({ "items": items, "next": slots.next })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SupplyQuery {
    sku: Vec<Sku>,
}

#[derive(Serialize)]
struct SupplyView {
    sku: Sku,
    band: Band,
}

async fn read_supply(
    State(inventory): State<Inventory>,
    Path(store): Path<StoreId>,
    Query(query): Query<SupplyQuery>,
) -> Result<Answer, Fault> {
    if !(1..=SKUS_ASKED_MAX).contains(&query.sku.len()) {
        return Err(Fault::invalid_field("sku", format!("`sku` must be 1 to {SKUS_ASKED_MAX} SKUs with commas between them")));
    }
    inventory.known(store).await?;
    let keys = query.sku.iter().map(|sku| supply_key(store, &Thing::Sku(sku.clone())));
    let supplies = inventory.supplies(keys.collect()).await?;
    let view =
        |(sku, supply): (Sku, Option<Supply>)| SupplyView { sku, band: Band::of(supply.map_or(0, |supply| supply.available)) };
    let items: Vec<SupplyView> = query.sku.into_iter().zip(supplies).map(view).collect();
    Ok(Answer::ok(json!({ "items": items })))
}

#[derive(Serialize)]
struct StockView {
    sku: Sku,
    available: i64,
    held: i64,
}

async fn list_stock(
    State(inventory): State<Inventory>,
    caller: Caller,
    Path(store): Path<StoreId>,
    page: Page<Sku>,
) -> Result<Answer, Fault> {
    staff_of(&caller, store)?;
    inventory.known(store).await?;
    let after = page.after.as_ref().map_or_else(|| SKUS_BEGIN.to_owned(), |sku| Thing::Sku(sku.clone()).to_string());
    let arguments = vec![store.0.into(), after.into(), SKUS_END.into(), page.rows_wanted().into()];
    let supplies = rows_as::<Supply>(&inventory.handle.read(&STOCK, arguments).await?)?;
    let stock: Result<Vec<StockView>, Fault> = supplies.iter().map(stock_of).collect();
    Ok(Answer::ok(page.list(stock?, |stock| stock.sku.clone())))
}

fn stock_of(supply: &Supply) -> Result<StockView, Fault> {
    let sku = supply.thing.strip_prefix(SKUS_BEGIN).and_then(|sku| sku.parse().ok());
    let sku = sku.ok_or_else(|| Fault::internal(format!("`{}` is no SKU", supply.thing)))?;
    Ok(StockView { sku, available: supply.available, held: supply.held })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStock {
    on_hand: i64,
}

async fn put_stock(
    State(inventory): State<Inventory>,
    caller: Caller,
    Path((store, sku)): Path<(StoreId, Sku)>,
    key: IdempotencyKey,
    body: Body<NewStock>,
) -> Result<Answer, Fault> {
    manager_of(&caller, store)?;
    let on_hand = within("/on_hand", body.value.on_hand, inventory.config.on_hand_max)?;
    let person = PersonId(caller.person()?.id);
    let route = "PUT /v1/admin/stores/{store}/stock/{sku}";
    let scope = KeyScope::new(&caller, route, format!("{store}/{sku}"), store.bucket(), &key, body.fingerprint);
    let shown = sku.clone();
    let decide = move |work: &mut Work<'_>| service::count(work, store, &sku, on_hand, person);
    let show = move |work: &mut Work<'_>, _: &str| show_stock(work, store, &shown);
    inventory.write(caller, scope, body.canonical.len(), decide, show).await
}

fn show_stock(work: &mut Work<'_>, store: StoreId, sku: &Sku) -> Result<Json, Stop> {
    let level = level_of(work, store, &Thing::Sku(sku.clone()))?;
    Ok(json!({ "sku": sku, "available": level.available, "held": level.held }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPlaces {
    places: i64,
}

async fn put_places(
    State(inventory): State<Inventory>,
    caller: Caller,
    Path((store, slot)): Path<(StoreId, SlotKey)>,
    key: IdempotencyKey,
    body: Body<NewPlaces>,
) -> Result<Answer, Fault> {
    manager_of(&caller, store)?;
    let places = within("/places", body.value.places, inventory.config.places_max)?;
    let route = "PUT /v1/admin/stores/{store}/slots/{starts_at}/places";
    let by = by(&caller, store, None)?;
    let decide = move |work: &mut Work<'_>| service::set_places(work, store, slot, places, &by);
    inventory.move_slot(caller, (route, store, slot), &key, &body, decide).await
}

/// Why somebody does something to a slot.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: String,
}

async fn withdraw_slot(
    State(inventory): State<Inventory>,
    caller: Caller,
    Path((store, slot)): Path<(StoreId, SlotKey)>,
    key: IdempotencyKey,
    body: Body<Why>,
) -> Result<Answer, Fault> {
    manager_of(&caller, store)?;
    let by = by(&caller, store, Some(reason_of(&body.value)?))?;
    let route = "POST /v1/admin/stores/{store}/slots/{starts_at}/withdraw";
    let decide = move |work: &mut Work<'_>| service::withdraw(work, store, slot, &by);
    inventory.move_slot(caller, (route, store, slot), &key, &body, decide).await
}

async fn reopen_slot(
    State(inventory): State<Inventory>,
    caller: Caller,
    Path((store, slot)): Path<(StoreId, SlotKey)>,
    key: IdempotencyKey,
    body: Body<Why>,
) -> Result<Answer, Fault> {
    manager_of(&caller, store)?;
    let by = by(&caller, store, Some(reason_of(&body.value)?))?;
    let route = "POST /v1/admin/stores/{store}/slots/{starts_at}/reopen";
    let decide = move |work: &mut Work<'_>| service::reopen(work, store, slot, &by);
    inventory.move_slot(caller, (route, store, slot), &key, &body, decide).await
}

fn reason_of(why: &Why) -> Result<String, Fault> {
    let reason = why.reason.trim();
    if (1..=REASON_CHARS_MAX).contains(&reason.chars().count()) && !reason.chars().any(char::is_control) {
        return Ok(reason.to_owned());
    }
    Err(Fault::invalid_field("/reason", format!("expected 1 to {REASON_CHARS_MAX} characters on one line: why it is done")))
}

/// The caller, as the manager of the store that they are, or else as admin.
fn by(caller: &Caller, store: StoreId, reason: Option<String>) -> Result<By, Fault> {
    let person = caller.person()?;
    let manages =
        person.grants.iter().any(|grant| grant.role == Role::Manager && grant.store.is_none_or(|granted| granted == store.0));
    let role = if manages { Role::Manager } else { Role::Admin };
    Ok(By { person: PersonId(person.id), role, reason })
}

/// A slot as the people of its store see it.
#[derive(Serialize)]
struct StaffSlotView {
    starts_at: SlotKey,
    ends_at: Timestamp,
    cutoff_at: Timestamp,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn: Option<String>,
    places: i64,
    left: i64,
    held: i64,
}

impl StaffSlotView {
    fn of(offered: OfferedSlot, level: Level, now: Timestamp) -> Self {
        let state = state_of(&offered, now).as_str();
        let OfferedSlot { starts_at, ends_at, cutoff_at, withdrawn, places, .. } = offered;
        Self { starts_at, ends_at, cutoff_at, state, withdrawn, places, left: level.available, held: level.held }
    }
}

fn show_slot(work: &mut Work<'_>, store: StoreId, slot: SlotKey) -> Result<Json, Stop> {
    let level = level_of(work, store, &Thing::Slot(slot))?;
    let offered = work.load::<OfferedSlot>(&(store, slot), "slot")?;
    Ok(json!(StaffSlotView::of((*offered).clone(), level, work.now())))
}

async fn list_all_slots(
    State(inventory): State<Inventory>,
    caller: Caller,
    Path(store): Path<StoreId>,
    page: Page<SlotKey>,
) -> Result<Answer, Fault> {
    staff_of(&caller, store)?;
    let (slots, supplies) = inventory.slots(store, &SLOTS, &page).await?;
    let now = inventory.handle.runtime().now();
    let level = |supply: Option<Supply>| supply.map_or_else(Level::default, |supply| supply.level());
    let view = |(slot, supply)| StaffSlotView::of(slot, level(supply), now);
    let items: Vec<StaffSlotView> = slots.items.into_iter().zip(supplies).map(view).collect();
    Ok(Answer::ok(json!({ "items": items, "next": slots.next })))
}

#[derive(Serialize)]
struct SlotMoveView {
    id: Id,
    did: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    places: Option<i64>,
    person: PersonId,
    role: String,
    at: Timestamp,
}

async fn list_slot_moves(
    State(inventory): State<Inventory>,
    caller: Caller,
    Path((store, slot)): Path<(StoreId, SlotKey)>,
    page: Page<Id>,
) -> Result<Answer, Fault> {
    staff_of(&caller, store)?;
    inventory.handle.find::<OfferedSlot>(&(store, slot)).await?.ok_or_else(|| Fault::not_found("slot"))?;
    let before = page.after.unwrap_or_else(last_id);
    let arguments = vec![store.0.into(), slot.0.into(), before.into(), page.rows_wanted().into()];
    let moves = rows_as::<SlotMove>(&inventory.handle.read(&SLOT_MOVES, arguments).await?)?;
    let view = |SlotMove { id, did, reason, places, person, role, at, .. }: SlotMove| SlotMoveView {
        id,
        did,
        reason,
        places,
        person,
        role,
        at,
    };
    Ok(Answer::ok(page.list(moves, |moved| moved.id).map(view)))
}

#[derive(Serialize)]
struct MovementView {
    id: Id,
    sku: Sku,
    reason: String,
    units: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<OrderId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<PersonId>,
    at: Timestamp,
}

async fn list_movements(
    State(inventory): State<Inventory>,
    caller: Caller,
    Path(store): Path<StoreId>,
    page: Page<Id>,
) -> Result<Answer, Fault> {
    staff_of(&caller, store)?;
    inventory.known(store).await?;
    let arguments = vec![store.0.into(), page.after.unwrap_or_else(last_id).into(), page.rows_wanted().into()];
    let movements = rows_as::<Movement>(&inventory.handle.read(&MOVEMENTS, arguments).await?)?;
    let view = |moved: Movement| MovementView {
        id: moved.id,
        sku: moved.sku,
        reason: moved.reason,
        units: moved.units,
        counted: moved.counted,
        order: moved.order_id,
        person: moved.person,
        at: moved.at,
    };
    Ok(Answer::ok(page.list(movements, |moved| moved.id).map(view)))
}

/// What inventory knows of each order; `units` are those held for it now, or that have left the store for it.
async fn audit_facts(State(inventory): State<Inventory>, page: Page<OrderId>) -> Result<Answer, Fault> {
    let after = page.after.map_or_else(before_all, |order| order.0);
    let holds = rows_as::<Hold>(&inventory.handle.read(&HOLDS, vec![after.into(), page.rows_wanted().into()]).await?)?;
    let fact = |hold: Hold| Fact {
        order: hold.order,
        state: hold.state.as_str().to_owned(),
        settled: hold.settled(),
        sums: [("units".to_owned(), hold.units())].into(),
    };
    Ok(Answer::ok(page.list(holds, |hold| hold.order).map(fact)))
}

/// Checks that of each thing of each store what is held is what live holds hold (`held-equals-live-holds`), that what is
/// available, and what is held, is never below 0 (`available-not-negative`, `held-not-negative`), and that what is there of each
/// SKU is what its movements add up to (`stock-equals-ledger`).
async fn audit_breaches(State(inventory): State<Inventory>) -> Result<Answer, Fault> {
    let lines = inventory.handle.read(&HELD_OF_NOTHING, vec![AUDIT_ROWS.into()]).await?;
    let mut breaches = read_all(&lines, breach_of_line)?;
    breaches.extend(inventory.wrong_by(&SUPPLY_AGAINST_HOLDS, AUDIT_ROWS, breaches_of_supply).await?);
    breaches.extend(inventory.wrong_by(&STOCK_AGAINST_LEDGER, AUDIT_LEDGERS, breaches_of_ledger).await?);
    breaches.truncate(BREACHES_MAX);
    Ok(Answer::ok(json!({ "items": breaches })))
}

fn breach_of_line(row: &Row) -> Result<Breach, store::Error> {
    let (store, thing, order, units) = (row.id(0)?, row.text(1)?, row.id(2)?, row.int(3)?);
    let detail = format!("order {order} holds {units} of it, but there is no supply of it");
    Ok(Breach { rule: "held-equals-live-holds".to_owned(), subject: format!("{store} {thing}"), detail })
}

fn breaches_of_supply(row: &Row) -> Result<Vec<Breach>, store::Error> {
    let (store, thing) = (row.id(0)?, row.text(1)?);
    let (available, held, live) = (row.int(2)?, row.int(3)?, row.int(4)?);
    let breach = |rule: &str, detail: String| Breach { rule: rule.to_owned(), subject: format!("{store} {thing}"), detail };
    let mut breaches = Vec::new();
    if held != live {
        breaches.push(breach("held-equals-live-holds", format!("{held} are held, but live holds hold {live}")));
    }
    if available < 0 {
        breaches.push(breach("available-not-negative", format!("{available} are available")));
    }
    if held < 0 {
        breaches.push(breach("held-not-negative", format!("{held} are held")));
    }
    Ok(breaches)
}

fn breaches_of_ledger(row: &Row) -> Result<Vec<Breach>, store::Error> {
    let (store, thing, on_hand, moved) = (row.id(0)?, row.text(1)?, row.int(2)?, row.int(3)?);
    let detail = format!("{on_hand} are there, but its movements add up to {moved}");
    let breach = || Breach { rule: "stock-equals-ledger".to_owned(), subject: format!("{store} {thing}"), detail };
    Ok((on_hand != moved).then(breach).into_iter().collect())
}

impl Inventory {
    /// Refuses if inventory has not heard of `store`.
    async fn known(&self, store: StoreId) -> Result<(), Fault> {
        self.handle.find::<StoreCopy>(&store).await?.map(|_| ()).ok_or_else(|| Fault::not_found("store"))
    }

    /// A page of the slots of a store, and their supply.
    async fn slots(
        &self,
        store: StoreId,
        read: &'static Read,
        page: &Page<SlotKey>,
    ) -> Result<(Listing<OfferedSlot>, Vec<Option<Supply>>), Fault> {
        self.known(store).await?;
        let after = page.after.map_or(Timestamp::from_micros(i64::MIN), |slot| slot.0);
        let arguments = vec![store.0.into(), self.handle.runtime().now().into(), after.into(), page.rows_wanted().into()];
        let slots = page.list(rows_as::<OfferedSlot>(&self.handle.read(read, arguments).await?)?, |slot| slot.starts_at);
        let keys = slots.items.iter().map(|slot| supply_key(store, &Thing::Slot(slot.starts_at)));
        let supplies = self.supplies(keys.collect()).await?;
        Ok((slots, supplies))
    }

    /// Does what one of the people of a store wants with a slot, once for its key, and shows the slot.
    async fn move_slot<T>(
        &self,
        caller: Caller,
        (route, store, slot): (&'static str, StoreId, SlotKey),
        key: &IdempotencyKey,
        body: &Body<T>,
        decide: impl Fn(&mut Work<'_>) -> Result<Stored, Stop> + Send + Sync + 'static,
    ) -> Result<Answer, Fault> {
        let scope = KeyScope::new(&caller, route, format!("{store}/{slot}"), store.bucket(), key, body.fingerprint);
        let show = move |work: &mut Work<'_>, _: &str| show_slot(work, store, slot);
        self.write(caller, scope, body.canonical.len(), decide, show).await
    }

    /// What is wrong by `read`, which goes over supply by store and thing in pages of so many rows.
    async fn wrong_by(
        &self,
        read: &'static Read,
        rows_max: i64,
        wrong: fn(&Row) -> Result<Vec<Breach>, store::Error>,
    ) -> Result<Vec<Breach>, Fault> {
        let (mut breaches, mut after) = (Vec::new(), (before_all(), String::new()));
        while breaches.len() < BREACHES_MAX {
            let rows = self.handle.read(read, vec![after.0.into(), after.1.into(), rows_max.into()]).await?;
            breaches.extend(read_all(&rows, wrong)?.into_iter().flatten());
            match read_all(&rows, |row| Ok((row.id(0)?, row.text(1)?.to_owned())))?.pop() {
                Some(last) if i64::try_from(rows.len()) == Ok(rows_max) => after = last,
                _ => break,
            }
        }
        Ok(breaches)
    }

    /// The supply of each key, in their order.
    async fn supplies(&self, keys: Vec<(StoreId, String)>) -> Result<Vec<Option<Supply>>, Fault> {
        let found = self.handle.load::<Supply>(&keys).await?;
        Ok(keys.iter().map(|key| found.iter().find(|supply| supply.key() == *key).cloned()).collect())
    }

    /// Does and shows what one of the people of a store wants, once for its key.
    async fn write(
        &self,
        caller: Caller,
        key: KeyScope,
        bytes: usize,
        decide: impl Fn(&mut Work<'_>) -> Result<Stored, Stop> + Send + Sync + 'static,
        show: impl Fn(&mut Work<'_>, &str) -> Result<Json, Stop> + Send + Sync + 'static,
    ) -> Result<Answer, Fault> {
        let (lane, trace, deadline_ms) = (Lane::Rest, caller.trace, DEADLINE_DEFAULT_MS);
        let reply = self.handle.command(Command { lane, key, trace, bytes, deadline_ms, decide, show }).await?;
        Ok(reply.answer(None))
    }
}

fn manager_of(caller: &Caller, store: StoreId) -> Result<(), Fault> {
    if caller.may(Role::Manager, store.0) { Ok(()) } else { Err(Fault::forbidden("this is for the managers of this store")) }
}

fn staff_of(caller: &Caller, store: StoreId) -> Result<(), Fault> {
    let works_there = [Role::Manager, Role::Picker, Role::Dispatcher].iter().any(|role| caller.may(*role, store.0));
    if works_there { Ok(()) } else { Err(Fault::forbidden("this is for those who work in this store")) }
}

fn within(field: &str, number: i64, max: i64) -> Result<i64, Fault> {
    if (0..=max).contains(&number) {
        return Ok(number);
    }
    Err(Fault::invalid_field(field, format!("it is {number}, but must be a whole number from 0 to {max}")))
}

/// What comes after every id.
fn last_id() -> Id {
    Id::from_bytes([0xff; 16])
}

fn rows_as<E: Entity>(rows: &[Row]) -> Result<Vec<E>, Fault> {
    read_all(rows, E::from_row)
}

fn read_all<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T, store::Error>) -> Result<Vec<T>, Fault> {
    rows.iter().map(|row| read(row).map_err(|error| Fault::internal(error.to_string()))).collect()
}
