//! Many payments on all their ways while a good part of everything goes wrong at the provider: in the end nothing is open,
//! nothing is doubled and nothing is unknown, by the provider's own books. Leaves each single fault to the other tests.

use std::sync::Arc;

use contracts::RefundId;
use kernel::Draw;
use payments::Config;
use sandbox::Mishap;
use testkit::Engine;

use crate::shop::{PAY_WITHIN_MS, Shop, quick};

/// How many payments go their ways at once.
const PAYMENTS: usize = 60;

testkit::on_both! { whatever_goes_wrong_nothing_is_doubled_and_nothing_is_left_open }

async fn whatever_goes_wrong_nothing_is_doubled_and_nothing_is_left_open(engine: Engine) {
    let config = Config { reconcile_every_ms: 200, call_timeout_ms: 150, retry_longest_ms: 100, ..quick() };
    let shop = Shop::open_with(engine, config, |sandbox| Arc::new(sandbox)).await;
    shop.play(20, &Mishap::ALL).await;
    let mut draw = Draw::seeded(5);
    let tokens = ["tok_ok", "tok_ok", "tok_ok", "tok_action", "tok_decline", "tok_expire", "tok_dispute", "tok_timeout_after"];
    let mut orders = Vec::new();
    for index in 0..PAYMENTS {
        let order = shop.order();
        shop.reserve(order, tokens[index % tokens.len()]).await;
        orders.push(order);
        // What the order wants comes at any moment, while others are under way.
        for _ in 0..2 {
            let other = orders[usize::try_from(draw.below(orders.len() as u64)).unwrap()];
            match draw.below(5) {
                0 => shop.cancel(other).await,
                1 => shop.deliver(other, 900).await,
                2 => shop.refund(other, RefundId(shop.new_id()), 100).await,
                3 => shop.pay_again(other, 2, "tok_ok").await,
                _ => {}
            }
        }
    }
    // Whoever was to act has slept over it.
    shop.until("all are known", async || shop.list("/v1/admin/payments", 100, Some(&shop.admin())).await.len() == PAYMENTS).await;
    shop.clock.advance(PAY_WITHIN_MS);
    shop.all_settled(PAYMENTS).await;
    shop.play(0, &[]).await;
    // What the webhooks did not tell, the sweep did.
    shop.until("nothing is left", async || {
        let compared = shop.list("/v1/admin/audit/payments/reconcile", 100, Some(&shop.admin())).await;
        compared.is_empty() && shop.list("/v1/admin/payments/differences", 100, Some(&shop.admin())).await.is_empty()
    })
    .await;
    let payments = shop.all_settled(PAYMENTS).await;
    let open = payments.iter().filter(|fact| fact["state"] == "authorised").count();
    let books = shop.books().await;
    assert_eq!(books["captured_twice"], 0, "{books}");
    assert_eq!(books["open_twice"], 0, "{books}");
    assert_eq!(books["open_beside_captured"], 0, "{books}");
    assert_eq!(books["requires_action"], 0, "{books}");
    assert_eq!(books["authorised_open"], open, "{books}");
    assert!(payments.iter().all(|fact| fact["state"] != "unknown" && fact["state"] != "created"));
    shop.close().await;
}
