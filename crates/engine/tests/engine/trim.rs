//! Clean-up of outboxes: what was said long ago and heard by everybody goes, whoever is slow loses nothing, and who comes too
//! late is told so. Leaves how rows go to the tests of `store`.

use engine::{Audience, Service, Settings, Trim};
use kernel::Millis;
use log::Outbox;
use store::Store;

use crate::support::{
    ENGINES, Process, bank, behind, counted, counter, heard, hearing, plain, ready, say, shut_down, trace, until,
};

const TOPIC: &[&str] = &["bank.accounts"];
const NOTHING: [Millis; 2] = [0, 10];

/// A process on `store` in which events older than `keep_ms` go, every `every_ms`, once all of `audience` have heard them.
fn tidy(store: &Store, [keep_ms, every_ms]: [Millis; 2], audience: &[Service]) -> Process {
    let process = Process::on(store.clone());
    let trim = Some(Trim::once_heard(keep_ms, every_ms, Audience::of(audience)));
    Process { settings: Settings { trim, ..process.settings }, ..process }
}

/// Another service that hears the bank.
fn late() -> Service {
    Service { subscriptions: vec![hearing()], ..plain("late") }
}

async fn outbox(store: &Store) -> Outbox {
    Outbox::new(store.clone(), store.head("bank", "unused").await.unwrap().source)
}

/// The number of the oldest event that is left, 0 if there is none.
async fn oldest(store: &Store) -> i64 {
    outbox(store).await.first(TOPIC, 0, i64::MAX).await.unwrap().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_slow_reader_has_not_heard_stays() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = tidy(&database.store, NOTHING, &[bank(), counter(), late()]);
        let (bank, counter) = (process.start(bank()).await, process.start(counter()).await);
        say(&bank.handle, &["a", "b"], 1, 300).await;
        until("one has heard all", || async { heard(&counter.handle, "b").await == (300, 0) }).await;
        assert_eq!(oldest(&database.store).await, 1, "{engine:?}: the other has heard nothing");
        let late = process.start(late()).await;
        until("all is heard and gone", || async { oldest(&database.store).await == 0 }).await;
        assert_eq!(counted(&counter.handle, "moved").await, 2 * 600, "{engine:?}: each heard each once");
        let tails = outbox(&database.store).await.tails_at(0).await.unwrap();
        assert_eq!(tails.values().max(), Some(&600), "{engine:?}: {tails:?}");
        // What is said from now on follows what is gone.
        say(&bank.handle, &["a", "b"], 301, 310).await;
        until("the rest is gone", || async { oldest(&database.store).await == 0 }).await;
        assert_eq!(counted(&counter.handle, "moved").await, 2 * 620, "{engine:?}");
        assert_eq!(behind(&counter, &bank).await, vec![], "{engine:?}");
        shut_down([bank, counter, late]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_stays_for_as_long_as_it_may_be_said_again() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = tidy(&database.store, [60_000, 10], &[bank(), counter()]);
        let (bank, counter) = (process.start(bank()).await, process.start(counter()).await);
        say(&bank.handle, &["a"], 1, 5).await;
        process.world.move_on(40_000);
        say(&bank.handle, &["a"], 6, 9).await;
        until("all is heard", || async { heard(&counter.handle, "a").await == (9, 0) }).await;
        assert_eq!(oldest(&database.store).await, 1, "{engine:?}");
        process.world.move_on(30_000);
        until("the older half is gone", || async { oldest(&database.store).await != 1 }).await;
        assert_eq!(oldest(&database.store).await, 6, "{engine:?}");
        shut_down([bank, counter]).await;
    }
}

/// A cursor that stands still because nothing concerns its service holds nothing up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_concerns_nobody_goes() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = tidy(&database.store, NOTHING, &[bank(), counter()]);
        let (bank, counter) = (process.start(bank()).await, process.start(counter()).await);
        say(&bank.handle, &["a"], 1, 3).await;
        let aside = |work: &mut engine::Work<'_>| (0..700).try_for_each(|_| work.emit(&crate::logs::Aside));
        bank.handle.decide(engine::Lane::Rest, &trace(), aside).await.unwrap();
        let outbox = outbox(&database.store).await;
        until("all of it is gone", || async { outbox.removed(&["bank.asides"]).await == Ok(703) }).await;
        assert_eq!(heard(&counter.handle, "a").await, (3, 0), "{engine:?}");
        shut_down([bank, counter]).await;
    }
}

/// It is not handed what is left as if that were all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_begins_after_a_clean_up_is_told_of_the_gap() {
    for engine in ENGINES {
        let database = ready(engine).await;
        // Nobody knew that it would listen.
        let process = tidy(&database.store, NOTHING, &[bank(), counter()]);
        let (bank, counter) = (process.start(bank()).await, process.start(counter()).await);
        say(&bank.handle, &["a", "b"], 1, 5).await;
        until("all is gone", || async { oldest(&database.store).await == 0 }).await;
        let late = Process::on(database.store.clone()).start(late()).await;
        let outbox = outbox(&database.store).await;
        let behind = behind(&late, &bank).await;
        assert_eq!((behind[0].seq, behind[0].last), (0, 10), "{engine:?}: also while nothing new is said");
        bank.shut_down().await;

        let untidy = Process::on(database.store.clone()).start(crate::support::bank()).await;
        say(&untidy.handle, &["a", "b"], 6, 6).await;
        assert_eq!(outbox.read(0, TOPIC).await.unwrap()[0].prev, 10, "{engine:?}: who reads from 0 has missed 10");
        assert_eq!(outbox.read(10, TOPIC).await.unwrap()[0].prev, 10, "{engine:?}");
        assert_eq!(outbox.read(11, TOPIC).await.unwrap()[0].prev, 11, "{engine:?}");
        until("who was there hears it", || async { heard(&counter.handle, "b").await == (6, 0) }).await;
        let events = outbox.read(0, TOPIC).await.unwrap();
        let admitted = late.handle.apply(&hearing(), events).await.unwrap();
        assert_eq!(admitted, [log::Admission::Gap; 2], "{engine:?}");
        assert_eq!(counted(&counter.handle, "moved").await, 12, "{engine:?}: who came late has applied nothing");
        shut_down([untidy, counter, late]).await;
    }
}
