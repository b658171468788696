//! Broken requests at every route: a problem that says what is wrong and where, never a defect of ours, and nothing changed.
//! Leaves refusals of sound requests to the other files.

use contracts::OrderId;
use testkit::{Engine, body, brief, is, some_id};
use web::{BODY_BYTES_MAX, Call, Json, Method, Role, header, json};

use crate::shop::{Cart, Shop, address, contact, lines_of, new_cart, text};

testkit::on_both! {
    what_is_wrong_with_a_cart_is_named
    what_is_wrong_with_lines_is_named
    what_is_wrong_with_an_order_is_named
    what_is_wrong_with_a_query_or_a_path_is_named
    a_write_wants_its_key
    nobody_passes_with_a_dead_token
    no_garbage_at_any_route_is_a_defect_or_changes_anything
}

/// `value` with `member` at the JSON pointer `place`, which may add one.
fn with(mut value: Json, place: &str, member: Json) -> Json {
    let (parent, name) = place.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Json::Array(items) => items[name.parse::<usize>().unwrap()] = member,
        Json::Object(members) => drop(members.insert(name.to_owned(), member)),
        other => panic!("{place} is no place in {other}"),
    }
    value
}

fn without(mut value: Json, place: &str) -> Json {
    let (parent, name) = place.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
    value
}

/// A JSON value of `bytes` bytes or more.
fn huge(bytes: usize) -> Json {
    json!({ "street": "x".repeat(bytes) })
}

/// Sends each of `wrong` and expects the field that it is named with, as 422.
async fn refuses(shop: &Shop, call: impl Fn() -> Call, wrong: &[(Json, &str)]) {
    for (value, field) in wrong {
        let reply = shop.send(call().key(&shop.fresh_key()).json(value)).await;
        assert_eq!(brief(&reply), is(422, "invalid-field", field), "{value}: {reply:?}");
    }
}

/// Sends bodies that are no JSON for such a place, and expects each to be refused as what it is.
async fn refuses_bodies(shop: &Shop, call: impl Fn() -> Call) {
    let send = async |call: Call| brief(&shop.send(call.key(&shop.fresh_key())).await);
    for broken in ["", "{", "{\"address\": }", "{} {}", "nul", "{\"a\": 1e999}", "\u{0}"] {
        assert_eq!(send(call().bytes("application/json", broken)).await, is(400, "invalid-json", "-"), "{broken}");
    }
    let text = call().bytes("text/plain", "{}");
    assert_eq!(send(text).await, is(415, "unsupported-media-type", "-"));
    assert_eq!(send(call().json(&huge(BODY_BYTES_MAX))).await, is(413, "body-too-large", "-"));
    for (value, field) in [(json!([]), ""), (json!("x"), ""), (json!(null), ""), (json!(7), "")] {
        let (status, reason, found) = send(call().json(&value)).await;
        assert_eq!((status, reason.as_str()), (422, "invalid-field"), "{value}");
        assert!(found == field || found.starts_with('/'), "{value}: {found}");
    }
}

async fn what_is_wrong_with_a_cart_is_named(engine: Engine) {
    let shop = Shop::open(engine).await;
    let sound = || new_cart(&[("MILK", 3)]);
    let long = || json!("é".repeat(201));
    let wrong = [
        (without(sound(), "/address"), "/address"),
        (with(sound(), "/address", json!("675 Ponce")), "/address"),
        (without(sound(), "/address/street"), "/address/street"),
        (with(sound(), "/address/street", json!(" ")), "/address/street"),
        (with(sound(), "/address/street", long()), "/address/street"),
        (with(sound(), "/address/street", json!("one\nother")), "/address/street"),
        (with(sound(), "/address/note", long()), "/address/note"),
        (with(sound(), "/address/door", json!(4)), "/address/door"),
        (without(sound(), "/address/point"), "/address/point"),
        (without(sound(), "/address/point/lon"), "/address/point/lon"),
        (with(sound(), "/address/point/lat", json!("33")), "/address/point/lat"),
        (with(sound(), "/address/point/lat", json!(90.5)), "/address/point"),
        (with(sound(), "/address/point/lon", json!(-1e300)), "/address/point"),
        (with(sound(), "/address/point/alt", json!(300)), "/address/point/alt"),
        (with(sound(), "/store", json!("the corner")), "/store"),
        (with(sound(), "/coupon", json!("FREE")), "/coupon"),
        (with(sound(), "/lines", json!({})), "/lines"),
    ];
    refuses(&shop, || Call::post("/v1/carts"), &wrong).await;
    refuses_bodies(&shop, || Call::post("/v1/carts")).await;
    shop.close().await;
}

async fn what_is_wrong_with_lines_is_named(engine: Engine) {
    let shop = Shop::open(engine).await;
    let cart = shop.cart(&[("SOAP", 1)]).await;
    let change = || cart.by(Call::new(Method::PUT, &format!("{}/lines", cart.path())));
    let sound = || json!({ "lines": lines_of(&[("MILK", 3), ("PEACH", 1)]) });
    let quantity = "/lines/1/quantity";
    let many = vec![json!({ "sku": "MILK", "quantity": 1 }); 201];
    let wrong = [
        (json!({}), "/lines"),
        (with(sound(), "/lines", json!(many)), "/lines"),
        (with(sound(), "/lines/1", json!("MILK")), "/lines/1"),
        (without(sound(), "/lines/1/sku"), "/lines/1/sku"),
        (with(sound(), "/lines/1/sku", json!("milk")), "/lines/1/sku"),
        (with(sound(), "/lines/1/sku", json!("'; DROP TABLE orders_cart")), "/lines/1/sku"),
        (with(sound(), "/lines/1/sku", json!("M".repeat(65))), "/lines/1/sku"),
        (with(sound(), "/lines/1/price", json!(1)), "/lines/1/price"),
        (without(sound(), quantity), quantity),
        (with(sound(), quantity, json!(0)), quantity),
        (with(sound(), quantity, json!(-1)), quantity),
        (with(sound(), quantity, json!(1000)), quantity),
        (with(sound(), quantity, json!(i64::MAX)), quantity),
        (with(sound(), quantity, json!(u64::MAX)), quantity),
        (with(sound(), quantity, json!(1e30)), quantity),
        (with(sound(), quantity, json!(1.5)), quantity),
        (with(sound(), quantity, json!("3")), quantity),
        (with(sound(), quantity, json!(null)), quantity),
        (with(sound(), "/note", json!("ripe ones")), "/note"),
    ];
    refuses(&shop, change, &wrong).await;
    refuses_bodies(&shop, change).await;
    let quote = || cart.by(Call::post(&format!("{}/quotes", cart.path())));
    let slot = json!({ "slot": shop.slot.starts_at });
    let wrong = [
        (json!({}), "/slot"),
        (json!({ "slot": "tomorrow" }), "/slot"),
        (json!({ "slot": 1_764_000_000 }), "/slot"),
        (with(slot, "/fee", json!(0)), "/fee"),
    ];
    refuses(&shop, quote, &wrong).await;
    refuses_bodies(&shop, quote).await;
    let read = body(&shop.send(cart.by(Call::get(&cart.path()))).await);
    assert_eq!(read["lines"], lines_of(&[("SOAP", 1)]), "nothing changed");
    let most: Vec<(&str, i64)> = vec![("MILK", 1); 200];
    assert_eq!(shop.change_lines(&cart, &most).await.status, 200, "as many as may be");
    shop.close().await;
}

async fn what_is_wrong_with_an_order_is_named(engine: Engine) {
    let shop = Shop::open(engine).await;
    let cart = shop.cart(&[("MILK", 3)]).await;
    let quote = shop.quote(&cart).await;
    let sound = || json!({ "quote": quote["quote"], "contact": contact(), "payment_token": "tok_visa" });
    let place = || cart.by(Call::post("/v1/orders"));
    let email = "/contact/email";
    let wrong = [
        (without(sound(), "/quote"), "/quote"),
        (with(sound(), "/quote", quote.clone()), "/quote"),
        (with(sound(), "/quote", json!("x.y")), "/quote"),
        (without(sound(), "/contact"), "/contact"),
        (without(sound(), "/contact/name"), "/contact/name"),
        (with(sound(), "/contact/name", json!("")), "/contact/name"),
        (with(sound(), "/contact/name", json!("x".repeat(201))), "/contact/name"),
        (with(sound(), "/contact/phone", json!("x".repeat(201))), "/contact/phone"),
        (with(sound(), "/contact/phone", json!(4_045_550_134_i64)), "/contact/phone"),
        (with(sound(), "/contact/fax", json!("1")), "/contact/fax"),
        (without(sound(), email), email),
        (with(sound(), email, json!("josephine")), email),
        (with(sound(), email, json!("a@b")), email),
        (with(sound(), email, json!("a@b@c.d")), email),
        (with(sound(), email, json!("a b@c.d")), email),
        (with(sound(), email, json!("a@b.c\r\nBcc: all@b.c")), email),
        (without(sound(), "/payment_token"), "/payment_token"),
        (with(sound(), "/payment_token", json!("")), "/payment_token"),
        (with(sound(), "/payment_token", json!("x".repeat(201))), "/payment_token"),
        (with(sound(), "/payment_token", json!(42)), "/payment_token"),
        (with(sound(), "/total", json!(1)), "/total"),
    ];
    refuses(&shop, place, &wrong).await;
    refuses_bodies(&shop, place).await;
    assert_eq!(shop.said().await, [], "nothing was ordered");

    let reply = shop.order(&cart, &quote).await;
    let path = format!("/v1/orders/{}", text(&body(&reply)["id"]));
    let cancel = || cart.by(Call::post(&format!("{path}/cancel")));
    let wrong = [
        (json!({}), "/reason"),
        (json!({ "reason": "" }), "/reason"),
        (json!({ "reason": "x".repeat(201) }), "/reason"),
        (json!({ "reason": ["gave-up"] }), "/reason"),
        (json!({ "reason": "gave-up", "refund": true }), "/refund"),
    ];
    refuses(&shop, cancel, &wrong).await;
    refuses_bodies(&shop, cancel).await;
    what_is_wrong_with_a_move_is_named(&shop, &cart, &path).await;
    for step in ["pick", "ready"] {
        let call =
            Call::post(&format!("{path}/{step}")).bearer(&shop.picker()).key(&shop.fresh_key()).json(&json!({ "by": "me" }));
        assert_eq!(brief(&shop.send(call).await), is(400, "unexpected-body", "-"));
    }
    assert_eq!(body(&shop.send(cart.by(Call::get(&path))).await)["state"], "placed");
    shop.close().await;
}

async fn what_is_wrong_with_a_move_is_named(shop: &Shop, cart: &Cart, path: &str) {
    let payment = || cart.by(Call::post(&format!("{path}/payment")));
    let wrong = [
        (json!({}), "/payment_token"),
        (json!({ "payment_token": "" }), "/payment_token"),
        (json!({ "payment_token": "x".repeat(201) }), "/payment_token"),
        (json!({ "payment_token": "tok_visa", "amount": 1 }), "/amount"),
    ];
    refuses(shop, payment, &wrong).await;
    refuses_bodies(shop, payment).await;

    let manager = shop.manager();
    let shorts = || Call::post(&format!("{path}/shorts")).bearer(&manager);
    let sound = || json!({ "lines": [{ "sku": "MILK", "picked": 1, "restock": true }] });
    let many = vec![json!({ "sku": "MILK", "picked": 1, "restock": true }); 201];
    let wrong = [
        (json!({}), "/lines"),
        (json!({ "lines": [] }), "/lines"),
        (with(sound(), "/lines", json!(many)), "/lines"),
        (without(sound(), "/lines/0/restock"), "/lines/0/restock"),
        (with(sound(), "/lines/0/picked", json!(1.5)), "/lines/0/picked"),
        (with(sound(), "/lines/0/picked", json!("1")), "/lines/0/picked"),
        (with(sound(), "/lines/0/sku", json!("milk")), "/lines/0/sku"),
        (with(sound(), "/lines/0/reason", json!("mouldy")), "/lines/0/reason"),
    ];
    refuses(shop, shorts, &wrong).await;
    refuses_bodies(shop, shorts).await;

    let delivery = || Call::post(&format!("{path}/delivery")).bearer(&manager);
    let sound = || json!({ "choice": "again", "reason": "they are home at six" });
    let wrong = [
        (without(sound(), "/choice"), "/choice"),
        (with(sound(), "/choice", json!("leave it")), "/choice"),
        (without(sound(), "/reason"), "/reason"),
        (with(sound(), "/reason", json!(" ")), "/reason"),
        (with(sound(), "/courier", json!("Amara")), "/courier"),
    ];
    refuses(shop, delivery, &wrong).await;
    refuses_bodies(shop, delivery).await;

    let refunds = || Call::post(&format!("{path}/refunds")).bearer(&manager);
    let sound = || json!({ "amount": { "minor": 100, "currency": "USD" }, "reason": "broken" });
    let wrong = [
        (json!({ "reason": "broken" }), "/amount"),
        (with(sound(), "/all", json!(true)), "/amount"),
        (json!({ "all": false, "reason": "broken" }), "/all"),
        (json!({ "lines": [], "reason": "broken" }), "/lines"),
        (json!({ "lines": [{ "sku": "MILK", "quantity": 0 }], "reason": "broken" }), "/lines/0/quantity"),
        (with(sound(), "/amount", json!(100)), "/amount"),
        (with(sound(), "/amount/minor", json!(1e30)), "/amount/minor"),
        (with(sound(), "/amount/currency", json!("usd")), "/amount/currency"),
        (with(sound(), "/amount/tax", json!(1)), "/amount/tax"),
        (without(sound(), "/reason"), "/reason"),
        (with(sound(), "/reason", json!("")), "/reason"),
        (with(sound(), "/to", json!("somebody")), "/to"),
    ];
    refuses(shop, refunds, &wrong).await;
    refuses_bodies(shop, refunds).await;
}

async fn what_is_wrong_with_a_query_or_a_path_is_named(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, _) = shop.placed(&[("MILK", 3)]).await;
    let admin = shop.admin();
    let here = format!("/v1/stores/{}/orders", shop.store.id);
    let cases = [
        ("/v1/reach".to_owned(), is(400, "invalid-field", "lat")),
        ("/v1/reach?lat=33.7".to_owned(), is(400, "invalid-field", "lon")),
        ("/v1/reach?lat=north&lon=-84.3".to_owned(), is(400, "invalid-field", "lat")),
        ("/v1/reach?lat=NaN&lon=-84.3".to_owned(), is(400, "invalid-field", "lat")),
        ("/v1/reach?lat=1e999&lon=-84.3".to_owned(), is(400, "invalid-field", "lat")),
        ("/v1/reach?lat=33.7&lon=-84.3&radius=5".to_owned(), is(400, "unknown-parameter", "radius")),
        ("/v1/carts/x".to_owned(), is(404, "not-found", "id")),
        ("/v1/orders/x".to_owned(), is(404, "not-found", "id")),
        (format!("/v1/orders/{}", some_id(99)), is(404, "not-found", "-")),
        ("/v1/stores/x/orders?state=placed".to_owned(), is(404, "not-found", "store")),
        (here.clone(), is(400, "invalid-field", "state")),
        (format!("{here}?state=lost"), is(400, "invalid-field", "state")),
        (format!("{here}?state=placed&limit=0"), is(400, "invalid-field", "limit")),
        (format!("{here}?state=placed&limit=101"), is(400, "invalid-field", "limit")),
        (format!("{here}?state=placed&after=x"), is(400, "invalid-field", "after")),
        (format!("{here}?state=placed&sku=MILK"), is(400, "unknown-parameter", "sku")),
        ("/v1/me/orders?after=%FF".to_owned(), is(400, "invalid-field", "after")),
        ("/v1/admin/audit/orders/facts?limit=-1".to_owned(), is(400, "invalid-field", "limit")),
    ];
    for (target, refusal) in cases {
        assert_eq!(brief(&shop.send(cart.by(Call::get(&target).bearer(&admin))).await), refusal, "{target}");
    }
    shop.close().await;
}

async fn a_write_wants_its_key(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    let quote = text(&shop.quote(&shop.cart(&[("MILK", 3)]).await).await["quote"]);
    let admin = shop.admin();
    let writes = || {
        [
            Call::post("/v1/carts").json(&new_cart(&[])),
            Call::new(Method::PUT, &format!("{}/lines", cart.path())).json(&json!({ "lines": [] })),
            Call::post("/v1/orders").json(&json!({ "quote": quote, "contact": contact(), "payment_token": "t" })),
            Call::post(&format!("/v1/orders/{order}/cancel")).json(&json!({ "reason": "gave-up" })),
            Call::post(&format!("/v1/orders/{order}/payment")).json(&json!({ "payment_token": "tok_visa" })),
            Call::post(&format!("/v1/orders/{order}/shorts"))
                .json(&json!({ "lines": [{ "sku": "MILK", "picked": 1, "restock": true }] })),
            Call::post(&format!("/v1/orders/{order}/delivery")).json(&json!({ "choice": "again", "reason": "six" })),
            Call::post(&format!("/v1/orders/{order}/refunds")).json(&json!({ "all": true, "reason": "broken" })),
            Call::post(&format!("/v1/orders/{order}/pick")),
            Call::post(&format!("/v1/orders/{order}/ready")),
        ]
    };
    for call in writes() {
        let reply = shop.send(cart.by(call.bearer(&admin))).await;
        assert_eq!(brief(&reply), is(400, "idempotency-key-missing", "Idempotency-Key"), "{reply:?}");
    }
    for call in writes() {
        let reply = shop.send(cart.by(call.bearer(&admin).key(&"k".repeat(129)))).await;
        assert_eq!(brief(&reply), is(400, "idempotency-key-invalid", "Idempotency-Key"), "{reply:?}");
    }
    assert_eq!(shop.said_of(order).await, ["order.placed", "hold.request"]);
    shop.close().await;
}

async fn nobody_passes_with_a_dead_token(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    let path = format!("/v1/orders/{order}");
    let grants = vec![web::Grant { role: Role::Customer, store: None }];
    let ada = web::Person { id: some_id(20), name: "Ada".to_owned(), grants };
    let old = shop.key.sign(&ada, shop.now().plus_ms(-16 * 60_000), web::TOKEN_TTL_MS).unwrap();
    let expired = shop.send(Call::get(&path).bearer(&old)).await;
    assert_eq!(brief(&expired), is(401, "token-expired", "-"));
    assert!(expired.header("www-authenticate").is_some_and(|value| value.contains("invalid_token")), "{expired:?}");
    let foreign = web::SigningKey::generate().unwrap();
    let foreign = foreign.sign(&ada, shop.now(), web::TOKEN_TTL_MS).unwrap();
    for token in [foreign.as_str(), "x.y.z", ""] {
        assert_eq!(brief(&shop.send(Call::get(&path).bearer(token)).await), is(401, "token-invalid", "-"), "{token}");
    }
    // Without the dead token the cart's own capability is enough.
    assert_eq!(shop.send(cart.by(Call::get(&path))).await.status, 200);
    shop.close().await;
}

/// Whatever could be seen from outside.
async fn everything(shop: &Shop, cart: &Cart, order: OrderId) -> (Json, Json, Json, usize) {
    let read = body(&shop.send(cart.by(Call::get(&cart.path()))).await);
    let facts = shop.read("/v1/admin/audit/orders/facts").await;
    (read, shop.view(cart, order).await, facts, shop.said().await.len())
}

async fn no_garbage_at_any_route_is_a_defect_or_changes_anything(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    let before = everything(&shop, &cart, order).await;
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let bodies = ["", "{", "[]", "{}", "null", "1", "\"\"", "{\"lines\":1,\"lines\":2}", "\u{feff}{}", &deep];
    let ids = ["x", "%00", "%FF", "..", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"];
    let ids = ids.iter().map(|id| (*id).to_owned()).chain([cart.id.clone(), order.to_string(), shop.store.id.to_string()]);
    let ids: Vec<String> = ids.collect();
    let admin = shop.admin();
    let mut tried = 0;
    for route in &shop.routes {
        for id in &ids {
            let path = route.path.replace("{id}", id).replace("{store}", id);
            let sends_body = route.method != Method::GET;
            for garbage in bodies.iter().take(if sends_body { bodies.len() } else { 1 }) {
                let call = Call::new(route.method.clone(), &path).bearer(&admin).key(&shop.fresh_key());
                // A move of the people of the store takes no body, so without one it is no garbage.
                let sound = garbage.is_empty() && (path.ends_with("/pick") || path.ends_with("/ready"));
                let call = if sound { call } else { call.bytes("application/json", (*garbage).to_owned()) };
                let reply = shop.send(cart.by(call).header(header::IF_NONE_MATCH, "\"0\", W/x")).await;
                let status = reply.status.as_u16();
                assert!(status < 500, "{} {path} {garbage:.20}: {reply:?}", route.method);
                assert!(!sends_body || status >= 400, "{} {path} {garbage:.20}: {reply:?}", route.method);
                if status >= 400 {
                    brief(&reply);
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 18 * ids.len(), "every route was tried");
    assert_eq!(everything(&shop, &cart, order).await, before);
    assert_eq!(before.1["address"], address());
    shop.close().await;
}
