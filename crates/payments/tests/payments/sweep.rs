//! The sweep through the provider's books: what was lost on the way is learned, what differs is shown until it does not, and
//! the comparison that the audit asks for. Leaves single truths to the tests in `domain`.

use std::sync::Arc;

use kernel::Timestamp;
use payments::{Charge, Config, Outcome, Provider, Standing};
use sandbox::Mishap;
use testkit::Engine;
use web::{Json, json};

use crate::line::Line;
use crate::shop::{PAY_WITHIN_MS, Shop, asked, money, sweeping};

testkit::on_both! {
    whatever_no_webhook_told_is_learned
    money_that_only_the_provider_knows_of_is_shown_until_it_is_gone
    money_that_only_we_know_of_is_shown
    amounts_that_differ_are_shown
    what_was_declared_dead_and_arrived_after_all_is_given_back
}

async fn open(engine: Engine, config: Config) -> Shop {
    let shop = Shop::open_with(engine, config, |sandbox| Arc::new(sandbox)).await;
    shop.play(100, &[Mishap::WebhookLost]).await;
    shop
}

fn charge(shop: &Shop, order: contracts::OrderId, minor: i64) -> Charge {
    let pay_by: Timestamp = shop.now().plus_ms(PAY_WITHIN_MS);
    Charge { order, amount: money(minor), token: "tok_ok".to_owned(), pay_by }
}

async fn differences(shop: &Shop) -> Vec<Json> {
    shop.all("/v1/admin/payments/differences").await
}

async fn whatever_no_webhook_told_is_learned(engine: Engine) {
    let shop = open(engine, sweeping()).await;
    let (acts, expires, disputed) = (shop.order(), shop.order(), shop.order());
    shop.reserve(acts, "tok_action").await;
    shop.reserve(expires, "tok_expire").await;
    shop.reserve(disputed, "tok_dispute").await;
    shop.deliver(disputed, 1000).await;
    let payment = shop.stands(acts, "requires-action").await;
    shop.answer(payment["intent"].as_str().unwrap(), "approve").await;
    shop.settled(acts, "authorised").await;
    shop.settled(expires, "expired").await;
    shop.settled(disputed, "disputed").await;
    assert_eq!(differences(&shop).await, Vec::<Json>::new());
    shop.close().await;

    // An answer is lost, and the worker would ask again in an hour.
    let patient = Config { retry_first_ms: 3_600_000, retry_longest_ms: 3_600_000, ..sweeping() };
    let shop = open(engine, patient).await;
    let order = shop.order();
    shop.reserve(order, "tok_timeout_after").await;
    shop.settled(order, "authorised").await;
    shop.close().await;
}

async fn money_that_only_the_provider_knows_of_is_shown_until_it_is_gone(engine: Engine) {
    let shop = open(engine, sweeping()).await;
    let (known, unknown) = (shop.order(), shop.order());
    shop.reserve(known, "tok_ok").await;
    shop.settled(known, "authorised").await;
    let mut intents = Vec::new();
    for (index, order) in [known, unknown].into_iter().enumerate() {
        let outcome = shop.provider().authorise(asked(&format!("somebody:{index}")), &charge(&shop, order, 5)).await;
        intents.push(outcome.intent().unwrap().to_owned());
    }
    shop.until("both are shown", async || differences(&shop).await.len() == 2).await;
    let shown = differences(&shop).await;
    for (intent, order) in intents.iter().zip([known, unknown]) {
        let one = shown.iter().find(|difference| difference["intent"] == **intent).unwrap();
        assert_eq!((&one["rule"], &one["reference"]), (&json!("intent-theirs-only"), &json!(order)));
    }
    let breaches = shop.read("/v1/admin/audit/payments/breaches").await;
    assert_eq!(breaches["items"].as_array().unwrap().len(), 2);
    let mut compared = shop.all("/v1/admin/audit/payments/reconcile").await;
    compared.sort_by_key(|breach| breach["subject"] != json!(known));
    let subjects: Vec<&Json> = compared.iter().map(|breach| &breach["subject"]).collect();
    assert_eq!(subjects, [&json!(known), &json!(unknown)]);

    for (index, intent) in intents.iter().enumerate() {
        shop.provider().void(asked(&format!("somebody:void:{index}")), intent).await;
    }
    shop.until("nothing differs any more", async || {
        let breaches = shop.read("/v1/admin/audit/payments/breaches").await;
        differences(&shop).await.is_empty() && breaches["items"] == json!([])
    })
    .await;
    shop.close().await;
}

async fn money_that_only_we_know_of_is_shown(engine: Engine) {
    let shop = Shop::open_with(engine, sweeping(), |sandbox| Arc::new(Line::Misnamed(sandbox))).await;
    let order = shop.order();
    shop.reserve(order, "tok_ok").await;
    let rules = async |items: Vec<Json>| {
        let mut rules: Vec<String> = items.iter().map(|item| item["rule"].as_str().unwrap().to_owned()).collect();
        rules.sort();
        rules
    };
    shop.until("both sides are shown", async || differences(&shop).await.len() == 2).await;
    assert_eq!(rules(differences(&shop).await).await, ["intent-ours-only", "intent-theirs-only"]);
    let compared = shop.all("/v1/admin/audit/payments/reconcile").await;
    assert_eq!(rules(compared).await, ["intent-ours-only", "intent-theirs-only"]);
    // Nobody guesses what became of it: it stays unknown, and the audit shows that.
    shop.cancel(order).await;
    shop.stands(order, "unknown").await;
    assert_eq!(shop.said(order).await, ["payment.authorised.v1"]);
    shop.leave().await;
}

async fn amounts_that_differ_are_shown(engine: Engine) {
    let shop = open(engine, sweeping()).await;
    let order = shop.order();
    shop.reserve(order, "tok_ok").await;
    shop.deliver(order, 1000).await;
    let payment = shop.settled(order, "captured").await;
    let intent = payment["intent"].as_str().unwrap().to_owned();
    let outcome = shop.provider().refund(asked("somebody:refund"), &intent, money(100)).await;
    assert_eq!(outcome, Outcome::Done { intent });
    shop.until("it is shown", async || differences(&shop).await.len() == 1).await;
    let shown = &differences(&shop).await[0];
    assert_eq!((&shown["rule"], &shown["reference"]), (&json!("intent-amounts-differ"), &json!(order)));
    assert_eq!(shop.all("/v1/admin/audit/payments/reconcile").await.len(), 1);
    shop.leave().await;
}

async fn what_was_declared_dead_and_arrived_after_all_is_given_back(engine: Engine) {
    let config = Config { look_after_tries: 1, resend_within_ms: 1000, ..sweeping() };
    let shop = open(engine, config).await;
    shop.play(100, &[Mishap::ErrorBefore]).await;
    let order = shop.order();
    shop.reserve(order, "tok_ok").await;
    shop.stands(order, "unknown").await;
    // So much later nobody knows of it: it was never done.
    shop.clock.advance(2000);
    shop.play(0, &[]).await;
    shop.settled(order, "declined").await;
    assert_eq!(shop.payment(order).await["reason"], "never-arrived");
    shop.pay_again(order, 2, "tok_ok").await;
    shop.settled(order, "authorised").await;
    // And then it arrives.
    let outcome = shop.provider().authorise(asked(&format!("sc:{order}:authorise:1")), &charge(&shop, order, 1000)).await;
    let late = outcome.intent().unwrap().to_owned();
    shop.until("it is given back", async || shop.provider().truth(&late).await.unwrap().unwrap().standing == Standing::Voided)
        .await;
    // The provider knows it before our own books do.
    shop.until("it is known", async || shop.payment(order).await["attempts"][0]["state"] == "voided").await;
    let payment = shop.settled(order, "authorised").await;
    assert_eq!(payment["attempts"][1]["state"], "authorised");
    shop.deliver(order, 1000).await;
    shop.settled(order, "captured").await;
    assert_eq!(
        shop.said(order).await,
        ["payment.declined.v1", "payment.authorised.v1", "payment.captured.v1"],
        "nobody needs to hear of the late one"
    );
    assert_eq!(shop.books().await["open_twice"], 0);
    shop.close().await;
}
