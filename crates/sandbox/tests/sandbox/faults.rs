//! Every mishap of a request, on a client in the same process and on one across a socket: its effect, and what is heard of it.
//! Leaves mishaps of webhooks to `webhooks`.

use std::future::pending;

use futures_util::future::join_all;
use kernel::Runtime;
use sandbox::Mishap;
use testkit::{ok, on_both};
use tokio::net::TcpListener;
use web::{Json, Peer, PeerAnswer, PeerFault, ServeLimits, json, serve};

use crate::bank::{Bank, INTENTS, dollars, wanted};

on_both! { Bank::open =>
    every_mishap_has_its_effect_and_its_answer
    whoever_repeats_under_one_key_gets_through_and_pays_once
    lookups_go_wrong_too_and_controls_do_not
}

/// The provider across a socket.
async fn remote(bank: &Bank) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer::remote(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (router, runtime) = (bank.router().clone(), bank.clock.clone());
    let server = async move {
        serve(listener, router, runtime, ServeLimits::default(), pending()).await;
    };
    bank.clock.spawn("server", Box::pin(server));
    peer
}

/// Whether an answer is the one that says what happened.
fn heard(answer: &Result<PeerAnswer, PeerFault>) -> Option<Json> {
    let answer = answer.as_ref().ok().filter(|answer| answer.status == 200)?;
    serde_json::from_slice(&answer.body).ok()
}

async fn every_mishap_has_its_effect_and_its_answer(bank: Bank) {
    // Which status is heard, if any, and whether it was done.
    let cases = [
        (Mishap::Delay, Some(200), true),
        (Mishap::TimeoutBefore, None, false),
        (Mishap::TimeoutAfter, None, true),
        (Mishap::ErrorBefore, Some(500), false),
        (Mishap::ErrorAfter, Some(500), true),
        (Mishap::Cut, None, true),
    ];
    for peer in [bank.peer(), remote(&bank).await] {
        for (mishap, status, is_done) in cases {
            let key = bank.fresh_key();
            bank.play(100, &[mishap]).await;
            let answer = bank.try_demand(&peer, INTENTS, &key, &wanted("r", "tok_ok")).await;
            bank.play(0, &[]).await;
            assert_eq!(answer.as_ref().ok().map(|answer| answer.status), status, "{mishap:?} by {peer:?}: {answer:?}");
            let looked = bank.look(&format!("/sandbox/v1/demands/{key}")).await;
            assert_eq!(looked.status == 200, is_done, "{mishap:?} by {peer:?}");
            let again = ok(&bank.demand(INTENTS, &key, &wanted("r", "tok_ok")).await);
            assert!(heard(&answer).is_none_or(|first| first == again), "{mishap:?}: one key, two outcomes");
        }
    }
    assert_eq!(bank.books().await["intents"], 12, "each demand was done once");
    bank.close().await;
}

async fn whoever_repeats_under_one_key_gets_through_and_pays_once(bank: Bank) {
    const PAYMENTS: usize = 60;
    bank.play(40, &Mishap::ALL).await;
    let peer = bank.peer();
    let insist = async |path: &str, key: &str, body: &Json| {
        loop {
            let answer = bank.try_demand(&peer, path, key, body).await;
            if let Some(outcome) = heard(&answer) {
                return outcome;
            }
        }
    };
    let pay = async |index: usize| {
        let held = insist(INTENTS, &format!("{index}:authorise"), &wanted(&format!("order-{index}"), "tok_ok")).await;
        let intent = held["intent"].as_str().unwrap().to_owned();
        let (what, body) =
            if index.is_multiple_of(3) { ("void", json!({})) } else { ("capture", json!({ "amount": dollars(900) })) };
        insist(&format!("{INTENTS}/{intent}/{what}"), &format!("{index}:{what}"), &body).await
    };
    let ended = join_all((0..PAYMENTS).map(|index| pay(index))).await;
    assert!(ended.iter().all(|outcome| outcome["outcome"] == "done"), "{ended:?}");
    let books = bank.books().await;
    let sums = ["intents", "captured", "voided", "authorised_open", "captured_twice", "open_twice", "open_beside_captured"];
    let sums: Vec<i64> = sums.iter().map(|name| books[name].as_i64().unwrap()).collect();
    assert_eq!(sums, [60, 40, 20, 0, 0, 0, 0], "{books}");
    assert_eq!(books["captured_minor"], 40 * 900);
    bank.close().await;
}

async fn lookups_go_wrong_too_and_controls_do_not(bank: Bank) {
    let intent = bank.held("r", "tok_ok").await;
    bank.play(100, &[Mishap::ErrorAfter]).await;
    for path in [format!("{INTENTS}/{intent}"), INTENTS.to_owned(), "/sandbox/v1/demands/k".to_owned()] {
        assert_eq!(bank.look(&path).await.status, 500, "{path}");
    }
    assert_eq!(bank.books().await["intents"], 1);
    assert_eq!(bank.done(&intent, "expire", &json!({})).await["outcome"], "done");
    bank.close().await;
}
