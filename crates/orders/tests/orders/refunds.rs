//! Refunds through the API: who may, how much, once per key, and what became of them.
//! Leaves the arithmetic to the tests of the domain.

use contracts::orders::OrderRefundRequested;
use contracts::payments::{PaymentCaptured, PaymentDisputeClosed, PaymentDisputed, PaymentRefundFailed, PaymentRefunded};
use contracts::{Event, OrderId, RefundId};
use testkit::{Engine, body, brief, is, some_id};
use web::{Call, Json, json};

use crate::shop::{Cart, Shop};

testkit::on_both! {
    money_is_given_back_once_per_key_and_never_more_than_was_taken
    only_a_manager_gives_money_back_and_only_what_was_taken
    what_the_provider_refuses_and_what_the_bank_disputes_is_shown
}

impl Shop {
    /// An order that was handed over and paid: 17.72, of which 3.59 for the way.
    async fn paid(&self) -> (Cart, OrderId) {
        let (cart, order) = self.out().await;
        self.hand_over(order, 1).await;
        self.hear(PaymentCaptured { order, amount: self.money(1772) }).await;
        (cart, order)
    }

    async fn refunds_asked(&self) -> Vec<OrderRefundRequested> {
        let said = self.said().await.into_iter().filter(|event| event.kind == OrderRefundRequested::KIND);
        said.map(|event| serde_json::from_value(event.data).unwrap()).collect()
    }

    async fn pay_back(&self, refund: &Json, refunded_minor: i64) {
        let refund_id: RefundId = serde_json::from_value(refund["id"].clone()).unwrap();
        let asked = self.refunds_asked().await.into_iter().find(|asked| asked.refund == refund_id).unwrap();
        let (order, refund, amount) = (asked.order, refund_id, asked.amount);
        self.hear(PaymentRefunded { order, refund, amount, refunded: self.money(refunded_minor) }).await;
    }
}

async fn money_is_given_back_once_per_key_and_never_more_than_was_taken(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.paid().await;
    let manager = shop.manager();
    let key = shop.fresh_key();
    let part = json!({ "amount": { "minor": 72, "currency": "USD" }, "reason": "a dent" });
    let ask = || Call::post(&format!("/v1/orders/{order}/refunds")).bearer(&manager).key(&key).json(&part);
    let first = shop.send(ask()).await;
    assert_eq!(first.status, 201, "{first:?}");
    let first = body(&first);
    assert_eq!(
        (&first["state"], &first["amount"]["minor"], &first["person"]),
        (&json!("pending"), &json!(72), &json!(some_id(41)))
    );
    assert_eq!(shop.refunds_asked().await.len(), 1);
    let facts = shop.read("/v1/admin/audit/orders/facts").await;
    assert_eq!((&facts["items"][0]["settled"], &facts["items"][0]["sums"]["refunded"]), (&json!(false), &json!(0)));
    shop.pay_back(&first, 72).await;
    let again = shop.send(ask()).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!((&body(&again)["id"], &body(&again)["state"]), (&first["id"], &json!("paid")), "the same one, as it is now");

    let lines = json!({ "lines": [{ "sku": "MILK", "quantity": 2 }], "reason": "sour" });
    let reply = shop.ask(order, "refunds", &manager, &lines).await;
    // Two of three bottles at 4.49, with two thirds of their tax of 0.66.
    assert_eq!((reply.status.as_u16(), &body(&reply)["amount"]["minor"]), (201, &json!(898 + 44)), "{reply:?}");
    shop.pay_back(&body(&reply), 72 + 942).await;
    let much = json!({ "amount": { "minor": 759, "currency": "USD" }, "reason": "more" });
    let refusal = shop.ask(order, "refunds", &manager, &much).await;
    assert_eq!((brief(&refusal), &body(&refusal)["left_minor"]), (is(409, "more-than-left", "/amount/minor"), &json!(758)));
    let rest = shop.ask(order, "refunds", &manager, &json!({ "all": true, "reason": "sorry" })).await;
    assert_eq!(body(&rest)["amount"]["minor"], 758, "exactly the rest");
    let refusal = shop.ask(order, "refunds", &manager, &json!({ "all": true, "reason": "sorry" })).await;
    assert_eq!((brief(&refusal), &body(&refusal)["legal"]), (is(409, "nothing-left", "-"), &json!([])));
    shop.pay_back(&body(&rest), 1772).await;

    let view = shop.view(&cart, order).await;
    assert_eq!((&view["state"], &view["refunded"]["minor"]), (&json!("delivered"), &json!(1772)));
    let refunds = view["refunds"].as_array().unwrap();
    assert!(refunds.iter().all(|refund| refund["state"] == "paid" && refund["person"] == json!(null)), "{refunds:?}");
    let asked: i64 = shop.refunds_asked().await.iter().map(|asked| asked.amount.minor).sum();
    assert_eq!((asked, refunds.len()), (1772, 3));
    shop.close().await;
}

async fn only_a_manager_gives_money_back_and_only_what_was_taken(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.out().await;
    let all = json!({ "all": true, "reason": "sorry" });
    let early = shop.ask(order, "refunds", &shop.manager(), &all).await;
    assert_eq!((brief(&early), &body(&early)["legal"]), (is(409, "illegal-move", "-"), &json!(["cancel"])));
    shop.hand_over(order, 1).await;
    assert_eq!(brief(&shop.ask(order, "refunds", &shop.manager(), &all).await), is(409, "not-captured", "-"));
    for token in [shop.picker(), shop.dispatcher(), shop.customer(20)] {
        assert_eq!(brief(&shop.ask(order, "refunds", &token, &all).await), is(403, "forbidden", "-"));
    }
    let bearer = Call::post(&format!("/v1/orders/{order}/refunds")).key(&shop.fresh_key()).json(&all);
    assert_eq!(brief(&shop.send(cart.by(bearer)).await), is(401, "unauthenticated", "-"));
    let elsewhere = shop.token_of(43, web::Role::Manager, Some(contracts::StoreId(some_id(2))));
    assert_eq!(brief(&shop.ask(order, "refunds", &elsewhere, &all).await), is(404, "not-found", "-"));
    assert!(shop.refunds_asked().await.is_empty());
    shop.close().await;
}

async fn what_the_provider_refuses_and_what_the_bank_disputes_is_shown(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.paid().await;
    let all = json!({ "all": true, "reason": "sorry" });
    let refund = body(&shop.ask(order, "refunds", &shop.manager(), &all).await);
    let refund: RefundId = serde_json::from_value(refund["id"].clone()).unwrap();
    for _ in 0..2 {
        shop.hear(PaymentRefundFailed { order, refund, reason: "card-closed".to_owned() }).await;
    }
    let view = shop.view(&cart, order).await;
    assert_eq!((&view["refunds"][0]["state"], &view["refunds"][0]["failure"]), (&json!("failed"), &json!("card-closed")));
    assert_eq!(view["refunded"]["minor"], 0);

    shop.hear(PaymentDisputed { order, amount: shop.money(1772), reason: "not-received".to_owned() }).await;
    assert_eq!(brief(&shop.ask(order, "refunds", &shop.manager(), &all).await), is(409, "disputed", "-"));
    shop.hear(PaymentDisputeClosed { order, won: true }).await;
    let view = shop.view(&cart, order).await;
    assert_eq!((&view["dispute"]["reason"], &view["dispute"]["won"]), (&json!("not-received"), &json!(true)));
    assert_eq!(shop.ask(order, "refunds", &shop.manager(), &all).await.status, 201);
    shop.close().await;
}
