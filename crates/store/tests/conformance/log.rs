//! The order of the log and the ground of expectations, with many writers at once.
//! Leaves single writes to `writes`.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{join, join_all};
use kernel::Draw;
use store::{Error, OUTBOX_EVENTS, Store, Value};
use testkit::{Engine, TestStore};

use crate::support::{SERVICE, SOURCE, TALLY, add, batch, expect, leave_at_once, new_tally, sku, tally, telling};

on_both! {
    no_reader_ever_sees_a_hole
    write_skew_is_impossible
    of_many_who_want_the_last_one_gets_it
    no_update_is_lost
}

const WRITERS: usize = 8;
const BATCHES: usize = 200;
const READERS: usize = 3;

async fn no_reader_ever_sees_a_hole(database: TestStore) {
    // Two stores on a server, as two processes would have them; a file has one.
    let other = if database.file().is_some() { database.store.clone() } else { database.another().await };
    let writing = AtomicUsize::new(WRITERS);
    let writers = (0..WRITERS).map(|writer| write_some(if writer % 2 == 0 { &database.store } else { &other }, writer, &writing));
    let readers = (0..READERS).map(|reader| read_all(&database.store, reader + 1, &writing));
    let (written, read) = join(join_all(writers), join_all(readers)).await;
    let events: usize = written.iter().sum();
    assert!(events > WRITERS * BATCHES / 2, "{events} events are too few to tell anything");
    let seq = database.store.head(SERVICE, SOURCE).await.unwrap().seq;
    assert_eq!(usize::try_from(seq), Ok(events), "every number belongs to an event of a batch that was told to be durable");
    for order in &read {
        assert_eq!(order.len(), events);
        assert!(order == &read[0], "all readers see the same order");
    }
    for writer in 0..WRITERS {
        let own: Vec<_> = read[0].iter().filter(|what| what.starts_with(&format!("{writer}/"))).collect();
        assert!(own.is_sorted_by_key(|what| what[2..].parse::<usize>().unwrap()), "the order of a writer is kept");
    }
}

/// Commits batches with 0 to 3 events, some of which are refused, and tells how many events were written.
async fn write_some(store: &Store, writer: usize, writing: &AtomicUsize) -> usize {
    let mut draw = Draw::seeded(writer as u64);
    let mut events = 0;
    for number in 0..BATCHES {
        let count = usize::try_from(draw.below(4)).unwrap();
        let name = format!("{writer}/{number}");
        let mut batch = telling(batch(vec![new_tally(&name, 1, 0)]), &name, count);
        let refused = draw.below(5) == 0;
        if refused {
            batch.writes.push(expect("nobody", 1));
        }
        match store.commit(batch).await {
            Ok(_) => events += count,
            Err(Error::Expectation { .. }) if refused => {}
            Err(error) => panic!("{name}: {error}"),
        }
    }
    writing.fetch_sub(1, Ordering::SeqCst);
    events
}

/// Polls the log page by page until all is written and read, and tells whose events came in which order.
async fn read_all(store: &Store, page: usize, writing: &AtomicUsize) -> Vec<String> {
    let (mut cursor, mut order) = (0, Vec::new());
    loop {
        // Asked before the read: what is written after this answer is seen in the next round.
        let last_round = writing.load(Ordering::SeqCst) == 0;
        let topics = Value::Texts(vec!["test.things".to_owned(), "test.others".to_owned()]);
        let limit = i64::try_from(page * 10).unwrap();
        let rows = store.read(&OUTBOX_EVENTS, vec![SOURCE.into(), topics, cursor.into(), limit.into()]).await.unwrap();
        for row in &rows {
            assert_eq!(row.int(0), Ok(cursor + 1), "a reader saw a hole");
            cursor += 1;
            order.push(row.text(3).unwrap().to_owned());
        }
        if rows.is_empty() && last_round {
            return order;
        }
        tokio::task::yield_now().await;
    }
}

async fn write_skew_is_impossible(database: TestStore) {
    for round in 0..200 {
        assert_eq!(leave_at_once(&database.store, round).await, 1, "round {round}");
    }
}

async fn of_many_who_want_the_last_one_gets_it(database: TestStore) {
    let store = &database.store;
    store.commit(batch(vec![new_tally("last", 7, 0)])).await.unwrap();
    let outcomes = join_all((0..40).map(|_| store.commit(batch(vec![add("last", -1, 1)])))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 7);
    let refusal = Error::Expectation { table: TALLY.name, key: sku("last") };
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().err().is_none_or(|error| *error == refusal)));
    assert_eq!(tally(store, "last").await, Some([0, 7, 8]));
}

async fn no_update_is_lost(database: TestStore) {
    let store = &database.store;
    store.commit(batch(vec![new_tally("count", 0, 0)])).await.unwrap();
    let count_up = async || {
        for _ in 0..25 {
            loop {
                let [available, _, version] = tally(store, "count").await.unwrap();
                let row = [sku("count"), vec![(available + 1).into(), Value::Int(0)]].concat();
                match store.commit(batch(vec![store::Write::Put { table: &TALLY, row, version }])).await {
                    Ok(_) => break,
                    Err(Error::Expectation { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    join_all((0..6).map(|_| count_up())).await;
    assert_eq!(tally(store, "count").await, Some([150, 0, 151]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_fsync_serves_batches_of_several_services_and_refuses_each_for_itself() {
    let database = crate::support::ready(Engine::Sqlite).await;
    let store = &database.store;
    store.head("other", "other-1").await.unwrap();
    let outcomes = join_all((0..60_u32).map(|number| {
        let mut batch = telling(batch(vec![new_tally(&format!("sku-{number}"), 1, 0)]), "some", 1);
        batch.service = if number % 2 == 0 { SERVICE } else { "other" };
        batch.epoch = if number % 3 == 0 { 9 } else { 0 };
        store.commit(batch)
    }))
    .await;
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_ok(), number % 3 != 0, "{number}: {outcome:?}");
    }
    assert_eq!((store.head(SERVICE, "").await.unwrap().seq, store.head("other", "").await.unwrap().seq), (20, 20));
}
