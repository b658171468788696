//! Two at once: one wins, the other is told why, and what follows is one of the ways that would have been had they come in turn.
//! Leaves every order of facts to the tests of the domain.

use contracts::delivery::{DeliveryDelivered, DeliveryWithdrawn, Proof, Store, StoreChanged};
use contracts::inventory::{HoldCommitted, HoldExpired};
use contracts::payments::PaymentAuthorised;
use kernel::{Runtime, TraceContext};
use testkit::{Engine, body, brief, is};
use web::json;

use crate::ends::{released, state, state_of, voided};
use crate::shop::Shop;

testkit::on_both! {
    two_pickers_pick_one_order
    a_cancel_against_the_confirmation
    a_recall_against_the_hand_over
    a_hold_that_runs_out_against_the_money
    a_pause_against_an_order
}

/// How often each race is run: who wins is left open.
const ROUNDS: usize = 6;

impl Shop {
    fn trace(&self) -> TraceContext {
        TraceContext::start(&mut self.clock.draw())
    }
}

async fn two_pickers_pick_one_order(engine: Engine) {
    let shop = Shop::open(engine).await;
    for _ in 0..ROUNDS {
        let (_, order) = shop.placed(&[("MILK", 3)]).await;
        shop.confirm(order).await;
        let (ada, bea) = (shop.picker(), shop.token_of(44, web::Role::Picker, Some(shop.store.id)));
        let (one, other) = tokio::join!(shop.move_order(order, "pick", &ada), shop.move_order(order, "pick", &bea));
        let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
        assert_eq!(won.status, 200, "{won:?}");
        assert_eq!(brief(&lost), is(409, "illegal-move", "-"));
        assert_eq!((&body(&lost)["state"], &body(&lost)["legal"]), (&json!("picking"), &json!(["shorts", "ready"])));
    }
    shop.close().await;
}

async fn a_cancel_against_the_confirmation(engine: Engine) {
    let shop = Shop::open(engine).await;
    for _ in 0..ROUNDS {
        let (cart, order) = shop.placed(&[("MILK", 3)]).await;
        shop.reserve(order).await;
        shop.authorise(order).await;
        let committed = shop.is_said(HoldCommitted { order, store: shop.store.id }, shop.trace());
        let (reply, ()) = tokio::join!(shop.cancel(&cart, order), committed);
        assert_eq!(reply.status, 200, "{reply:?}");
        shop.heard().await;
        assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "gave-up"));
        let confirmed = shop.said_of(order).await.iter().any(|kind| kind == "order.confirmed");
        released(&shop, order).await;
        voided(&shop, order).await;
        if confirmed {
            // Delivery was told of it, so its answer is waited for.
            assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "gave-up"));
            shop.withdraw(order).await;
        }
        assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "gave-up"));
    }
    shop.close().await;
}

async fn a_recall_against_the_hand_over(engine: Engine) {
    let shop = Shop::open(engine).await;
    for _ in 0..ROUNDS {
        let (cart, order) = shop.out().await;
        let wish = json!({ "reason": "the freezer broke" });
        let manager = shop.manager();
        let handed_over = DeliveryDelivered { order, proof: Proof::Pin, at: shop.now(), attempt: 1 };
        let (reply, ()) = tokio::join!(shop.ask(order, "cancel", &manager, &wish), shop.is_said(handed_over, shop.trace()));
        if reply.status != 200 {
            assert_eq!((brief(&reply), &body(&reply)["state"]), (is(409, "order-ended", "-"), &json!("delivered")));
        }
        shop.heard().await;
        // Delivery hears the recall too late and has nothing to withdraw; were it to say so, nothing would come of it.
        shop.hear(DeliveryWithdrawn { order }).await;
        assert_eq!(state_of(&shop, &cart, order).await, state("delivered", ""), "the hand-over wins");
        let said = shop.said_of(order).await;
        assert!(said.contains(&"order.delivered".to_owned()) && !said.contains(&"order.cancelling".to_owned()), "{said:?}");
    }
    shop.close().await;
}

async fn a_hold_that_runs_out_against_the_money(engine: Engine) {
    let shop = Shop::open(engine).await;
    for _ in 0..ROUNDS {
        let (cart, order) = shop.placed(&[("MILK", 3)]).await;
        shop.reserve(order).await;
        let ran_out = shop.is_said(HoldExpired { order, store: shop.store.id }, shop.trace());
        let money = shop.is_said(PaymentAuthorised { order, amount: shop.money(1772), attempt: 1 }, shop.trace());
        tokio::join!(ran_out, money);
        shop.heard().await;
        assert_eq!(state_of(&shop, &cart, order).await, state("cancelling", "hold-expired"));
        voided(&shop, order).await;
        assert_eq!(state_of(&shop, &cart, order).await, state("cancelled", "hold-expired"));
    }
    shop.close().await;
}

async fn a_pause_against_an_order(engine: Engine) {
    let shop = Shop::open(engine).await;
    for _ in 0..ROUNDS {
        let (cart, late_cart) = (shop.cart(&[("MILK", 3)]).await, shop.cart(&[("MILK", 3)]).await);
        let (quote, late_quote) = (shop.quote(&cart).await, shop.quote(&late_cart).await);
        let paused = StoreChanged { store: Store { paused: true, ..shop.store.clone() } };
        let (reply, ()) = tokio::join!(shop.order(&cart, &quote), shop.is_said(paused, shop.trace()));
        if reply.status != 201 {
            assert_eq!(brief(&reply), is(409, "store-paused", "-"));
            assert_eq!(shop.send(cart.by(web::Call::get(&cart.path()))).await.json::<web::Json>().unwrap()["order"], json!(null));
        }
        shop.heard().await;
        assert_eq!(brief(&shop.order(&late_cart, &late_quote).await), is(409, "store-paused", "-"), "it is heard for sure");
        shop.hear(StoreChanged { store: shop.store.clone() }).await;
    }
    shop.close().await;
}
