//! What admins and managers write, and what others are told of it: each change once, and only what changed.
//! Leaves what is refused to `refusals`.

use contracts::{Sku, StoreId};
use testkit::{body, store};
use web::{Role, json};

use crate::shop::{Shop, brief, product, skus};

testkit::on_both! {
    Shop::open =>
    a_product_is_made_once_and_told_once
    only_what_changed_is_told
    a_store_that_is_left_out_lists_it_no_longer
    a_manager_switches_their_own_store
    admins_page_through_all_products
    tables_and_reads_fit_the_database
}

fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

async fn a_product_is_made_once_and_told_once(shop: Shop) {
    let krog = store(1);
    let shop = shop.with_store(&krog).await;
    let (admin, path) = (shop.admin(), "/v1/admin/products/MILK-1GAL");
    let milk = product("Whole milk", "1 gal", 429, &[krog.id]);

    let made = shop.put_under("a", path, &admin, &milk).await;
    assert_eq!(made.status, 201, "{made:?}");
    let view = body(&made);
    assert_eq!(view["stores"][0]["price"], json!({"minor": 429, "currency": "USD"}));

    let repeated = shop.put_under("a", path, &admin, &milk).await;
    assert_eq!((repeated.status.as_u16(), repeated.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(body(&repeated), view);
    let again = shop.put_under("b", path, &admin, &milk).await;
    assert_eq!((again.status.as_u16(), body(&again)), (200, view));
    let other = shop.put_under("a", path, &admin, &product("Milk", "", 1, &[])).await;
    assert_eq!(other.status, 422);

    let said = shop.said().await;
    assert_eq!(brief(&said), [(sku("MILK-1GAL"), 429, true)]);
    assert_eq!((said[0].name.as_str(), said[0].tax_class.as_str()), ("Whole milk, 1 gal", "food"));
    shop.close().await;
}

async fn only_what_changed_is_told(shop: Shop) {
    let (krog, ponce) = (store(1), store(2));
    let shop = shop.with_store(&krog).await;
    shop.know(&ponce).await;
    let (admin, path) = (shop.admin(), "/v1/admin/products/MILK-1GAL");
    let mut milk = product("Whole milk", "1 gal", 429, &[krog.id, ponce.id]);
    shop.put(path, &admin, &milk).await;
    assert_eq!(shop.said().await.len(), 2);

    // Keywords and barcodes concern nobody else.
    milk["keywords"] = json!(["breakfast"]);
    milk["barcode"] = json!("0041303015506");
    assert_eq!(shop.put(path, &admin, &milk).await.status, 200);
    assert_eq!(shop.said().await.len(), 2);

    // A price of its own concerns one store.
    milk["stores"][1]["price_minor"] = json!(399);
    shop.put(path, &admin, &milk).await;
    let said = shop.said().await;
    assert_eq!((said.len(), said[2].store, said[2].price.minor), (3, ponce.id, 399));

    // The product's price concerns those that have none.
    milk["price_minor"] = json!(449);
    shop.put(path, &admin, &milk).await;
    let said = shop.said().await;
    assert_eq!((said.len(), said[3].store, said[3].price.minor), (4, krog.id, 449));
    shop.close().await;
}

async fn a_store_that_is_left_out_lists_it_no_longer(shop: Shop) {
    let stores: Vec<_> = (1..=40).map(store).collect();
    let shop = shop.with_store(&stores[0]).await;
    for store in &stores[1..] {
        shop.know(store).await;
    }
    let (admin, path) = (shop.admin(), "/v1/admin/products/MILK-1GAL");
    let ids: Vec<StoreId> = stores.iter().map(|store| store.id).collect();
    assert_eq!(shop.put(path, &admin, &product("Milk", "", 429, &ids)).await.status, 201);
    let left = shop.put(path, &admin, &product("Milk", "", 429, &ids[..1])).await;
    assert_eq!((left.status.as_u16(), body(&left)["stores"].as_array().unwrap().len()), (200, 1));

    let said = shop.said().await;
    assert_eq!((said.len(), said.iter().filter(|event| !event.listed).count()), (79, 39));
    for (store, listed) in [(ids[0], 1), (ids[39], 0)] {
        for query in ["", "?q=milk", "?category=dairy"] {
            assert_eq!(skus(&shop.get(&format!("/v1/stores/{store}/products{query}")).await).len(), listed, "{query}");
        }
    }
    shop.close().await;
}

async fn a_manager_switches_their_own_store(shop: Shop) {
    let (krog, ponce) = (store(1), store(2));
    let shop = shop.with_store(&krog).await;
    shop.know(&ponce).await;
    shop.put("/v1/admin/products/MILK-1GAL", &shop.admin(), &product("Milk", "", 429, &[krog.id])).await;
    let manager = shop.token(Role::Manager, Some(krog.id));
    let switch = |store: StoreId| format!("/v1/admin/stores/{store}/listings/MILK-1GAL");
    let seen = format!("/v1/stores/{}/products/MILK-1GAL", krog.id);

    let off = shop.put(&switch(krog.id), &manager, &json!({"listed": false})).await;
    assert_eq!((off.status.as_u16(), body(&off)["listed"].as_bool()), (200, Some(false)), "{off:?}");
    assert_eq!(shop.get(&seen).await.status, 404);
    let on = shop.put(&switch(krog.id), &manager, &json!({"listed": true, "price_minor": 399})).await;
    assert_eq!(on.status, 200);
    assert_eq!(body(&shop.get(&seen).await)["price"]["minor"], 399);
    // Switched off and on again it keeps the price it had.
    shop.put(&switch(krog.id), &manager, &json!({"listed": false})).await;
    shop.put(&switch(krog.id), &manager, &json!({"listed": true})).await;
    assert_eq!(body(&shop.get(&seen).await)["price"]["minor"], 399);
    let told = [(429, true), (429, false), (399, true), (399, false), (399, true)];
    let milk = told.map(|(price, listed)| (sku("MILK-1GAL"), price, listed));
    assert_eq!(brief(&shop.said().await), milk);

    let foreign = shop.put(&switch(ponce.id), &manager, &json!({"listed": true})).await;
    assert_eq!(foreign.status, 403);
    // A store that did not list it yet takes the product's price, and is found by its words.
    let taken_up = shop.put(&switch(ponce.id), &shop.admin(), &json!({"listed": true})).await;
    assert_eq!((taken_up.status.as_u16(), body(&taken_up)["price"]["minor"].as_i64()), (201, Some(429)));
    assert_eq!(skus(&shop.get(&format!("/v1/stores/{}/products?q=mil", ponce.id)).await), ["MILK-1GAL"]);
    shop.close().await;
}

async fn admins_page_through_all_products(shop: Shop) {
    let krog = store(1);
    let shop = shop.with_store(&krog).await;
    let admin = shop.admin();
    for name in ["C", "A", "B"] {
        shop.put(&format!("/v1/admin/products/{name}"), &admin, &product(name, "", 100, &[krog.id])).await;
    }
    let first = shop.get_as("/v1/admin/products?limit=2", &admin).await;
    assert_eq!(skus(&first), ["A", "B"]);
    assert_eq!(body(&first)["items"][0]["stores"][0]["listed"], true);
    let next = body(&first)["next"].as_str().unwrap().to_owned();
    let second = shop.get_as(&format!("/v1/admin/products?limit=2&after={next}"), &admin).await;
    assert_eq!((skus(&second), &body(&second)["next"]), (vec!["C".to_owned()], &json!(null)));
    shop.close().await;
}

async fn tables_and_reads_fit_the_database(shop: Shop) {
    shop.database.assert_fits(&catalog::service(&catalog::Config::default())).await;
    shop.close().await;
}
