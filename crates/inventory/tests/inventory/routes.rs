//! What the routes answer: to whom, to repeats, and to requests that are wrong.
//! Leaves what holds do to the numbers to `holds`.

use contracts::{SlotKey, StoreId};
use testkit::{body, brief, is, items, some_id, store};
use web::{Call, Json, Method, Role, json};

use crate::shop::{Shop, at, order, places_path, request, service, slot_path, stock_path};

testkit::on_both! {
    Shop::open =>
    stock_is_counted_once_for_a_key
    supply_is_shown_in_bands
    lists_are_paged
    each_route_is_for_its_people
    what_is_wrong_is_named_and_changes_nothing
    every_read_and_table_fits_the_database
}

async fn stock_is_counted_once_for_a_key(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    let slot = shop.slot(store.id).await;
    let path = stock_path(store.id, "MILK");
    let call =
        |on_hand: i64| Call::new(Method::PUT, &path).bearer(&shop.admin()).key("count-1").json(&json!({ "on_hand": on_hand }));
    let first = shop.send(call(12)).await;
    assert_eq!((first.status.as_u16(), body(&first)), (200, json!({ "sku": "MILK", "available": 12, "held": 0 })));
    shop.request(vec![request(store.id, order(1), &[("MILK", 4)], slot)]).await;
    shop.until_state(order(1), "reserved").await;
    let again = shop.send(call(12)).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(body(&again), json!({ "sku": "MILK", "available": 8, "held": 4 }));
    assert_eq!(brief(&shop.send(call(13)).await).1, "idempotency-key-reused");

    let refused = shop.put_as_admin(&path, &json!({ "on_hand": 3 })).await;
    assert_eq!((refused.status.as_u16(), brief(&refused).1.as_str()), (409, "below-held"));
    assert_eq!(body(&refused)["least"], 4);
    shop.stock(store.id, "MILK", 4).await;
    assert_eq!(shop.level(store.id, "MILK").await, (0, 4));

    let moved = items(&shop.get_as(&format!("/v1/admin/stores/{}/movements", store.id), &shop.admin()).await);
    let units: Vec<(i64, i64)> =
        moved.iter().map(|moved| (moved["units"].as_i64().unwrap(), moved["counted"].as_i64().unwrap())).collect();
    assert_eq!(units.len(), 2);
    assert!(units.contains(&(12, 12)) && units.contains(&(-8, 4)), "{units:?}");
    assert!(moved.iter().all(|moved| moved["person"] == json!(some_id(7)) && moved["reason"] == "counted"));
    shop.close().await;
}

async fn supply_is_shown_in_bands(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 10).await;
    shop.stock(store.id, "BREAD", 9).await;
    let path = format!("/v1/stores/{}/supply", store.id);
    let reply = shop.get(&format!("{path}?sku=BREAD,MILK,EGGS")).await;
    let bands = json!([
        { "sku": "BREAD", "band": "few" }, { "sku": "MILK", "band": "plenty" }, { "sku": "EGGS", "band": "none" },
    ]);
    assert_eq!(Json::from(items(&reply)), bands);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let many = vec!["MILK"; 51].join(",");
    for wrong in [format!("{path}?sku={many}"), format!("{path}?sku="), format!("{path}?sku=milk"), path] {
        let reply = shop.get(&wrong).await;
        assert_eq!(brief(&reply), is(400, "invalid-field", "sku"), "{wrong}");
    }
    shop.close().await;
}

async fn lists_are_paged(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    for sku in ["MILK", "BREAD", "EGGS", "APPLE-1", "ZEBRA"] {
        shop.stock(store.id, sku, 3).await;
    }
    let pages = async |path: String| -> Vec<String> {
        let seen = shop.list(&path, 2, Some(&shop.admin())).await;
        seen.iter().map(|item| item["sku"].as_str().unwrap().to_owned()).collect()
    };
    let stock = pages(format!("/v1/stores/{}/stock", store.id)).await;
    assert_eq!(stock, ["APPLE-1", "BREAD", "EGGS", "MILK", "ZEBRA"]);
    let mut moved = pages(format!("/v1/admin/stores/{}/movements", store.id)).await;
    moved.sort_unstable();
    assert_eq!(moved, stock);
    shop.close().await;
}

async fn each_route_is_for_its_people(shop: Shop) {
    let (here, there) = (store(1), store(2));
    shop.know(&here).await;
    shop.know(&there).await;
    let slot = shop.slot(here.id).await;
    let (stock, places) = (stock_path(here.id, "MILK"), places_path(here.id, slot));
    let (list, movements) = (format!("/v1/stores/{}/stock", here.id), format!("/v1/admin/stores/{}/movements", here.id));
    let audit = "/v1/admin/audit/inventory/breaches".to_owned();
    let (slots, withdraw) = (format!("/v1/admin/stores/{}/slots", here.id), slot_path(here.id, slot, "withdraw"));
    let (history, reopen) = (slot_path(here.id, slot, "history"), slot_path(here.id, slot, "reopen"));
    let reads = [&list, &movements, &slots, &history];
    let why = || json!({ "reason": "why not" });
    let writes = [
        (Method::PUT, &stock, json!({ "on_hand": 1 })),
        (Method::PUT, &places, json!({ "places": 1 })),
        (Method::POST, &withdraw, why()),
        (Method::POST, &reopen, why()),
    ];
    let write = |method: &Method, path: &str, value: &Json, token: &str| {
        Call::new(method.clone(), path).bearer(token).key(&shop.fresh_key()).json(value)
    };
    let status = async |call: Call| shop.send(call).await.status.as_u16();

    for path in reads {
        assert_eq!(status(Call::get(path)).await, 401);
    }
    for (role, store, reads_here, writes_here) in [
        (Role::Customer, None, 403, 403),
        (Role::Courier, Some(here.id), 403, 403),
        (Role::Picker, Some(here.id), 200, 403),
        (Role::Dispatcher, Some(here.id), 200, 403),
        (Role::Manager, Some(here.id), 200, 200),
        (Role::Manager, Some(there.id), 403, 403),
        (Role::Manager, None, 200, 200),
        (Role::Admin, None, 200, 200),
    ] {
        let token = shop.token(role, store);
        for path in reads {
            assert_eq!(status(Call::get(path).bearer(&token)).await, reads_here, "{role} {path}");
        }
        for (method, path, value) in &writes {
            assert_eq!(status(write(method, path, value, &token)).await, writes_here, "{role} {path}");
        }
        let audits = if role == Role::Admin { 200 } else { 403 };
        assert_eq!(status(Call::get(&audit).bearer(&token)).await, audits, "{role}");
    }
    shop.close().await;
}

async fn what_is_wrong_is_named_and_changes_nothing(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 12).await;
    let slot = shop.slot(store.id).await;
    let unknown = StoreId(some_id(99));
    let no_slot = SlotKey(at("2026-11-24T12:00:01-05:00"));
    let (stock, places) = (stock_path(store.id, "MILK"), places_path(store.id, slot));
    let cases = [
        (stock.clone(), json!({}), 422, "/on_hand"),
        (stock.clone(), json!({ "on_hand": "12" }), 422, "/on_hand"),
        (stock.clone(), json!({ "on_hand": 1.5 }), 422, "/on_hand"),
        (stock.clone(), json!({ "on_hand": -1 }), 422, "/on_hand"),
        (stock.clone(), json!({ "on_hand": 1_000_000_001_i64 }), 422, "/on_hand"),
        (stock.clone(), json!({ "on_hand": 99_999_999_999_999_999_999_f64 }), 422, "/on_hand"),
        (stock.clone(), json!({ "on_hand": 1, "reason": "x" }), 422, "/reason"),
        (places.clone(), json!({ "places": -1 }), 422, "/places"),
        (places.clone(), json!({ "places": 100_001 }), 422, "/places"),
        (slot_path(store.id, slot, "history"), json!({}), 405, "-"),
        (stock_path(unknown, "MILK"), json!({ "on_hand": 1 }), 404, "-"),
        (stock_path(store.id, "milk"), json!({ "on_hand": 1 }), 404, "sku"),
        ("/v1/admin/stores/7/stock/MILK".to_owned(), json!({ "on_hand": 1 }), 404, "store"),
        (places_path(store.id, no_slot), json!({ "places": 1 }), 404, "-"),
        (format!("/v1/admin/stores/{}/slots/noon/places", store.id), json!({ "places": 1 }), 404, "starts_at"),
    ];
    for (path, value, status, field) in cases {
        let (found, _, at) = brief(&shop.put_as_admin(&path, &value).await);
        assert_eq!((found, at.as_str()), (status, field), "{path} {value}");
    }
    let call = || Call::new(Method::PUT, &stock).bearer(&shop.admin());
    assert_eq!(shop.send(call().json(&json!({ "on_hand": 1 }))).await.status, 400);
    assert_eq!(shop.send(call().key("broken").bytes("application/json", "{\"on_hand\":")).await.status, 400);
    for path in ["slots", "supply?sku=MILK", "stock"] {
        let reply = shop.get_as(&format!("/v1/stores/{unknown}/{path}"), &shop.admin()).await;
        assert_eq!(brief(&reply).0, 404, "{path}");
    }
    let wrong = shop.get(&format!("/v1/stores/{}/slots?limit=101", store.id)).await;
    assert_eq!(brief(&wrong), is(400, "invalid-field", "limit"));
    assert_eq!(shop.level(store.id, "MILK").await, (12, 0));
    assert_eq!(shop.left(store.id, slot).await, 10);
    shop.close().await;
}

async fn every_read_and_table_fits_the_database(shop: Shop) {
    shop.database.assert_fits(&service()).await;
    shop.close().await;
}
