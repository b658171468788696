//! Every way out of the four machines, from the order to its end through the API, with money, stock and slot before and after.
//! Leaves crowds and crashes to others.

use std::path::Path;

use serde_json::{Value, json};
use testkit::Engine;

use crate::harness::{Server, free_address, migrate, nothing_was_found};
use crate::till::{Level, Placed, Till, text};

/// How an order ends, and what that leaves behind.
struct End {
    state: &'static str,
    /// One of these reasons; none, if there are none.
    reasons: &'static [&'static str],
    payment: &'static str,
    /// What was taken, of what the order cost when it was placed.
    taken: Taken,
    /// Minor units that were given back of it.
    given_back: GivenBack,
    /// Units of the two SKUs that left the store.
    gone: [i64; 2],
    /// Places of the slot that were used.
    places: i64,
}

#[derive(Clone, Copy)]
enum Taken {
    Nothing,
    All,
    Less,
}

#[derive(Clone, Copy)]
enum GivenBack {
    Nothing,
    All,
    Some,
}

/// One way out.
struct Way {
    name: &'static str,
    go: fn(&Till) -> Placed,
    end: End,
}

/// How often expiry races with the authorisation.
const RACES: usize = 5;

const NOBODY: Value = Value::Null;

/// An order of which nothing is left: whatever it was given up for.
const fn undone(state: &'static str, reasons: &'static [&'static str], payment: &'static str) -> End {
    End { state, reasons, payment, taken: Taken::Nothing, given_back: GivenBack::Nothing, gone: [0, 0], places: 0 }
}

/// An order of two and one units that was handed over.
const DELIVERED: End = End {
    state: "delivered",
    reasons: &[],
    payment: "captured",
    taken: Taken::All,
    given_back: GivenBack::Nothing,
    gone: [2, 1],
    places: 1,
};

const UNITS: [i64; 2] = [2, 1];

fn ok(answer: (u16, Value)) -> Value {
    assert!(answer.0 < 300, "{answer:?}");
    answer.1
}

fn ordered(till: &Till, state: &str) -> Placed {
    let order = till.place(UNITS, "tok_ok");
    till.bring_to(&order, state);
    order
}

fn shopper_cancels(till: &Till, order: &Placed) {
    ok(till.as_shopper(order, "cancel", &json!({ "reason": "changed my mind" })));
}

fn store_cancels(till: &Till, state: &str) -> Placed {
    let order = ordered(till, state);
    ok(till.manage(&order, "cancel", &json!({ "reason": "the oven is broken" })));
    order
}

fn short(till: &Till, order: &Placed, picked: [i64; 2], restock: bool) {
    let line = |index: usize| json!({ "sku": till.skus[index], "picked": picked[index], "restock": restock });
    ok(till.as_picker(order, "shorts", &json!({ "lines": [line(0), line(1)] })));
}

fn decide(till: &Till, order: &Placed, choice: &str) {
    ok(till.manage(order, "delivery", &json!({ "choice": choice, "reason": "the shopper called" })));
}

fn failed(till: &Till) -> Placed {
    let order = ordered(till, "out_for_delivery");
    till.fail(&order);
    order
}

fn refunded(till: &Till, what: &Value) -> Placed {
    let order = ordered(till, "delivered");
    // It is the order that must have heard of it.
    till.wait(&order, |order| order["payment"]["state"] == "captured");
    let mut body = what.clone();
    body["reason"] = "sour".into();
    ok(till.manage(&order, "refunds", &body));
    till.wait(&order, |order| order["refunds"][0]["state"] == "paid");
    order
}

/// Every way, in the order in which a reader meets the machines.
fn ways() -> Vec<Way> {
    let way = |name, go, end| Way { name, go, end };
    vec![
        way("delivered", |till| ordered(till, "delivered"), DELIVERED),
        way("more than there is", |till| till.place([51, 0], "tok_ok"), undone("rejected", &[], "none")),
        way(
            "shopper cancels while the money is asked for",
            |till| {
                let order = till.place(UNITS, "tok_slow");
                till.until_state(&order, "reserved");
                till.money(&order, "created");
                shopper_cancels(till, &order);
                order
            },
            undone("cancelled", &["changed my mind"], "voided"),
        ),
        way(
            "shopper cancels when confirmed",
            |till| {
                let order = ordered(till, "confirmed");
                shopper_cancels(till, &order);
                order
            },
            undone("cancelled", &["changed my mind"], "voided"),
        ),
        way(
            "store cancels when confirmed",
            |till| store_cancels(till, "confirmed"),
            undone("cancelled", &["the oven is broken"], "voided"),
        ),
        way(
            "store cancels while it is picked",
            |till| store_cancels(till, "picking"),
            undone("cancelled", &["the oven is broken"], "voided"),
        ),
        way(
            "store cancels when it is ready",
            |till| store_cancels(till, "ready"),
            undone("cancelled", &["the oven is broken"], "voided"),
        ),
        way(
            "store calls it back from the road",
            |till| {
                let order = store_cancels(till, "out_for_delivery");
                till.until_state(&order, "returning");
                assert_eq!(till.money(&order, "authorised")["voided_minor"], 0, "nothing is given back before the goods are");
                ok(till.as_courier(&order, "returned", &NOBODY));
                order
            },
            undone("cancelled", &["the oven is broken"], "voided"),
        ),
        way(
            "declined, and given up",
            |till| {
                let order = till.place(UNITS, "tok_decline");
                till.until_state(&order, "payment_failed");
                shopper_cancels(till, &order);
                order
            },
            undone("cancelled", &["changed my mind"], "voided"),
        ),
        way(
            "declined twice, then a third card",
            |till| {
                let order = till.place(UNITS, "tok_decline");
                till.until_state(&order, "payment_failed");
                ok(till.as_shopper(&order, "payment", &json!({ "payment_token": "tok_insufficient" })));
                till.wait(&order, |order| order["payment"]["attempt"] == 2 && order["payment"]["state"] == "declined");
                ok(till.as_shopper(&order, "payment", &json!({ "payment_token": "tok_ok" })));
                till.bring_to(&order, "delivered");
                order
            },
            DELIVERED,
        ),
        way(
            "the bank asks, the shopper agrees",
            |till| {
                let order = till.place(UNITS, "tok_action");
                till.answer_bank(&order, "approve");
                till.bring_to(&order, "delivered");
                order
            },
            DELIVERED,
        ),
        way(
            "the bank asks, the shopper refuses, then another card",
            |till| {
                let order = till.place(UNITS, "tok_action");
                till.answer_bank(&order, "refuse");
                till.until_state(&order, "payment_failed");
                ok(till.as_shopper(&order, "payment", &json!({ "payment_token": "tok_ok" })));
                till.bring_to(&order, "delivered");
                order
            },
            DELIVERED,
        ),
        way(
            "the answer of the provider is lost",
            |till| {
                let order = till.place(UNITS, "tok_timeout_after");
                till.bring_to(&order, "delivered");
                order
            },
            DELIVERED,
        ),
        way(
            "the authorisation runs out",
            |till| {
                let order = till.place(UNITS, "tok_expire");
                till.until_state(&order, "cancelled");
                order
            },
            undone("cancelled", &["payment-expired"], "voided"),
        ),
        way(
            "one unit less, put back on the shelf",
            |till| {
                let order = ordered(till, "picking");
                short(till, &order, [1, 1], true);
                till.bring_to(&order, "delivered");
                order
            },
            End { taken: Taken::Less, gone: [1, 1], ..DELIVERED },
        ),
        way(
            "a line is gone, not to be found",
            |till| {
                let order = ordered(till, "picking");
                short(till, &order, [2, 0], false);
                till.bring_to(&order, "delivered");
                order
            },
            End { taken: Taken::Less, ..DELIVERED },
        ),
        way(
            "nothing is left to pick",
            |till| {
                let order = ordered(till, "picking");
                short(till, &order, [0, 0], false);
                order
            },
            End { gone: UNITS, ..undone("cancelled", &["nothing-left"], "voided") },
        ),
        way(
            "the slot is taken away",
            |till| {
                let order = ordered(till, "confirmed");
                let slot = |what: &str| format!("/v1/admin/stores/{}/slots/{}/{what}", till.store, till.slot);
                ok(till.as_manager("POST", &slot("withdraw"), &json!({ "reason": "no couriers" })));
                till.until_state(&order, "cancelled");
                ok(till.as_manager("POST", &slot("reopen"), &json!({ "reason": "they came after all" })));
                order
            },
            undone("cancelled", &["slot-withdrawn"], "voided"),
        ),
        way(
            "a courier declines, a courier drops out",
            |till| {
                let order = ordered(till, "ready");
                ok(till.as_courier(&order, "decline", &NOBODY));
                ok(till.as_courier(&order, "accept", &NOBODY));
                ok(till.as_courier(&order, "drop", &json!({ "reason": "flat tyre" })));
                till.bring_to(&order, "delivered");
                order
            },
            DELIVERED,
        ),
        way(
            "nobody opens, then somebody does",
            |till| {
                let order = failed(till);
                decide(till, &order, "again");
                till.until_state(&order, "out_for_delivery");
                ok(till.hand_over(&order));
                order
            },
            DELIVERED,
        ),
        way(
            "nobody opens, the goods go back",
            |till| {
                let order = failed(till);
                decide(till, &order, "return");
                ok(till.as_courier(&order, "returned", &NOBODY));
                order
            },
            undone("cancelled", &["the shopper called"], "voided"),
        ),
        way(
            "refunded in part",
            |till| refunded(till, &json!({ "amount": { "minor": 100, "currency": "USD" } })),
            End { payment: "partially-refunded", given_back: GivenBack::Some, ..DELIVERED },
        ),
        way(
            "refunded by line",
            |till| refunded(till, &json!({ "lines": [{ "sku": till.skus[0], "quantity": 1 }] })),
            End { payment: "partially-refunded", given_back: GivenBack::Some, ..DELIVERED },
        ),
        way(
            "refunded in full",
            |till| refunded(till, &json!({ "all": true })),
            End { payment: "refunded", given_back: GivenBack::All, ..DELIVERED },
        ),
        way(
            "disputed by the bank",
            |till| {
                let order = till.place(UNITS, "tok_dispute");
                till.bring_to(&order, "delivered");
                till.wait(&order, |order| !order["dispute"].is_null());
                order
            },
            End { payment: "disputed", ..DELIVERED },
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_out_leaves_money_stock_and_slot_where_they_belong_on_sqlite() {
    let data = tempfile::tempdir().expect("a directory");
    every_way("SQLite", &Server::start(data.path(), &[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_out_leaves_money_stock_and_slot_where_they_belong_on_postgresql() {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let data = tempfile::tempdir().expect("a directory");
    every_way("PostgreSQL", &Server::start(data.path(), &["--database", &database.url]));
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_runs_out_leaves_money_stock_and_slot_where_they_belong_on_sqlite() {
    let data = tempfile::tempdir().expect("a directory");
    walk_all("SQLite", &hurried(data.path(), &[]), &ways_of_time());
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_runs_out_leaves_money_stock_and_slot_where_they_belong_on_postgresql() {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let data = tempfile::tempdir().expect("a directory");
    walk_all("PostgreSQL", &hurried(data.path(), &["--database", &database.url]), &ways_of_time());
}

/// A shop that has little patience: a hold lives for three seconds, and the money must be there within two.
fn hurried(data: &Path, arguments: &[&str]) -> Server {
    let setting = |name: &str, value: &str| (format!("SWIFTCART__{name}"), value.to_owned());
    let settings = [
        setting("INVENTORY__HOLD_TTL_MS", "3000"),
        setting("ORDERS__PAY_MARGIN_MS", "1000"),
        setting("DELIVERY__OFFER_TTL_MS", "1000"),
        setting("SANDBOX__SLOW_MS", "2950"),
    ];
    let server = Server::try_start(free_address(), data, arguments, &settings);
    assert!(server.is_open(), "the server ended before it was open");
    server
}

/// What happens if nobody does anything in time.
fn ways_of_time() -> Vec<Way> {
    const TOO_LATE: &[&str] = &["hold-expired", "payment-timed-out", "changed my mind"];
    let end = || undone("cancelled", TOO_LATE, "voided");
    let mut ways = vec![
        Way { name: "the bank asks, nobody answers", go: |till| till.place(UNITS, "tok_action"), end: end() },
        Way { name: "declined, nobody offers another card", go: |till| till.place(UNITS, "tok_decline"), end: end() },
        Way {
            name: "an offer lapses, another courier takes it",
            go: |till| {
                let order = ordered(till, "ready");
                till.until_offered(&order);
                till.until_lapsed(&order);
                till.bring_to(&order, "delivered");
                order
            },
            end: DELIVERED,
        },
    ];
    // The provider takes as long as the hold allows: now the money is in time, now it is not.
    ways.extend((0..RACES).map(|_| Way {
        name: "expiry against authorisation",
        go: |till| {
            let order = till.place(UNITS, "tok_slow");
            let seen = till.wait(&order, |order| order["state"] == "confirmed" || order["state"] == "cancelled");
            if seen["state"] == "confirmed" {
                shopper_cancels(till, &order);
            }
            order
        },
        end: end(),
    }));
    ways
}

fn every_way(engine: &str, server: &Server) {
    walk_all(engine, server, &ways());
}

fn walk_all(engine: &str, server: &Server, ways: &[Way]) {
    let till = Till::open(server);
    println!("{:<55} {:<28} {:<20} money (placed, taken, back)   stock (before, after)   places", engine, "order", "payment");
    for way in ways {
        let before = till.level();
        let order = (way.go)(&till);
        walked(&till, way, &order, before);
    }
    let (report, content) = server.audit();
    assert!(content, "{report:#}");
    nothing_was_found(&[server]);
}

/// Checks where the order has ended, and tells it.
fn walked(till: &Till, way: &Way, order: &Placed, before: Level) {
    let end = &way.end;
    let seen = till.until_state(order, end.state);
    let reason = seen["reason"].as_str().unwrap_or_default();
    assert!(end.reasons.contains(&reason) || (end.reasons.is_empty() && reason.is_empty()), "{}: {reason}", way.name);
    let payment = till.money(order, end.payment);
    let minor = |field: &str| payment[field].as_i64().unwrap_or_default();
    let (total, taken, back) =
        (payment["amount"]["minor"].as_i64().unwrap_or_default(), minor("captured_minor"), minor("refunded_minor"));
    let took = match end.taken {
        Taken::Nothing => taken == 0,
        Taken::All => taken == total,
        Taken::Less => 0 < taken && taken < total && taken == seen["total"]["minor"].as_i64().unwrap_or_default(),
    };
    let gave = match end.given_back {
        GivenBack::Nothing => back == 0,
        GivenBack::All => back == taken,
        GivenBack::Some => 0 < back && back < taken,
    };
    assert!(took && gave, "{}: of {total}, {taken} was taken and {back} given back", way.name);
    let level = |gone: [i64; 2], places: i64| Level {
        available: [before.available[0] - gone[0], before.available[1] - gone[1]],
        held: [0, 0],
        places: before.places - places,
    };
    // The order ends before inventory has heard that the goods are gone.
    let after = till.until_level(level(end.gone, end.places), way.name);
    let state = format!("{} {reason}", end.state);
    println!(
        "{:<55} {state:<28} {:<20} {total:>6} {taken:>6} {back:>6}           {:?} {:?}     {} {}",
        way.name, end.payment, before.available, after.available, before.places, after.places
    );
    assert!(seen["history"].as_array().is_some_and(|history| history.len() > 1), "{seen:#}");
    assert_eq!(text(&seen["history"].as_array().and_then(|history| history.last()).expect("a history")["state"]), end.state);
}
