//! What the people of a store may do with its orders, and what the audit is told.
//! Leaves what a shopper sees to `way`.

use std::collections::BTreeMap;

use contracts::StoreId;
use contracts::inventory::HoldReleased;
use contracts::payments::PaymentVoided;
use testkit::{Engine, body, brief, is, some_id};
use web::{Call, Role, json};

use crate::shop::{Shop, text};

testkit::on_both! {
    people_of_a_store_see_its_orders_and_no_others
    picking_goes_step_by_step_and_once
    a_manager_gives_up_an_order
    the_audit_learns_of_every_order
}

async fn people_of_a_store_see_its_orders_and_no_others(engine: Engine) {
    let shop = Shop::open(engine).await;
    let mut placed = Vec::new();
    for _ in 0..3 {
        placed.push(shop.placed(&[("MILK", 3)]).await.1);
    }
    shop.confirm(placed[0]).await;
    let here = format!("/v1/stores/{}/orders?state=placed&limit=1", shop.store.id);
    for role in [Role::Picker, Role::Manager, Role::Dispatcher] {
        let token = shop.token_of(30, role, Some(shop.store.id));
        let list = async |path: &str| body(&shop.send(Call::get(path).bearer(&token)).await);
        let page = list(&here).await;
        assert_eq!(page["items"][0]["id"], json!(placed[1]), "{role}: the oldest comes first");
        assert_eq!(page["items"][0]["delivery"]["pin"], json!(null));
        let rest = list(&format!("{here}&after={}", text(&page["next"]))).await;
        assert_eq!((&rest["items"][0]["id"], &rest["next"]), (&json!(placed[2]), &json!(null)));
        let order = shop.send(Call::get(&format!("/v1/orders/{}", placed[0])).bearer(&token)).await;
        assert_eq!((order.status.as_u16(), &body(&order)["state"]), (200, &json!("confirmed")));
    }

    let elsewhere = StoreId(some_id(2));
    let order = format!("/v1/orders/{}", placed[0]);
    let cancel = format!("{order}/cancel");
    for role in [Role::Picker, Role::Manager, Role::Dispatcher] {
        let token = shop.token_of(31, role, Some(elsewhere));
        for path in [&here, &order] {
            assert_eq!(brief(&shop.send(Call::get(path).bearer(&token)).await), is(404, "not-found", "-"), "{role} {path}");
        }
        let call = Call::post(&cancel).bearer(&token).key(&shop.fresh_key()).json(&json!({ "reason": "a whim" }));
        assert_eq!(brief(&shop.send(call).await), is(404, "not-found", "-"), "{role}");
    }
    for token in [shop.customer(20), shop.token_of(32, Role::Courier, Some(shop.store.id))] {
        assert_eq!(brief(&shop.send(Call::get(&here).bearer(&token)).await), is(403, "forbidden", "-"));
        assert_eq!(brief(&shop.send(Call::get(&order).bearer(&token)).await), is(404, "not-found", "-"));
    }
    let hold = shop.placed(&[("MILK", 3)]).await.0;
    assert_eq!(brief(&shop.send(hold.by(Call::get(&order))).await), is(404, "not-found", "-"), "another cart's order");
    assert_eq!(brief(&shop.send(Call::get(&order)).await), is(401, "unauthenticated", "-"));
    shop.close().await;
}

async fn picking_goes_step_by_step_and_once(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    let picker = shop.picker();
    for step in ["pick", "ready"] {
        assert_eq!(brief(&shop.move_order(order, step, &picker).await), is(409, "illegal-move", "-"), "{step}: not yet promised");
    }
    shop.confirm(order).await;
    let refusal = shop.move_order(order, "ready", &picker).await;
    assert_eq!((brief(&refusal), &body(&refusal)["state"]), (is(409, "illegal-move", "-"), &json!("confirmed")));

    let strangers = [
        (shop.token_of(33, Role::Picker, Some(StoreId(some_id(2)))), is(404, "not-found", "-")),
        (shop.token_of(34, Role::Dispatcher, Some(shop.store.id)), is(403, "forbidden", "-")),
        (shop.customer(20), is(403, "forbidden", "-")),
    ];
    for (token, refusal) in &strangers {
        for step in ["pick", "ready"] {
            assert_eq!(brief(&shop.move_order(order, step, token).await), *refusal, "{step}");
        }
    }
    let bearer = cart.by(Call::post(&format!("/v1/orders/{order}/pick")).key(&shop.fresh_key()));
    assert_eq!(brief(&shop.send(bearer).await), is(401, "unauthenticated", "-"), "a shopper picks nothing");

    let pick = || Call::post(&format!("/v1/orders/{order}/pick")).bearer(&picker).key("pick-of-this-test");
    let (first, again) = (shop.send(pick()).await, shop.send(pick()).await);
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (200, 200));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    assert_eq!(brief(&shop.move_order(order, "pick", &picker).await), is(409, "illegal-move", "-"));
    let manager = shop.token_of(35, Role::Manager, None);
    assert_eq!(shop.move_order(order, "ready", &manager).await.status, 200, "a manager of all stores is one of this store");
    assert_eq!(brief(&shop.move_order(order, "ready", &picker).await), is(409, "illegal-move", "-"));
    assert_eq!(shop.view(&cart, order).await["state"], "ready");
    let ready = shop.said_of(order).await.iter().filter(|kind| *kind == "order.ready").count();
    assert_eq!(ready, 1);
    shop.close().await;
}

async fn a_manager_gives_up_an_order(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    let manager = shop.token_of(35, Role::Manager, Some(shop.store.id));
    let call = Call::post(&format!("/v1/orders/{order}/cancel")).bearer(&manager).key(&shop.fresh_key());
    let reply = shop.send(call.json(&json!({ "reason": "the freezer broke" }))).await;
    assert_eq!((reply.status.as_u16(), &body(&reply)["state"]), (200, &json!("cancelling")));
    let view = shop.view(&cart, order).await;
    assert_eq!((&view["reason"], &view["history"][1]["by"]), (&json!("the freezer broke"), &json!("manager")));
    shop.close().await;
}

async fn the_audit_learns_of_every_order(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, cancelled) = shop.placed(&[("MILK", 3)]).await;
    let (other_cart, cancelling) = shop.placed(&[("MILK", 3)]).await;
    let (_, confirmed) = shop.placed(&[("MILK", 3)]).await;
    let (_, placed) = shop.placed(&[("MILK", 3)]).await;
    shop.confirm(confirmed).await;
    for (cart, order) in [(&cart, cancelled), (&other_cart, cancelling)] {
        assert_eq!(shop.cancel(cart, order).await.status, 200);
    }
    shop.hear(PaymentVoided { order: cancelled }).await;
    shop.hear(HoldReleased { order: cancelled, store: shop.store.id }).await;

    let mut facts = BTreeMap::new();
    for fact in shop.list("/v1/admin/audit/orders/facts", 3, Some(&shop.admin())).await {
        let total = 1347 + 66 + 359;
        assert_eq!(fact["sums"], json!({ "ordered": total, "total": total, "refunded": 0 }));
        facts.insert(text(&fact["order"]), (text(&fact["state"]), fact["settled"] == true));
    }
    let expected = [
        (cancelled, ("cancelled", true)),
        (cancelling, ("cancelling", false)),
        (confirmed, ("confirmed", true)),
        (placed, ("placed", false)),
    ];
    let expected = expected.map(|(order, (state, settled))| (order.to_string(), (state.to_owned(), settled)));
    assert_eq!(facts, BTreeMap::from(expected), "settled: nothing more happens by itself");
    for path in ["/v1/admin/audit/orders/facts", "/v1/admin/audit/orders/breaches"] {
        let manager = shop.token_of(35, Role::Manager, None);
        assert_eq!(brief(&shop.send(Call::get(path).bearer(&manager)).await), is(403, "forbidden", "-"));
        assert_eq!(brief(&shop.send(Call::get(path)).await), is(401, "unauthenticated", "-"));
    }
    shop.close().await;
}
