//! What the staff of a store takes away between quote, order and picking: its slots.
//! Leaves pause and listings to `placing`.

use contracts::inventory::{SlotClosed, SlotWithdrawn};
use testkit::{Engine, body, brief, is};
use web::json;

use crate::ends::{released, state, state_of, voided};
use crate::shop::Shop;

testkit::on_both! {
    a_slot_that_was_taken_away_takes_no_order
    a_slot_that_is_taken_away_ends_what_is_not_picked_yet
}

async fn a_slot_that_was_taken_away_takes_no_order(engine: Engine) {
    let shop = Shop::open(engine).await;
    let cart = shop.cart(&[("MILK", 3)]).await;
    let quote = shop.quote(&cart).await;
    shop.hear(SlotClosed { store: shop.store.id, slot: shop.slot.starts_at }).await;
    let refusal = shop.order(&cart, &quote).await;
    assert_eq!(brief(&refusal), is(409, "slot-closed", "-"));
    assert_eq!(body(&refusal)["slots"], format!("/v1/stores/{}/slots", shop.store.id));
    assert_eq!(brief(&shop.send(shop.quote_call(&cart, shop.slot.starts_at)).await), is(409, "slot-closed", "-"));
    assert_eq!(shop.said().await, []);
    shop.offer(shop.slot).await;
    assert_eq!(shop.order(&cart, &quote).await.status, 201, "it is offered again, and the quote lives");
    shop.close().await;
}

async fn a_slot_that_is_taken_away_ends_what_is_not_picked_yet(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    let (other_cart, other) = shop.placed(&[("MILK", 3)]).await;
    shop.confirm(order).await;
    shop.confirm(other).await;
    shop.move_order(other, "pick", &shop.picker()).await;
    for order in [order, other, order, other] {
        let (store, slot, reason) = (shop.store.id, shop.slot.starts_at, "the van broke down".to_owned());
        shop.hear(SlotWithdrawn { order, store, slot, reason }).await;
    }
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "slot-withdrawn"));
    released(&shop, order).await;
    voided(&shop, order).await;
    shop.withdraw(order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "slot-withdrawn"));

    let view = shop.view(&other_cart, other).await;
    assert_eq!(view["state"], "picking", "what is being picked is brought all the same");
    let moments = view["history"].as_array().unwrap();
    let told: Vec<_> = moments.iter().filter(|moment| moment["what"] == "slot-withdrawn").collect();
    assert_eq!((told.len(), &told[0]["reason"]), (1, &json!("the van broke down")));
    shop.close().await;
}
