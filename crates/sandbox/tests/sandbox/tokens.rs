//! What each token does, from the demand to the end of its intent.
//! Leaves what goes wrong by chance to `faults`.

use sandbox::Config;
use testkit::{Engine, brief, is, ok, on_both};
use web::json;

use crate::bank::{Bank, INTENTS, dollars, quick, wanted};

on_both! { Bank::open =>
    tokens_are_charged_or_not
    a_lost_demand_is_done_the_second_time
    a_lost_answer_is_told_the_second_time
    money_that_expires_cannot_be_taken
    money_that_is_taken_is_disputed
    nothing_can_be_given_back_to_a_card_that_is_gone
}

async fn tokens_are_charged_or_not(bank: Bank) {
    for token in ["tok_ok", "tok_slow", "tok_expire", "tok_dispute", "tok_refund_fails"] {
        let outcome = ok(&bank.demand(INTENTS, &bank.fresh_key(), &wanted(token, token)).await);
        assert_eq!(outcome["outcome"], "done", "{token}: {outcome}");
        assert_eq!(bank.intent(outcome["intent"].as_str().unwrap()).await["reference"], token);
    }
    for (token, reason) in [
        ("tok_decline", "card-declined"),
        ("tok_insufficient", "insufficient-funds"),
        ("tok_unheard_of", "unknown-token"),
        ("4111111111111111", "unknown-token"),
    ] {
        let outcome = ok(&bank.demand(INTENTS, &bank.fresh_key(), &wanted(token, token)).await);
        assert_eq!(outcome, json!({ "outcome": "declined", "reason": reason }), "{token}");
    }
    let outcome = ok(&bank.demand(INTENTS, &bank.fresh_key(), &wanted("r", "tok_action")).await);
    let intent = outcome["intent"].as_str().unwrap();
    let url = format!("/sandbox/actions/{intent}");
    assert_eq!(outcome, json!({ "outcome": "action-required", "intent": intent, "url": url }));
    let intent = bank.intent(intent).await;
    assert_eq!((&intent["state"], &intent["action_url"]), (&json!("requires-action"), &json!(url)));
    bank.close().await;
}

async fn a_lost_demand_is_done_the_second_time(bank: Bank) {
    let (peer, key) = (bank.peer(), bank.fresh_key());
    bank.try_demand(&peer, INTENTS, &key, &wanted("r", "tok_timeout_before")).await.unwrap_err();
    let unknown = brief(&bank.look(&format!("/sandbox/v1/demands/{key}")).await);
    assert_eq!(unknown, is(404, "unknown-demand", "-"));
    assert_eq!(bank.books().await["intents"], 0);
    let outcome = ok(&bank.demand(INTENTS, &key, &wanted("r", "tok_timeout_before")).await);
    assert_eq!((&outcome["outcome"], &bank.books().await["intents"]), (&json!("done"), &json!(1)));
    bank.close().await;
}

async fn a_lost_answer_is_told_the_second_time(bank: Bank) {
    let (peer, key) = (bank.peer(), bank.fresh_key());
    bank.try_demand(&peer, INTENTS, &key, &wanted("r", "tok_timeout_after")).await.unwrap_err();
    let known = ok(&bank.look(&format!("/sandbox/v1/demands/{key}")).await);
    let again = ok(&bank.demand(INTENTS, &key, &wanted("r", "tok_timeout_after")).await);
    assert_eq!((&known, &known["outcome"]), (&again, &json!("done")));
    assert_eq!(bank.books().await["intents"], 1);
    bank.close().await;
}

async fn money_that_expires_cannot_be_taken(bank: Bank) {
    let intent = bank.held("r", "tok_expire").await;
    bank.becomes(&intent, "state", "expired").await;
    let refused = bank.done(&intent, "capture", &json!({ "amount": dollars(1000) })).await;
    assert_eq!(refused, json!({ "outcome": "declined", "reason": "expired" }));
    assert_eq!(bank.done(&intent, "void", &json!({})).await["outcome"], "done");
    assert_eq!(bank.intent(&intent).await["state"], "expired");

    // In place of time, a test may say so; and what was taken in time does not expire.
    let other = bank.held("r", "tok_ok").await;
    assert_eq!(bank.done(&other, "expire", &json!({})).await["outcome"], "done");
    assert_eq!(bank.intent(&other).await["state"], "expired");
    let taken = bank.held("r", "tok_ok").await;
    bank.done(&taken, "capture", &json!({ "amount": dollars(1) })).await;
    assert_eq!(bank.done(&taken, "expire", &json!({})).await["reason"], "already-captured");
    let pending = bank.running.pending().await.unwrap();
    assert!(pending.timers.is_empty(), "{pending:?}");
    bank.close().await;
}

async fn money_that_is_taken_is_disputed(bank: Bank) {
    let intent = bank.held("r", "tok_dispute").await;
    assert_eq!(bank.done(&intent, "dispute", &json!({})).await["reason"], "not-captured");
    bank.done(&intent, "capture", &json!({ "amount": dollars(900) })).await;
    bank.becomes(&intent, "dispute", "open").await;
    assert_eq!(bank.done(&intent, "dispute-close", &json!({ "won": true })).await["outcome"], "done");
    assert_eq!(bank.intent(&intent).await["dispute"], "won");
    bank.close().await;
}

async fn nothing_can_be_given_back_to_a_card_that_is_gone(bank: Bank) {
    let intent = bank.held("r", "tok_refund_fails").await;
    bank.done(&intent, "capture", &json!({ "amount": dollars(1000) })).await;
    let refused = bank.done(&intent, "refunds", &json!({ "amount": dollars(1) })).await;
    assert_eq!(refused, json!({ "outcome": "declined", "reason": "refund-failed" }));
    bank.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_for_ever() {
    let bank = Bank::open_with(Engine::Sqlite, Config { action_grace_ms: 20, ..quick() }).await;
    let intent = bank.held("r", "tok_action").await;
    let lapsed = bank.becomes(&intent, "state", "expired").await;
    assert_eq!(lapsed["action_url"], json!(null));
    bank.close().await;
}
