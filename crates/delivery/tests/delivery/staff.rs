//! Stores as staff open and pause them, what staff see of deliveries, and what is refused to whom.
//! Leaves the way to the door to `couriers`.

use contracts::delivery::StoreChanged;
use contracts::orders::OrderReady;
use contracts::{Event, OrderId, PersonId, Point, StoreId};
use delivery::Config;
use kernel::Id;
use store::{Batch, Column, Rows, Table, Value, Write};
use testkit::{Engine, migrated, ok, some_id, some_time};
use web::{Call, Json, Method, Role, header, json};

use crate::shop::{Shop, Someone, confirmed, plan, refused};

testkit::on_both! {
    stores_are_opened_described_and_paused
    staff_see_the_deliveries_of_their_store
    what_is_wrong_is_refused_with_its_reason
    tables_and_reads_fit_the_database
    deliveries_of_before_all_ways_out_go_on
}

async fn stores_are_opened_described_and_paused(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let manager = shop.someone(Role::Manager, Some(store));
    let path = format!("/v1/admin/stores/{store}");
    let read = shop.get(&format!("/v1/stores/{store}")).await;
    assert_eq!((read.header("etag"), &ok(&read)["name"]), (Some("\"1\""), &json!("SwiftCart Krog Street")));
    let mut changed = plan();
    changed["name"] = json!("Krog");
    let put = |etag: &str| Call::new(Method::PUT, &path).json(&changed).header(header::IF_MATCH, etag);
    refused(&shop.send_as(Call::new(Method::PUT, &path).json(&changed), &manager).await, 428, "precondition-required");
    refused(&shop.send_as(put("\"7\""), &manager).await, 412, "stale");
    let elsewhere = shop.someone(Role::Manager, Some(StoreId(shop.new_id())));
    refused(&shop.send_as(put("\"1\""), &elsewhere).await, 403, "forbidden");
    let reply = shop.send_as(put("\"1\""), &manager).await;
    assert_eq!((reply.header("etag"), &ok(&reply)["name"]), (Some("\"2\""), &json!("Krog")));
    let paused = shop.put_as(&format!("{path}/pause"), &manager, &json!({ "paused": true })).await;
    assert_eq!((paused.header("etag"), &ok(&paused)["paused"]), (Some("\"3\""), &json!(true)));
    ok(&shop.put_as(&format!("{path}/pause"), &manager, &json!({ "paused": true })).await);
    let said: Vec<_> = shop.said().await.into_iter().filter(|event| event.kind == StoreChanged::KIND).collect();
    assert_eq!(said.len(), 3, "what is no news is not said");
    let last: StoreChanged = serde_json::from_value(said[2].data.clone()).unwrap();
    assert_eq!((last.store.name.as_str(), last.store.paused), ("Krog", true));
    assert!(last.store.reaches(Point { lat: 33.757, lon: -84.364 }));

    let second = shop.open_store().await;
    let first = ok(&shop.get("/v1/stores?limit=1").await);
    let next = format!("/v1/stores?limit=1&after={}", first["next"].as_str().unwrap());
    let rest = ok(&shop.get(&next).await);
    let mut listed = [&first, &rest].map(|page| page["items"][0]["id"].as_str().unwrap().to_owned());
    let mut opened = [store, second].map(|id| id.to_string());
    listed.sort_unstable();
    opened.sort_unstable();
    assert_eq!((listed, &rest["next"]), (opened, &Json::Null));
    shop.close().await;
}

async fn staff_see_the_deliveries_of_their_store(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (store, elsewhere) = (shop.open_store().await, shop.open_store().await);
    let mut orders = Vec::new();
    for _ in 0..3 {
        let order = shop.confirm(store).await;
        shop.until_state(order, "created").await;
        orders.push(order.to_string());
    }
    let order: OrderId = orders[1].parse().unwrap();
    shop.say("orders", OrderReady { order, store }).await;
    shop.pin(order).await;
    let picker = shop.someone(Role::Picker, Some(store));
    let ids = |page: &Json| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["order"].as_str().unwrap().to_owned()).collect()
    };
    let first = ok(&shop.get_as(&format!("/v1/stores/{store}/deliveries?limit=2"), &picker.token).await);
    let next = first["next"].as_str().unwrap();
    let rest = ok(&shop.get_as(&format!("/v1/stores/{store}/deliveries?limit=2&after={next}"), &picker.token).await);
    let newest_first: Vec<String> = orders.iter().rev().cloned().collect();
    assert_eq!([ids(&first), ids(&rest)].concat(), newest_first);
    let waiting = ok(&shop.get_as(&format!("/v1/stores/{store}/deliveries?state=unassigned"), &picker.token).await);
    assert_eq!(ids(&waiting), [orders[1].clone()]);
    let reply = shop.get_as(&format!("/v1/stores/{store}/deliveries?state=lost"), &picker.token).await;
    refused(&reply, 400, "invalid-field");
    refused(&shop.get_as(&format!("/v1/stores/{elsewhere}/deliveries"), &picker.token).await, 403, "forbidden");
    let stranger = shop.someone(Role::Picker, Some(elsewhere));
    refused(&shop.get_as(&format!("/v1/deliveries/{order}"), &stranger.token).await, 404, "not-found");
    shop.close().await;
}

async fn what_is_wrong_is_refused_with_its_reason(engine: Engine) {
    let shop = Shop::open(engine).await;
    let store = shop.open_store().await;
    let (admin, courier) = (shop.someone(Role::Admin, None), shop.courier(store).await);
    let order = OrderId(shop.new_id());
    let with = |field: &str, value: Json| {
        let mut plan = plan();
        plan[field] = value;
        Call::post("/v1/admin/stores").json(&plan)
    };
    let post = |path: &str| Call::post(path);
    let step = |step: &str| format!("/v1/deliveries/{order}/{step}");
    let own = |step: &str| format!("/v1/courier/deliveries/{order}/{step}");
    let long = "x".repeat(201);
    let cases = [
        (with("zone", json!([[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]])), &admin, 422, "invalid-field", "/zone"),
        (with("time_zone", json!("Mars/Olympus")), &admin, 422, "invalid-field", "/time_zone"),
        (with("currency", json!("usd")), &admin, 422, "invalid-field", "/currency"),
        (with("colour", json!("red")), &admin, 422, "invalid-field", "/colour"),
        (with("slots", json!({ "length_minutes": 60 })), &admin, 422, "invalid-field", "/slots/places"),
        (with("lat", json!("north")), &admin, 422, "invalid-field", "/lat"),
        (with("name", json!("x")), &courier, 403, "forbidden", ""),
        (post("/v1/admin/stores").bytes("application/json", "{"), &admin, 400, "invalid-json", ""),
        (Call::new(Method::PUT, "/v1/courier/shift").json(&json!({ "on": "yes" })), &courier, 422, "invalid-field", "/on"),
        (Call::new(Method::PUT, "/v1/courier/shift").json(&json!({ "on": true })), &admin, 404, "not-found", ""),
        (post(&step("accept")), &courier, 404, "not-found", ""),
        (post(&step("accept")).bytes("application/json", "{}"), &courier, 400, "unexpected-body", ""),
        (post(&step("deliver")).json(&json!({ "pin": 1234 })), &courier, 422, "invalid-field", "/pin"),
        (post(&own("drop")).json(&json!({ "reason": " " })), &courier, 422, "invalid-field", "/reason"),
        (post(&own("drop")).json(&json!({ "reason": "a\nb" })), &courier, 422, "invalid-field", "/reason"),
        (post(&own("drop")).json(&json!({})), &courier, 422, "invalid-field", "/reason"),
        (post(&own("drop")).json(&json!({ "reason": "flat tyre" })), &courier, 404, "not-found", ""),
        (post(&own("fail")).json(&json!({ "reason": "rain" })), &courier, 422, "invalid-field", "/reason"),
        (post(&own("fail")).json(&json!({ "reason": "no-courier" })), &courier, 422, "invalid-field", "/reason"),
        (post(&own("fail")).json(&json!({ "reason": "courier-silent" })), &courier, 422, "invalid-field", "/reason"),
        (post(&own("fail")).json(&json!({ "reason": "refused", "note": long })), &courier, 422, "invalid-field", "/note"),
        (post(&own("return")), &admin, 404, "not-found", ""),
        (post(&own("returned")), &courier, 404, "not-found", ""),
        (post(&step("withdraw")).json(&json!({ "reason": "x" })), &courier, 403, "forbidden", ""),
        (post(&step("withdraw")).json(&json!({ "reason": long })), &admin, 422, "invalid-field", "/reason"),
        (post(&step("fail")).json(&json!({ "reason": "no-courier" })), &admin, 422, "invalid-field", "/reason"),
        (post(&step("returned")), &admin, 404, "not-found", ""),
        (post("/v1/deliveries/no-id/accept"), &courier, 404, "not-found", ""),
        (Call::get(&format!("/v1/deliveries/{order}")), &admin, 404, "not-found", ""),
        (Call::get(&format!("/v1/stores/{order}")), &admin, 404, "not-found", ""),
    ];
    for (call, who, status, reason, pointer) in cases {
        let told = format!("{call:?}");
        let problem = refused(&shop.send_as(call, who).await, status, reason);
        if !pointer.is_empty() {
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{told}");
        }
    }
    let keyless = shop.send(post(&step("accept")).bearer(&courier.token)).await;
    refused(&keyless, 400, "idempotency-key-missing");
    let nobody = shop.get("/v1/courier/work").await;
    refused(&nobody, 401, "unauthenticated");
    shop.close().await;
}

async fn tables_and_reads_fit_the_database(engine: Engine) {
    let shop = Shop::open(engine).await;
    let service = delivery::service(&Config::default());
    shop.database.assert_fits(&service).await;
    let rows = shop.database.store.read(service.reads[0], vec![Id::from_bytes([0; 16]).into(), Value::Int(1)]).await;
    assert_eq!(rows, Ok(Vec::new()));
    shop.close().await;
}

/// Deliveries as they were kept before they could fail and come back.
static OLD: Table = Table {
    name: "delivery_delivery",
    key: &[Column::id("id")],
    columns: &[
        Column::int("bucket"),
        Column::text("state"),
        Column::id("store"),
        Column::id("holder"),
        Column::int("accepted"),
        Column::int("created_at"),
        Column::int("ready_at"),
        Column::int("doc_v"),
        Column::text("doc"),
    ],
    rows: Rows::Move,
};

/// One of them, on its way or delivered, and the offer that `courier` accepted.
fn old(order: OrderId, store: StoreId, courier: PersonId, state: &str) -> Write {
    let (at, said) = (some_time(), confirmed(order, store));
    let (contact, address, slot) = (said.contact, said.address, said.slot);
    let doc = json!({
        "order": order, "state": state, "created_at": at, "ready_at": at, "wrong_pins": 0, "pin_locked_until": null,
        "errand": { "store": store, "contact": contact, "address": address, "slot": slot, "pin": "0042" },
        "courier": { "person": courier, "name": "Rosa" },
        "offers": [{ "courier": courier, "offered_at": at, "until": at, "outcome": "accepted", "ended_at": at }],
        "history": [{ "state": "created", "at": at }, { "state": state, "at": at }],
    });
    let holder: Value = if state == "delivered" { Value::Null } else { courier.0.into() };
    let row = vec![
        order.0.into(),
        order.bucket().into(),
        state.into(),
        store.0.into(),
        holder,
        1_i64.into(),
        at.into(),
        at.into(),
        1_i64.into(),
        doc.to_string().into(),
    ];
    Write::Insert { table: &OLD, row }
}

fn riding(person: PersonId, store: StoreId, order: OrderId) -> Write {
    let table = delivery::service(&Config::default()).tables.iter().find(|table| table.name == "delivery_courier").unwrap();
    let doc = json!({
        "person": person, "version": 7, "name": "Rosa", "store": store, "vehicle": "cargo-bike", "active": true,
        "on_shift": true, "task": { "delivering": order }, "since": some_time(),
    });
    let row = vec![
        person.0.into(),
        person.bucket().into(),
        store.0.into(),
        "delivering".into(),
        order.0.into(),
        some_time().into(),
        1_i64.into(),
        doc.to_string().into(),
    ];
    Write::Insert { table, row }
}

async fn deliveries_of_before_all_ways_out_go_on(engine: Engine) {
    let migrations = delivery::service(&Config::default()).migrations;
    let database = migrated(engine, &[&migrations[..1]]).await;
    let (store, courier) = (StoreId(some_id(1)), PersonId(some_id(2)));
    let (under_way, delivered) = (OrderId(some_id(3)), OrderId(some_id(4)));
    let writes = vec![
        old(under_way, store, courier, "to-dropoff"),
        old(delivered, store, courier, "delivered"),
        riding(courier, store, under_way),
    ];
    let head = database.store.head("delivery", "delivery-test").await.unwrap();
    database.store.commit(Batch { service: "delivery", epoch: head.epoch, writes, events: Vec::new() }).await.unwrap();
    database.store.migrate(migrations).await.unwrap();

    let shop = Shop::on(database, Config::default()).await;
    let seen = ok(&shop.get_as(&format!("/v1/deliveries/{under_way}"), &shop.admin()).await);
    assert_eq!((&seen["goods"], &seen["attempt"]), (&json!("courier"), &json!(1)));
    shop.assert_sound("delivery").await;
    assert_eq!(shop.fact(delivered).await, ("delivered".to_owned(), true));
    let courier = Someone { id: courier, token: shop.sign(courier.0, &[(Role::Courier, Some(store))]) };
    ok(&shop.step(under_way, "at-dropoff", &courier).await);
    assert_eq!(ok(&shop.deliver(under_way, "0042", &courier).await)["state"], "delivered");
    shop.close().await;
}
