//! What comes in the same moment: one winner each, the others told, nothing done twice; and what fell due while nobody ran.
//! Leaves sequences without haste to `walks`.

use contracts::OrderId;
use contracts::inventory::{HoldCommit, HoldConsume, HoldReduce, HoldRelease, Kept};
use kernel::Draw;
use testkit::store;
use web::json;

use crate::shop::{Shop, order, places_path, request};

testkit::on_both! {
    Shop::open =>
    expiry_and_commit_have_one_winner
    expiry_and_release_have_one_winner
    a_request_and_a_withdrawal_have_one_winner
    what_fell_due_while_nobody_ran_fires_once
    a_storm_of_doubled_commands_leaves_all_sound
}

const ORDERS: u64 = 120;

/// A store with stock and places for all, and `ORDERS` reserved holds in its first slot.
async fn reserved(shop: &Shop) -> contracts::delivery::Store {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 1000).await;
    let slot = shop.slot(store.id).await;
    assert_eq!(shop.put_as_admin(&places_path(store.id, slot), &json!({ "places": 1000 })).await.status, 200);
    shop.request((0..ORDERS).map(|seed| request(store.id, order(seed), &[("MILK", 1)], slot)).collect()).await;
    shop.until("all are held", async || shop.level(store.id, "MILK").await.1 == i64::try_from(ORDERS).unwrap()).await;
    store
}

/// Lets `ask` be said for each order in turn, the hold of each running out meanwhile: some were asked for before, some after.
async fn race(shop: &Shop, ask: impl AsyncFn(OrderId)) {
    for seed in 0..10 {
        ask(order(seed)).await;
    }
    shop.settle().await;
    shop.clock.advance(600_001);
    for seed in 10..ORDERS - 10 {
        ask(order(seed)).await;
        ask(order(seed)).await;
    }
    let expired = async || shop.said("inventory.holds").await.iter().any(|(kind, _)| kind == "hold.expired.v1");
    shop.until("some ran out", expired).await;
    for seed in ORDERS - 10..ORDERS {
        ask(order(seed)).await;
    }
    shop.settle().await;
    shop.until("no hold is still to run out", async || shop.expiries().await == 0).await;
    shop.assert_sound("inventory").await;
}

/// What was said of each order, a repetition once; how many orders were told each.
async fn told(shop: &Shop) -> std::collections::BTreeMap<String, usize> {
    let mut told = std::collections::BTreeMap::new();
    let said = shop.said("inventory.holds").await;
    for seed in 0..ORDERS {
        let of = |(kind, event): &(String, web::Json)| (event["order"] == json!(order(seed))).then(|| kind.clone());
        let mut kinds: Vec<String> = said.iter().filter_map(of).collect();
        kinds.dedup();
        *told.entry(kinds.join(" ").replace("hold.", "").replace(".v1", "")).or_default() += 1;
    }
    told
}

async fn expiry_and_commit_have_one_winner(shop: Shop) {
    let store = reserved(&shop).await;
    race(&shop, async |order| shop.commit(store.id, order).await).await;
    let told = told(&shop).await;
    let (won, lost) = (told["reserved committed"], told["reserved expired commit-refused"]);
    assert_eq!((told.len(), won + lost), (2, 120), "{told:?}");
    assert!(won >= 10 && lost >= 1, "{told:?}");
    let held = i64::try_from(won).unwrap();
    assert_eq!(shop.level(store.id, "MILK").await, (1000 - held, held));
    shop.close().await;
}

async fn expiry_and_release_have_one_winner(shop: Shop) {
    let store = reserved(&shop).await;
    race(&shop, async |order| shop.release(store.id, order).await).await;
    let told = told(&shop).await;
    let (won, lost) = (told["reserved released"], told["reserved expired released"]);
    assert_eq!((told.len(), won + lost), (2, 120), "{told:?}");
    assert_eq!(shop.level(store.id, "MILK").await, (1000, 0));
    shop.close().await;
}

/// Whoever got a place before is told that it is gone, whoever came after got none; the withdrawal comes by another process.
async fn a_request_and_a_withdrawal_have_one_winner(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 1000).await;
    let other = shop.another().await;
    for hour in 0..4_u64 {
        let slot = shop.slot(store.id).await;
        let path = places_path(store.id, slot);
        assert_eq!(shop.put_as_admin(&path, &json!({ "places": 1000 })).await.status, 200);
        let seeds = hour * 100..hour * 100 + 60;
        let ask = async {
            for seed in seeds.clone() {
                shop.request(vec![request(store.id, order(seed), &[("MILK", 1)], slot)]).await;
            }
        };
        let take = async {
            let some = async || shop.facts().await.contains_key(&order(hour * 100 + 5));
            shop.until("some have a place", some).await;
            assert_eq!(other.move_slot(store.id, slot, "withdraw", "snow").await.status, 200);
        };
        tokio::join!(ask, take);
        shop.settle().await;
        for seed in seeds {
            let fate = async || match shop.said_of(order(seed)).await.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["hold.reserved.v1", "slot.withdrawn.v1"] | ["hold.rejected.v1"] => true,
                ["hold.reserved.v1"] => false,
                ref other => panic!("{other:?}"),
            };
            shop.until("whoever has a place is told", fate).await;
        }
        shop.assert_sound("inventory").await;
        shop.clock.advance(3_600_000);
    }
    other.close().await;
    shop.close().await;
}

async fn what_fell_due_while_nobody_ran_fires_once(shop: Shop) {
    let store = reserved(&shop).await;
    for seed in 0..20 {
        shop.commit(store.id, order(seed)).await;
    }
    shop.settle().await;
    assert_eq!(shop.expiries().await, 100);
    // Said to nobody: it is read before anything that fell due is fired, and so it wins.
    shop.close().await;
    let shop = shop.another().await;
    shop.clock.advance(48 * 3_600_000);
    shop.until("no hold is still to run out", async || shop.expiries().await == 0).await;
    shop.settle().await;
    let told = told(&shop).await;
    assert_eq!(told, [("reserved committed".to_owned(), 20), ("reserved expired".to_owned(), 100)].into());
    let expired = shop.said("inventory.holds").await.iter().filter(|(kind, _)| kind == "hold.expired.v1").count();
    assert_eq!(expired, 100);
    shop.assert_sound("inventory").await;
    shop.close().await;
}

/// Everything at once, in any order, everything twice, while holds run out and people count and resize.
async fn a_storm_of_doubled_commands_leaves_all_sound(shop: Shop) {
    let store = reserved(&shop).await;
    let slot = shop.slot(store.id).await;
    let mut draw = Draw::seeded(11);
    let mut said: Vec<(u64, OrderId)> = (0..5).flat_map(|kind| (0..ORDERS + 5).map(move |seed| (kind, order(seed)))).collect();
    said.extend(said.clone());
    for last in (1..said.len()).rev() {
        let other = draw.below(last as u64 + 1);
        said.swap(last, usize::try_from(other).unwrap());
    }
    let orders = async {
        for (index, (kind, order)) in said.iter().copied().enumerate() {
            if index == said.len() / 2 {
                shop.clock.advance(600_001);
            }
            let store = store.id;
            match kind {
                0 => shop.say("orders", HoldCommit { order, store }).await,
                1 => shop.say("orders", HoldRelease { order, store }).await,
                2 => shop.say("orders", HoldConsume { order, store }).await,
                3 => shop.request(vec![request(store, order, &[("MILK", 2)], slot)]).await,
                _ => {
                    let lines = vec![Kept { sku: "MILK".parse().unwrap(), units: 0, restock: index % 2 == 0 }];
                    shop.say("orders", HoldReduce { order, store, lines }).await;
                }
            }
        }
    };
    let people = async {
        for number in 0..40 {
            let on_hand = json!({ "on_hand": 900 + number });
            let counted = shop.put_as_admin(&crate::shop::stock_path(store.id, "MILK"), &on_hand).await;
            let resized = shop.put_as_admin(&places_path(store.id, slot), &json!({ "places": 120 + number })).await;
            assert!([counted, resized].iter().all(|reply| matches!(reply.status.as_u16(), 200 | 409)));
        }
    };
    tokio::join!(orders, people);
    shop.settle().await;
    shop.clock.advance(600_001);
    shop.until("no hold is still to run out", async || shop.expiries().await == 0).await;
    assert!(shop.facts().await.values().all(|(.., settled)| *settled));
    shop.assert_sound("inventory").await;
    shop.close().await;
}
