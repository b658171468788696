//! Several means of payment, the shopper's own act, refunds, disputes, and what the provider does by itself.
//! Leaves lost answers to `ways`, and lost webhooks to `sweep`.

use contracts::RefundId;
use contracts::payments::{
    PaymentActionRequired, PaymentAuthorised, PaymentDeclined, PaymentDisputeClosed, PaymentDisputed, PaymentRefundFailed,
    PaymentRefunded,
};
use payments::{Dispute, Outcome, Provider, Standing};
use sandbox::Mishap;
use testkit::Engine;
use web::json;

use crate::shop::{PAY_WITHIN_MS, Shop, asked, money};

testkit::on_both! {
    another_card_is_authorised_once_the_first_is_proved_dead
    the_shopper_acts_refuses_or_lets_the_time_pass
    whoever_acts_in_the_last_moment_is_given_back_what_is_held
    money_is_refunded_in_part_and_in_whole_and_each_refund_once
    what_the_provider_lets_go_is_learned
    a_refused_capture_asks_for_the_truth
    a_refused_void_asks_for_the_truth
    a_dispute_is_told_and_so_is_its_end
}

async fn another_card_is_authorised_once_the_first_is_proved_dead(engine: Engine) {
    let shop = Shop::open(engine).await;
    let order = shop.order();
    shop.reserve(order, "tok_decline").await;
    shop.settled(order, "declined").await;
    let declined: PaymentDeclined = shop.last_said(order).await;
    assert_eq!((declined.attempt, declined.reason.as_str()), (1, "card-declined"));
    shop.pay_again(order, 2, "tok_insufficient").await;
    shop.until("the second is declined", async || shop.said(order).await.len() == 2).await;
    shop.pay_again(order, 3, "tok_ok").await;
    shop.pay_again(order, 3, "tok_ok").await;
    shop.pay_again(order, 2, "tok_ok").await;
    let payment = shop.settled(order, "authorised").await;
    let authorised: PaymentAuthorised = shop.last_said(order).await;
    assert_eq!((authorised.attempt, authorised.amount), (3, money(1000)));
    assert_eq!(payment["attempts"].as_array().unwrap().len(), 3);
    // What is held is enough: one more is not needed.
    shop.pay_again(order, 4, "tok_ok").await;
    shop.deliver(order, 800).await;
    shop.settled(order, "captured").await;
    assert_eq!(shop.intents(order).await.len(), 1);
    shop.close().await;
}

async fn the_shopper_acts_refuses_or_lets_the_time_pass(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (acts, refuses, sleeps) = (shop.order(), shop.order(), shop.order());
    for order in [acts, refuses, sleeps] {
        shop.reserve(order, "tok_action").await;
        let payment = shop.stands(order, "requires-action").await;
        let asked: PaymentActionRequired = shop.last_said(order).await;
        let url = format!("/sandbox/actions/{}", payment["intent"].as_str().unwrap());
        assert_eq!((asked.attempt, asked.url), (1, url.clone()));
        assert_eq!(payment["attempts"][0]["action_url"], url);
        assert_eq!(payment["authorised_minor"], 0, "nothing is held before");
    }
    let intent = async |order| shop.payment(order).await["intent"].as_str().unwrap().to_owned();
    shop.answer(&intent(acts).await, "approve").await;
    shop.answer(&intent(refuses).await, "refuse").await;
    shop.settled(acts, "authorised").await;
    shop.settled(refuses, "declined").await;
    assert_eq!(shop.last_said::<PaymentDeclined>(refuses).await.reason, "action-refused");
    shop.pay_again(refuses, 2, "tok_ok").await;
    shop.settled(refuses, "authorised").await;

    shop.clock.advance(PAY_WITHIN_MS);
    shop.settled(sleeps, "voided").await;
    assert_eq!(shop.said(sleeps).await, ["payment.action-required.v1", "payment.voided.v1"]);
    assert_eq!(shop.intents(sleeps).await[0].standing, Standing::Voided);
    assert_eq!(shop.said(acts).await, ["payment.action-required.v1", "payment.authorised.v1"]);
    // The order, which hears of it, gives up: there is nothing more to say.
    shop.cancel(sleeps).await;
    shop.cancel(acts).await;
    shop.settled(acts, "voided").await;
    assert_eq!(shop.said(sleeps).await.len(), 2);
    shop.close().await;
}

async fn whoever_acts_in_the_last_moment_is_given_back_what_is_held(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.play(100, &[Mishap::WebhookLost]).await;
    let order = shop.order();
    shop.reserve(order, "tok_action").await;
    let payment = shop.stands(order, "requires-action").await;
    shop.answer(payment["intent"].as_str().unwrap(), "approve").await;
    assert_eq!(shop.intents(order).await[0].standing, Standing::Authorised);
    shop.clock.advance(PAY_WITHIN_MS);
    shop.settled(order, "voided").await;
    assert_eq!(shop.intents(order).await[0].standing, Standing::Voided);
    assert_eq!(shop.said(order).await, ["payment.action-required.v1", "payment.voided.v1"]);
    shop.close().await;
}

async fn money_is_refunded_in_part_and_in_whole_and_each_refund_once(engine: Engine) {
    let shop = Shop::open(engine).await;
    let order = shop.order();
    let refunds = [(); 4].map(|()| RefundId(shop.new_id()));
    shop.reserve(order, "tok_ok").await;
    // Asked before it is known what was taken: it waits.
    shop.refund(order, refunds[0], 300).await;
    shop.settled(order, "authorised").await;
    shop.deliver(order, 900).await;
    shop.settled(order, "partially-refunded").await;
    shop.refund(order, refunds[0], 300).await;
    shop.refund(order, refunds[1], 601).await;
    shop.refund(order, refunds[2], 600).await;
    let payment = shop.settled(order, "refunded").await;
    assert_eq!((&payment["captured_minor"], &payment["refunded_minor"]), (&900.into(), &900.into()));
    let paid: PaymentRefunded = shop.last_said(order).await;
    assert_eq!((paid.refund, paid.amount, paid.refunded), (refunds[2], money(600), money(900)));
    let failed: PaymentRefundFailed = shop.last_said(order).await;
    assert_eq!((failed.refund, failed.reason.as_str()), (refunds[1], "more-than-captured"));
    assert_eq!(shop.intents(order).await[0].refunded_minor, 900);
    let keys: Vec<&web::Json> = payment["questions"].as_array().unwrap().iter().collect();
    assert_eq!(keys.len(), 4, "authorise, capture, two refunds: {keys:?}");

    let stubborn = shop.order();
    shop.reserve(stubborn, "tok_refund_fails").await;
    shop.deliver(stubborn, 500).await;
    shop.refund(stubborn, refunds[3], 500).await;
    shop.until("the refund is refused", async || shop.said(stubborn).await.len() == 3).await;
    assert_eq!(shop.last_said::<PaymentRefundFailed>(stubborn).await.reason, "refund-failed");
    shop.settled(stubborn, "captured").await;
    shop.close().await;
}

async fn what_the_provider_lets_go_is_learned(engine: Engine) {
    let shop = Shop::open(engine).await;
    let order = shop.order();
    shop.reserve(order, "tok_expire").await;
    let payment = shop.settled(order, "expired").await;
    assert_eq!((&payment["authorised_minor"], &payment["voided_minor"]), (&1000.into(), &1000.into()));
    assert_eq!(shop.said(order).await, ["payment.authorised.v1", "payment.expired.v1"]);
    shop.cancel(order).await;
    shop.settled(order, "voided").await;
    assert_eq!(shop.said(order).await.len(), 3, "given up: there was nothing to give back, and that is said");
    shop.close().await;
}

async fn a_refused_capture_asks_for_the_truth(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.play(100, &[Mishap::WebhookLost]).await;
    let (expired, taken) = (shop.order(), shop.order());
    shop.reserve(expired, "tok_ok").await;
    shop.reserve(taken, "tok_ok").await;
    shop.settled(expired, "authorised").await;
    shop.settled(taken, "authorised").await;
    // Behind our back, and no webhook tells.
    let intent = shop.intents(expired).await[0].intent.clone();
    shop.control(&intent, "expire", &json!({})).await;
    let intent = shop.intents(taken).await[0].intent.clone();
    let outcome = shop.provider().capture(asked("somebody:capture"), &intent, money(700)).await;
    assert_eq!(outcome, Outcome::Done { intent });
    shop.deliver(expired, 700).await;
    shop.deliver(taken, 700).await;
    shop.settled(expired, "expired").await;
    assert_eq!(shop.said(expired).await, ["payment.authorised.v1", "payment.expired.v1"]);
    assert_eq!(shop.settled(taken, "captured").await["captured_minor"], 700);
    assert_eq!(shop.said(taken).await, ["payment.authorised.v1", "payment.captured.v1"]);
    shop.close().await;
}

async fn a_refused_void_asks_for_the_truth(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.play(100, &[Mishap::WebhookLost]).await;
    let order = shop.order();
    shop.reserve(order, "tok_ok").await;
    shop.settled(order, "authorised").await;
    let intent = shop.intents(order).await[0].intent.clone();
    shop.provider().capture(asked("somebody:capture"), &intent, money(1000)).await;
    shop.cancel(order).await;
    // It was taken, whoever did that; nobody says that nothing is held.
    shop.settled(order, "captured").await;
    assert_eq!(shop.said(order).await, ["payment.authorised.v1", "payment.captured.v1"]);
    shop.close().await;
}

async fn a_dispute_is_told_and_so_is_its_end(engine: Engine) {
    let shop = Shop::open(engine).await;
    let order = shop.order();
    shop.reserve(order, "tok_dispute").await;
    shop.deliver(order, 900).await;
    let payment = shop.stands(order, "disputed").await;
    assert_eq!(shop.last_said::<PaymentDisputed>(order).await.amount, money(900));
    let intent = payment["intent"].as_str().unwrap();
    assert_eq!(shop.intents(order).await[0].dispute, Some(Dispute::Open));
    shop.control(intent, "dispute-close", &json!({ "won": true })).await;
    let payment = shop.settled(order, "captured").await;
    assert_eq!(payment["dispute"], "won");
    assert!(shop.last_said::<PaymentDisputeClosed>(order).await.won);
    shop.close().await;
}
