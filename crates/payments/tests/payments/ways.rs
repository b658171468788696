//! The ways of money: held, taken, given back, in doubt; with answers lost, workers doubled and dead, orders given up at
//! every moment. Each ends with our tables sound and equal to the provider's own books.

use std::sync::Arc;

use kernel::Draw;
use payments::Standing;
use testkit::Engine;

use crate::line::{Gate, Line};
use crate::shop::{Shop, quick};

const AUTHORISED: &str = "payment.authorised.v1";
const DECLINED: &str = "payment.declined.v1";
const CAPTURED: &str = "payment.captured.v1";
const VOIDED: &str = "payment.voided.v1";

testkit::on_both! {
    money_is_held_and_taken
    tokens_end_where_they_should
    an_effect_whose_answer_was_lost_is_not_done_again
    two_workers_on_one_database_ask_once
    a_question_that_arrives_twice_is_done_once
    an_order_given_up_while_asking_is_voided_when_the_answer_is_known
    an_order_given_up_before_it_was_to_be_paid_is_never_authorised
    a_worker_that_dies_while_asking_is_succeeded
    orders_given_up_at_any_moment_keep_nothing
    a_delivery_of_what_was_never_to_be_paid_is_parked
    few_calls_at_once_serve_everybody_without_waiting_for_the_clock
}

async fn money_is_held_and_taken(engine: Engine) {
    let shop = Shop::open(engine).await;
    let order = shop.order();
    shop.reserve(order, "tok_ok").await;
    let payment = shop.settled(order, "authorised").await;
    assert_eq!(payment["authorised_minor"], 1000);
    assert!(!payment.to_string().contains("tok_ok"), "the token is nobody's business");
    shop.reserve(order, "tok_ok").await;
    shop.deliver(order, 900).await;
    shop.deliver(order, 800).await;
    let payment = shop.settled(order, "captured").await;
    assert_eq!((&payment["authorised_minor"], &payment["captured_minor"]), (&1000.into(), &900.into()));
    let intents = shop.intents(order).await;
    assert_eq!(intents.len(), 1);
    assert_eq!(intents[0].captured_minor, 900);
    assert_eq!(intents[0].intent, payment["intent"].as_str().unwrap());
    assert_eq!(shop.said(order).await, [AUTHORISED, CAPTURED]);

    // More than was authorised is not taken.
    let dear = shop.order();
    shop.reserve(dear, "tok_ok").await;
    shop.deliver(dear, 5000).await;
    assert_eq!(shop.settled(dear, "captured").await["captured_minor"], 1000);
    shop.close().await;
}

async fn tokens_end_where_they_should(engine: Engine) {
    let shop = Shop::open(engine).await;
    let cases = [
        ("tok_ok", "authorised", AUTHORISED, 1),
        ("tok_slow", "authorised", AUTHORISED, 1),
        ("tok_timeout_after", "authorised", AUTHORISED, 1),
        ("tok_timeout_before", "authorised", AUTHORISED, 1),
        ("tok_decline", "declined", DECLINED, 0),
        ("tok_insufficient", "declined", DECLINED, 0),
        ("tok_of_a_stranger", "declined", DECLINED, 0),
    ];
    let orders = cases.map(|(token, state, said, intents)| (shop.order(), token, state, said, intents));
    for (order, token, ..) in &orders {
        shop.reserve(*order, token).await;
    }
    for (order, token, state, said, intents) in &orders {
        shop.settled(*order, state).await;
        assert_eq!(shop.said(*order).await, [*said], "{token}");
        assert_eq!(shop.intents(*order).await.len(), *intents, "{token}");
    }
    // Giving up: what is held is given back, and where nothing is held there is nothing to wait for.
    for (order, ..) in &orders {
        shop.cancel(*order).await;
    }
    for (order, token, _, said, intents) in &orders {
        shop.settled(*order, "voided").await;
        assert_eq!(shop.said(*order).await, [*said, VOIDED], "{token}");
        let books = shop.intents(*order).await;
        assert_eq!(books.len(), *intents);
        assert!(books.iter().all(|truth| truth.standing == Standing::Voided), "{token}");
    }
    shop.close().await;
}

async fn an_effect_whose_answer_was_lost_is_not_done_again(engine: Engine) {
    let shop = Shop::open(engine).await;
    let mut orders = Vec::new();
    for _ in 0..20 {
        let order = shop.order();
        shop.reserve(order, "tok_timeout_after").await;
        orders.push(order);
    }
    for order in orders {
        let payment = shop.settled(order, "authorised").await;
        let intents = shop.intents(order).await;
        assert_eq!(intents.len(), 1, "held once by the provider's own books");
        assert_eq!(intents[0].intent, payment["intent"].as_str().unwrap());
        assert_eq!(payment["attempts"].as_array().unwrap().len(), 1, "one attempt, one key");
        assert_eq!(shop.said(order).await, [AUTHORISED]);
    }
    shop.close().await;
}

async fn two_workers_on_one_database_ask_once(engine: Engine) {
    let shop = Shop::open(engine).await;
    let another = shop.another(Arc::new(shop.provider())).await;
    let tokens = ["tok_ok", "tok_timeout_after", "tok_timeout_before", "tok_decline"];
    let mut orders = Vec::new();
    for token in tokens.iter().cycle().take(40) {
        let order = shop.order();
        shop.reserve(order, token).await;
        orders.push((order, *token));
    }
    shop.all_settled(40).await;
    for (order, token) in orders {
        let (said, intents) = if token == "tok_decline" { (DECLINED, 0) } else { (AUTHORISED, 1) };
        assert_eq!(shop.said(order).await, [said], "{token}");
        assert_eq!(shop.intents(order).await.len(), intents, "{token}");
    }
    another.close().await;
    shop.close().await;
}

async fn a_question_that_arrives_twice_is_done_once(engine: Engine) {
    let shop = Shop::open_with(engine, quick(), |sandbox| Arc::new(Line::Twice(sandbox))).await;
    let (taken, given_back) = (shop.order(), shop.order());
    shop.reserve(taken, "tok_ok").await;
    shop.reserve(given_back, "tok_ok").await;
    shop.deliver(taken, 1000).await;
    shop.settled(given_back, "authorised").await;
    shop.cancel(given_back).await;
    shop.settled(taken, "captured").await;
    shop.settled(given_back, "voided").await;
    assert_eq!((shop.intents(taken).await.len(), shop.intents(given_back).await.len()), (1, 1));
    shop.close().await;
}

async fn an_order_given_up_while_asking_is_voided_when_the_answer_is_known(engine: Engine) {
    let gate = Gate::closed();
    let behind = gate.clone();
    let shop = Shop::open_with(engine, quick(), move |sandbox| Arc::new(Line::Gated(sandbox, behind.clone()))).await;
    let (held, refused) = (shop.order(), shop.order());
    shop.reserve(held, "tok_ok").await;
    shop.reserve(refused, "tok_decline").await;
    shop.until("both are being asked", async || gate.arrived() == 2).await;
    shop.cancel(held).await;
    shop.cancel(refused).await;
    for order in [held, refused] {
        let wish = async || shop.read(&format!("/v1/admin/payments/{order}")).await["wish"] == "void";
        shop.until("the order's wish is known", wish).await;
        assert_eq!(shop.said(order).await, Vec::<String>::new(), "nothing is said before it is known");
    }
    gate.open.add_permits(2);
    for order in [held, refused] {
        shop.settled(order, "voided").await;
        assert_eq!(shop.said(order).await, [VOIDED]);
    }
    assert_eq!(shop.intents(held).await[0].standing, Standing::Voided);
    assert!(shop.intents(refused).await.is_empty());
    shop.close().await;
}

async fn an_order_given_up_before_it_was_to_be_paid_is_never_authorised(engine: Engine) {
    let shop = Shop::open(engine).await;
    let order = shop.order();
    shop.cancel(order).await;
    shop.reserve(order, "tok_ok").await;
    shop.cancel(order).await;
    // A later order shows that everything before it was heard and done.
    let later = shop.order();
    shop.reserve(later, "tok_ok").await;
    shop.settled(later, "authorised").await;
    shop.settled(order, "voided").await;
    assert_eq!(shop.said(order).await, [VOIDED]);
    assert!(shop.intents(order).await.is_empty());
    shop.close().await;
}

async fn a_worker_that_dies_while_asking_is_succeeded(engine: Engine) {
    let gate = Gate::closed();
    let behind = gate.clone();
    let shop = Shop::open_with(engine, quick(), move |sandbox| Arc::new(Line::Gated(sandbox, behind.clone()))).await;
    let order = shop.order();
    shop.reserve(order, "tok_ok").await;
    shop.until("it is being asked", async || gate.arrived() == 1).await;
    shop.payments.shut_down().await;

    // The line is dead at first: the next process does not know either, and keeps asking.
    let unlucky = shop.another(Arc::new(Line::Dead)).await;
    let unknown = async || shop.read(&format!("/v1/admin/payments/{order}")).await["state"] == "unknown";
    shop.until("it is unknown", unknown).await;
    unlucky.close().await;
    let lucky = shop.another(Arc::new(shop.provider())).await;
    // The dead worker's question arrives now too.
    gate.open.add_permits(1);
    shop.settled(order, "authorised").await;
    assert_eq!(shop.said(order).await, [AUTHORISED]);
    assert_eq!(shop.intents(order).await.len(), 1);
    lucky.close().await;
    shop.close().await;
}

async fn orders_given_up_at_any_moment_keep_nothing(engine: Engine) {
    let shop = Shop::open(engine).await;
    let mut draw = Draw::seeded(11);
    let tokens = ["tok_ok", "tok_slow", "tok_timeout_after", "tok_timeout_before", "tok_decline"];
    let count = 60;
    let mut waiting = Vec::new();
    for index in 0..count {
        let order = shop.order();
        shop.reserve(order, tokens[index % tokens.len()]).await;
        waiting.push(order);
        // Some are given up at once, others while later ones come in.
        while !waiting.is_empty() && draw.below(3) == 0 {
            let at = usize::try_from(draw.below(waiting.len() as u64)).unwrap();
            shop.cancel(waiting.swap_remove(at)).await;
        }
    }
    for order in waiting {
        shop.cancel(order).await;
    }
    let voided = async || {
        let facts = shop.all_settled(count).await;
        facts.iter().all(|fact| fact["state"] == "voided").then_some(facts)
    };
    for fact in shop.until_some("all are voided", voided).await {
        assert_eq!(fact["sums"]["captured"], 0);
        assert_eq!(fact["sums"]["voided"], fact["sums"]["authorised"]);
    }
    assert!(shop.all_intents().await.iter().all(|truth| truth.standing == Standing::Voided));
    shop.close().await;
}

async fn a_delivery_of_what_was_never_to_be_paid_is_parked(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (unpaid, paid) = (shop.order(), shop.order());
    shop.deliver(unpaid, 100).await;
    shop.reserve(paid, "tok_ok").await;
    shop.settled(paid, "authorised").await;
    assert_eq!(shop.payments.pending().await.unwrap().parked, 1, "somebody must look at it");
}

async fn few_calls_at_once_serve_everybody_without_waiting_for_the_clock(engine: Engine) {
    let gate = Gate::closed();
    let behind = gate.clone();
    let config = payments::Config { calls_max: 2, worker_every_ms: 60_000, ..quick() };
    let shop = Shop::open_with(engine, config, move |sandbox| Arc::new(Line::Gated(sandbox, behind.clone()))).await;
    for _ in 0..10 {
        shop.reserve(shop.order(), "tok_ok").await;
    }
    let heard = async || shop.all("/v1/admin/audit/payments/facts").await.len() == 10;
    shop.until("all are heard", heard).await;
    shop.until("two are being asked", async || gate.arrived() == 2).await;
    gate.open.add_permits(1);
    shop.until("the next is being asked", async || gate.arrived() == 3).await;
    gate.open.add_permits(9);
    shop.all_settled(10).await;
    shop.close().await;
}
