//! Ways out that concern the money before the goods leave: another card, a bank that asks, an authorisation that goes.
//! Leaves what is given back after the hand-over to `refunds`.

use contracts::OrderId;
use contracts::inventory::{HoldExpired, HoldReserved};
use contracts::orders::{OrderCancelling, OrderPaymentAgain};
use contracts::payments::{PaymentActionRequired, PaymentAuthorised, PaymentDeclined, PaymentExpired};
use orders::Config;
use testkit::{Engine, body, brief, is};
use web::{Call, Reply, json};

use crate::ends::{released, state, state_of, voided};
use crate::shop::{Cart, Shop};

testkit::on_both! {
    another_card_pays_while_the_hold_lives
    another_card_comes_too_late
    a_bank_asks_and_is_answered
    a_bank_asks_and_nobody_answers
    an_authorisation_that_goes_ends_what_is_promised
}

impl Shop {
    /// Payments says that this means of payment was refused.
    pub(crate) async fn decline(&self, order: OrderId, attempt: i64) {
        self.hear(PaymentDeclined { order, reason: "card-declined".to_owned(), attempt }).await;
    }

    /// Whoever bears the cart pays by another means.
    pub(crate) async fn pay_again(&self, cart: &Cart, order: OrderId, token: &str) -> Reply {
        let call = Call::post(&format!("/v1/orders/{order}/payment")).key(&self.fresh_key());
        self.send(cart.by(call.json(&json!({ "payment_token": token })))).await
    }
}

async fn another_card_pays_while_the_hold_lives(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    let expires_at = shop.now().plus_ms(600_000);
    shop.hear(HoldReserved { order, store: shop.store.id, expires_at }).await;
    let early = shop.pay_again(&cart, order, "tok_amex").await;
    assert_eq!(brief(&early), is(409, "illegal-move", "-"));
    assert_eq!((&body(&early)["state"], &body(&early)["legal"]), (&json!("reserved"), &json!(["cancel"])));
    shop.decline(order, 1).await;

    // Nobody else pays for it.
    let stranger = shop.cart(&[]).await;
    assert_eq!(brief(&shop.pay_again(&stranger, order, "tok_amex").await), is(404, "not-found", "-"));
    let wish = json!({ "payment_token": "tok_amex" });
    assert_eq!(brief(&shop.ask(order, "payment", &shop.manager(), &wish).await), is(403, "forbidden", "-"));

    let key = shop.fresh_key();
    let pay = || cart.by(Call::post(&format!("/v1/orders/{order}/payment")).key(&key).json(&wish));
    let first = shop.send(pay()).await;
    assert_eq!((first.status.as_u16(), &body(&first)["state"]), (200, &json!("payment_failed")));
    assert_eq!(body(&first)["payment"], json!({ "state": "created", "attempt": 2 }));
    assert!(!String::from_utf8_lossy(&first.body).contains("tok_amex"), "the means of payment is nobody's to see");
    assert_eq!(shop.send(pay()).await.header("idempotency-replayed"), Some("true"));
    let again: OrderPaymentAgain = shop.said_once(order).await;
    assert_eq!((again.attempt, again.amount, again.payment_token.as_str()), (2, shop.money(1772), "tok_amex"));
    assert_eq!(again.pay_by, expires_at.plus_ms(-60_000));
    assert_eq!(brief(&shop.pay_again(&cart, order, "tok_other").await), is(409, "payment-under-way", "-"));

    // What is said of the first card is old.
    shop.decline(order, 1).await;
    assert_eq!(shop.view(&cart, order).await["payment"]["state"], "created");
    shop.decline(order, 2).await;
    assert_eq!(shop.view(&cart, order).await["payment"]["state"], "declined");
    assert_eq!(shop.pay_again(&cart, order, "tok_third").await.status, 200);
    shop.hear(PaymentAuthorised { order, amount: shop.money(1772), attempt: 3 }).await;
    shop.commit(order).await;
    assert_eq!(shop.view(&cart, order).await["state"], "confirmed");
    let said = [
        "order.placed",
        "hold.request",
        "order.reserved",
        "order.payment-failed",
        "order.payment-again",
        "order.payment-failed",
        "order.payment-again",
        "hold.commit",
        "order.confirmed",
    ];
    assert_eq!(shop.said_of(order).await, said);
    shop.close().await;
}

async fn another_card_comes_too_late(engine: Engine) {
    let shop = Shop::open_with(engine, Config { pay_margin_ms: 600_000, ..Config::default() }).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    shop.reserve(order).await;
    shop.decline(order, 1).await;
    let late = shop.pay_again(&cart, order, "tok_amex").await;
    assert_eq!((brief(&late), &body(&late)["legal"]), (is(409, "too-late", "-"), &json!(["cancel"])));
    shop.hear(HoldExpired { order, store: shop.store.id }).await;
    let late = shop.pay_again(&cart, order, "tok_amex").await;
    assert_eq!((brief(&late), &body(&late)["state"]), (is(409, "illegal-move", "-"), &json!("cancelling")));
    shop.close().await;
}

async fn a_bank_asks(shop: &Shop) -> (Cart, OrderId) {
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    shop.reserve(order).await;
    let (url, until) = ("https://bank.example/3ds".to_owned(), shop.now().plus_ms(540_000));
    shop.hear(PaymentActionRequired { order, attempt: 1, url: url.clone(), until }).await;
    let view = shop.view(&cart, order).await;
    assert_eq!(view["state"], "reserved");
    assert_eq!(view["payment"], json!({ "state": "action-required", "url": url, "until": until, "attempt": 1 }));
    let staff = body(&shop.get_as(&format!("/v1/orders/{order}"), &shop.manager()).await);
    assert_eq!(staff["payment"]["url"], json!(null), "where the shopper confirms is theirs alone");
    (cart, order)
}

async fn a_bank_asks_and_is_answered(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = a_bank_asks(&shop).await;
    shop.authorise(order).await;
    shop.commit(order).await;
    assert_eq!(shop.view(&cart, order).await["state"], "confirmed");
    shop.close().await;
}

async fn a_bank_asks_and_nobody_answers(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = a_bank_asks(&shop).await;
    voided(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "payment-timed-out"));
    released(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "payment-timed-out"));
    assert!(shop.orders.pending().await.unwrap().timers.is_empty());
    shop.close().await;
}

async fn an_authorisation_that_goes_ends_what_is_promised(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    shop.confirm(order).await;
    shop.hear(PaymentExpired { order }).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "payment-expired"));
    assert_eq!(shop.said_once::<OrderCancelling>(order).await.reason, "payment-expired");
    shop.close().await;
}
