//! Many who want the same: exactly as many get it as there is, and a hot row is read and written once for all of them.
//! Leaves one at a time to `holds`.

use contracts::StoreId;
use contracts::inventory::HoldRequest;
use testkit::{Engine, store};
use web::json;

use crate::shop::{Shop, order, places_path, request, service};

testkit::on_both! {
    Shop::open =>
    five_hundred_buyers_of_a_hundred_units
    five_hundred_buyers_of_a_hundred_places
}

const BUYERS: u64 = 500;

fn crowd(ask: impl Fn(u64) -> HoldRequest) -> Vec<HoldRequest> {
    (0..BUYERS).map(ask).collect()
}

/// How often the supply of a thing was written.
async fn written(shop: &Shop, store: StoreId, thing: &str) -> i64 {
    let table = service().tables.iter().copied().find(|table| table.name == "inventory_supply").unwrap();
    let rows = shop.database.store.load(table, vec![vec![store.0.into(), thing.into()]]).await.unwrap();
    let row = rows.first().unwrap();
    row.int(row.0.len() - 1).unwrap()
}

async fn a_hundred_got_it(shop: &Shop) {
    shop.until("everybody was told", async || shop.said("inventory.holds").await.len() == 500).await;
    let said = shop.said("inventory.holds").await;
    let count = |kind: &str| said.iter().filter(|(said, _)| said == kind).count();
    assert_eq!((count("hold.reserved.v1"), count("hold.rejected.v1")), (100, 400));
    let facts = shop.facts().await;
    assert_eq!(facts.len(), 500);
    assert_eq!(facts.values().filter(|(state, ..)| state == "reserved").count(), 100);
    shop.assert_sound("inventory").await;
}

async fn five_hundred_buyers_of_a_hundred_units(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    let slot = shop.slot(store.id).await;
    shop.stock(store.id, "HOT", 100).await;
    assert_eq!(shop.put_as_admin(&places_path(store.id, slot), &json!({ "places": 1000 })).await.status, 200);
    let before = written(&shop, store.id, "sku:HOT").await;
    shop.request(crowd(|buyer| request(store.id, order(buyer), &[("HOT", 1)], slot))).await;
    a_hundred_got_it(&shop).await;
    assert_eq!(shop.level(store.id, "HOT").await, (0, 100));
    assert_eq!(shop.left(store.id, slot).await, 900);
    // The reader hands over what it reads at once; whatever else is under way may part it.
    let writes = written(&shop, store.id, "sku:HOT").await - before;
    assert!((1..=3).contains(&writes), "{writes} writes of the hot row");
    shop.close().await;
}

async fn five_hundred_buyers_of_a_hundred_places(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    let slot = shop.slot(store.id).await;
    shop.stock(store.id, "HOT", 100_000).await;
    assert_eq!(shop.put_as_admin(&places_path(store.id, slot), &json!({ "places": 100 })).await.status, 200);
    shop.request(crowd(|buyer| request(store.id, order(buyer), &[("HOT", 2)], slot))).await;
    a_hundred_got_it(&shop).await;
    assert_eq!(shop.level(store.id, "HOT").await, (99_800, 200));
    assert_eq!(shop.left(store.id, slot).await, 0);
    shop.close().await;
}

/// Two processes count the same SKU while holds come and go: the last word of people stands, less what was held since.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_never_add_up_what_people_counted() {
    let shop = Shop::open(Engine::Postgres).await;
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "HOT", 1000).await;
    let slot = shop.slot(store.id).await;
    assert_eq!(shop.put_as_admin(&places_path(store.id, slot), &json!({ "places": 1000 })).await.status, 200);
    let other = shop.another().await;
    for round in 0..20_u8 {
        // Each time other numbers, so that each of the two is a change.
        let words = [500, 700].map(|word| word + i64::from(round));
        // The clock must differ between two words of people for the second to be one.
        shop.clock.advance(1);
        shop.request(vec![request(store.id, order(round.into()), &[("HOT", 1)], slot)]).await;
        tokio::join!(shop.stock(store.id, "HOT", words[0]), other.stock(store.id, "HOT", words[1]));
        shop.settle().await;
        let (available, held) = shop.level(store.id, "HOT").await;
        assert!(words.contains(&(available + held)), "{available} available, {held} held");
        shop.assert_sound("inventory").await;
    }
    other.close().await;
    shop.close().await;
}
