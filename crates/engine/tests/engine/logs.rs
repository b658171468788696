//! Events once and in order: by the outbox, whoever reads it and however many; and by a log between databases that loses,
//! doubles and reorders. Leaves events that cannot be handled to `defects`.

use std::collections::{BTreeMap, HashMap};

use engine::Service;
use futures_util::future::join;
use kernel::Draw;
use log::{Admission, LogEvent, Outbox, link};
use testkit::TestStore;

use crate::support::{
    ACCOUNTS, ENGINES, Process, bank, behind, counted, counter, heard, hearing, plain, ready, say, trace, until, until_heard,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_readers_of_one_outbox_apply_each_event_once() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let [one, other] = Process::two(&database, engine).await;
        let bank = one.start(bank()).await;
        let counters = [one.start(counter()).await, other.start(counter()).await];
        join(say(&bank.handle, &ACCOUNTS, 1, 60), until_heard(&counters[1], 60)).await;
        let pending = counters[0].pending().await.unwrap();
        assert_eq!((pending.parked, behind(&counters[0], &bank).await), (0, vec![]), "{engine:?}");
        for running in counters.into_iter().chain([bank]) {
            running.shut_down().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_begins_where_its_cursor_stands() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let bank = process.start(bank()).await;
        // More than one read brings.
        say(&bank.handle, &ACCOUNTS, 1, 70).await;
        for last in [70, 75] {
            say(&bank.handle, &ACCOUNTS, 71, last).await;
            let counter = process.start(counter()).await;
            until_heard(&counter, last).await;
            counter.shut_down().await;
        }
        let late = process.start(plain("counter")).await;
        assert_eq!(behind(&late, &bank).await, vec![], "who does not listen is not behind");
        let counter = process.start(Service { subscriptions: vec![hearing()], ..plain("another") }).await;
        until("another reads it too", || async { behind(&counter, &bank).await.is_empty() }).await;
        assert_eq!(counted(&counter.handle, "moved").await, 75 * 8 * 2, "{engine:?}");
        for running in [late, counter, bank] {
            running.shut_down().await;
        }
    }
}

/// All events of the bank, as they are linked for a log between databases.
async fn linked(database: &TestStore) -> Vec<LogEvent> {
    let source = database.store.head("bank", "unused").await.unwrap().source;
    let outbox = Outbox::new(database.store.clone(), source);
    let (mut events, mut tails) = (Vec::new(), HashMap::new());
    while events.len() < usize::try_from(outbox.end().await.unwrap()).unwrap() {
        let after = events.last().map_or(0, |event: &LogEvent| event.seq);
        events.extend(outbox.read(after, &["bank.accounts"]).await.unwrap());
    }
    link(&mut tails, &mut events);
    events
}

/// The chain does not depend on where whoever sends begins, nor on what clean-up has removed before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn links_are_the_same_wherever_a_sender_begins() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let bank = Process::on(database.store.clone()).start(bank()).await;
        say(&bank.handle, &ACCOUNTS, 1, 9).await;
        let chain = linked(&database).await;
        let source = chain[0].source.clone();
        let outbox = Outbox::new(database.store.clone(), source.clone());
        for removed in [0, 1, 30, 31, 72] {
            database.store.trim("bank", &source, removed, 1000).await.unwrap();
            for mark in [0, 1, 17, 30, 31, 60, 72] {
                let mut tails = outbox.tails_at(mark).await.unwrap();
                let mut events = outbox.read(mark, &["bank.accounts"]).await.unwrap();
                link(&mut tails, &mut events);
                let from = usize::try_from(mark.max(removed)).unwrap();
                assert_eq!(events, chain[from..], "{engine:?}: from {mark}, without those up to {removed}");
            }
        }
        assert_eq!(outbox.last(&["bank.accounts"]).await, Ok(72), "{engine:?}");
        bank.shut_down().await;
    }
}

/// What a bad log makes of `events`: some are lost, some come twice, some too late.
fn delivered(events: &[LogEvent], draw: &mut Draw) -> Vec<LogEvent> {
    let mut delivered: Vec<LogEvent> = Vec::new();
    for event in events {
        for _ in 0..[0, 1, 1, 1, 1, 1, 2, 3][usize::try_from(draw.below(8)).unwrap()] {
            let back = draw.below(4) * draw.below(4);
            let place = delivered.len().saturating_sub(usize::try_from(back).unwrap());
            delivered.insert(place, event.clone());
        }
    }
    delivered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_log_that_loses_doubles_and_reorders_is_applied_once_and_in_order() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let [one, other] = Process::two(&database, engine).await;
        let bank = one.start(bank()).await;
        say(&bank.handle, &ACCOUNTS, 1, 40).await;
        let events = linked(&database).await;
        let counters = [one.start(plain("counter")).await, other.start(plain("counter")).await];
        let (subscription, mut draw) = (hearing(), Draw::seeded(20_261_124));
        let (mut rounds, mut said) = (0, BTreeMap::new());
        // Two readers at once, each behind a bad log of its own, as after a rebalance that one of them has not noticed.
        while counted(&counters[0].handle, "moved").await < 40 * 8 {
            rounds += 1;
            assert!(rounds < 100, "{engine:?}: deliveries come to an end");
            let (here, there) = (delivered(&events, &mut draw), delivered(&events, &mut draw));
            let (here, there) =
                join(counters[0].handle.apply(&subscription, here), counters[1].handle.apply(&subscription, there)).await;
            for admission in here.unwrap().into_iter().chain(there.unwrap()) {
                *said.entry(format!("{admission:?}")).or_insert(0) += 1;
            }
            for account in ACCOUNTS {
                assert_eq!(heard(&counters[0].handle, account).await.1, 0, "{engine:?}: {account} in order, round {rounds}");
            }
        }
        until_heard(&counters[0], 40).await;
        assert_eq!(said["Next"], 40 * 8, "{engine:?}: each was the next once: {said:?}");
        assert!(rounds > 1 && said["Gap"] > 0 && said["Seen"] > 0, "{engine:?}: {said:?}");
        let again = counters[1].handle.apply(&subscription, events).await.unwrap();
        assert!(again.iter().all(|admission| *admission == Admission::Seen), "{engine:?}");
        for running in counters.into_iter().chain([bank]) {
            running.shut_down().await;
        }
    }
}

/// A log that says much that does not concern the reader does not hide what does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn other_topics_are_passed_over() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let (bank, counter) = (process.start(bank()).await, process.start(counter()).await);
        for number in 1..=4 {
            let aside = |work: &mut engine::Work<'_>| (0..300).try_for_each(|_| work.emit(&Aside));
            bank.handle.decide(engine::Lane::Rest, &trace(), aside).await.unwrap();
            say(&bank.handle, &ACCOUNTS, number, number).await;
            bank.handle.decide(engine::Lane::Rest, &trace(), aside).await.unwrap();
            until_heard(&counter, number).await;
        }
        assert_eq!(behind(&counter, &bank).await, vec![], "{engine:?}");
        for running in [bank, counter] {
            running.shut_down().await;
        }
    }
}

/// Something on another topic of the bank.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Aside;

impl contracts::Event for Aside {
    const KIND: &'static str = "aside.v1";
    const TOPIC: &'static str = "bank.asides";

    fn place(&self) -> contracts::Place {
        contracts::Place { bucket: kernel::Bucket(0), key: "aside".to_owned() }
    }
}
