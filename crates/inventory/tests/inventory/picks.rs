//! Short picks: a hold loses what was not picked, once, and whatever comes later acts on what is left.
//! Leaves the arithmetic of one hold to the tests of the domain.

use testkit::store;

use crate::shop::{Shop, order, request};

testkit::on_both! {
    Shop::open =>
    what_was_not_picked_is_restocked_or_written_off_once
    a_release_gives_back_what_is_left
    a_hold_that_is_over_loses_nothing
    nothing_left_still_holds_its_place
}

async fn what_was_not_picked_is_restocked_or_written_off_once(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    for (sku, on_hand) in [("MILK", 10), ("EGGS", 10), ("BREAD", 10)] {
        shop.stock(store.id, sku, on_hand).await;
    }
    let (order, slot) = (order(1), shop.slot(store.id).await);
    shop.request(vec![request(store.id, order, &[("MILK", 5), ("EGGS", 4), ("BREAD", 1)], slot)]).await;
    shop.commit(store.id, order).await;
    shop.until_state(order, "committed").await;

    // Twice the same, then an older one that kept more, then one of what was never held.
    let short = [("MILK", 3, true), ("EGGS", 1, false)];
    for lines in [short.as_slice(), &short, &[("MILK", 4, false), ("EGGS", 3, true)], &[("GHOST", 0, false)]] {
        shop.reduce(store.id, order, lines).await;
        shop.settle().await;
        assert_eq!(shop.level(store.id, "MILK").await, (7, 3));
        assert_eq!(shop.level(store.id, "EGGS").await, (6, 1));
        assert_eq!(shop.level(store.id, "BREAD").await, (9, 1));
        assert_eq!(shop.facts().await[&order], ("committed".to_owned(), 5, true));
        shop.assert_sound("inventory").await;
    }
    // A line that is gone, and what is left is used.
    shop.reduce(store.id, order, &[("EGGS", 0, false)]).await;
    for _ in 0..2 {
        shop.consume(store.id, order).await;
    }
    shop.reduce(store.id, order, &[("MILK", 0, true)]).await;
    shop.settle().await;
    assert_eq!(shop.level(store.id, "MILK").await, (7, 0));
    assert_eq!(shop.level(store.id, "EGGS").await, (6, 0));
    assert_eq!(shop.facts().await[&order], ("consumed".to_owned(), 4, true));
    let moved: Vec<String> =
        shop.movements(store.id).await.iter().map(|(sku, reason, units)| format!("{sku} {reason} {units}")).collect();
    let expected = [
        "BREAD consumed -1",
        "BREAD counted 10",
        "EGGS counted 10",
        "EGGS not-found -3",
        "EGGS not-found -1",
        "MILK consumed -3",
        "MILK counted 10",
    ];
    assert_eq!(moved, expected);
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn a_release_gives_back_what_is_left(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 10).await;
    let (order, slot) = (order(1), shop.slot(store.id).await);
    shop.request(vec![request(store.id, order, &[("MILK", 5)], slot)]).await;
    shop.reduce(store.id, order, &[("MILK", 2, false)]).await;
    shop.settle().await;
    assert_eq!(shop.level(store.id, "MILK").await, (5, 2));
    shop.assert_sound("inventory").await;
    shop.release(store.id, order).await;
    shop.until_state(order, "released").await;
    assert_eq!(shop.level(store.id, "MILK").await, (7, 0));
    assert_eq!(shop.left(store.id, slot).await, 10);
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn a_hold_that_is_over_loses_nothing(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 10).await;
    let slot = shop.slot(store.id).await;
    // Never heard of; rejected; released; expired.
    shop.reduce(store.id, order(1), &[("MILK", 0, false)]).await;
    shop.request([(2, 11), (3, 2), (4, 3)].map(|(seed, units)| request(store.id, order(seed), &[("MILK", units)], slot)).into())
        .await;
    shop.release(store.id, order(3)).await;
    shop.settle().await;
    shop.clock.advance(600_001);
    shop.until_state(order(4), "expired").await;
    for seed in 2..5 {
        shop.reduce(store.id, order(seed), &[("MILK", 0, false)]).await;
    }
    shop.settle().await;
    assert_eq!(shop.level(store.id, "MILK").await, (10, 0));
    assert_eq!(shop.facts().await.len(), 3);
    assert_eq!(shop.movements(store.id).await.len(), 1);
    shop.assert_sound("inventory").await;
    shop.close().await;
}

async fn nothing_left_still_holds_its_place(shop: Shop) {
    let store = store(1);
    shop.know(&store).await;
    shop.stock(store.id, "MILK", 4).await;
    let (order, slot) = (order(1), shop.slot(store.id).await);
    shop.request(vec![request(store.id, order, &[("MILK", 4)], slot)]).await;
    shop.commit(store.id, order).await;
    shop.reduce(store.id, order, &[("MILK", 0, true)]).await;
    shop.settle().await;
    assert_eq!((shop.level(store.id, "MILK").await, shop.left(store.id, slot).await), ((4, 0), 9));
    assert_eq!(shop.facts().await[&order], ("committed".to_owned(), 0, true));
    shop.release(store.id, order).await;
    shop.until_state(order, "released").await;
    assert_eq!(shop.left(store.id, slot).await, 10);
    shop.assert_sound("inventory").await;
    shop.close().await;
}
