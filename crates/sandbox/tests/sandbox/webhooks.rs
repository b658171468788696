//! Webhooks as a shop hears them: of every change, signed, until they are taken; and each way in which they go wrong.
//! Leaves the form of a signature to `domain::signature`.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use sandbox::{Config, Mishap};
use testkit::{Engine, on_both};
use web::{Json, json};

use crate::bank::{Bank, Heard, dollars, quick};

on_both! { Bank::open =>
    every_change_is_told_once_and_signed
    a_shop_that_was_shut_hears_it_when_it_opens
    webhooks_come_twice
    webhooks_come_late
    webhooks_come_in_another_order
    webhooks_with_a_wrong_signature_come_again_with_the_right_one
    webhooks_get_lost
}

fn ids(heard: &[Heard]) -> BTreeSet<String> {
    heard.iter().map(|heard| heard.body["id"].as_str().unwrap().to_owned()).collect()
}

impl Bank {
    /// Waits until nothing is left to be sent.
    async fn all_sent(&self) {
        self.until("all webhooks are sent", async || self.books().await["webhooks_waiting"] == 0).await;
    }

    async fn captured(&self, reference: &str) -> String {
        let intent = self.held(reference, "tok_ok").await;
        self.done(&intent, "capture", &json!({ "amount": dollars(1000) })).await;
        intent
    }
}

async fn every_change_is_told_once_and_signed(bank: Bank) {
    let intent = bank.captured("r").await;
    bank.done(&intent, "refunds", &json!({ "amount": dollars(100) })).await;
    // What changes nothing, and what is refused, is no news.
    bank.done(&intent, "capture", &json!({ "amount": dollars(1) })).await;
    bank.all_sent().await;
    let heard = bank.hook.of(&intent);
    assert!(heard.len() == 3 && ids(&heard).len() == 3 && heard.iter().all(|heard| heard.genuine), "{heard:?}");
    let first = &heard[0].body;
    assert!(first["id"].as_str().unwrap().starts_with("evt_") && first["at"].is_string(), "{first}");
    assert_eq!((&first["kind"], &first["reference"]), (&json!("intent.changed"), &json!("r")));
    bank.close().await;
}

async fn a_shop_that_was_shut_hears_it_when_it_opens(bank: Bank) {
    bank.hook.shut.store(true, Ordering::SeqCst);
    let intent = bank.held("r", "tok_ok").await;
    bank.until("it was tried twice", async || bank.hook.of(&intent).len() >= 2).await;
    bank.hook.shut.store(false, Ordering::SeqCst);
    bank.all_sent().await;
    assert_eq!(ids(&bank.hook.of(&intent)).len(), 1, "it is always the same one");
    bank.close().await;
}

async fn webhooks_come_twice(bank: Bank) {
    bank.play(100, &[Mishap::WebhookTwice]).await;
    let intent = bank.held("r", "tok_ok").await;
    bank.all_sent().await;
    let heard = bank.hook.of(&intent);
    assert_eq!((heard.len(), ids(&heard).len()), (2, 1));
    bank.close().await;
}

async fn webhooks_come_late(bank: Bank) {
    bank.play(100, &[Mishap::WebhookLate]).await;
    let late = bank.held("late", "tok_ok").await;
    bank.all_sent().await;
    let heard = bank.hook.of(&late);
    assert_eq!(heard.len(), 1);
    let change = bank.intent(&late).await["created_at"].as_str().and_then(kernel::Timestamp::parse).unwrap();
    assert!(bank.now().since_ms(change) >= 200, "ten delays have passed");
    bank.close().await;
}

async fn webhooks_come_in_another_order(bank: Bank) {
    // A share of them is held back, so that those of later changes pass.
    bank.play(50, &[Mishap::WebhookReordered]).await;
    let mut told: Vec<Json> = Vec::new();
    bank.until("a later change is told first", async || {
        bank.captured("r").await;
        bank.all_sent().await;
        let heard: Vec<String> = bank.hook.heard().iter().map(|heard| heard.body["id"].as_str().unwrap().to_owned()).collect();
        !heard.is_sorted()
    })
    .await;
    told.extend(bank.hook.heard().into_iter().map(|heard| heard.body));
    assert_eq!(told.len(), ids(&bank.hook.heard()).len(), "none came twice");
    bank.close().await;
}

async fn webhooks_with_a_wrong_signature_come_again_with_the_right_one(bank: Bank) {
    bank.play(50, &[Mishap::WebhookBadSignature]).await;
    bank.until("a wrong one came", async || {
        bank.held("r", "tok_ok").await;
        bank.all_sent().await;
        bank.hook.heard().iter().any(|heard| !heard.genuine)
    })
    .await;
    let genuine: Vec<Heard> = bank.hook.heard().into_iter().filter(|heard| heard.genuine).collect();
    assert_eq!(ids(&genuine), ids(&bank.hook.heard()), "each came with the right one too");
    bank.close().await;
}

async fn webhooks_get_lost(bank: Bank) {
    bank.play(100, &[Mishap::WebhookLost]).await;
    bank.held("r", "tok_ok").await;
    bank.all_sent().await;
    assert!(bank.hook.heard().is_empty());
    bank.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_nobody_takes_is_given_up() {
    let bank = Bank::open_with(Engine::Sqlite, Config { webhook_tries_max: 3, ..quick() }).await;
    bank.hook.shut.store(true, Ordering::SeqCst);
    let intent = bank.held("r", "tok_ok").await;
    bank.all_sent().await;
    assert_eq!(bank.hook.of(&intent).len(), 3);
    bank.close().await;
}
