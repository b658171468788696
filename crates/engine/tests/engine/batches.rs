//! What becomes one batch: whatever waits while another is decided; in which rounds it is loaded, in which order decided,
//! and who gets a place in it. Leaves batches that fail to `conflicts`, `defects` and `outages`.

use std::collections::BTreeSet;

use engine::{Command, KeyScope, LANE_BYTES_MAX, LANE_INPUTS_MAX, Lane, Stop, Stored, Work};
use futures_util::FutureExt;
use futures_util::future::{join, join_all, try_join_all};
use kernel::{Bucket, FaultKind, Timestamp};
use testkit::{Engine, admin};

use crate::support::{Account, ENGINES, Gate, Moved, Process, balance, bank, open, pay_in, ready, sent, trace};

/// An input that says one event and tells the time of its batch, which no other batch has.
fn timed(work: &mut Work<'_>, number: i64) -> Result<Timestamp, Stop> {
    work.emit(&Moved { account: "a".to_owned(), number })?;
    Ok(work.now())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_arrives_while_a_batch_is_decided_forms_the_next() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let bank = Process::on(database.store.clone()).start(bank()).await;
        let (gate, trace) = (Gate::close(&bank.handle).await, trace());
        let waiting = sent((1..=100).map(|number| bank.handle.decide(Lane::Rest, &trace, move |work| timed(work, number))));
        gate.open();
        let times: BTreeSet<Timestamp> = try_join_all(waiting).await.unwrap().into_iter().collect();
        assert_eq!(times.len(), 1, "{engine:?}: a hundred inputs are one batch");
        if engine == Engine::Postgres {
            let count = "SELECT count(DISTINCT xmin::text) FROM store_outbox";
            let transactions = admin(&database.url).await.query_one(count, &[]).await.unwrap();
            assert_eq!(transactions.get::<_, i64>(0), 1, "and one transaction");
        }
        bank.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn inputs_of_a_lane_are_decided_in_their_order_each_on_what_the_last_left() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let bank = Process::on(database.store.clone()).start(bank()).await;
        open(&bank.handle, "a", 0).await;
        let (gate, trace) = (Gate::close(&bank.handle).await, trace());
        // More than one batch holds.
        let waiting = sent((0..1_200).map(|_| bank.handle.decide(Lane::Order, &trace, |work| pay_in(work, "a", 1))));
        gate.open();
        assert_eq!(try_join_all(waiting).await.unwrap(), (1..=1_200).collect::<Vec<_>>(), "{engine:?}");
        assert_eq!(balance(&bank.handle, "a").await, 1_200, "{engine:?}");
        bank.shut_down().await;
    }
}

/// Follows balances as if they were the names of other accounts, until one is 0; tells how many there were.
fn follow(work: &mut Work<'_>, first: i64) -> Result<usize, Stop> {
    let (mut next, mut steps) = (first, 0);
    while next != 0 {
        next = work.load::<Account>(&(next.to_string(),), "account")?.balance;
        steps += 1;
    }
    Ok(steps)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_rows_is_walked_in_rounds_and_not_without_end() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let bank = Process::on(database.store.clone()).start(bank()).await;
        for number in 1..=20 {
            open(&bank.handle, &number.to_string(), (number + 1) % 21).await;
        }
        let trace = trace();
        let walks = (1..=20).map(|first| bank.handle.decide(Lane::Rest, &trace, move |work| follow(work, first)));
        let endless = bank.handle.decide(Lane::Rest, &trace, |work| {
            (0..1_000).try_for_each(|number| work.find::<Account>(&(format!("nobody-{number}"),)).map(drop))
        });
        let (steps, endless) = join(try_join_all(walks), endless).await;
        assert_eq!(steps.unwrap(), (1..=20).rev().collect::<Vec<_>>(), "{engine:?}");
        assert_eq!(endless.unwrap_err().kind, FaultKind::Internal, "{engine:?}: it asks for a row in every round");
        bank.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_in_one_lane_keeps_no_other_from_being_served() {
    let database = ready(Engine::Sqlite).await;
    let bank = Process::on(database.store.clone()).start(bank()).await;
    let (gate, trace) = (Gate::close(&bank.handle).await, trace());
    let ask = |lane, number| bank.handle.decide(lane, &trace, move |work: &mut Work<'_>| timed(work, number));
    let flood = sent((0..4_000).map(|number| ask(Lane::Order, number)));
    let promised = sent((0..150).map(|number| ask(Lane::Money, number)));
    gate.open();
    let (flood, promised) = join(try_join_all(flood), try_join_all(promised)).await;
    let (flood, promised) = (flood.unwrap(), promised.unwrap());
    let first = flood.iter().min().unwrap();
    assert!(promised.iter().all(|time| time == first), "all of them had their place in the first batch");
    assert!(flood.iter().filter(|time| *time == first).count() >= 100, "and the flood had its own");
    bank.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_lane_refuses_at_once_and_the_others_do_not() {
    let database = ready(Engine::Sqlite).await;
    let bank = Process::on(database.store.clone()).start(bank()).await;
    let (gate, trace) = (Gate::close(&bank.handle).await, trace());
    let ask = |lane| bank.handle.decide(lane, &trace, |work| Ok(work.now()));
    let waiting = sent((0..LANE_INPUTS_MAX).map(|_| ask(Lane::Rest)));
    let refused = ask(Lane::Rest).now_or_never().expect("no time is lost on it").unwrap_err();
    assert_eq!((refused.kind, refused.reason.as_str()), (FaultKind::Exhausted, "lane-full"));
    assert!(refused.retry_after_ms.is_some());
    let other = sent([ask(Lane::Order)]);
    gate.open();
    assert!(join_all(waiting.into_iter().chain(other)).await.iter().all(Result::is_ok));
    assert!(ask(Lane::Rest).await.is_ok(), "there is room again");
    bank.shut_down().await;
}

/// What is larger than a lane has its turn too, but alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lane_is_full_of_bytes_too() {
    let database = ready(Engine::Sqlite).await;
    let bank = Process::on(database.store.clone()).start(bank()).await;
    let gate = Gate::close(&bank.handle).await;
    let large = |name: &str, bytes| {
        let (scope, key, bucket) = ("anyone".to_owned(), name.to_owned(), Bucket(0));
        let key = KeyScope { scope, key, bucket, fingerprint: vec![], kept_ms: None };
        let decide = |_: &mut Work<'_>| Ok(Stored { status: 200, resource: String::new() });
        let show = |_: &mut Work<'_>, _: &str| Ok(serde_json::Value::Null);
        bank.handle.command(Command { lane: Lane::Order, key, trace: trace(), bytes, deadline_ms: 10_000, decide, show })
    };
    let waiting = sent([large("first", 2 * LANE_BYTES_MAX)]);
    let refused = large("second", 1).now_or_never().expect("no time is lost on it").unwrap_err();
    assert_eq!(refused.reason, "lane-full");
    gate.open();
    assert!(join_all(waiting).await.iter().all(Result::is_ok));
    assert!(large("second", 1).await.is_ok());
    bank.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_decides_what_waits_and_refuses_what_comes() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let bank = Process::on(database.store.clone()).start(bank()).await;
        let (gate, trace) = (Gate::close(&bank.handle).await, trace());
        let ask = |number| bank.handle.decide(Lane::Rest, &trace, move |work: &mut Work<'_>| timed(work, number));
        let waiting = sent((1..=50).map(ask));
        gate.open();
        let (_, answers) = join(bank.shut_down(), join_all(waiting)).await;
        assert!(answers.iter().all(Result::is_ok), "{engine:?}");
        assert_eq!(ask(51).await.unwrap_err().kind, FaultKind::Unavailable, "{engine:?}");
    }
}
