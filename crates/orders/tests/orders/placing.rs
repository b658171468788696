//! From a quote to an order: taken once, under what was promised, by whoever may; and what is said of it.
//! Leaves what becomes of it to `way` and `ends`.

use std::collections::BTreeSet;

use contracts::catalog::ListingChanged;
use contracts::delivery::{Store, StoreChanged};
use contracts::inventory::{HoldRequest, HoldReserved};
use contracts::orders::OrderPlaced;
use kernel::TraceContext;
use orders::Config;
use testkit::{Engine, body, brief, is, some_id};
use web::{Call, HeaderName, Json, json};

use crate::shop::{Cart, Shop, address, contact, lines_of, new_cart, new_order, slot_at, text};

testkit::on_both! {
    an_order_is_taken_once_and_said_once
    many_at_once_make_one_order
    a_person_orders_and_finds_it_again
    a_quote_for_another_cart_content_is_dead
    a_quote_that_ran_out_is_dead
    a_slot_that_closed_meanwhile_has_no_fresh_quote
    a_quote_of_others_making_is_refused
    a_living_quote_binds_prices_and_not_what_is_sold
    a_restart_changes_nothing_for_a_shopper
    a_repeat_without_the_token_that_ran_out_is_still_a_repeat
    what_is_ordered_after_the_token_ran_out_is_still_the_customers
    the_request_is_named_in_every_event_it_causes
}

async fn an_order_is_taken_once_and_said_once(engine: Engine) {
    let shop = Shop::open(engine).await;
    let cart = shop.cart(&[("MILK", 2), ("SOAP", 1), ("MILK", 1)]).await;
    let quote = shop.quote(&cart).await;
    let key = shop.fresh_key();
    let ask = || cart.by(Call::post("/v1/orders").key(&key).json(&new_order(&quote)));
    let reply = shop.send(ask()).await;
    assert_eq!((reply.status.as_u16(), reply.header("idempotency-replayed")), (201, None), "{reply:?}");
    let order = body(&reply);
    let path = format!("/v1/orders/{}", text(&order["id"]));
    assert_eq!(reply.header("location"), Some(path.as_str()));
    assert_eq!(
        (&order["state"], &order["total"], &order["fee"], &order["tax"]),
        (&json!("placed"), &quote["total"], &quote["fee"], &quote["tax"])
    );
    assert_eq!((&order["lines"], &order["slot"]), (&quote["lines"], &quote["slot"]));
    assert_eq!((&order["contact"], &order["address"]), (&contact(), &address()));
    assert_eq!((&order["hold"]["state"], &order["payment"]["state"]), (&json!("requested"), &json!("created")));
    assert_eq!((&order["history"][0]["state"], &order["history"][0]["by"]), (&json!("placed"), &json!("guest")));
    assert!(!String::from_utf8_lossy(&reply.body).contains("tok_visa"), "the means of payment is nobody's to see");

    let said = shop.said().await;
    let kinds: Vec<&str> = said.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["order.placed.v1", "hold.request.v1"]);
    let placed: OrderPlaced = serde_json::from_value(said[0].data.clone()).unwrap();
    assert_eq!((json!(placed.order), json!(placed.cart), placed.customer), (order["id"].clone(), json!(cart.id), None));
    assert_eq!((placed.store, placed.slot, json!(placed.total)), (shop.store.id, shop.slot, quote["total"].clone()));
    assert_eq!(placed.order.bucket(), placed.cart.bucket(), "an order stays where its cart is");
    let request: HoldRequest = serde_json::from_value(said[1].data.clone()).unwrap();
    assert_eq!((request.order, request.store, request.slot), (placed.order, shop.store.id, shop.slot.starts_at));
    assert_eq!(json!(request.lines), lines_of(&[("MILK", 2), ("SOAP", 1), ("MILK", 1)]), "each line counts");

    // Repeated, it answers as the first time, with the order as it is now.
    let expires_at = shop.now().plus_ms(600_000);
    shop.hear(HoldReserved { order: placed.order, store: shop.store.id, expires_at }).await;
    let again = shop.send(ask()).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!((&body(&again)["id"], &body(&again)["state"]), (&order["id"], &json!("reserved")));
    assert_eq!(again.header("location"), Some(path.as_str()));
    let mut other = new_order(&quote);
    other["payment_token"] = json!("tok_amex");
    let reused = cart.by(Call::post("/v1/orders").key(&key).json(&other));
    assert_eq!(brief(&shop.send(reused).await), is(422, "idempotency-key-reused", "-"));

    // Under another key it is another wish, which a cart that was ordered does not grant.
    let twice = shop.order(&cart, &quote).await;
    assert_eq!((brief(&twice), &body(&twice)["order"]), (is(409, "cart-ordered", "-"), &order["id"]));
    assert_eq!(brief(&shop.change_lines(&cart, &[("MILK", 9)]).await), is(409, "cart-ordered", "-"));
    let late = shop.send(shop.quote_call(&cart, shop.slot.starts_at)).await;
    assert_eq!(brief(&late), is(409, "cart-ordered", "-"));
    let read = body(&shop.send(cart.by(Call::get(&cart.path()))).await);
    assert_eq!((&read["order"], &read["lines"]), (&order["id"], &lines_of(&[("MILK", 2), ("SOAP", 1), ("MILK", 1)])));
    assert_eq!(shop.said_of(placed.order).await, ["order.placed", "hold.request", "order.reserved"]);
    shop.close().await;
}

async fn many_at_once_make_one_order(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (one, other) = (shop.cart(&[("MILK", 3)]).await, shop.cart(&[("MILK", 3)]).await);
    let (quote, other_quote) = (shop.quote(&one).await, shop.quote(&other).await);
    let key = shop.fresh_key();
    let same = || shop.send(one.by(Call::post("/v1/orders").key(&key).json(&new_order(&quote))));
    let replies = tokio::join!(same(), same(), same(), same());
    let replies = [replies.0, replies.1, replies.2, replies.3];
    let ids: BTreeSet<String> = replies.iter().map(|reply| text(&body(reply)["id"])).collect();
    assert_eq!(ids.len(), 1);
    let replayed = replies.iter().filter(|reply| reply.header("idempotency-replayed").is_some()).count();
    assert_eq!((replayed, replies.iter().filter(|reply| reply.status == 201).count()), (3, 4));

    let fresh = || shop.order(&other, &other_quote);
    let replies = tokio::join!(fresh(), fresh(), fresh(), fresh());
    let mut statuses = [replies.0, replies.1, replies.2, replies.3].map(|reply| reply.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
    assert_eq!(shop.said().await.len(), 4, "two orders, each placed and asking for its hold once");
    shop.close().await;
}

async fn a_person_orders_and_finds_it_again(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (ada, bea) = (shop.customer(20), shop.customer(21));
    let place = async |name: &str| {
        let reply = shop.send(Call::post("/v1/carts").bearer(&ada).key(name).json(&new_cart(&[("MILK", 3)]))).await;
        let id = text(&body(&reply)["id"]);
        let ask = Call::post(&format!("/v1/carts/{id}/quotes")).json(&json!({ "slot": shop.slot.starts_at }));
        let quote = body(&shop.send(ask.bearer(&ada)).await);
        // Who may not see the cart may not order it either.
        let order = || Call::post("/v1/orders").key(name).json(&new_order(&quote));
        assert_eq!(brief(&shop.send(order().bearer(&bea)).await), is(404, "not-found", "-"));
        let reply = shop.send(order().bearer(&ada)).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        text(&body(&reply)["id"])
    };
    let mut mine = Vec::new();
    for name in ["one", "two", "three"] {
        mine.insert(0, place(name).await);
    }
    let placed: OrderPlaced = serde_json::from_value(shop.said().await[0].data.clone()).unwrap();
    assert_eq!(placed.customer.map(|customer| customer.0), Some(some_id(20)));

    let list = async |target: &str, token: &str| body(&shop.send(Call::get(target).bearer(token)).await);
    let ids = |page: &Json| page["items"].as_array().unwrap().iter().map(|order| text(&order["id"])).collect::<Vec<_>>();
    let page = list("/v1/me/orders?limit=2", &ada).await;
    assert_eq!(ids(&page), mine[..2], "the newest come first");
    let rest = list(&format!("/v1/me/orders?limit=2&after={}", text(&page["next"])), &ada).await;
    assert_eq!((ids(&rest), &rest["next"]), (mine[2..].to_vec(), &json!(null)));
    assert_eq!(ids(&list("/v1/me/orders", &bea).await), Vec::<String>::new());
    let path = format!("/v1/orders/{}", mine[0]);
    assert_eq!(shop.send(Call::get(&path).bearer(&ada)).await.status, 200);
    assert_eq!(brief(&shop.send(Call::get(&path).bearer(&bea)).await), is(404, "not-found", "-"));
    shop.close().await;
}

/// The dead quote's refusal must hold a fresh one, with which the order is taken.
async fn takes_the_fresh_one(shop: &Shop, cart: &Cart, dead: &Json, total_minor: i64) {
    let refusal = shop.order(cart, dead).await;
    assert_eq!(brief(&refusal), is(409, "quote-dead", "-"));
    let fresh = body(&refusal)["quote"].clone();
    assert_eq!(fresh["total"]["minor"], total_minor);
    assert_eq!(shop.said().await, [], "nothing was ordered");
    let reply = shop.order(cart, &fresh).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(body(&reply)["total"]["minor"], total_minor);
}

async fn a_quote_for_another_cart_content_is_dead(engine: Engine) {
    let shop = Shop::open(engine).await;
    let cart = shop.cart(&[("MILK", 2), ("SOAP", 1)]).await;
    let dead = shop.quote(&cart).await;
    shop.change_lines(&cart, &[("MILK", 3)]).await;
    takes_the_fresh_one(&shop, &cart, &dead, 1347 + 66 + 359).await;
    shop.close().await;
}

async fn a_quote_that_ran_out_is_dead(engine: Engine) {
    let shop = Shop::open_with(engine, Config { quote_ttl_ms: 150, ..Config::default() }).await;
    let cart = shop.cart(&[("MILK", 3)]).await;
    let dead = shop.quote(&cart).await;
    let expires_at = kernel::Timestamp::parse(dead["expires_at"].as_str().unwrap()).unwrap();
    shop.until("the quote has run out", async || shop.now() >= expires_at).await;
    shop.hear(shop.listing("MILK", 500, "grocery")).await;
    let refusal = shop.order(&cart, &dead).await;
    assert_eq!(brief(&refusal), is(409, "quote-dead", "-"));
    assert_eq!(body(&refusal)["quote"]["total"]["minor"], 1500 + 74 + 359, "at the prices of now");
    assert_eq!(shop.said().await, []);
    shop.close().await;
}

async fn a_slot_that_closed_meanwhile_has_no_fresh_quote(engine: Engine) {
    let shop = Shop::open(engine).await;
    let cart = shop.cart(&[("MILK", 3)]).await;
    let soon = slot_at(shop.now().plus_ms(2000));
    shop.offer(soon).await;
    let quote = body(&shop.send(shop.quote_call(&cart, soon.starts_at)).await);
    assert_eq!(quote["expires_at"], json!(soon.cutoff_at), "no quote outlives its slot");
    shop.until("the slot has closed", async || shop.now() >= soon.cutoff_at).await;
    let refusal = shop.order(&cart, &quote).await;
    assert_eq!(brief(&refusal), is(409, "quote-dead", "-"));
    assert_eq!(body(&refusal).get("quote"), None);
    assert!(text(&body(&refusal)["no_fresh_quote"]).contains("slot"), "{refusal:?}");
    assert_eq!(shop.said().await, []);
    shop.close().await;
}

async fn a_quote_of_others_making_is_refused(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, other) = (shop.cart(&[("MILK", 3)]).await, shop.cart(&[("MILK", 4)]).await);
    let (quote, foreign) = (shop.quote(&cart).await, shop.quote(&other).await);
    let sealed = text(&quote["quote"]);
    let (payload, mac) = sealed.split_once('.').unwrap();
    let (other_sealed, mut cheap) = (text(&foreign["quote"]), payload.to_owned());
    // One letter in the middle of what was promised.
    let middle = cheap.len() / 2;
    let letter = if &cheap[middle..=middle] == "A" { "B" } else { "A" };
    cheap.replace_range(middle..=middle, letter);
    let swapped = format!("{payload}.{}", other_sealed.split_once('.').unwrap().1);
    for text in [format!("{cheap}.{mac}"), swapped, payload.to_owned(), String::new(), cart.capability.clone()] {
        let reply = shop.order(&cart, &json!({ "quote": text })).await;
        assert_eq!(brief(&reply), is(422, "invalid-field", "/quote"), "{text}");
    }
    // It is ours, but for a cart that the caller does not bear.
    assert_eq!(brief(&shop.order(&cart, &foreign).await), is(404, "not-found", "-"));
    assert_eq!(shop.said().await, []);
    shop.close().await;
}

async fn a_living_quote_binds_prices_and_not_what_is_sold(engine: Engine) {
    let shop = Shop::open(engine).await;
    let cart = shop.cart(&[("SOAP", 1), ("MILK", 3)]).await;
    let quote = shop.quote(&cart).await;
    let dear = shop.listing("MILK", 999, "grocery");

    shop.hear(ListingChanged { listed: false, ..dear.clone() }).await;
    assert_eq!(brief(&shop.order(&cart, &quote).await), is(409, "not-sold", "/lines/1"));
    shop.hear(dear).await;
    shop.hear(StoreChanged { store: Store { paused: true, ..shop.store.clone() } }).await;
    assert_eq!(brief(&shop.order(&cart, &quote).await), is(409, "store-paused", "-"));
    assert_eq!(shop.said().await, []);
    let mut dearer = shop.store.clone();
    dearer.fee.base_minor = 999;
    shop.hear(StoreChanged { store: dearer }).await;
    let reply = shop.order(&cart, &quote).await;
    assert_eq!((reply.status.as_u16(), &body(&reply)["total"]), (201, &quote["total"]), "what was promised is kept");
    shop.close().await;
}

async fn a_restart_changes_nothing_for_a_shopper(engine: Engine) {
    let shop = Shop::open(engine).await;
    let cart = shop.cart(&[("MILK", 3)]).await;
    let quote = shop.quote(&cart).await;
    let shop = shop.restart().await;
    let key = shop.fresh_key();
    let ask = || cart.by(Call::post("/v1/orders").key(&key).json(&new_order(&quote)));
    let reply = shop.send(ask()).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let shop = shop.restart().await;
    let again = shop.send(ask()).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(body(&again), body(&reply));
    assert_eq!(shop.said().await.len(), 2);
    shop.close().await;
}

async fn a_repeat_without_the_token_that_ran_out_is_still_a_repeat(engine: Engine) {
    let shop = Shop::open(engine).await;
    let ada = shop.customer(20);
    let cart = shop.cart(&[("MILK", 3)]).await;
    let quote = shop.quote(&cart).await;
    let key = shop.fresh_key();
    let ask = || cart.by(Call::post("/v1/orders").key(&key).json(&new_order(&quote)));
    let reply = shop.send(ask().bearer(&ada)).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let again = shop.send(ask()).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(body(&again)["id"], body(&reply)["id"]);
    shop.close().await;
}

async fn what_is_ordered_after_the_token_ran_out_is_still_the_customers(engine: Engine) {
    let shop = Shop::open(engine).await;
    let ada = shop.customer(20);
    let reply = shop.send(Call::post("/v1/carts").bearer(&ada).key("mine").json(&new_cart(&[("MILK", 3)]))).await;
    let view = body(&reply);
    let cart = Cart { id: text(&view["id"]), capability: text(&view["capability"]) };
    let quote = shop.quote(&cart).await;
    let placed = shop.order(&cart, &quote).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    let found = body(&shop.send(Call::get("/v1/me/orders").bearer(&ada)).await);
    assert_eq!(found["items"][0]["id"], body(&placed)["id"]);
    shop.close().await;
}

async fn the_request_is_named_in_every_event_it_causes(engine: Engine) {
    let shop = Shop::open(engine).await;
    let cart = shop.cart(&[("MILK", 3)]).await;
    let quote = shop.quote(&cart).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let call = Call::post("/v1/orders").key(&shop.fresh_key()).json(&new_order(&quote));
    let reply = shop.send(cart.by(call.header(HeaderName::from_static("traceparent"), trace))).await;
    let order = serde_json::from_value(body(&reply)["id"].clone()).unwrap();
    let other = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
    let reserved = HoldReserved { order, store: shop.store.id, expires_at: shop.now().plus_ms(600_000) };
    shop.is_said(reserved, other.clone()).await;
    shop.heard().await;
    let said = shop.said().await;
    let traces: Vec<&str> = said.iter().map(|event| event.traceparent.trace_id()).collect();
    let first = TraceContext::parse(trace).unwrap();
    assert_eq!(traces, [first.trace_id(), first.trace_id(), other.trace_id()]);
    let spans: Vec<&str> = said.iter().map(|event| event.traceparent.span_id()).collect();
    assert!(spans[0] == spans[1] && spans[0] != first.span_id() && spans[2] != other.span_id(), "{spans:?}");
    shop.close().await;
}
