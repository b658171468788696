//! Webhooks: heard at once, and harmless twice, late, out of order, badly signed, malformed, for orders that nobody knows.
//! Leaves signatures by themselves to the tests of the adapter.

use payments::{Config, Provider};
use sandbox::Mishap;
use testkit::{Engine, brief, is};
use web::{Call, HeaderName, json};

use crate::shop::{SECRET, Shop, asked, money, quick};

testkit::on_both! {
    a_webhook_makes_the_worker_ask_now
    webhooks_twice_late_and_out_of_order_change_nothing
    only_the_provider_is_heard
}

async fn a_webhook_makes_the_worker_ask_now(engine: Engine) {
    let patient = Config { retry_first_ms: 3_600_000, retry_longest_ms: 3_600_000, worker_every_ms: 60_000, ..quick() };
    let patient = Config { call_timeout_ms: 1000, ..patient };
    let shop = Shop::open_with(engine, patient, |sandbox| std::sync::Arc::new(sandbox)).await;
    let order = shop.order();
    // The answer is lost, and the worker would ask again in an hour.
    shop.reserve(order, "tok_timeout_after").await;
    shop.settled(order, "authorised").await;
    assert_eq!(shop.said(order).await, ["payment.authorised.v1"]);
    assert_eq!(shop.intents(order).await.len(), 1);
    shop.close().await;
}

async fn webhooks_twice_late_and_out_of_order_change_nothing(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.play(60, &[Mishap::WebhookTwice, Mishap::WebhookLate, Mishap::WebhookReordered, Mishap::WebhookBadSignature]).await;
    let mut orders = Vec::new();
    for index in 0..12 {
        let order = shop.order();
        shop.reserve(order, ["tok_ok", "tok_action", "tok_dispute", "tok_expire"][index % 4]).await;
        orders.push(order);
    }
    for (index, order) in orders.iter().enumerate() {
        match index % 4 {
            0 => {
                shop.settled(*order, "authorised").await;
                shop.cancel(*order).await;
                shop.settled(*order, "voided").await;
            }
            1 => {
                let payment = shop.stands(*order, "requires-action").await;
                shop.answer(payment["intent"].as_str().unwrap(), "approve").await;
                shop.settled(*order, "authorised").await;
                shop.deliver(*order, 1000).await;
                shop.settled(*order, "captured").await;
            }
            2 => {
                shop.deliver(*order, 1000).await;
                shop.stands(*order, "disputed").await;
            }
            _ => {
                shop.settled(*order, "expired").await;
            }
        }
        let said = shop.said(*order).await;
        let mut once = said.clone();
        once.dedup();
        assert_eq!(said, once);
    }
    shop.until("all webhooks are taken", async || shop.books().await["webhooks_waiting"] == 0).await;
    shop.all_settled(12).await;
    shop.close().await;
}

async fn only_the_provider_is_heard(engine: Engine) {
    let shop = Shop::open(engine).await;
    let order = shop.order();
    shop.reserve(order, "tok_ok").await;
    shop.settled(order, "authorised").await;
    let said = |id: &str| json!({ "id": id, "kind": "intent.changed", "intent": "pi_x", "reference": order, "at": shop.now() });
    assert_eq!(brief(&shop.webhook("another secret", &said("evt_1")).await), is(401, "signature-invalid", "-"));
    let unsigned = shop.send(Call::post("/v1/webhooks/sandbox").json(&said("evt_1"))).await;
    assert_eq!(unsigned.status, 401);
    let old = sandbox::sign(SECRET, shop.now().plus_ms(-600_000), said("evt_1").to_string().as_bytes());
    let old =
        Call::post("/v1/webhooks/sandbox").json(&said("evt_1")).header(HeaderName::from_static(sandbox::SIGNATURE_HEADER), &old);
    assert_eq!(brief(&shop.send(old).await), is(401, "signature-invalid", "-"));
    for nonsense in
        [json!(7), json!({ "id": "" , "reference": order }), json!({ "id": "evt_1" }), json!({ "id": "a b", "reference": order })]
    {
        assert_eq!(brief(&shop.webhook(SECRET, &nonsense).await), is(400, "webhook-malformed", "-"), "{nonsense}");
    }
    // Rightly signed: of this order, again, of one that nobody knows, of what is no order.
    for body in [
        said("evt_1"),
        said("evt_1"),
        json!({ "id": "evt_2", "intent": "pi_x", "reference": shop.order() }),
        json!({ "id": "evt_3", "intent": "pi_x", "reference": "invoice-77" }),
    ] {
        assert_eq!(shop.webhook(SECRET, &body).await.status, 200, "{body}");
    }
    shop.settled(order, "authorised").await;
    assert_eq!(shop.said(order).await, ["payment.authorised.v1"]);
    let outcome = shop.provider().refund(asked("somebody:refund"), "pi_x", money(1)).await;
    assert_eq!(outcome, payments::Outcome::declined("not-found"));
    shop.close().await;
}
