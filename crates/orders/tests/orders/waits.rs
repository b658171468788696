//! How long orders wait: what is late ends, what is not given back is asked for again, and nothing is left to fire in the ends.
//! Leaves how long each state waits to the tests of the domain.

use orders::Config;
use testkit::Engine;

use crate::ends::{released, state, state_of, voided};
use crate::shop::{Shop, slot_at};

testkit::on_both! {
    what_is_not_given_back_is_asked_for_again
    what_is_not_brought_back_is_called_back_again
    what_is_late_ends
    a_timer_that_fell_due_while_it_was_down_fires_once
    whoever_watches_sees_how_old_the_oldest_undecided_order_is
}

impl Shop {
    async fn said_times(&self, order: contracts::OrderId, kind: &str) -> usize {
        self.said_of(order).await.iter().filter(|said| *said == kind).count()
    }

    async fn undecided_ms(&self) -> i64 {
        let gauges = self.orders.gauges().await.unwrap();
        let [(name, _, ms)] = <[_; 1]>::try_from(gauges.ages).unwrap();
        assert_eq!(name, "swiftcart_order_undecided_age_seconds");
        ms
    }

    async fn timers(&self) -> usize {
        let pending = self.orders.pending().await.unwrap();
        usize::try_from(pending.timers.values().copied().sum::<i64>()).unwrap()
    }
}

async fn what_is_not_given_back_is_asked_for_again(engine: Engine) {
    let shop = Shop::open_with(engine, Config { ask_again_ms: 100, ..Config::default() }).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    assert_eq!(shop.cancel(&cart, order).await.status, 200);
    shop.until("both are asked again", async || shop.said_times(order, "hold.release").await >= 3).await;
    released(&shop, order).await;
    let released = shop.said_times(order, "hold.release").await;
    let cancelling = shop.said_times(order, "order.cancelling").await;
    shop.until("payments is asked again", async || shop.said_times(order, "order.cancelling").await > cancelling).await;
    assert_eq!(shop.said_times(order, "hold.release").await, released, "what is given back is not asked for");
    assert_eq!(shop.timers().await, 1);
    voided(&shop, order).await;
    assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "gave-up"));
    assert_eq!(shop.timers().await, 0);
    shop.close().await;
}

async fn what_is_not_brought_back_is_called_back_again(engine: Engine) {
    let shop = Shop::open_with(engine, Config { ask_again_ms: 100, ..Config::default() }).await;
    let (_, order) = shop.out().await;
    let wish = web::json!({ "reason": "the freezer broke" });
    assert_eq!(shop.ask(order, "cancel", &shop.manager(), &wish).await.status, 200);
    shop.until("it is called back again", async || shop.said_times(order, "order.recalled").await >= 2).await;
    assert_eq!(shop.said_times(order, "order.cancelling").await, 0);
    shop.hand_over(order, 1).await;
    assert_eq!(shop.timers().await, 0);
    shop.close().await;
}

async fn what_is_late_ends(engine: Engine) {
    let shop = Shop::open_with(engine, Config { late_after_ms: 1500, ..Config::default() }).await;
    let mut soon = slot_at(shop.now().plus_ms(-3_600_000));
    soon.cutoff_at = shop.now().plus_ms(60_000);
    soon.ends_at = shop.now();
    shop.offer(soon).await;
    let cart = shop.cart(&[("MILK", 3)]).await;
    let quote = testkit::ok(&shop.send(shop.quote_call(&cart, soon.starts_at)).await);
    let order = serde_json::from_value(testkit::body(&shop.order(&cart, &quote).await)["id"].clone()).unwrap();
    shop.confirm(order).await;
    shop.until("it is late", async || state_of(&shop, &cart, order).await == state("cancelling", "late")).await;
    shop.close().await;
}

async fn a_timer_that_fell_due_while_it_was_down_fires_once(engine: Engine) {
    let shop = Shop::open_with(engine, Config { decide_within_ms: 300, ..Config::default() }).await;
    let (cart, order) = shop.placed(&[("MILK", 3)]).await;
    shop.orders.shut_down().await;
    let due_at = shop.now().plus_ms(300);
    shop.until("the timer is due", async || shop.now() > due_at).await;
    let shop = shop.restart().await;
    shop.until("it is given up", async || state_of(&shop, &cart, order).await == state("cancelling", "timed-out")).await;
    assert_eq!((shop.said_times(order, "order.cancelling").await, shop.timers().await), (1, 1));
    shop.close().await;
}

async fn whoever_watches_sees_how_old_the_oldest_undecided_order_is(engine: Engine) {
    let shop = Shop::open(engine).await;
    assert_eq!(shop.undecided_ms().await, 0);
    let (_, order) = shop.placed(&[("MILK", 3)]).await;
    shop.clock.advance(20_000);
    assert!(shop.undecided_ms().await >= 20_000);
    shop.confirm(order).await;
    shop.until("it is decided", async || shop.undecided_ms().await == 0).await;
    shop.close().await;
}
