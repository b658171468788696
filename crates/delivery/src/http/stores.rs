//! Stores: opened and described by admins and managers, paused, and read by everyone.
//! Leaves what a description must keep to to `domain::store`.

use std::collections::BTreeMap;

use contracts::StoreId;
use contracts::delivery::{Fee, Hours, SlotTemplate};
use engine::{KeyScope, Lane, Stop, Work};
use kernel::{Currency, Fault};
use serde::{Deserialize, Serialize};
use web::{Access, Answer, Body, Caller, Conditions, IdempotencyKey, Json, Listing, Page, Path, Role, Routes, State};

use super::{App, Sent, parsed, shown, tagged};
use crate::domain::store::{StorePlan, StoreRecord};
use crate::store::SERVICE;
use crate::{service, store};

const CREATE: &str = "POST /v1/admin/stores";
const CHANGE: &str = "PUT /v1/admin/stores/{id}";
const PAUSE: &str = "PUT /v1/admin/stores/{id}/pause";

pub(super) fn routes() -> Routes<App> {
    Routes::new(SERVICE)
        .post("/v1/admin/stores", Access::admin(), create)
        .put("/v1/admin/stores/{id}", Access::role(Role::Manager), change)
        .put("/v1/admin/stores/{id}/pause", Access::role(Role::Manager), pause)
        .get("/v1/stores", Access::anyone(), list)
        .get("/v1/stores/{id}", Access::anyone(), read)
}

/// A store as everyone sees it.
#[derive(Serialize)]
struct StoreView<'a> {
    id: StoreId,
    version: i64,
    name: &'a str,
    street: &'a str,
    lat: f64,
    lon: f64,
    time_zone: &'a str,
    currency: Currency,
    hours: &'a Hours,
    zone: &'a [(f64, f64)],
    fee: &'a Fee,
    slots: &'a SlotTemplate,
    tax_basis_points: &'a BTreeMap<String, i64>,
    paused: bool,
}

impl<'a> StoreView<'a> {
    fn of(record: &'a StoreRecord) -> Self {
        let store = &record.store;
        Self {
            id: store.id,
            version: record.version,
            name: &store.name,
            street: &store.street,
            lat: store.point.lat,
            lon: store.point.lon,
            time_zone: &store.time_zone,
            currency: store.currency,
            hours: &store.hours,
            zone: &store.zone,
            fee: &store.fee,
            slots: &store.slots,
            tax_basis_points: &store.tax_basis_points,
            paused: store.paused,
        }
    }
}

async fn create(State(app): State<App>, caller: Caller, key: IdempotencyKey, body: Body<StorePlan>) -> Result<Answer, Fault> {
    let (plan, buckets) = (body.value.checked()?, app.config.buckets);
    let bucket = buckets.of(key.as_str().as_bytes());
    let scope = KeyScope::new(&caller, CREATE, "stores", bucket, &key, body.fingerprint);
    let sent = Sent { lane: Lane::Rest, caller, key: scope, bytes: body.canonical.len() };
    let reply = app.command(sent, move |work| service::create_store(work, &plan, buckets), show).await?;
    let location = format!("/v1/stores/{}", reply.resource);
    Ok(tagged(reply, Some(&location)))
}

async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<StoreId>,
    conditions: Conditions,
    key: IdempotencyKey,
    body: Body<StorePlan>,
) -> Result<Answer, Fault> {
    require_manager(&caller, id)?;
    let expected = conditions.required()?.clone();
    let plan = body.value.checked()?;
    let scope = KeyScope::new(&caller, CHANGE, id, id.bucket(), &key, body.fingerprint);
    let sent = Sent { lane: Lane::Rest, caller, key: scope, bytes: body.canonical.len() };
    let reply = app.command(sent, move |work| service::change_store(work, id, &plan, &expected), show).await?;
    Ok(tagged(reply, None))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    paused: bool,
}

async fn pause(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<StoreId>,
    key: IdempotencyKey,
    body: Body<Pause>,
) -> Result<Answer, Fault> {
    require_manager(&caller, id)?;
    let paused = body.value.paused;
    let scope = KeyScope::new(&caller, PAUSE, id, id.bucket(), &key, body.fingerprint);
    let sent = Sent { lane: Lane::Rest, caller, key: scope, bytes: body.canonical.len() };
    let reply = app.command(sent, move |work| service::pause_store(work, id, paused), show).await?;
    Ok(tagged(reply, None))
}

async fn list(State(app): State<App>, page: Page<StoreId>) -> Result<Answer, Fault> {
    let Listing { items, next } = store::stores(&app.handle, &page).await?;
    Ok(Answer::ok(Listing { items: items.iter().map(StoreView::of).collect(), next }))
}

async fn read(State(app): State<App>, Path(id): Path<StoreId>, conditions: Conditions) -> Result<Answer, Fault> {
    let found = app.handle.find::<StoreRecord>(&id).await?;
    let (record, _) = found.ok_or_else(|| Fault::not_found("store"))?;
    Ok(conditions.answer(record.version, StoreView::of(&record)))
}

fn show(work: &mut Work<'_>, resource: &str) -> Result<Json, Stop> {
    let record = work.load::<StoreRecord>(&parsed(resource)?, "store")?;
    Ok(shown(&StoreView::of(&record)))
}

fn require_manager(caller: &Caller, id: StoreId) -> Result<(), Fault> {
    if caller.may(Role::Manager, id.0) {
        return Ok(());
    }
    Err(Fault::forbidden("this is for managers of the store, and for admins"))
}
