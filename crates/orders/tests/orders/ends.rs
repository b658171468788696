//! The ways out: rejected, declined, given up, run out, too late; each says what others must give back, and ends only when
//! they have.
//! Leaves every order of their answers to the tests of the domain.

use contracts::OrderId;
use contracts::delivery::DeliveryWithdrawn;
use contracts::inventory::{HoldCommitRefused, HoldExpired, HoldRejected, HoldReleased, Short, Thing};
use contracts::orders::{OrderCancelled, OrderCancelling, OrderPaymentFailed, OrderRejected};
use contracts::payments::{PaymentDeclined, PaymentVoided};
use orders::Config;
use testkit::{Engine, body, brief, is};
use web::{Call, json};

use crate::shop::{Cart, Shop};

testkit::on_both! {
    what_was_short_is_named_with_its_lines
    a_declined_payment_is_given_up
    what_is_promised_can_be_given_up_until_it_is_picked
    a_hold_that_ran_out_ends_the_order
    a_commit_that_came_too_late_ends_the_order
    an_order_that_nobody_answers_is_given_up
}

pub(crate) async fn state_of(shop: &Shop, cart: &Cart, order: OrderId) -> (String, String) {
    let view = shop.view(cart, order).await;
    (view["state"].as_str().unwrap().to_owned(), view["reason"].as_str().unwrap_or_default().to_owned())
}

pub(crate) fn state(state: &str, reason: &str) -> (String, String) {
    (state.to_owned(), reason.to_owned())
}

pub(crate) async fn released(shop: &Shop, order: OrderId) {
    shop.hear(HoldReleased { order, store: shop.store.id }).await;
}

pub(crate) async fn voided(shop: &Shop, order: OrderId) {
    shop.hear(PaymentVoided { order }).await;
}

async fn what_was_short_is_named_with_its_lines(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 2), ("SOAP", 1), ("MILK", 3)]).await;
    let slot = shop.slot.starts_at;
    let short = vec![
        Short { thing: Thing::Sku("MILK".parse().unwrap()), wanted: 5, left: 4 },
        Short { thing: Thing::Slot(slot), wanted: 1, left: 0 },
    ];
    shop.hear(HoldRejected { order, store: shop.store.id, short }).await;
    let view = shop.view(&cart, order).await;
    assert_eq!((&view["state"], &view["hold"]["state"]), (&json!("rejected"), &json!("rejected")));
    let refusal = json!([
        { "lines": [0, 2], "sku": "MILK", "wanted": 5, "left": 4 },
        { "slot": slot, "wanted": 1, "left": 0 },
    ]);
    assert_eq!(view["refusal"], refusal);
    let rejected: OrderRejected = shop.said_once(order).await;
    assert_eq!(rejected.detail, format!("MILK: 5 wanted, 4 left; the slot at {slot} is full or closed"));

    // It has ended: nobody pays for it, and nothing more comes of it.
    shop.authorise(order).await;
    assert_eq!(brief(&shop.cancel(&cart, order).await), is(409, "order-ended", "-"));
    assert_eq!(shop.said_of(order).await, ["order.placed", "hold.request", "order.rejected"]);
    assert!(shop.orders.pending().await.unwrap().timers.is_empty());
    shop.close().await;
}

async fn a_declined_payment_is_given_up(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    shop.reserve(order).await;
    shop.hear(PaymentDeclined { attempt: 1, order, reason: "card-declined".to_owned() }).await;
    let view = shop.view(&cart, order).await;
    assert_eq!(view["state"], "payment_failed");
    assert_eq!(view["payment"], json!({ "state": "declined", "reason": "card-declined", "attempt": 1 }));
    assert_eq!(shop.said_once::<OrderPaymentFailed>(order).await.detail, "card-declined");

    let key = shop.fresh_key();
    let cancel = || {
        let call = Call::post(&format!("/v1/orders/{order}/cancel")).key(&key);
        cart.by(call.json(&json!({ "reason": "another time" })))
    };
    let reply = shop.send(cancel()).await;
    assert_eq!((reply.status.as_u16(), &body(&reply)["state"]), (200, &json!("cancelling")));
    assert_eq!(shop.cancel(&cart, order).await.status, 200, "it is being cancelled already");
    assert_eq!(shop.said_once::<OrderCancelling>(order).await.reason, "another time");

    released(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "another time"));
    voided(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "another time"));
    assert_eq!(shop.said_once::<OrderCancelled>(order).await.reason, "another time");
    let again = shop.send(cancel()).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(body(&again)["state"], "cancelled");
    assert_eq!(brief(&shop.cancel(&cart, order).await), is(409, "order-ended", "-"));
    let said = [
        "order.placed",
        "hold.request",
        "order.reserved",
        "order.payment-failed",
        "order.cancelling",
        "hold.release",
        "order.cancelled",
    ];
    assert_eq!(shop.said_of(order).await, said);
    assert!(shop.orders.pending().await.unwrap().timers.is_empty());
    shop.close().await;
}

async fn what_is_promised_can_be_given_up_until_it_is_picked(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    let (other_cart, other) = shop.placed(&[("MILK", 3)]).await;
    shop.confirm(order).await;
    shop.confirm(other).await;
    assert_eq!(shop.cancel(&cart, order).await.status, 200);
    voided(&shop, order).await;
    released(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "gave-up"), "delivery knows of it still");
    shop.hear(DeliveryWithdrawn { order }).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "gave-up"));
    assert_eq!(brief(&shop.move_order(order, "pick", &shop.picker()).await), is(409, "illegal-move", "-"));

    for step in ["pick", "ready"] {
        assert_eq!(shop.move_order(other, step, &shop.picker()).await.status, 200);
        let refusal = shop.cancel(&other_cart, other).await;
        assert_eq!(brief(&refusal), is(409, "too-late", "-"), "after {step}");
    }
    assert_eq!(state_of(&shop, &other_cart, other).await, state("ready", ""));
    shop.close().await;
}

async fn a_hold_that_ran_out_ends_the_order(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    shop.reserve(order).await;
    shop.hear(PaymentDeclined { attempt: 1, order, reason: "card-declined".to_owned() }).await;
    shop.hear(HoldExpired { order, store: shop.store.id }).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "hold-expired"));
    voided(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "hold-expired"));
    let said = ["order.placed", "hold.request", "order.reserved", "order.payment-failed", "order.cancelling", "order.cancelled"];
    assert_eq!(shop.said_of(order).await, said, "what has run out needs no release");
    shop.close().await;
}

async fn a_commit_that_came_too_late_ends_the_order(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    shop.reserve(order).await;
    shop.authorise(order).await;
    shop.hear(HoldCommitRefused { order, store: shop.store.id }).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "hold-expired"));
    shop.hear(HoldExpired { order, store: shop.store.id }).await;
    voided(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "hold-expired"));
    let said = ["order.placed", "hold.request", "order.reserved", "hold.commit", "order.cancelling", "order.cancelled"];
    assert_eq!(shop.said_of(order).await, said, "never confirmed");
    shop.close().await;
}

async fn an_order_that_nobody_answers_is_given_up(engine: Engine) {
    let shop = Shop::open_with(engine, Config { decide_within_ms: 300, ..Config::default() }).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    shop.until("it is given up", async || state_of(&shop, &cart, order).await == state("cancelling", "timed-out")).await;
    let view = shop.view(&cart, order).await;
    assert_eq!(view["history"][1]["by"], "orders");
    // Inventory and payments answer at last: what came too late is given back.
    shop.reserve(order).await;
    voided(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "timed-out"));
    released(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "timed-out"));
    assert!(shop.orders.pending().await.unwrap().timers.is_empty(), "nothing is waited for any more");
    let said = ["order.placed", "hold.request", "order.cancelling", "hold.release", "order.cancelled"];
    assert_eq!(shop.said_of(order).await, said);
    shop.close().await;
}
