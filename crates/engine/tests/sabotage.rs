//! The test of the tests: with one mechanism switched off, the property that it stands for breaks visibly; switched on again,
//! it holds. Leaves the mechanisms that a store shows alone to its own tests. Switches are of the whole process, so these
//! tests run one at a time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "engine/support.rs"]
#[allow(dead_code, reason = "shared with the suite, which uses all of it")]
mod support;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use engine::{Lane, Running, Subscription, Work};
use futures_util::future::{join, join_all, try_join};
use kernel::Fault;
use log::{LogEvent, Outbox, link};
use store::{Mechanism, Migration, Sabotage};
use testkit::{Engine, TestStore};
use tokio::sync::Mutex;

use support::{
    Account, ENGINES, Moved, Process, balance, bank, count, counted, open, pay_in, plain, ready, say, send, trace, transfers,
};

/// Rounds in which two processes are let loose at each other; the first breach ends them.
const ROUNDS: i64 = 300;

/// So many are shown to go well with everything in its place.
const ROUNDS_WELL: i64 = 20;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Looks for a breach without `mechanism` on both engines, where there must be one, and with it, where there must be none.
async fn breached_without<F: Future<Output = bool>>(mechanism: Mechanism, breached: impl Fn(Engine, i64) -> F) {
    let _alone = ONE_AT_A_TIME.lock().await;
    for engine in ENGINES {
        Sabotage::switch(mechanism, true);
        let without = breached(engine, ROUNDS).await;
        Sabotage::switch(mechanism, false);
        assert!(without, "{engine:?}: nothing breaks without {mechanism:?}");
        assert!(!breached(engine, ROUNDS_WELL).await, "{engine:?}: it breaks with {mechanism:?} too");
    }
}

async fn end(running: impl IntoIterator<Item = Running>) {
    for running in running {
        running.shut_down().await;
    }
}

/// A counter without memory of its own: only the cursor keeps it from counting twice.
fn counting() -> Subscription {
    Subscription::to("bank").work(|work, _: &Moved| count(work, "moved", 1))
}

/// The bank's events after the first `known`, linked.
async fn said(database: &TestStore, known: usize) -> Vec<LogEvent> {
    let source = database.store.head("bank", "unused").await.unwrap().source;
    let outbox = Outbox::new(database.store.clone(), source);
    let mut events = Vec::new();
    while events.len() < usize::try_from(outbox.end().await.unwrap()).unwrap() {
        let after = events.last().map_or(0, |event: &LogEvent| event.seq);
        events.extend(outbox.read(after, &["bank.accounts"]).await.unwrap());
    }
    link(&mut HashMap::new(), &mut events);
    events.split_off(known)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_cursors_compare_and_set_two_readers_apply_an_event_twice() {
    breached_without(Mechanism::Cursor, |engine, rounds| async move {
        let database = ready(engine).await;
        let [one, other] = Process::two(&database, engine).await;
        let (bank, here, there) =
            (one.start(bank()).await, one.start(plain("counter")).await, other.start(plain("counter")).await);
        let mut breached = false;
        for number in 1..=rounds {
            say(&bank.handle, &["x"], number, number).await;
            let event = said(&database, usize::try_from(number - 1).unwrap()).await;
            let subscription = counting();
            let (one, other) = (here.handle.apply(&subscription, event.clone()), there.handle.apply(&subscription, event));
            try_join(one, other).await.unwrap();
            breached = counted(&here.handle, "moved").await != number;
            if breached {
                break;
            }
        }
        end([bank, here, there]).await;
        breached
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_chain_a_log_loses_an_event_in_silence() {
    breached_without(Mechanism::Chain, |engine, _| async move {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let (bank, counter) = (process.start(bank()).await, process.start(plain("counter")).await);
        say(&bank.handle, &["x"], 1, 10).await;
        let events = said(&database, 0).await;
        let lossy = events.iter().filter(|event| event.seq != 5).cloned().collect();
        for delivery in [lossy, events] {
            counter.handle.apply(&counting(), delivery).await.unwrap();
        }
        let all = counted(&counter.handle, "moved").await;
        end([bank, counter]).await;
        all != 10
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_keys_a_repeated_request_is_carried_out_twice() {
    breached_without(Mechanism::Key, |engine, _| async move {
        let database = ready(engine).await;
        let bank = Process::on(database.store.clone()).start(bank()).await;
        open(&bank.handle, "a", 10).await;
        open(&bank.handle, "b", 0).await;
        for _ in 0..2 {
            send(&bank.handle, "k", ("a", "b"), 1).await.unwrap();
        }
        let (made, paid) = (transfers(&bank.handle).await, balance(&bank.handle, "b").await);
        assert_eq!(made, paid);
        end([bank]).await;
        made != 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_versions_money_is_lost() {
    breached_without(Mechanism::Version, |engine, rounds| async move {
        let database = ready(engine).await;
        let [one, other] = Process::two(&database, engine).await;
        let banks = [one.start(bank()).await, other.start(bank()).await];
        open(&banks[0].handle, "a", 0).await;
        let (mut paid, mut breached) = (0, false);
        for _ in 0..rounds {
            let trace = trace();
            let pay = |number: usize| banks[number % 2].handle.decide(Lane::Rest, &trace, |work| pay_in(work, "a", 1));
            paid += i64::try_from(join_all((0..4).map(pay)).await.iter().filter(|paid| paid.is_ok()).count()).unwrap();
            breached = balance(&banks[0].handle, "a").await != paid;
            if breached {
                break;
            }
        }
        end(banks).await;
        breached
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_read_expectations_both_doctors_leave() {
    breached_without(Mechanism::ReadOnly, |engine, rounds| async move {
        let database = ready(engine).await;
        let [one, other] = Process::two(&database, engine).await;
        let banks = [one.start(bank()).await, other.start(bank()).await];
        let mut breached = false;
        for round in 0..rounds {
            let doctors = [format!("one-{round}"), format!("other-{round}")];
            for doctor in &doctors {
                open(&banks[0].handle, doctor, 1).await;
            }
            let trace = trace();
            let leave = |who: usize| {
                let (me, colleague) = (doctors[who].clone(), doctors[1 - who].clone());
                banks[who].handle.decide(Lane::Rest, &trace, move |work: &mut Work<'_>| {
                    if work.load::<Account>(&(colleague.clone(),), "doctor")?.balance == 0 {
                        return Err(Fault::conflict("nobody-left", "somebody must stay").into());
                    }
                    pay_in(work, &me, -1)
                })
            };
            let (one, other) = join(leave(0), leave(1)).await;
            breached = one.is_ok() && other.is_ok();
            if breached {
                break;
            }
        }
        end(banks).await;
        breached
    })
    .await;
}

/// What was decided under an old shard map is written all the same, instead of being decided again under the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_epoch_an_old_map_still_decides() {
    breached_without(Mechanism::Epoch, |engine, _| async move {
        let database = ready(engine).await;
        let bank = Process::on(database.store.clone()).start(bank()).await;
        let before = runs(&bank, "before").await;
        // Somebody makes a new map; this process does not know.
        let new_map = "UPDATE store_head SET epoch = epoch + 1 WHERE service = 'bank';";
        database.store.migrate(&[Migration { service: "map", number: 1, name: "new-map", sql: new_map }]).await.unwrap();
        let after = runs(&bank, "after").await;
        let later = runs(&bank, "later").await;
        assert_eq!(before, later, "the new map is known now");
        end([bank]).await;
        after == before
    })
    .await;
}

/// How often an input is decided until it is written.
async fn runs(bank: &Running, name: &'static str) -> u32 {
    let runs = Arc::new(AtomicU32::new(0));
    let run = runs.clone();
    let decide = move |work: &mut Work<'_>| {
        run.fetch_add(1, Ordering::SeqCst);
        work.create(Account { name: name.to_owned(), balance: 0 })
    };
    bank.handle.decide(Lane::Rest, &trace(), decide).await.unwrap();
    runs.load(Ordering::SeqCst)
}
