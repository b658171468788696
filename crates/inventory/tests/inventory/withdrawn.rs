//! Slots that the people of a store take away and give back: who gets no place any more, who is told, what is kept of it.
//! Leaves which orders end by that to orders.

use contracts::{OrderId, SlotKey};
use testkit::{body, brief, is, problem, some_id, store};
use web::{Call, Role, json};

use crate::shop::{Shop, order, places_path, request, slot_path};

testkit::on_both! {
    Shop::open =>
    a_withdrawn_slot_is_closed_and_its_orders_are_told
    many_orders_are_told_once_each_also_after_a_restart
    a_slot_is_given_back
    making_slots_does_not_reopen_one
    illegal_moves_name_what_is_legal
    a_repeat_under_the_same_key_does_nothing
}

const TOLD: &str = "slot.withdrawn.v1";

/// How often an order was told that its slot is gone.
async fn told(shop: &Shop, order: OrderId) -> usize {
    shop.said_of(order).await.iter().filter(|kind| *kind == TOLD).count()
}

async fn a_withdrawn_slot_is_closed_and_its_orders_are_told(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 50).await;
    let slot = shop.slot(store.id).await;
    let other = SlotKey(slot.0.plus_ms(3_600_000));
    let [reserved, committed, released, consumed, elsewhere, late] = [1, 2, 3, 4, 5, 6].map(order);
    for (order, slot) in [(reserved, slot), (committed, slot), (released, slot), (consumed, slot), (elsewhere, other)] {
        shop.request(vec![request(store.id, order, &[("MILK", 1)], slot)]).await;
    }
    shop.commit(store.id, committed).await;
    shop.release(store.id, released).await;
    shop.commit(store.id, consumed).await;
    shop.consume(store.id, consumed).await;
    shop.settle().await;

    let reply = shop.move_slot(store.id, slot, "withdraw", "the van is broken").await;
    let view = body(&reply);
    assert_eq!(reply.status, 200, "{view}");
    assert_eq!([&view["state"], &view["withdrawn"]], [&json!("withdrawn"), &json!("the van is broken")]);
    assert_eq!([&view["held"], &view["left"]], [&json!(2), &json!(7)]);
    assert!(shop.slots(store.id).await.iter().all(|item| item["starts_at"] != json!(slot)));
    let all = shop.all_slots(store.id).await;
    assert_eq!((all.len(), &all[0]), (36, &view));

    shop.until("both are told", async || told(&shop, reserved).await + told(&shop, committed).await == 2).await;
    for (order, times) in [(reserved, 1), (committed, 1), (released, 0), (consumed, 0), (elsewhere, 0)] {
        assert_eq!(told(&shop, order).await, times);
    }
    let said = shop.said("inventory.holds").await;
    let (_, event) = said.iter().find(|(kind, _)| kind == TOLD).unwrap();
    assert_eq!(
        [&event["store"], &event["slot"], &event["reason"]],
        [&json!(store.id), &json!(slot), &json!("the van is broken")]
    );
    let closed: Vec<_> = shop.said("inventory.supply").await.into_iter().filter(|(kind, _)| kind == "slot.closed.v1").collect();
    assert_eq!((closed.len(), &closed[0].1["slot"]), (1, &json!(slot)));

    // Nobody gets a place any more; those who hold one can still be served, or give it back.
    shop.request(vec![request(store.id, late, &[("MILK", 1)], slot)]).await;
    shop.until_state(late, "rejected").await;
    shop.consume(store.id, committed).await;
    shop.release(store.id, reserved).await;
    shop.settle().await;
    assert_eq!(shop.facts().await[&committed].0, "consumed");
    assert_eq!(shop.facts().await[&reserved].0, "released");
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn many_orders_are_told_once_each_also_after_a_restart(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 1000).await;
    let slot = shop.slot(store.id).await;
    assert_eq!(shop.put_as_admin(&places_path(store.id, slot), &json!({ "places": 1000 })).await.status, 200);
    shop.request((0..450).map(|seed| request(store.id, order(seed), &[("MILK", 1)], slot)).collect()).await;
    shop.until("all hold a place", async || shop.level(store.id, "MILK").await == (550, 450)).await;
    assert_eq!(shop.move_slot(store.id, slot, "withdraw", "flood").await.status, 200);
    // Wherever the telling was, it goes on.
    shop.close().await;

    let shop = shop.another().await;
    let told = async || -> Vec<OrderId> {
        let said = shop.said("inventory.holds").await.into_iter().filter(|(kind, _)| kind == TOLD);
        let mut told: Vec<OrderId> = said.map(|(_, event)| serde_json::from_value(event["order"].clone()).unwrap()).collect();
        told.sort_unstable();
        told
    };
    shop.until("all are told", async || told().await.len() >= 450).await;
    // Withdrawn once more, nobody is told twice. The order of another slot, told behind them, shows that all were looked at.
    let (other, last) = (SlotKey(slot.0.plus_ms(3_600_000)), order(1000));
    shop.request(vec![request(store.id, last, &[("MILK", 1)], other)]).await;
    shop.until_state(last, "reserved").await;
    assert_eq!(shop.move_slot(store.id, slot, "reopen", "dry again").await.status, 200);
    assert_eq!(shop.move_slot(store.id, slot, "withdraw", "flood again").await.status, 200);
    assert_eq!(shop.move_slot(store.id, other, "withdraw", "flood").await.status, 200);
    shop.until("the last is told", async || told().await.contains(&last)).await;
    let told = told().await;
    assert_eq!(told.len(), 451);
    assert!(told.windows(2).all(|pair| pair[0] != pair[1]));
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn a_slot_is_given_back(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 50).await;
    let slot = shop.slot(store.id).await;
    let manager = shop.token(Role::Manager, Some(store.id));
    for (did, reason) in [("withdraw", "ice"), ("reopen", "thaw")] {
        let path = slot_path(store.id, slot, did);
        let call = Call::post(&path).bearer(&manager).key(did).json(&json!({ "reason": reason }));
        assert_eq!(shop.send(call).await.status, 200);
    }
    assert_eq!(shop.left(store.id, slot).await, 10);
    let supply = shop.said("inventory.supply").await;
    let of_slot: Vec<&str> = supply
        .iter()
        .filter(|(_, event)| event["slot"] == json!(slot) || event["slot"]["starts_at"] == json!(slot))
        .map(|(kind, _)| kind.as_str())
        .collect();
    assert_eq!(of_slot, ["slot.offered.v1", "slot.closed.v1", "slot.offered.v1"]);
    shop.request(vec![request(store.id, order(1), &[("MILK", 1)], slot)]).await;
    shop.until_state(order(1), "reserved").await;
    assert_eq!(told(&shop, order(1)).await, 0);

    assert_eq!(shop.put_as_admin(&places_path(store.id, slot), &json!({ "places": 4 })).await.status, 200);
    let history = shop.list(&slot_path(store.id, slot, "history"), 2, Some(&manager)).await;
    let mut words: Vec<String> = history
        .iter()
        .map(|did| {
            format!("{} {} {} {} {}", did["did"], did["role"], did["reason"], did["places"], did["person"] == json!(some_id(7)))
        })
        .collect();
    words.sort_unstable();
    let expected =
        [r#""places" "admin" null 4 true"#, r#""reopen" "manager" "thaw" null true"#, r#""withdraw" "manager" "ice" null true"#];
    assert_eq!(words, expected);
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn making_slots_does_not_reopen_one(shop: Shop) {
    let mut store = store(1);
    shop.know(&store).await;
    let slot = shop.slot(store.id).await;
    let next = SlotKey(slot.0.plus_ms(3_600_000));
    assert_eq!(shop.move_slot(store.id, slot, "withdraw", "fire").await.status, 200);
    // Other places, other lengths, closed for good and open again: each time slots are made anew.
    for (length, places) in [(60, 20), (30, 20), (60, 30)] {
        (store.slots.length_minutes, store.slots.places) = (length, places);
        shop.hear(&store).await;
        shop.until("the template is followed", async || {
            let slots = shop.slots(store.id).await;
            slots.iter().any(|item| item["starts_at"] == json!(next) && item["left"] == places)
        })
        .await;
        assert!(shop.slots(store.id).await.iter().all(|item| item["starts_at"] != json!(slot)));
        assert_eq!(shop.all_slots(store.id).await[0]["state"], "withdrawn");
    }
    shop.request(vec![request(store.id, order(1), &[("MILK", 1)], slot)]).await;
    shop.until_state(order(1), "rejected").await;
    // Given back, it follows the template again.
    assert_eq!(shop.move_slot(store.id, slot, "reopen", "out").await.status, 200);
    shop.until("it has its places", async || shop.slots(store.id).await[0]["left"] == 30).await;
    assert_eq!(shop.left(store.id, slot).await, 30);
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn illegal_moves_name_what_is_legal(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    let slot = shop.slot(store.id).await;
    let refused = async |did: &str| {
        let reply = match did {
            "places" => shop.put_as_admin(&places_path(store.id, slot), &json!({ "places": 1 })).await,
            _ => shop.move_slot(store.id, slot, did, "why not").await,
        };
        let (status, reason, members) = problem(&reply);
        (status, reason, members["state"].clone(), members["legal"].clone())
    };
    let is = |reason: &str, state: &str, legal: &[&str]| (409, reason.to_owned(), json!(state), json!(legal));
    assert_eq!(refused("reopen").await, is("slot-open", "open", &["withdraw", "places"]));
    assert_eq!(shop.move_slot(store.id, slot, "withdraw", "why not").await.status, 200);
    assert_eq!(refused("withdraw").await, is("slot-withdrawn", "withdrawn", &["reopen"]));
    assert_eq!(refused("places").await, is("slot-withdrawn", "withdrawn", &["reopen"]));
    shop.clock.advance(3_600_000);
    for did in ["withdraw", "reopen", "places"] {
        assert_eq!(refused(did).await, is("slot-over", "over", &[]));
    }
    shop.close().await;
}

async fn a_repeat_under_the_same_key_does_nothing(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    let slot = shop.slot(store.id).await;
    let path = slot_path(store.id, slot, "withdraw");
    let call = |reason: &str| Call::post(&path).bearer(&shop.admin()).key("once").json(&json!({ "reason": reason }));
    let first = shop.send(call("fog")).await;
    let again = shop.send(call("fog")).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(body(&again), body(&first));
    assert_eq!(brief(&shop.send(call("rain")).await), is(422, "idempotency-key-reused", "-"));
    for wrong in [
        json!({}),
        json!({ "reason": "" }),
        json!({ "reason": " " }),
        json!({ "reason": "a\nb" }),
        json!({ "reason": "x".repeat(201) }),
    ] {
        let reply = shop.send(Call::post(&path).bearer(&shop.admin()).key("wrong").json(&wrong)).await;
        assert_eq!(brief(&reply), is(422, "invalid-field", "/reason"), "{wrong}");
    }
    let closed = shop.said("inventory.supply").await.into_iter().filter(|(kind, _)| kind == "slot.closed.v1").count();
    assert_eq!(closed, 1);
    shop.close().await;
}
