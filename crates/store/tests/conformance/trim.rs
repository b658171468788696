//! Events that clean-up removes: in order, never without a note of where that leaves their topic and partition, whoever writes,
//! reads and cleans up meanwhile. Leaves which events may go to the engine.

#![allow(clippy::disallowed_methods, reason = "a child process is told by its environment what to do")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use futures_util::future::{join, join_all};
use kernel::{Bucket, Draw};
use store::{OUTBOX_EVENTS, OUTBOX_LAST, OUTBOX_REMOVED, OUTBOX_TAILS, OutboxEvent, Store, Value};
use testkit::TestStore;

use crate::support::{SERVICE, SOURCE, all, batch};

on_both! {
    the_oldest_go_and_their_tails_stay
    a_tail_is_the_last_event_before_what_is_left
    other_logs_are_left_alone
    tails_are_right_whoever_writes_reads_and_cleans_up
}

const TOPICS: [&str; 2] = ["test.others", "test.things"];

/// Tells a child process where its file is; without it the test named `child_…` has nothing to do.
const CHILD_FILE: &str = "SWIFTCART_TEST_TRIM_FILE";

/// Where an event goes: its topic, its partition.
type Place = (String, i64);

/// Commits one event at each of `places`, in their order.
async fn say(store: &Store, places: &[(&'static str, u16)]) {
    let event = |(topic, partition): &(&'static str, u16)| {
        let (key, kind, payload) = ("key".to_owned(), "thing.seen.v1".to_owned(), "{}".to_owned());
        OutboxEvent { topic, partition: Bucket(*partition), key, kind, payload }
    };
    let mut batch = batch(vec![]);
    batch.events.extend(places.iter().map(event));
    store.commit(batch).await.unwrap();
}

fn topics() -> Value {
    Value::Texts(TOPICS.map(str::to_owned).to_vec())
}

async fn tails(store: &Store, mark: i64) -> BTreeMap<Place, i64> {
    let rows = store.read(&OUTBOX_TAILS, vec![SOURCE.into(), mark.into()]).await.unwrap();
    rows.iter().map(|row| ((row.text(0).unwrap().to_owned(), row.int(1).unwrap()), row.int(2).unwrap())).collect()
}

/// The numbers of the events that are left, and what is said to have been removed before them.
async fn left(store: &Store) -> (Vec<i64>, i64) {
    let rows = store.read(&OUTBOX_EVENTS, vec![SOURCE.into(), topics(), Value::Int(0), i64::MAX.into()]).await.unwrap();
    let removed = store.read(&OUTBOX_REMOVED, vec![SOURCE.into(), topics()]).await.unwrap()[0].int(0).unwrap();
    assert!(rows.iter().all(|row| row.int(6) == Ok(removed)), "every event comes with what was removed before it");
    (rows.iter().map(|row| row.int(0).unwrap()).collect(), removed)
}

fn places<const N: usize>(tails: [(&str, i64, i64); N]) -> BTreeMap<Place, i64> {
    tails.into_iter().map(|(topic, partition, seq)| ((topic.to_owned(), partition), seq)).collect()
}

async fn the_oldest_go_and_their_tails_stay(database: TestStore) {
    let store = &database.store;
    assert_eq!(tails(store, i64::MAX).await, places([]));
    say(store, &[("test.things", 1), ("test.things", 2), ("test.others", 1), ("test.things", 1), ("test.things", 2)]).await;
    assert_eq!(store.trim(SERVICE, SOURCE, 0, 100).await, Ok(0));
    assert_eq!(store.trim(SERVICE, SOURCE, 4, 2).await, Ok(2), "the oldest two");
    assert_eq!(left(store).await, (vec![3, 4, 5], 2));
    assert_eq!(store.trim(SERVICE, SOURCE, 4, 100).await, Ok(2), "and the rest up to 4");
    assert_eq!(left(store).await, (vec![5], 4));
    let all = [("test.things", 1, 4), ("test.things", 2, 5), ("test.others", 1, 3)];
    assert_eq!(tails(store, i64::MAX).await, places(all), "the last of each place, whether it is still there or not");
    assert_eq!(store.trim(SERVICE, SOURCE, 4, 100).await, Ok(0), "once");
    assert_eq!(store.trim(SERVICE, SOURCE, i64::MAX, 100).await, Ok(1));
    assert_eq!(tails(store, i64::MAX).await, places(all));
    assert_eq!(left(store).await, (vec![], 5));
    assert_eq!(store.read(&OUTBOX_LAST, vec![SOURCE.into(), topics()]).await, Ok(vec![]));
    say(store, &[("test.things", 1)]).await;
    assert_eq!(left(store).await, (vec![6], 5), "numbers go on");
}

async fn a_tail_is_the_last_event_before_what_is_left(database: TestStore) {
    let store = &database.store;
    say(store, &[("test.things", 1), ("test.things", 2), ("test.things", 1), ("test.things", 2), ("test.things", 3)]).await;
    assert_eq!(tails(store, 0).await, places([]));
    assert_eq!(tails(store, 2).await, places([("test.things", 1, 1), ("test.things", 2, 2)]));
    assert_eq!(tails(store, 3).await, places([("test.things", 1, 3), ("test.things", 2, 2)]));
    store.trim(SERVICE, SOURCE, 3, 100).await.unwrap();
    let after_3 = places([("test.things", 1, 3), ("test.things", 2, 2)]);
    assert_eq!(tails(store, 3).await, after_3);
    assert_eq!(tails(store, 1).await, after_3, "what is gone cannot come after the mark any more");
    assert_eq!(tails(store, 4).await, places([("test.things", 1, 3), ("test.things", 2, 4)]));
}

async fn other_logs_are_left_alone(database: TestStore) {
    let store = &database.store;
    store.head("other", "other-1").await.unwrap();
    say(store, &[("test.things", 1)]).await;
    assert_eq!(store.trim("other", "other-1", i64::MAX, 100).await, Ok(0));
    assert_eq!(left(store).await, (vec![1], 0));
}

const WRITERS: usize = 4;
const BATCHES: usize = 60;

/// Two readers who never see a hole, each of whom cleans up behind the slower one and knows by what it has read which tails
/// there must be.
async fn tails_are_right_whoever_writes_reads_and_cleans_up(database: TestStore) {
    let other = if database.file().is_some() { database.store.clone() } else { database.another().await };
    let stores = [&database.store, &other];
    let (writing, cursors) = (AtomicUsize::new(WRITERS), [AtomicI64::new(0), AtomicI64::new(0)]);
    let writers = (0..WRITERS).map(async |writer| {
        let mut draw = Draw::seeded(writer as u64);
        for _ in 0..BATCHES {
            let place = |draw: &mut Draw| (TOPICS[draw.below(2) as usize], u16::try_from(draw.below(5)).unwrap());
            let places: Vec<_> = (0..=draw.below(3)).map(|_| place(&mut draw)).collect();
            say(stores[writer % 2], &places).await;
        }
        writing.fetch_sub(1, Ordering::SeqCst);
    });
    let readers = [0, 1].map(|reader| read_and_clean_up(stores[reader], reader, &cursors, &writing));
    let (_, removed) = join(join_all(writers), join_all(readers)).await;
    let (left, _) = left(&database.store).await;
    let seq = database.store.head(SERVICE, SOURCE).await.unwrap().seq;
    assert_eq!(removed.iter().sum::<i64>() + i64::try_from(left.len()).unwrap(), seq, "each event was removed once, or is left");
    assert!(removed.iter().all(|removed| *removed > 0), "both cleaned up: {removed:?}");
}

async fn read_and_clean_up(store: &Store, reader: usize, cursors: &[AtomicI64; 2], writing: &AtomicUsize) -> i64 {
    let (mut cursor, mut known, mut removed, mut draw) = (0, BTreeMap::new(), 0, Draw::seeded(99 + reader as u64));
    loop {
        let last_round = writing.load(Ordering::SeqCst) == 0;
        let limit = 1 + i64::try_from(draw.below(20)).unwrap();
        let rows = store.read(&OUTBOX_EVENTS, vec![SOURCE.into(), topics(), cursor.into(), limit.into()]).await.unwrap();
        for row in &rows {
            assert_eq!(row.int(0), Ok(cursor + 1), "a reader saw a hole");
            cursor += 1;
            known.insert((row.text(1).unwrap().to_owned(), row.int(2).unwrap()), cursor);
        }
        cursors[reader].store(cursor, Ordering::SeqCst);
        assert_eq!(tails(store, cursor).await, known, "the tails at {cursor}");
        let passed = cursors.iter().map(|cursor| cursor.load(Ordering::SeqCst)).min().unwrap();
        removed += store.trim(SERVICE, SOURCE, passed - i64::try_from(draw.below(3)).unwrap(), limit).await.unwrap();
        if rows.is_empty() && last_round {
            return removed;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_in_mid_clean_up_has_removed_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("trimmed.db");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "trim::child_dies_in_mid_clean_up", "--nocapture"]).env(CHILD_FILE, &file);
    assert!(!child.status().unwrap().success());
    let store = Store::sqlite(&file).unwrap();
    assert_eq!(left(&store).await, (vec![2, 3], 1), "of the second clean-up there is nothing");
    assert_eq!(tails(&store, 1).await, places([("test.things", 1, 1)]));
    assert_eq!(store.trim(SERVICE, SOURCE, 2, 100).await, Ok(1));
    assert_eq!(tails(&store, 2).await, places([("test.things", 1, 1), ("test.things", 2, 2)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn child_dies_in_mid_clean_up() {
    let Some(file) = std::env::var_os(CHILD_FILE).map(PathBuf::from) else { return };
    let store = Store::sqlite(&file).unwrap();
    store.migrate(&all()).await.unwrap();
    store.head(SERVICE, SOURCE).await.unwrap();
    say(&store, &[("test.things", 1), ("test.things", 2), ("test.things", 3)]).await;
    store.trim(SERVICE, SOURCE, 1, 100).await.unwrap();
    kernel::on_fail_point(|reached| {
        if reached == "store.sqlite-trim-before-commit" {
            std::process::abort();
        }
    });
    store.trim(SERVICE, SOURCE, 3, 100).await.unwrap();
}
