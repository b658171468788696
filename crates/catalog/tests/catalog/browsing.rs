//! What shoppers see: categories as they stand, what a store sells by name, category and words, and a hint of what is left.
//! Leaves who may write it to `writing` and `refusals`.

use std::collections::BTreeMap;

use contracts::StoreId;
use contracts::inventory::Band;
use kernel::Draw;
use testkit::{body, store};
use web::json;

use crate::shop::{Shop, product, skus, skus_of};

testkit::on_both! {
    Shop::open =>
    categories_stand_where_they_were_put
    words_are_found_by_their_beginnings
    words_follow_the_product
    every_product_is_on_exactly_one_page
    what_is_left_is_a_hint
    any_changes_leave_what_was_written_last
}

async fn categories_stand_where_they_were_put(shop: Shop) {
    let admin = shop.admin();
    for (slug, position) in [("snacks", 2), ("produce", -1), ("bakery", 2), ("dairy", 1)] {
        let made = shop.put(&format!("/v1/admin/categories/{slug}"), &admin, &json!({"name": slug, "position": position})).await;
        assert_eq!(made.status, 201);
    }
    let moved = shop.put("/v1/admin/categories/dairy", &admin, &json!({"name": "Dairy & eggs", "position": 3})).await;
    assert_eq!((moved.status.as_u16(), body(&moved)["name"].as_str()), (200, Some("Dairy & eggs")));

    let seen = shop.list("/v1/categories", 1, None).await;
    let slugs: Vec<&str> = seen.iter().map(|category| category["slug"].as_str().unwrap()).collect();
    assert_eq!(slugs, ["produce", "bakery", "snacks", "dairy"]);
    shop.close().await;
}

/// A dairy shelf, and bread in a category of its own.
async fn stocked(shop: Shop) -> (Shop, StoreId) {
    let krog = store(1);
    let shop = shop.with_store(&krog).await;
    let admin = shop.admin();
    shop.put("/v1/admin/categories/bakery", &admin, &json!({"name": "Bakery"})).await;
    for (sku, name, detail) in [
        ("MILK-W", "Whole milk", "1 gal"),
        ("MILK-S", "Skim milk", "1 gal"),
        ("BRULEE", "Crème brûlée", "2 × 100 g"),
        ("BUTTER", "Butter", "milk from Georgia"),
    ] {
        let made = shop.put(&format!("/v1/admin/products/{sku}"), &admin, &product(name, detail, 100, &[krog.id])).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let mut bread = product("Milk bread", "", 100, &[krog.id]);
    bread["category"] = json!("bakery");
    bread["keywords"] = json!(["Shokupan", "toast"]);
    shop.put("/v1/admin/products/BREAD", &admin, &bread).await;
    (shop, krog.id)
}

async fn words_are_found_by_their_beginnings(shop: Shop) {
    let (shop, krog) = stocked(shop).await;
    for (query, found) in [
        ("", vec!["BUTTER", "BRULEE", "BREAD", "MILK-S", "MILK-W"]),
        ("q=", vec!["BUTTER", "BRULEE", "BREAD", "MILK-S", "MILK-W"]),
        ("q=milk", vec!["BUTTER", "BREAD", "MILK-S", "MILK-W"]),
        ("q=MIL%20gal", vec!["MILK-S", "MILK-W"]),
        ("q=whole,%20milk!", vec!["MILK-W"]),
        ("q=creme%20BR%C3%9BL", vec!["BRULEE"]),
        ("q=shoku", vec!["BREAD"]),
        ("q=bakery", vec!["BREAD"]),
        ("q=milk&category=bakery", vec!["BREAD"]),
        ("category=bakery", vec!["BREAD"]),
        ("category=produce", vec![]),
        ("q=ilk", vec![]),
        ("q=milk%20toast%20bread%20shokupan%20bakery%20m", vec!["BREAD"]),
        ("q=milk%20gal%20georgia", vec![]),
    ] {
        assert_eq!(skus(&shop.get(&format!("/v1/stores/{krog}/products?{query}")).await), found, "{query}");
    }
    shop.close().await;
}

async fn words_follow_the_product(shop: Shop) {
    let (shop, krog) = stocked(shop).await;
    shop.put("/v1/admin/products/BUTTER", &shop.admin(), &product("Margarine", "1 lb", 100, &[krog])).await;
    for (word, count) in [("butter", 0), ("georgia", 0), ("margarine", 1), ("milk", 3)] {
        assert_eq!(skus(&shop.get(&format!("/v1/stores/{krog}/products?q={word}")).await).len(), count, "{word}");
    }
    shop.close().await;
}

async fn every_product_is_on_exactly_one_page(shop: Shop) {
    let (shop, krog) = stocked(shop).await;
    // Two of one name are told apart by their SKU.
    shop.put("/v1/admin/products/MILK-X", &shop.admin(), &product("Whole milk", "1 gal", 100, &[krog])).await;
    for query in ["", "?q=milk", "?category=dairy"] {
        let path = format!("/v1/stores/{krog}/products{query}");
        let whole = skus(&shop.get(&path).await);
        assert_eq!(skus_of(&shop.list(&path, 2, None).await), whole, "{query}");
        assert!(whole.len() >= 5, "{query}");
    }
    shop.close().await;
}

async fn what_is_left_is_a_hint(shop: Shop) {
    let (shop, krog) = stocked(shop).await;
    let path = format!("/v1/stores/{krog}/products/MILK-W");
    let milk = body(&shop.get(&path).await);
    assert_eq!(milk["availability"], "unknown");
    assert_eq!((milk["name"].as_str(), milk["detail"].as_str()), (Some("Whole milk"), Some("1 gal")));
    shop.supply(krog, "MILK-W", Band::Plenty, "plenty").await;
    shop.supply(krog, "MILK-W", Band::None, "none").await;
    let list = body(&shop.get(&format!("/v1/stores/{krog}/products?q=whole")).await);
    assert_eq!(list["items"][0]["availability"], "none");
    let list = body(&shop.get(&format!("/v1/stores/{krog}/products?q=skim")).await);
    assert_eq!(list["items"][0]["availability"], "unknown");
    shop.close().await;
}

/// Puts and switches by chance, against a map of what should be seen.
async fn any_changes_leave_what_was_written_last(shop: Shop) {
    const NAMES: [&str; 4] = ["Whole milk", "Milk chocolate", "Dark chocolate", "Bread"];
    let stores = [store(1), store(2)];
    let shop = shop.with_store(&stores[0]).await;
    shop.know(&stores[1]).await;
    let (admin, mut draw) = (shop.admin(), Draw::seeded(11));
    let mut below = |end: u64| usize::try_from(draw.below(end)).unwrap();
    // By SKU its name and, by store, whether it is listed.
    let mut written: BTreeMap<String, (&str, BTreeMap<StoreId, bool>)> = BTreeMap::new();
    for _ in 0..60 {
        let sku = format!("P{}", below(4));
        let store = stores[below(2)].id;
        let listed = below(2) == 0;
        if below(3) == 0 {
            let Some((_, in_stores)) = written.get_mut(&sku) else { continue };
            shop.put(&format!("/v1/admin/stores/{store}/listings/{sku}"), &admin, &json!({"listed": listed})).await;
            in_stores.insert(store, listed);
        } else {
            let name = NAMES[below(4)];
            let mut body = product(name, "", 100, &[]);
            body["stores"] = json!([{"store": store, "listed": listed}]);
            shop.put(&format!("/v1/admin/products/{sku}"), &admin, &body).await;
            written.insert(sku, (name, [(store, listed)].into()));
        }
    }
    for store in stores.map(|store| store.id) {
        for word in ["milk", "choc", "bread", "dark", "dairy"] {
            let seen = |(name, in_stores): &(&str, BTreeMap<StoreId, bool>)| {
                in_stores.get(&store) == Some(&true) && (word == "dairy" || name.to_lowercase().contains(word))
            };
            let expected: Vec<&String> = written.iter().filter(|(_, one)| seen(one)).map(|(sku, _)| sku).collect();
            let mut found = skus(&shop.get(&format!("/v1/stores/{store}/products?q={word}")).await);
            found.sort_unstable();
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{word} in {store}");
        }
    }
    shop.close().await;
}
