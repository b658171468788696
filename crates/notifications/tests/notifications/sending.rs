//! How messages leave the shop: tried again after a pause, given up after so many tries, and sent by one process of several.
//! Leaves what is written to `writing`.

use std::collections::BTreeSet;
use std::sync::Arc;

use kernel::Id;
use notifications::{Config, Journal, Outcome};
use testkit::{Engine, items};

use crate::shop::{Act, Ground, Obedient, failing, order, placed, quick};

testkit::on_both! {
    Ground::fresh =>
    a_mailer_that_fails_is_tried_again
    what_can_never_be_sent_is_given_up_at_once
    tries_have_a_limit
    what_waits_is_sent_after_a_restart
    the_journal_says_that_it_sends_to_nobody
    what_waits_too_long_is_a_breach
    a_backlog_is_sent_whole
}

async fn a_mailer_that_fails_is_tried_again(ground: Ground) {
    let mailer = Obedient::told([failing(true), Act::Panic, Act::NeverAnswer, Act::Come(Outcome::Sent)]);
    let shop = ground.open(quick(), mailer.clone()).await;
    shop.orders_say(placed(order(10), None)).await;
    shop.until_messages(order(10), 1, "sent").await;
    assert_eq!(shop.messages(order(10)).await[0]["tries"], 4);
    // Every try was of the same mail, so that a carrier can tell.
    let had = mailer.had();
    assert!(had.len() == 4 && had.iter().all(|mail| *mail == had[0]), "{had:?}");
    shop.close().await;
}

async fn what_can_never_be_sent_is_given_up_at_once(ground: Ground) {
    let shop = ground.open(quick(), Obedient::told([failing(false)])).await;
    shop.orders_say(placed(order(10), None)).await;
    shop.until_messages(order(10), 1, "failed").await;
    let message = &shop.messages(order(10)).await[0];
    assert_eq!((message["tries"].as_i64(), message["cause"].as_str()), (Some(1), Some("mailbox full")));
    assert!(message["sent_at"].is_null());
    shop.close().await;
}

async fn tries_have_a_limit(ground: Ground) {
    let mailer = Obedient::told([failing(true)]);
    let shop = ground.open(Config { tries_max: 3, ..quick() }, mailer.clone()).await;
    shop.orders_say(placed(order(10), None)).await;
    shop.until_messages(order(10), 1, "failed").await;
    assert_eq!(mailer.had().len(), 3);
    shop.close().await;
}

async fn what_waits_is_sent_after_a_restart(ground: Ground) {
    let shop = ground.open(Config { tries_max: 1_000_000, ..quick() }, Obedient::told([failing(true)])).await;
    shop.orders_say(placed(order(10), None)).await;
    shop.until_messages(order(10), 1, "queued").await;
    shop.close().await;

    let shop = ground.open(Config { tries_max: 1_000_000, ..quick() }, Obedient::sending()).await;
    shop.until_messages(order(10), 1, "sent").await;
    shop.close().await;
}

async fn the_journal_says_that_it_sends_to_nobody(ground: Ground) {
    let shop = ground.open(quick(), Arc::new(Journal)).await;
    shop.orders_say(placed(order(10), None)).await;
    shop.until_messages(order(10), 1, "sent").await;
    assert_eq!(shop.messages(order(10)).await[0]["mailer"], "journal: kept in the shop, sent to nobody");
    shop.close().await;
}

async fn what_waits_too_long_is_a_breach(ground: Ground) {
    let slow = Config { again_first_ms: 3_600_000, again_max_ms: 3_600_000, queued_max_ms: 0, ..quick() };
    let shop = ground.open(slow, Obedient::told([failing(true), Act::Come(Outcome::Sent)])).await;
    shop.orders_say(placed(order(10), None)).await;
    let tried = async || shop.messages(order(10)).await.first().is_some_and(|message| message["tries"] == 1);
    shop.until("it was tried", tried).await;
    // This one is sent, and so is none.
    shop.orders_say(placed(order(11), None)).await;
    shop.until_messages(order(11), 1, "sent").await;

    let breaches = items(&shop.get_as_admin("/v1/admin/audit/notifications/breaches").await);
    assert_eq!(breaches.len(), 1, "{breaches:?}");
    assert_eq!(breaches[0]["rule"], "messages-are-sent-or-given-up");
    assert_eq!(breaches[0]["subject"], shop.messages(order(10)).await[0]["id"]);
    shop.close().await;
}

async fn a_backlog_is_sent_whole(ground: Ground) {
    let mailer = Obedient::sending();
    let shop = ground.open(Config { batch_max: 3, sends_at_once_max: 2, ..quick() }, mailer.clone()).await;
    for seed in 10..60 {
        shop.orders_say(placed(order(seed), None)).await;
    }
    for seed in 10..60 {
        shop.until_messages(order(seed), 1, "sent").await;
    }
    let ids: BTreeSet<Id> = mailer.had().iter().map(|mail| mail.id).collect();
    assert_eq!((mailer.had().len(), ids.len()), (50, 50));
    shop.close().await;
}

/// The lease says which of two processes sends, so nothing is sent twice while nobody dies.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_one_sends() {
    let ground = Ground::fresh(Engine::Postgres).await;
    let (one, other) = (Obedient::sending(), Obedient::sending());
    let here = ground.open(quick(), one.clone()).await;
    let there = ground.open(quick(), other.clone()).await;
    for seed in 10..30 {
        let shop = if seed % 2 == 0 { &here } else { &there };
        shop.orders_say(placed(order(seed), None)).await;
    }
    for seed in 10..30 {
        here.until_messages(order(seed), 1, "sent").await;
    }
    assert_eq!(one.had().len() + other.had().len(), 20);
    here.close().await;
    there.close().await;
}
