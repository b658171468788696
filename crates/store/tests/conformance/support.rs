//! Two tables, one of documents and one of tallies, and short words for batches on them.
//! Leaves databases to `testkit`.

use store::{Batch, Column, Key, Migration, OutboxEvent, PLATFORM, Row, Rows, Store, Table, Write};
use testkit::{Engine, TestStore, fresh};

/// The service of these tests.
pub(crate) const SERVICE: &str = "test";

/// The name of its log.
pub(crate) const SOURCE: &str = "test-1";

/// Documents, with a column of each kind and a unique name.
pub(crate) static THING: Table = Table {
    name: "test_thing",
    key: &[Column::id("id"), Column::int("bucket")],
    columns: &[Column::text("name"), Column::text("doc"), Column::blob("picture")],
    rows: Rows::Move,
};

/// Tallies, with a rule on one column.
pub(crate) static TALLY: Table = Table {
    name: "test_tally",
    key: &[Column::text("shop"), Column::text("sku")],
    columns: &[Column::int("available"), Column::int("held")],
    rows: Rows::Stay,
};

/// The tables.
pub(crate) const TABLES: Migration = Migration {
    service: SERVICE,
    number: 1,
    name: "things-and-tallies",
    sql: "-- Documents; their names are unique.
CREATE TABLE test_thing (
    id {id} NOT NULL, bucket {int} NOT NULL, name {text}, doc {text}, picture {blob}, version {int} NOT NULL,
    PRIMARY KEY (id, bucket)
) {strict};
CREATE UNIQUE INDEX test_thing_name ON test_thing (name);

-- Tallies.
CREATE TABLE test_tally (
    shop {text} NOT NULL, sku {text} NOT NULL, available {int} NOT NULL, held {int} NOT NULL, version {int} NOT NULL,
    PRIMARY KEY (shop, sku), {check held <= 1000}
) {strict};
",
};

/// The platform's tables and these.
pub(crate) fn all() -> Vec<Migration> {
    [PLATFORM, &[TABLES]].concat()
}

/// A fresh database of `engine` with all tables and a head row.
pub(crate) async fn ready(engine: Engine) -> TestStore {
    let database = fresh(engine).await;
    database.store.migrate(&all()).await.unwrap();
    database.store.head(SERVICE, SOURCE).await.unwrap();
    database
}

/// A batch under the epoch of a new head row.
pub(crate) fn batch(writes: Vec<Write>) -> Batch {
    Batch { service: SERVICE, epoch: 0, writes, events: Vec::new() }
}

/// The same batch with `count` events that tell of `what`.
pub(crate) fn telling(mut batch: Batch, what: &str, count: usize) -> Batch {
    batch.events.extend((0..count).map(|number| OutboxEvent {
        topic: "test.things",
        partition: kernel::Bucket(3),
        key: what.to_owned(),
        kind: "thing.seen.v1".to_owned(),
        payload: format!("{{\"what\":\"{what}\",\"number\":{number}}}"),
    }));
    batch
}

/// The key of a tally.
pub(crate) fn sku(name: &str) -> Key {
    vec!["north".into(), name.into()]
}

/// A new tally.
pub(crate) fn new_tally(name: &str, available: i64, held: i64) -> Write {
    Write::Insert { table: &TALLY, row: vec!["north".into(), name.into(), available.into(), held.into()] }
}

/// A change of a tally.
pub(crate) fn add(name: &str, available: i64, held: i64) -> Write {
    Write::Add { table: &TALLY, key: sku(name), deltas: vec![("available", available), ("held", held)] }
}

/// A condition on a tally that is only read.
pub(crate) fn expect(name: &str, version: i64) -> Write {
    Write::Expect { table: &TALLY, key: sku(name), version }
}

/// The row of `key`, if there is one.
pub(crate) async fn find(store: &Store, table: &'static Table, key: Key) -> Option<Row> {
    store.load(table, vec![key]).await.unwrap().pop()
}

/// What a tally has: available, held, version.
pub(crate) async fn tally(store: &Store, name: &str) -> Option<[i64; 3]> {
    let row = find(store, &TALLY, sku(name)).await?;
    Some([2, 3, 4].map(|column| row.int(column).unwrap()))
}

/// Two doctors are on call and each may leave if the other stays: each reads both rows and writes one of them, at once.
/// Tells how many of the two got their way; two is a write skew.
pub(crate) async fn leave_at_once(store: &Store, round: usize) -> usize {
    let (one, other) = (format!("one-{round}"), format!("other-{round}"));
    store.commit(batch(vec![new_tally(&one, 1, 0), new_tally(&other, 1, 0)])).await.unwrap();
    let leave = |who: &str, stays: &str| batch(vec![expect(stays, 1), add(who, -1, 0)]);
    let (first, second) = tokio::join!(store.commit(leave(&one, &other)), store.commit(leave(&other, &one)));
    let left = usize::from(first.is_ok()) + usize::from(second.is_ok());
    let still: i64 = sum(&[tally(store, &one).await, tally(store, &other).await]);
    assert_eq!(usize::try_from(still).unwrap() + left, 2, "what was told is what is there");
    left
}

fn sum(tallies: &[Option<[i64; 3]>]) -> i64 {
    tallies.iter().map(|tally| tally.unwrap()[0]).sum()
}
