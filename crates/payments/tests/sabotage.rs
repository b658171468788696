//! The test of the tests: without the fence of attempts, by which a question keeps its key until it is proved dead, the
//! provider's books show money held twice for one order; with it they do not.
//! Switches are of the whole process, so this test stands alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "payments/shop.rs"]
#[allow(dead_code, reason = "shared with the suite, which uses all of it")]
mod shop;

use sandbox::Mishap;
use store::{Mechanism, Sabotage};
use testkit::Engine;

use shop::Shop;

const PAYMENTS: usize = 20;

/// How many orders have money held more than once, by the provider's own books, after answers were lost.
async fn held_twice(engine: Engine) -> i64 {
    let shop = Shop::open(engine).await;
    shop.play(50, &[Mishap::ErrorAfter]).await;
    for _ in 0..PAYMENTS {
        shop.reserve(shop.order(), "tok_ok").await;
    }
    shop.all_settled(PAYMENTS).await;
    let twice = shop.books().await["open_twice"].as_i64().unwrap();
    shop.leave().await;
    twice
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_fence_of_attempts_shoppers_pay_twice() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        Sabotage::switch(Mechanism::Attempt, true);
        let without = held_twice(engine).await;
        Sabotage::switch(Mechanism::Attempt, false);
        assert!(without > 0, "{engine:?}: nobody pays twice without the fence");
        assert_eq!(held_twice(engine).await, 0, "{engine:?}: somebody pays twice with the fence too");
    }
}
