//! The life of a hold as orders lead it: what is held, what is said, what the ledger and the audit tell of it.
//! Leaves many at once to `crowds`.

use contracts::SlotKey;
use store::{Batch, Write};
use testkit::{items, store};
use web::json;

use crate::shop::{Shop, order, places_path, request, service};

testkit::on_both! {
    Shop::open =>
    a_hold_is_kept_and_used
    a_hold_that_nobody_commits_runs_out
    a_hold_is_given_back
    all_or_nothing_and_every_short_thing_is_named
    a_slot_past_its_cutoff_or_unknown_is_short
    a_release_before_the_request_leaves_a_tombstone
    repeats_say_and_change_nothing
    the_audit_sees_what_is_wrong
}

async fn a_hold_is_kept_and_used(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 12).await;
    shop.stock(store.id, "BREAD", 5).await;
    let (order, slot) = (order(1), shop.slot(store.id).await);

    shop.request(vec![request(store.id, order, &[("MILK", 2), ("BREAD", 1), ("MILK", 3)], slot)]).await;
    shop.until_state(order, "reserved").await;
    assert_eq!(shop.level(store.id, "MILK").await, (7, 5));
    assert_eq!(shop.level(store.id, "BREAD").await, (4, 1));
    assert_eq!(shop.left(store.id, slot).await, 9);
    assert_eq!(shop.facts().await[&order], ("reserved".to_owned(), 6, false));
    let said = shop.said("inventory.holds").await;
    assert_eq!(said[0].1["expires_at"], json!(shop.now().plus_ms(600_000)));

    shop.commit(store.id, order).await;
    shop.until_state(order, "committed").await;
    assert_eq!(shop.level(store.id, "MILK").await, (7, 5));
    assert_eq!(shop.facts().await[&order], ("committed".to_owned(), 6, true));
    shop.assert_sound("inventory").await;

    shop.consume(store.id, order).await;
    shop.until_state(order, "consumed").await;
    assert_eq!(shop.level(store.id, "MILK").await, (7, 0));
    assert_eq!(shop.level(store.id, "BREAD").await, (4, 0));
    assert_eq!(shop.left(store.id, slot).await, 9);
    assert_eq!(shop.said_of(order).await, ["hold.reserved.v1", "hold.committed.v1", "hold.consumed.v1"]);

    let path = format!("/v1/admin/stores/{}/movements", store.id);
    let moved = items(&shop.get_as(&path, &shop.admin()).await);
    let consumed: Vec<(String, i64)> = moved
        .iter()
        .filter(|moved| moved["reason"] == "consumed" && moved["order"] == json!(order))
        .map(|moved| (moved["sku"].as_str().unwrap().to_owned(), moved["units"].as_i64().unwrap()))
        .collect();
    assert_eq!(std::collections::BTreeMap::from_iter(consumed), [("BREAD".to_owned(), -1), ("MILK".to_owned(), -5)].into());

    // The band of the milk fell when it was reserved and not when it left.
    let supply = shop.said("inventory.supply").await;
    let bands: Vec<&str> = supply
        .iter()
        .filter(|(kind, event)| kind == "supply.changed.v1" && event["thing"] == json!({ "sku": "MILK" }))
        .map(|(_, event)| event["band"].as_str().unwrap())
        .collect();
    assert_eq!(bands, ["plenty", "few"]);
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn a_hold_that_nobody_commits_runs_out(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 5).await;
    let (left_alone, committed, slot) = (order(1), order(2), shop.slot(store.id).await);
    let both = [left_alone, committed].map(|order| request(store.id, order, &[("MILK", 2)], slot));
    shop.request(both.into()).await;
    shop.commit(store.id, committed).await;
    shop.until_state(committed, "committed").await;

    shop.clock.advance(600_001);
    shop.until_state(left_alone, "expired").await;
    assert_eq!(shop.level(store.id, "MILK").await, (3, 2));
    shop.commit(store.id, left_alone).await;
    shop.release(store.id, left_alone).await;
    shop.settle().await;
    let said = ["hold.reserved.v1", "hold.expired.v1", "hold.commit-refused.v1", "hold.released.v1"];
    assert_eq!(shop.said_of(left_alone).await, said);
    assert_eq!(shop.facts().await[&left_alone], ("expired".to_owned(), 0, true));
    assert_eq!(shop.facts().await[&committed], ("committed".to_owned(), 2, true));
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn a_hold_is_given_back(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 5).await;
    let (reserved, committed, slot) = (order(1), order(2), shop.slot(store.id).await);
    let both = [reserved, committed].map(|order| request(store.id, order, &[("MILK", 2)], slot));
    shop.request(both.into()).await;
    shop.commit(store.id, committed).await;
    shop.until_state(committed, "committed").await;
    assert_eq!(shop.left(store.id, slot).await, 8);

    shop.release(store.id, reserved).await;
    shop.release(store.id, committed).await;
    shop.until_state(committed, "released").await;
    assert_eq!(shop.level(store.id, "MILK").await, (5, 0));
    assert_eq!(shop.left(store.id, slot).await, 10);
    // What was given back never runs out, and is not used.
    shop.consume(store.id, committed).await;
    shop.clock.advance(600_001);
    shop.settle().await;
    assert_eq!(shop.said_of(reserved).await, ["hold.reserved.v1", "hold.released.v1"]);
    assert_eq!(shop.said_of(committed).await, ["hold.reserved.v1", "hold.committed.v1", "hold.released.v1"]);
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn all_or_nothing_and_every_short_thing_is_named(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 4).await;
    shop.stock(store.id, "BREAD", 5).await;
    let (order, slot) = (order(1), shop.slot(store.id).await);
    assert_eq!(shop.put_as_admin(&places_path(store.id, slot), &json!({ "places": 0 })).await.status, 200);

    let lines = [("MILK", 2), ("BREAD", 1), ("MILK", 3), ("EGGS", 1)];
    shop.request(vec![request(store.id, order, &lines, slot)]).await;
    shop.until_state(order, "rejected").await;
    let said = shop.said("inventory.holds").await;
    let short = json!([
        { "thing": { "sku": "EGGS" }, "wanted": 1, "left": 0 },
        { "thing": { "sku": "MILK" }, "wanted": 5, "left": 4 },
        { "thing": { "slot": slot }, "wanted": 1, "left": 0 },
    ]);
    assert_eq!((said.len(), &said[0].1["short"]), (1, &short));
    assert_eq!(shop.level(store.id, "MILK").await, (4, 0));
    assert_eq!(shop.level(store.id, "BREAD").await, (5, 0));
    assert_eq!(shop.facts().await[&order], ("rejected".to_owned(), 0, true));
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn a_slot_past_its_cutoff_or_unknown_is_short(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 9).await;
    let slot = shop.slot(store.id).await;
    let unknown = SlotKey(slot.0.plus_ms(1000));
    // The running slot can be ordered until a quarter of an hour before its end.
    shop.clock.advance(44 * 60_000);
    shop.request(vec![request(store.id, order(1), &[("MILK", 1)], slot)]).await;
    shop.until_state(order(1), "reserved").await;
    shop.clock.advance(60_000);
    let late = [(order(2), slot), (order(3), unknown)];
    shop.request(late.map(|(order, slot)| request(store.id, order, &[("MILK", 1)], slot)).into()).await;
    shop.until_state(order(3), "rejected").await;
    shop.until_state(order(2), "rejected").await;
    let said = shop.said("inventory.holds").await;
    assert_eq!(said[1].1["short"], json!([{ "thing": { "slot": slot }, "wanted": 1, "left": 0 }]));
    assert_eq!(said[2].1["short"], json!([{ "thing": { "slot": unknown }, "wanted": 1, "left": 0 }]));
    assert_eq!(shop.level(store.id, "MILK").await, (8, 1));
    shop.close().await;
}

async fn a_release_before_the_request_leaves_a_tombstone(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 5).await;
    let slot = shop.slot(store.id).await;
    shop.release(store.id, order(1)).await;
    shop.commit(store.id, order(2)).await;
    shop.consume(store.id, order(3)).await;
    let late = [1, 2].map(|seed| request(store.id, order(seed), &[("MILK", 1)], slot));
    shop.request(late.into()).await;
    shop.settle().await;
    assert_eq!(shop.said_of(order(1)).await, ["hold.released.v1"]);
    assert_eq!(shop.said_of(order(2)).await, ["hold.commit-refused.v1"]);
    assert_eq!(shop.said_of(order(3)).await, Vec::<String>::new());
    assert_eq!(shop.facts().await[&order(1)], ("released".to_owned(), 0, true));
    assert_eq!(shop.facts().await.len(), 2);
    assert_eq!(shop.level(store.id, "MILK").await, (5, 0));
    shop.close().await;
}

async fn repeats_say_and_change_nothing(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 5).await;
    let (order, slot) = (order(1), shop.slot(store.id).await);
    let ask = || request(store.id, order, &[("MILK", 2)], slot);
    shop.request(vec![ask(), ask()]).await;
    shop.request(vec![ask()]).await;
    for _ in 0..2 {
        shop.commit(store.id, order).await;
    }
    shop.request(vec![ask()]).await;
    shop.settle().await;
    assert_eq!(shop.level(store.id, "MILK").await, (3, 2));
    for _ in 0..2 {
        shop.consume(store.id, order).await;
    }
    shop.release(store.id, order).await;
    shop.request(vec![ask()]).await;
    shop.settle().await;
    assert_eq!(shop.level(store.id, "MILK").await, (3, 0));
    assert_eq!(shop.said_of(order).await, ["hold.reserved.v1", "hold.committed.v1", "hold.consumed.v1"]);
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn the_audit_sees_what_is_wrong(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 5).await;
    let slot = shop.slot(store.id).await;
    shop.request(vec![request(store.id, order(1), &[("MILK", 2)], slot)]).await;
    shop.until_state(order(1), "reserved").await;
    shop.assert_sound("inventory").await;

    let table = |name: &str| service().tables.iter().copied().find(|table| table.name == name).unwrap();
    let write = async |write: Write| {
        let head = shop.database.store.head("inventory", "nobody").await.unwrap();
        let batch = Batch { service: "inventory", epoch: head.epoch, writes: vec![write], events: Vec::new() };
        shop.database.store.commit(batch).await.unwrap();
    };
    let milk = vec![store.id.0.into(), "sku:MILK".into()];
    let deltas = vec![("available", 0), ("held", 1)];
    write(Write::Add { table: table("inventory_supply"), key: milk, deltas }).await;
    let bucket = store.id.bucket();
    let line = vec![order(1).0.into(), "sku:GHOST".into(), bucket.into(), store.id.0.into(), 1_i64.into()];
    write(Write::Insert { table: table("inventory_hold_line"), row: line }).await;

    let breaches = items(&shop.get_as("/v1/admin/audit/inventory/breaches", &shop.admin()).await);
    let found: Vec<String> = breaches
        .iter()
        .map(|breach| format!("{} {}", breach["rule"].as_str().unwrap(), breach["subject"].as_str().unwrap()))
        .collect();
    // One more is held than live holds hold, and one more is there than the ledger says.
    let expected =
        [("held-equals-live-holds", "sku:GHOST"), ("held-equals-live-holds", "sku:MILK"), ("stock-equals-ledger", "sku:MILK")];
    assert_eq!(found, expected.map(|(rule, thing)| format!("{rule} {} {thing}", store.id)));
    shop.close().await;
}
