//! A database whose connections break in the worst moments, or that is away for a while: nobody is told what is not so, and
//! everything goes on. Leaves what a connection makes of it to the tests of `store`.

use engine::{Handle, Reply};
use futures_util::future::join_all;
use kernel::FaultKind;
use store::{Migration, Store};
use testkit::{Engine, Proxy, admin};

use crate::support::{
    ENGINES, Process, balance, bank, behind, counted, counter, heard, open, ready, say, send, transfers, until,
};

/// How often the proxy is asked to cut before that must have hit a transfer, and not the renewal of a lease.
const CUTS_MAX: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_unknown_outcome_is_settled_and_nothing_is_done_twice() {
    let database = ready(Engine::Postgres).await;
    let proxy = Proxy::before(&database.url).await;
    let bank = Process::on(Store::postgres(&proxy.url, 4).await.unwrap()).start(bank()).await;
    open(&bank.handle, "a", 100_000).await;
    open(&bank.handle, "b", 0).await;
    let (mut done, mut settled) = (0, 0);
    for round in 0..CUTS_MAX {
        proxy.cut_after_commit();
        let names = [0, 1, 2, 3, 4].map(|number| format!("{round}-{number}"));
        for reply in join_all(names.iter().map(|name| send(&bank.handle, name, ("a", "b"), 1))).await {
            // It was done by a commit of which nobody was told: decided again, its key says so.
            settled += usize::from(reply.expect("whoever has time is told the truth").replayed);
            done += 1;
        }
        if settled >= 10 {
            break;
        }
    }
    assert!(settled >= 10, "only {settled} outcomes were unknown");
    assert_eq!((transfers(&bank.handle).await, balance(&bank.handle, "b").await), (done, done));
    bank.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_has_no_time_left_is_told_that_the_outcome_is_unknown() {
    let database = ready(Engine::Postgres).await;
    let proxy = Proxy::before(&database.url).await;
    let process = Process::on(Store::postgres(&proxy.url, 4).await.unwrap());
    let bank = process.start(bank()).await;
    open(&bank.handle, "a", 100_000).await;
    open(&bank.handle, "b", 0).await;
    let mut done = 0;
    for round in 0..CUTS_MAX {
        let name = format!("{round}");
        // As soon as the executor pauses because of the cut, more time passes than the sender has.
        process.world.leap_in_sleep(30_000);
        proxy.cut_after_commit();
        let first = send(&bank.handle, &name, ("a", "b"), 1).await;
        process.world.leap_in_sleep(0);
        let again = repeated(&bank.handle, &name).await;
        done += 1;
        assert_eq!((transfers(&bank.handle).await, balance(&bank.handle, "b").await), (done, done));
        match first {
            Ok(first) => assert_eq!(first.resource, again.resource),
            // The clock leapt before it was its turn.
            Err(fault) if fault.kind == FaultKind::Unavailable => {}
            Err(fault) => {
                assert_eq!((fault.kind, fault.reason.as_str()), (FaultKind::OutcomeUnknown, "outcome-unknown"));
                assert!(again.replayed, "it had happened");
                bank.shut_down().await;
                return;
            }
        }
    }
    panic!("no outcome stayed unknown in {CUTS_MAX} cuts");
}

/// Sends a transfer until there is an answer: a last leap of the clock may have taken its time as well.
async fn repeated(bank: &Handle, name: &str) -> Reply {
    loop {
        match send(bank, name, ("a", "b"), 1).await {
            Ok(reply) => return reply,
            Err(fault) => assert!(matches!(fault.kind, FaultKind::Unavailable | FaultKind::OutcomeUnknown), "{fault}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_was_away_is_taken_up_again() {
    let database = ready(Engine::Postgres).await;
    let process = Process::on(database.another().await);
    let (bank, counter) = (process.start(bank()).await, process.start(counter()).await);
    open(&bank.handle, "a", 100_000).await;
    open(&bank.handle, "b", 0).await;
    say(&bank.handle, &["x"], 1, 20).await;
    let name = database.url.rsplit('/').next().unwrap().to_owned();
    let server = admin(&database.url.replace(&name, "postgres")).await;
    server.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await.unwrap();
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", &[&name]).await.unwrap();
    process.world.leap_in_sleep(2_000);
    let mut sent = 0;
    let fault = loop {
        sent += 1;
        if let Err(fault) = send(&bank.handle, &format!("{sent}"), ("a", "b"), 1).await {
            break fault;
        }
    };
    assert!(matches!(fault.kind, FaultKind::Unavailable | FaultKind::OutcomeUnknown), "{fault}");
    process.world.leap_in_sleep(0);
    server.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await.unwrap();
    repeated(&bank.handle, &format!("{sent}")).await;
    assert_eq!((transfers(&bank.handle).await, balance(&bank.handle, "b").await), (sent, sent));
    say(&bank.handle, &["x"], 21, 40).await;
    until("all is heard", || async { heard(&counter.handle, "x").await.0 == 40 }).await;
    assert_eq!((heard(&counter.handle, "x").await, counted(&counter.handle, "moved").await), ((40, 0), 40));
    for running in [bank, counter] {
        running.shut_down().await;
    }
}

/// A table that is not there is no event's fault: nothing is parked, and nothing lost once it is mended.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_operator_must_mend_parks_no_event() {
    let mended = "CREATE TABLE counter_heard (account {text} NOT NULL PRIMARY KEY, version {int} NOT NULL, \
                  last {int} NOT NULL, out_of_order {int} NOT NULL) {strict};";
    for engine in ENGINES {
        let database = ready(engine).await;
        let migrate = async |service, sql| {
            let migration = Migration { service, number: 1, name: "by-hand", sql };
            database.store.migrate(&[migration]).await.unwrap();
        };
        let process = Process::on(database.store.clone());
        let (bank, counter) = (process.start(bank()).await, process.start(counter()).await);
        say(&bank.handle, &["x"], 1, 5).await;
        until("some is heard", || async { heard(&counter.handle, "x").await.0 == 5 }).await;
        let tried = counter.handle.runtime().clone();
        migrate("havoc", "DROP TABLE counter_heard;").await;
        say(&bank.handle, &["x"], 6, 10).await;
        // The clock leaps whenever the executor pauses before it tries again: until its deadline and beyond.
        process.world.leap_in_sleep(1_000);
        let since = tried.now();
        until("it was tried for long", || async { tried.now().since_ms(since) > 60_000 }).await;
        process.world.leap_in_sleep(0);
        let pending = counter.pending().await.unwrap();
        assert_eq!((pending.parked, behind(&counter, &bank).await.len()), (0, 1), "{engine:?}");
        migrate("cure", mended).await;
        until("the rest is heard", || async { heard(&counter.handle, "x").await.0 == 10 }).await;
        assert_eq!(counter.pending().await.unwrap().parked, 0, "{engine:?}");
        for running in [bank, counter] {
            running.shut_down().await;
        }
    }
}
