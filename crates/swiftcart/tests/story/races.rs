//! Races over real connections: two wishes that exclude each other are sent at the same moment. One wins, the other is told why,
//! and the shop is sound afterwards, whoever won.
//! Leaves races inside one service to its own tests.

use std::sync::Barrier;

use serde_json::{Value, json};
use testkit::Engine;

use crate::harness::{Server, migrate};
use crate::till::{Answer, Placed, Till, text};

/// How often each race is run: now one side wins, now the other.
const HEATS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_exclude_each_other_one_wins_on_sqlite() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    races(&server, &[&server, &server]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_exclude_each_other_one_wins_on_two_processes_and_one_postgresql() {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let (here, there) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let first = Server::start(here.path(), &["--database", &database.url]);
    let second = Server::start(there.path(), &["--database", &database.url]);
    races(&first, &[&first, &second]);
}

fn races(server: &Server, through: &[&Server; 2]) {
    let till = Till::open(server);
    // The other side of each race goes through the other process, if there are two.
    let other = till.through(through[1]);
    for _ in 0..HEATS {
        cancel_against_confirm(&till, &other);
        two_pickers(&till, &other);
        two_couriers(&till);
        pause_against_order(&till, &other);
        recall_against_hand_over(&till, &other);
    }
    let (report, content) = server.audit();
    assert!(content, "{report:#}");
}

/// Both at the same moment.
fn both(one: impl FnOnce() -> Answer + Send, two: impl FnOnce() -> Answer + Send) -> (Answer, Answer) {
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            start.wait();
            two()
        });
        start.wait();
        (one(), other.join().expect("an answer"))
    })
}

fn won(answer: &Answer) -> bool {
    assert!(answer.0 < 300 || answer.0 == 409, "{answer:?}");
    answer.0 < 300
}

/// The shopper gives up while money and hold come in; whatever comes first, the order ends.
fn cancel_against_confirm(till: &Till, other: &Till) {
    let order = till.place([1, 0], "tok_ok");
    let (cancelled, picked) = both(
        || till.as_shopper(&order, "cancel", &json!({ "reason": "never mind" })),
        || {
            other.wait(&order, |order| {
                order["state"] != "placed" && order["state"] != "reserved" && order["state"] != "authorised"
            });
            other.as_picker(&order, "pick", &Value::Null)
        },
    );
    assert!(won(&cancelled) != won(&picked), "one of them wins: {cancelled:?} {picked:?}");
    if won(&picked) {
        assert!(cancelled.1["legal"].is_array(), "the shopper is told what is left to do: {cancelled:?}");
        till.bring_to(&order, "delivered");
    } else {
        till.until_state(&order, "cancelled");
    }
}

fn two_pickers(till: &Till, other: &Till) {
    let order = till.place([1, 0], "tok_ok");
    till.until_state(&order, "confirmed");
    let (one, two) = both(|| till.as_picker(&order, "pick", &Value::Null), || other.as_picker(&order, "pick", &Value::Null));
    assert!(won(&one) != won(&two), "one picker has it: {one:?} {two:?}");
    let loser = if won(&one) { two } else { one };
    assert_eq!(loser.1["state"], "picking", "{loser:?}");
    till.bring_to(&order, "delivered");
}

/// It is offered to one; all say yes.
fn two_couriers(till: &Till) {
    let order = till.place([1, 0], "tok_ok");
    till.bring_to(&order, "ready");
    till.until_offered(&order);
    let answers = till.as_all_couriers(&order, "accept");
    let winners = answers.iter().filter(|answer| answer.0 < 300).count();
    assert_eq!(winners, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.0 < 300 || matches!(answer.0, 404 | 409)), "{answers:?}");
    till.bring_on(&order);
}

fn pause_against_order(till: &Till, other: &Till) {
    let quote = till.quote([1, 0]);
    let path = format!("/v1/admin/stores/{}/pause", till.store);
    let (placed, paused) =
        both(|| till.try_place(&quote, "tok_ok"), || other.as_manager("PUT", &path, &json!({ "paused": true })));
    assert!(won(&paused), "{paused:?}");
    if won(&placed) {
        // It was taken before orders had heard of the pause, and is carried out.
        till.bring_to(&Placed::of(&placed.1, &quote), "delivered");
    } else {
        assert!(text(&placed.1["type"]).ends_with("store-paused"), "{placed:?}");
    }
    till.until_refused("store-paused");
    assert!(won(&other.as_manager("PUT", &path, &json!({ "paused": false }))));
    till.until_open();
}

fn recall_against_hand_over(till: &Till, other: &Till) {
    let order = till.place([1, 0], "tok_ok");
    till.bring_to(&order, "out_for_delivery");
    till.as_courier(&order, "at-dropoff", &Value::Null);
    let pin = text(&till.see(&order)["delivery"]["pin"]);
    let (delivered, recalled) = both(
        || till.as_courier_of(&order, "deliver", &json!({ "pin": pin })),
        || other.manage(&order, "cancel", &json!({ "reason": "wrong goods" })),
    );
    if won(&delivered) {
        let seen = till.until_state(&order, "delivered");
        till.money(&order, "captured");
        assert!(seen["reason"].is_null(), "{seen:#}");
    } else {
        assert!(won(&recalled), "{delivered:?} {recalled:?}");
        till.as_courier(&order, "returned", &Value::Null);
        till.until_state(&order, "cancelled");
    }
}
