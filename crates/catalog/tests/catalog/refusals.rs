//! What is refused: each with a 4xx that says what is wrong and where, and nothing is changed or told.
//! Leaves what the door refuses for every service to `web`.

use testkit::{brief, some_id, store};
use web::{Call, Json, Method, Reply, Role, json};

use crate::shop::{Shop, product};

testkit::on_both! {
    Shop::open =>
    broken_products_are_refused_and_named
    callers_who_may_not_are_refused
    broken_requests_are_never_ours_to_fail
}

/// The status, and the field at fault.
fn refusal(reply: &Reply) -> (u16, String) {
    let (status, _, field) = brief(reply);
    (status, field)
}

async fn broken_products_are_refused_and_named(shop: Shop) {
    let krog = store(1);
    let shop = shop.with_store(&krog).await;
    let (admin, path) = (shop.admin(), "/v1/admin/products/MILK");
    let stranger = json!(some_id(99));
    let cases: Vec<(&str, Json, &str)> = vec![
        ("name", json!(""), "/name"),
        ("name", json!("a\u{0}b"), "/name"),
        ("name", json!("x".repeat(201)), "/name"),
        ("name", json!(7), "/name"),
        ("detail", json!("two\nlines"), "/detail"),
        ("category", json!("no-such"), "/category"),
        ("category", json!("No Such"), "/category"),
        ("price_minor", json!(-1), "/price_minor"),
        ("price_minor", json!(1.5), "/price_minor"),
        ("price_minor", json!(i64::MAX), "/price_minor"),
        ("price_minor", json!("1"), "/price_minor"),
        ("tax_class", json!("wine"), "/tax_class"),
        ("barcode", json!(""), "/barcode"),
        ("keywords", json!(vec!["x"; 51]), "/keywords"),
        ("stores", json!([{"store": stranger, "listed": true}]), "/stores/0/store"),
        ("stores", json!([{"store": "here", "listed": true}]), "/stores/0/store"),
        ("stores", json!([{"store": krog.id, "listed": true, "price_minor": -1}]), "/stores/0/price_minor"),
        ("stores", json!([{"store": krog.id, "listed": true}, {"store": krog.id, "listed": false}]), "/stores/1/store"),
        ("stores", json!([{"store": krog.id}]), "/stores/0/listed"),
        ("colour", json!("white"), "/colour"),
    ];
    for (field, value, pointer) in cases {
        let mut milk = product("Milk", "", 429, &[krog.id]);
        milk[field] = value.clone();
        assert_eq!(refusal(&shop.put(path, &admin, &milk).await), (422, pointer.to_owned()), "{field}: {value}");
    }
    // Where it is not to be listed, the store need not know its tax.
    let mut wine = product("Wine", "", 1500, &[krog.id]);
    wine["tax_class"] = json!("wine");
    wine["stores"][0]["listed"] = json!(false);
    assert_eq!(shop.put("/v1/admin/products/WINE", &admin, &wine).await.status, 201);
    let switch = format!("/v1/admin/stores/{}/listings/WINE", krog.id);
    assert_eq!(refusal(&shop.put(&switch, &admin, &json!({"listed": true})).await), (422, "/listed".to_owned()));
    assert_eq!(refusal(&shop.put(&switch, &admin, &json!({"listed": false, "price_minor": -5})).await).1, "/price_minor");

    let said = shop.said().await;
    assert_eq!(said.iter().filter(|event| event.listed).count(), 0, "{said:?}");
    shop.close().await;
}

async fn callers_who_may_not_are_refused(shop: Shop) {
    let krog = store(1);
    let shop = shop.with_store(&krog).await;
    let admin = shop.admin();
    shop.put("/v1/admin/products/MILK", &admin, &product("Milk", "", 429, &[krog.id])).await;
    let manager = shop.token(Role::Manager, Some(krog.id));
    for role in [Role::Manager, Role::Picker, Role::Customer] {
        let token = shop.token(role, None);
        assert_eq!(shop.put("/v1/admin/products/MILK", &token, &product("M", "", 1, &[])).await.status, 403);
        assert_eq!(shop.put("/v1/admin/categories/dairy", &token, &json!({"name": "D"})).await.status, 403);
        assert_eq!(shop.get_as("/v1/admin/products", &token).await.status, 403);
    }
    let switch = |store, sku: &str| format!("/v1/admin/stores/{store}/listings/{sku}");
    let listed = json!({"listed": true});
    assert_eq!(shop.put(&switch(krog.id.0, "MILK"), &shop.token(Role::Picker, None), &listed).await.status, 403);
    assert_eq!(shop.put(&switch(krog.id.0, "NONE"), &manager, &listed).await.status, 404);
    assert_eq!(shop.put(&switch(some_id(99), "MILK"), &admin, &listed).await.status, 404);
    assert_eq!(shop.put(&switch(some_id(99), "MILK"), &manager, &listed).await.status, 403);
    assert_eq!(shop.get("/v1/admin/products").await.status, 401);
    shop.close().await;
}

async fn broken_requests_are_never_ours_to_fail(shop: Shop) {
    let krog = store(1);
    let shop = shop.with_store(&krog).await;
    let (admin, here) = (shop.admin(), format!("/v1/stores/{}/products", krog.id));
    // The cursor is `["a\u0000","A"]`.
    for (query, parameter) in [
        ("q=%21%21", "q"),
        ("q=a%20b%20c%20d%20e%20f%20g", "q"),
        (&*format!("q={}", "x".repeat(101)), "q"),
        ("q=%00", "q"),
        ("category=A%00", "category"),
        ("category=", "category"),
        ("after=WyJhXHUwMDAwIiwiQSJd", "after"),
        ("after=x", "after"),
        ("limit=0", "limit"),
        ("colour=white", "colour"),
    ] {
        assert_eq!(refusal(&shop.get(&format!("{here}?{query}")).await), (400, parameter.to_owned()), "{query}");
    }
    for path in ["/v1/stores/here/products", &format!("/v1/stores/{}/products", some_id(99)), &format!("{here}/milk")] {
        assert_eq!(shop.get(path).await.status, 404, "{path}");
    }
    assert_eq!(shop.get(&format!("{here}/MILK")).await.status, 404);
    assert_eq!(shop.put("/v1/admin/categories/No%20Slug", &admin, &json!({"name": "x"})).await.status, 404);
    assert_eq!(refusal(&shop.put("/v1/admin/categories/dairy", &admin, &json!({"name": ""})).await), (422, "/name".to_owned()));
    let without_key = Call::new(Method::PUT, "/v1/admin/categories/dairy").bearer(&admin).json(&json!({"name": "x"}));
    assert_eq!(refusal(&shop.send(without_key).await), (400, "Idempotency-Key".to_owned()));
    let no_json = Call::new(Method::PUT, "/v1/admin/products/MILK").bearer(&admin).key("k").bytes("application/json", "{");
    assert_eq!(shop.send(no_json).await.status, 400);
    assert!(shop.said().await.is_empty());
    shop.close().await;
}
