//! From an address to a quote: what reaches it, a cart for it, and what that would cost and when.
//! Leaves ordering to `placing`, and broken requests to `broken`.

use contracts::StoreId;
use contracts::catalog::ListingChanged;
use contracts::delivery::{Store, StoreChanged};
use contracts::identity::TokenKeyPublished;
use engine::TokenKeys;
use testkit::{Engine, body, brief, is, some_id};
use web::{Call, Method, header, json};

use crate::shop::{Shop, address, corner, lines_of, new_cart, slot_at, text};

testkit::on_both! {
    a_guest_fills_a_cart_and_learns_what_it_costs
    a_signed_in_person_needs_no_capability
    a_capability_that_proves_nothing_mixes_up_nobody
    the_same_key_makes_one_cart
    a_cart_opens_for_its_own_capability_only
    nearer_stores_that_take_orders_come_first
    what_nobody_reaches_is_refused
    what_cannot_be_had_has_no_quote
    a_cart_that_has_not_changed_is_not_sent_again
    keys_of_identity_are_kept
}

const REACH: &str = "/v1/reach?lat=33.7725&lon=-84.3659";

async fn a_guest_fills_a_cart_and_learns_what_it_costs(engine: Engine) {
    let shop = Shop::open(engine).await;
    let stores = body(&shop.send(Call::get(REACH)).await)["stores"].clone();
    assert_eq!(stores.as_array().unwrap().len(), 1);
    assert_eq!((&stores[0]["store"], &stores[0]["paused"]), (&json!(shop.store.id), &json!(false)));
    assert_eq!((&stores[0]["fee"]["base_minor"], &stores[0]["metres"]), (&json!(299), &json!(80.0)));

    let reply = shop.send(Call::post("/v1/carts").key(&shop.fresh_key()).json(&new_cart(&[("PEACH", 1)]))).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let made = body(&reply);
    assert_eq!(reply.header("location"), Some(format!("/v1/carts/{}", text(&made["id"])).as_str()));
    assert_eq!((&made["store"], &made["address"]), (&json!(shop.store.id), &address()));

    let cart = crate::shop::Cart { id: text(&made["id"]), capability: text(&made["capability"]) };
    let reply = shop.change_lines(&cart, &[("MILK", 2), ("SOAP", 1)]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let read = body(&shop.send(cart.by(Call::get(&cart.path()))).await);
    assert_eq!(read["lines"], lines_of(&[("MILK", 2), ("SOAP", 1)]));
    assert_eq!((&read["order"], read.get("capability")), (&json!(null), None), "only its maker is told the capability");

    let quote = shop.quote(&cart).await;
    let parts = ["goods", "tax", "fee", "total"].map(|part| quote[part]["minor"].as_i64().unwrap());
    assert_eq!(parts, [2 * 449 + 379, 44 + 34, 299 + 60, 1277 + 78 + 359]);
    assert_eq!((&quote["lines"][1]["name"], &quote["lines"][1]["tax"]["minor"]), (&json!("SOAP, one"), &json!(34)));
    assert_eq!((&quote["cart"], &quote["store"], &quote["slot"]), (&json!(cart.id), &json!(shop.store.id), &json!(shop.slot)));
    let expires_at = kernel::Timestamp::parse(quote["expires_at"].as_str().unwrap()).unwrap();
    let ttl_ms = expires_at.since_ms(shop.now());
    assert!((14 * 60_000..=15 * 60_000).contains(&ttl_ms), "a quote binds for a quarter of an hour: {ttl_ms}");
    assert_eq!(shop.said().await, [], "nobody need know of carts and quotes");
    shop.close().await;
}

async fn a_capability_that_proves_nothing_mixes_up_nobody(engine: Engine) {
    let shop = Shop::open(engine).await;
    let ask =
        |token: &str| Call::post("/v1/carts").bearer(token).capability("of.nothing").key("1").json(&new_cart(&[("MILK", 3)]));
    let (mine, yours) = (shop.send(ask(&shop.customer(20))).await, shop.send(ask(&shop.customer(21))).await);
    assert_eq!((mine.status.as_u16(), yours.status.as_u16()), (201, 201), "{yours:?}");
    assert_eq!(yours.header("idempotency-replayed"), None, "the same key of another person is another key");
    assert_ne!(body(&mine)["id"], body(&yours)["id"]);
    shop.close().await;
}

async fn a_signed_in_person_needs_no_capability(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (ada, bea) = (shop.customer(20), shop.customer(21));
    let reply = shop.send(Call::post("/v1/carts").bearer(&ada).key("short").json(&new_cart(&[("MILK", 3)]))).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let (path, capability) = (format!("/v1/carts/{}", text(&body(&reply)["id"])), text(&body(&reply)["capability"]));

    let lines = || json!({ "lines": lines_of(&[("MILK", 4)]) });
    let change = |call: Call| call.key(&shop.fresh_key()).json(&lines());
    let put = || Call::new(Method::PUT, &format!("{path}/lines"));
    assert_eq!(shop.send(change(put().bearer(&ada))).await.status, 200);
    let quote = || Call::post(&format!("{path}/quotes")).json(&json!({ "slot": shop.slot.starts_at }));
    assert_eq!(shop.send(quote().bearer(&ada)).await.status, 200);
    assert_eq!(shop.send(Call::get(&path).bearer(&ada)).await.status, 200);
    for stranger in [Call::get(&path).bearer(&bea), change(put().bearer(&bea)), quote().bearer(&bea)] {
        assert_eq!(brief(&shop.send(stranger).await), is(404, "not-found", "-"));
    }
    // Their token may run out while identity is down: the capability is enough.
    assert_eq!(shop.send(Call::get(&path).capability(&capability)).await.status, 200);
    shop.close().await;
}

async fn the_same_key_makes_one_cart(engine: Engine) {
    let shop = Shop::open(engine).await;
    let key = shop.fresh_key();
    let ask = |quantity| Call::post("/v1/carts").key(&key).json(&new_cart(&[("MILK", quantity)]));
    let (first, again) = (shop.send(ask(3)).await, shop.send(ask(3)).await);
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(body(&first), body(&again));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    assert_eq!(brief(&shop.send(ask(4)).await), is(422, "idempotency-key-reused", "-"));

    // A repeat shows the cart as it is now.
    let cart = crate::shop::Cart { id: text(&body(&first)["id"]), capability: text(&body(&first)["capability"]) };
    let change = |quantity| {
        let call = Call::new(Method::PUT, &format!("{}/lines", cart.path())).key("change-of-this-test");
        cart.by(call.json(&json!({ "lines": lines_of(&[("SOAP", quantity)]) })))
    };
    assert_eq!(shop.send(change(1)).await.status, 200);
    assert_eq!(body(&shop.send(ask(3)).await)["lines"], lines_of(&[("SOAP", 1)]));
    let again = shop.send(change(1)).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(brief(&shop.send(change(2)).await), is(422, "idempotency-key-reused", "-"));

    // A guest is told from others by the key alone, so it must not be one that others would take.
    let short = Call::post("/v1/carts").key("1234").json(&new_cart(&[]));
    assert_eq!(brief(&shop.send(short).await), is(400, "invalid-field", "Idempotency-Key"));
    shop.close().await;
}

async fn a_cart_opens_for_its_own_capability_only(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (mine, other) = (shop.cart(&[("MILK", 3)]).await, shop.cart(&[("SOAP", 3)]).await);
    let quote = text(&shop.quote(&mine).await["quote"]);
    let swapped = mine.capability.split_once('.').map(|(payload, _)| format!("{payload}.AAAA")).unwrap();
    for capability in [other.capability.as_str(), "garbage", "", &swapped, &quote] {
        let calls = [
            Call::get(&mine.path()),
            Call::new(Method::PUT, &format!("{}/lines", mine.path())).key(&shop.fresh_key()).json(&json!({ "lines": [] })),
            Call::post(&format!("{}/quotes", mine.path())).json(&json!({ "slot": shop.slot.starts_at })),
        ];
        for call in calls {
            assert_eq!(brief(&shop.send(call.capability(capability)).await), is(404, "not-found", "-"), "{capability}");
        }
    }
    let unknown = format!("/v1/carts/{}", some_id(77));
    assert_eq!(brief(&shop.send(mine.by(Call::get(&unknown))).await), is(404, "not-found", "-"));
    assert_eq!(brief(&shop.send(Call::get(&mine.path())).await), is(401, "unauthenticated", "-"));
    let read = body(&shop.send(mine.by(Call::get(&mine.path()))).await);
    assert_eq!(read["lines"], lines_of(&[("MILK", 3)]), "nobody else changed it");
    shop.close().await;
}

/// Another store that reaches the same address.
fn further(seed: u64, lat: f64) -> Store {
    let mut store = corner();
    store.id = StoreId(some_id(seed));
    store.point.lat = lat;
    store
}

async fn nearer_stores_that_take_orders_come_first(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (near, far) = (further(2, 33.7750), further(3, 33.7900));
    shop.hear(StoreChanged { store: far.clone() }).await;
    shop.hear(StoreChanged { store: Store { paused: true, ..near.clone() } }).await;
    let found = async || {
        let stores = body(&shop.send(Call::get(REACH)).await)["stores"].clone();
        stores.as_array().unwrap().iter().map(|store| store["store"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(found().await, [json!(shop.store.id), json!(far.id), json!(near.id)]);
    shop.hear(StoreChanged { store: near.clone() }).await;
    assert_eq!(found().await, [json!(shop.store.id), json!(near.id), json!(far.id)]);

    // The nearest is taken unless the shopper names one.
    let mut wanted = new_cart(&[]);
    let nearest = body(&shop.send(Call::post("/v1/carts").key(&shop.fresh_key()).json(&wanted)).await);
    assert_eq!(nearest["store"], json!(shop.store.id));
    wanted["store"] = json!(far.id);
    let named = body(&shop.send(Call::post("/v1/carts").key(&shop.fresh_key()).json(&wanted)).await);
    assert_eq!(named["store"], json!(far.id));
    shop.close().await;
}

async fn what_nobody_reaches_is_refused(engine: Engine) {
    let shop = Shop::open(engine).await;
    let away = body(&shop.send(Call::get("/v1/reach?lat=33.60&lon=-84.36")).await);
    assert_eq!(away["stores"], json!([]));
    let make = async |cart: web::Json| brief(&shop.send(Call::post("/v1/carts").key(&shop.fresh_key()).json(&cart)).await);
    let mut cart = new_cart(&[("MILK", 3)]);
    cart["store"] = json!(some_id(99));
    assert_eq!(make(cart.clone()).await, is(422, "out-of-zone", "/address/point"), "a store that nobody knows");
    cart["store"] = json!(shop.store.id);
    cart["address"]["point"]["lat"] = json!(33.60);
    assert_eq!(make(cart.clone()).await, is(422, "out-of-zone", "/address/point"));
    cart.as_object_mut().unwrap().remove("store");
    assert_eq!(make(cart).await, is(422, "out-of-zone", "/address/point"));
    shop.close().await;
}

async fn what_cannot_be_had_has_no_quote(engine: Engine) {
    let shop = Shop::open(engine).await;
    let cart = shop.cart(&[]).await;
    let ask = async |slot| {
        let reply = shop.send(shop.quote_call(&cart, slot)).await;
        (brief(&reply), body(&reply))
    };
    let slot = shop.slot.starts_at;
    assert_eq!(ask(slot).await.0, is(409, "cart-empty", "-"));

    shop.change_lines(&cart, &[("MILK", 2)]).await;
    let (refusal, members) = ask(slot).await;
    assert_eq!((refusal, &members["minimum_minor"]), (is(409, "below-minimum", "-"), &json!(1000)));

    shop.change_lines(&cart, &[("MILK", 2), ("CAVIAR", 1), ("SOAP", 1), ("CAVIAR", 2)]).await;
    let (refusal, members) = ask(slot).await;
    assert_eq!(refusal, is(409, "not-sold", "/lines/1"));
    let fields: Vec<&str> =
        members["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(fields, ["/lines/1", "/lines/3"]);

    shop.change_lines(&cart, &[("MILK", 2), ("SOAP", 1)]).await;
    shop.hear(ListingChanged { listed: false, ..shop.listing("SOAP", 379, "standard") }).await;
    assert_eq!(ask(slot).await.0, is(409, "not-sold", "/lines/1"));
    shop.hear(shop.listing("SOAP", 379, "standard")).await;

    let gone = slot_at(shop.now().plus_ms(-1000));
    shop.offer(gone).await;
    assert_eq!(ask(gone.starts_at).await.0, is(409, "slot-closed", "-"));
    let unknown = slot_at(shop.now().plus_ms(9_000_000));
    assert_eq!(ask(unknown.starts_at).await.0, is(409, "slot-closed", "-"));

    shop.hear(StoreChanged { store: Store { paused: true, ..shop.store.clone() } }).await;
    assert_eq!(ask(slot).await.0, is(409, "store-paused", "-"));
    let mut smaller = shop.store.clone();
    smaller.zone = vec![(-84.40, 33.78), (-84.32, 33.78), (-84.32, 33.80), (-84.40, 33.80), (-84.40, 33.78)];
    shop.hear(StoreChanged { store: smaller }).await;
    assert_eq!(ask(slot).await.0, is(409, "out-of-zone", "-"), "it delivered there when the cart was made");
    shop.hear(StoreChanged { store: shop.store.clone() }).await;
    assert_eq!(shop.quote(&cart).await["total"]["minor"], 1714);

    shop.hear(shop.listing("MILK", i64::MAX / 2, "grocery")).await;
    shop.change_lines(&cart, &[("MILK", 3)]).await;
    assert_eq!(ask(slot).await.0, is(422, "invalid-field", "/lines"), "more money than any order can be worth");
    shop.close().await;
}

async fn a_cart_that_has_not_changed_is_not_sent_again(engine: Engine) {
    let shop = Shop::open(engine).await;
    let cart = shop.cart(&[("MILK", 3)]).await;
    let first = shop.send(cart.by(Call::get(&cart.path()))).await;
    let tag = first.header("etag").unwrap().to_owned();
    let known = || cart.by(Call::get(&cart.path()).header(header::IF_NONE_MATCH, &tag));
    let again = shop.send(known()).await;
    assert_eq!((again.status.as_u16(), again.body.len(), again.header("etag")), (304, 0, Some(tag.as_str())));
    shop.change_lines(&cart, &[("MILK", 4)]).await;
    let changed = shop.send(known()).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    shop.close().await;
}

async fn keys_of_identity_are_kept(engine: Engine) {
    let shop = Shop::open(engine).await;
    let public_key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".to_owned();
    shop.hear(TokenKeyPublished { kid: "one".to_owned(), public_key }).await;
    let shop = shop.restart().await;
    let known = TokenKeys::of(&shop.orders.handle).await.unwrap();
    assert_eq!(known.len(), 1, "tokens are verified while identity is down");
    shop.close().await;
}
