//! The slots that inventory makes of its own copies: at once, day after day, and when a store's settings change.
//! Leaves which slots there should be to the tests of the domain.

use contracts::SlotKey;
use contracts::delivery::Hours;
use testkit::{body, store};
use web::json;

use crate::shop::{Shop, at, order, places_path, request};

testkit::on_both! {
    Shop::open =>
    slots_are_made_at_once_and_day_after_day
    settings_change_what_nobody_counts_on
    places_are_set_by_hand
    a_store_that_makes_no_sense_harms_nobody
}

async fn slots_are_made_at_once_and_day_after_day(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    let slots = shop.slots(store.id).await;
    assert_eq!(slots.len(), 12 + 24);
    let first = json!({
        "starts_at": at("2026-11-24T12:00:00-05:00"), "ends_at": at("2026-11-24T13:00:00-05:00"),
        "cutoff_at": at("2026-11-24T12:45:00-05:00"), "left": 10,
    });
    assert_eq!(slots[0], first);
    let offered = |said: Vec<(String, web::Json)>| said.iter().filter(|(kind, _)| kind == "slot.offered.v1").count();
    assert_eq!(offered(shop.said("inventory.supply").await), 36);

    shop.clock.advance(12 * 3_600_000);
    shop.until("the next day is there", async || shop.slots(store.id).await.len() == 48).await;
    assert_eq!(offered(shop.said("inventory.supply").await), 36 + 24);
    // The same settings once more change nothing.
    shop.hear(&store).await;
    shop.settle().await;
    assert_eq!(offered(shop.said("inventory.supply").await), 36 + 24);

    let seen = shop.list(&format!("/v1/stores/{}/slots", store.id), 7, None).await;
    let seen: Vec<SlotKey> = seen.iter().map(|slot| serde_json::from_value(slot["starts_at"].clone()).unwrap()).collect();
    assert_eq!(seen.len(), 48);
    assert!(seen.is_sorted_by(|one, next| one < next));
    shop.close().await;
}

async fn settings_change_what_nobody_counts_on(shop: Shop) {
    let mut store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 5).await;
    let slot = shop.slot(store.id).await;
    shop.request(vec![request(store.id, order(1), &[("MILK", 1)], slot)]).await;
    shop.until_state(order(1), "reserved").await;

    store.hours = Hours::Always(false);
    shop.hear(&store).await;
    shop.until("the free slots are gone", async || shop.slots(store.id).await.len() == 1).await;
    assert_eq!(shop.left(store.id, slot).await, 0);
    shop.assert_sound("inventory").await;

    (store.hours, store.slots.places) = (Hours::Always(true), 20);
    shop.hear(&store).await;
    shop.until("all slots are back", async || shop.slots(store.id).await.len() == 36).await;
    assert_eq!(shop.left(store.id, slot).await, 19);
    assert_eq!(shop.left(store.id, SlotKey(slot.0.plus_ms(3_600_000))).await, 20);
    shop.release(store.id, order(1)).await;
    shop.until_state(order(1), "released").await;
    assert_eq!(shop.left(store.id, slot).await, 20);
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn places_are_set_by_hand(shop: Shop) {
    let mut store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 50).await;
    let slot = shop.slot(store.id).await;
    let three = [1, 2, 3].map(|seed| request(store.id, order(seed), &[("MILK", 1)], slot));
    shop.request(three.into()).await;
    shop.commit(store.id, order(1)).await;
    shop.consume(store.id, order(1)).await;
    shop.until_state(order(1), "consumed").await;

    let path = places_path(store.id, slot);
    let reply = shop.put_as_admin(&path, &json!({ "places": 2 })).await;
    assert_eq!((reply.status.as_u16(), &body(&reply)["least"]), (409, &json!(3)));
    let reply = shop.put_as_admin(&path, &json!({ "places": 3 })).await;
    let view = body(&reply);
    assert_eq!([&view["places"], &view["left"], &view["held"]], [&json!(3), &json!(0), &json!(2)]);
    assert_eq!(shop.left(store.id, slot).await, 0);

    // From then on the template has no say.
    store.slots.places = 99;
    shop.hear(&store).await;
    let next = SlotKey(slot.0.plus_ms(3_600_000));
    shop.until("the template is followed", async || shop.left(store.id, next).await == 99).await;
    assert_eq!(shop.left(store.id, slot).await, 0);
    shop.release(store.id, order(2)).await;
    shop.until_state(order(2), "released").await;
    assert_eq!(shop.left(store.id, slot).await, 1);
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn a_store_that_makes_no_sense_harms_nobody(shop: Shop) {
    let (mut odd, sound) = (store(1), store(2));
    odd.time_zone = "Mars/Base".to_owned();
    shop.hear(&odd).await;
    odd.time_zone = "Europe/Berlin".to_owned();
    odd.slots.length_minutes = -5;
    shop.hear(&odd).await;
    shop.know(&sound).await;
    shop.settle().await;
    assert_eq!(shop.slots(odd.id).await.len(), 0);
    shop.close().await;
}
