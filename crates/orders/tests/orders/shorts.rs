//! Short picks through the API: less is held, less is paid, and the order ends if nothing is left.
//! Leaves the arithmetic to the tests of the domain.

use contracts::OrderId;
use contracts::inventory::{HoldReduce, Kept};
use contracts::orders::{OrderDelivered, OrderShortPicked};
use testkit::{Engine, body, brief, is};
use web::{Call, Json, json};

use crate::ends::{released, state, state_of, voided};
use crate::shop::{Cart, Shop};

testkit::on_both! {
    what_is_short_is_not_paid
    an_order_of_which_nothing_is_left_ends
    only_who_picks_says_what_is_short_and_only_then
}

fn shorts(lines: &[(&str, i64, bool)]) -> Json {
    let line = |(sku, picked, restock): &(&str, i64, bool)| json!({ "sku": sku, "picked": picked, "restock": restock });
    json!({ "lines": lines.iter().map(line).collect::<Vec<_>>() })
}

async fn picking(shop: &Shop) -> (Cart, OrderId) {
    let (cart, order) = shop.placed(&[("MILK", 2), ("SOAP", 1), ("MILK", 1)]).await;
    shop.confirm(order).await;
    assert_eq!(shop.move_order(order, "pick", &shop.picker()).await.status, 200);
    (cart, order)
}

async fn what_is_short_is_not_paid(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = picking(&shop).await;
    let before = shop.view(&cart, order).await;
    let key = shop.fresh_key();
    let wish = shorts(&[("MILK", 1, true), ("SOAP", 0, false)]);
    let say = || Call::post(&format!("/v1/orders/{order}/shorts")).bearer(&shop.picker()).key(&key).json(&wish);
    let reply = shop.send(say()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let view = body(&reply);
    let lines: Vec<Json> =
        view["lines"].as_array().unwrap().iter().map(|line| json!([line["quantity"], line["ordered"]])).collect();
    assert_eq!(json!(lines), json!([[1, 2], [0, 1], [0, 1]]));
    // One of two bottles at 4.49 with a tax of 0.44.
    assert_eq!((&view["tax"]["minor"], &view["total"]["minor"]), (&json!(22), &json!(449 + 22 + 359)));
    assert_eq!(view["fee"], before["fee"], "it is brought all the same");
    let moment = view["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&moment["what"], &moment["by"], &moment["reason"]),
        (&json!("short-picked"), &json!("picker"), &json!("MILK: 1 of 3; SOAP: 0 of 1"))
    );

    let reduce: HoldReduce = shop.said_once(order).await;
    let kept = |sku: &str, units, restock| Kept { sku: sku.parse().unwrap(), units, restock };
    assert_eq!(reduce.lines, [kept("MILK", 1, true), kept("SOAP", 0, false)]);
    let said: OrderShortPicked = shop.said_once(order).await;
    assert_eq!(said.total, shop.money(449 + 22 + 359));
    let short: Vec<_> = said.short.iter().map(|line| (line.sku.as_str(), line.ordered, line.picked)).collect();
    assert_eq!(short, [("MILK", 2, 1), ("SOAP", 1, 0), ("MILK", 1, 0)]);

    // Said again, under the same key or another, it is known.
    assert_eq!(shop.send(say()).await.header("idempotency-replayed"), Some("true"));
    assert_eq!(shop.ask(order, "shorts", &shop.picker(), &wish).await.status, 200);
    shop.said_once::<OrderShortPicked>(order).await;
    let facts = shop.read("/v1/admin/audit/orders/facts").await;
    assert_eq!(facts["items"][0]["sums"]["total"], 449 + 22 + 359);
    assert_eq!(facts["items"][0]["sums"]["ordered"], before["total"]["minor"]);

    shop.move_order(order, "ready", &shop.picker()).await;
    shop.pick_up(order, 1).await;
    shop.hand_over(order, 1).await;
    assert_eq!(shop.said_once::<OrderDelivered>(order).await.amount, shop.money(449 + 22 + 359));
    shop.close().await;
}

async fn an_order_of_which_nothing_is_left_ends(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = picking(&shop).await;
    let picker = shop.picker();
    assert_eq!(shop.ask(order, "shorts", &picker, &shorts(&[("MILK", 0, false)])).await.status, 200);
    let reply = shop.ask(order, "shorts", &picker, &shorts(&[("SOAP", 0, true)])).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "nothing-left"));
    let said = shop.said_of(order).await;
    assert_eq!(said[said.len() - 3..], ["hold.reduce", "order.cancelling", "hold.release"], "what is written off goes first");
    assert_eq!(brief(&shop.move_order(order, "ready", &picker).await), is(409, "illegal-move", "-"));
    released(&shop, order).await;
    voided(&shop, order).await;
    shop.withdraw(order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "nothing-left"));
    shop.close().await;
}

async fn only_who_picks_says_what_is_short_and_only_then(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    shop.confirm(order).await;
    let wish = shorts(&[("MILK", 2, true)]);
    let early = shop.ask(order, "shorts", &shop.picker(), &wish).await;
    assert_eq!((brief(&early), &body(&early)["legal"]), (is(409, "illegal-move", "-"), &json!(["pick"])));
    assert_eq!(brief(&shop.ask(order, "shorts", &shop.dispatcher(), &wish).await), is(403, "forbidden", "-"));
    shop.move_order(order, "pick", &shop.picker()).await;
    let cases = [
        (shorts(&[("MILK", 2, true), ("SOAP", 0, true)]), "/lines/1/sku"),
        (shorts(&[("MILK", 2, true), ("MILK", 1, true)]), "/lines/1/sku"),
        (shorts(&[("MILK", 4, true)]), "/lines/0/picked"),
        (shorts(&[("MILK", -1, true)]), "/lines/0/picked"),
    ];
    for (wish, field) in cases {
        assert_eq!(brief(&shop.ask(order, "shorts", &shop.picker(), &wish).await), is(422, "invalid-field", field), "{wish}");
    }
    assert_eq!(shop.view(&cart, order).await["total"]["minor"], 1772);
    assert_eq!(shop.ask(order, "shorts", &shop.manager(), &wish).await.status, 200);
    assert_eq!(brief(&shop.ask(order, "shorts", &shop.picker(), &shorts(&[("MILK", 3, true)])).await).2, "/lines/0/picked");
    shop.close().await;
}
