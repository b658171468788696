//! Migrations: each once, in order, by one process at a time, and never another text than the one that was applied.
//! Leaves tokens and checksums to the unit tests beside them.

use store::{Error, Migration, Pending, Write};
use testkit::{Engine, TestStore, fresh};

use crate::support::{SERVICE, TABLES, TALLY, add, all, batch, new_tally, sku, tally};

on_both! {
    what_is_applied_is_not_applied_again
    what_is_pending_is_named
    a_changed_text_is_refused
    a_database_that_was_expanded_is_worked_on
    a_database_that_was_contracted_is_refused
    other_services_are_none_of_our_business
    a_migration_that_fails_leaves_nothing_of_itself
}

const MORE: Migration = Migration {
    service: SERVICE,
    number: 2,
    name: "notes",
    sql: "CREATE TABLE test_note (id {id} NOT NULL PRIMARY KEY, text {text}, version {int} NOT NULL) {strict};\n",
};

fn with(more: Migration) -> Vec<Migration> {
    [all(), vec![more]].concat()
}

fn named(migration: Migration) -> Pending {
    Pending { service: migration.service.to_owned(), number: migration.number, name: migration.name.to_owned() }
}

async fn what_is_applied_is_not_applied_again(database: TestStore) {
    database.store.commit(batch(vec![new_tally("milk", 1, 0)])).await.unwrap();
    assert_eq!(database.store.migrate(&all()).await, Ok(vec![]));
    assert_eq!(tally(&database.store, "milk").await, Some([1, 0, 1]));
}

async fn what_is_pending_is_named(database: TestStore) {
    assert_eq!(database.store.pending(&all()).await, Ok(vec![]));
    assert_eq!(database.store.pending(&with(MORE)).await, Ok(vec![named(MORE)]));
    assert_eq!(database.store.migrate(&with(MORE)).await, Ok(vec![named(MORE)]));
    assert_eq!(database.store.pending(&with(MORE)).await, Ok(vec![]));
}

async fn a_changed_text_is_refused(database: TestStore) {
    let changed = [Migration { sql: "CREATE TABLE test_other (id {id} NOT NULL PRIMARY KEY) {strict};\n", ..TABLES }, MORE];
    for outcome in [database.store.pending(&changed).await, database.store.migrate(&changed).await] {
        assert!(matches!(&outcome, Err(Error::Broken(why)) if why.contains("things-and-tallies")), "{outcome:?}");
    }
    assert_eq!(database.store.pending(&with(MORE)).await, Ok(vec![named(MORE)]), "nothing of it was applied");
}

/// A program goes on, and starts again, on tables that a newer one has widened.
async fn a_database_that_was_expanded_is_worked_on(database: TestStore) {
    let store = &database.store;
    store.commit(batch(vec![new_tally("before", 1, 0)])).await.unwrap();
    let wider = "ALTER TABLE test_tally ADD COLUMN shelf {text} NOT NULL DEFAULT 'any';\n\
                 CREATE INDEX test_tally_shelf ON test_tally (shelf);\n";
    let newer = with(Migration { sql: wider, ..MORE });
    assert_eq!(database.another().await.migrate(&newer).await, Ok(vec![named(newer[newer.len() - 1])]));
    assert_eq!(store.pending(&all()).await, Ok(vec![]));
    assert_eq!(store.migrate(&all()).await, Ok(vec![]));
    store.commit(batch(vec![new_tally("after", 5, 0), add("before", 1, 1)])).await.unwrap();
    let row = [sku("before"), vec![7_i64.into(), 7_i64.into()]].concat();
    store.commit(batch(vec![Write::Put { table: &TALLY, row, version: 2 }])).await.unwrap();
    assert_eq!(tally(store, "before").await, Some([7, 7, 3]));
    assert_eq!(tally(store, "after").await, Some([5, 0, 1]));
}

async fn a_database_that_was_contracted_is_refused(database: TestStore) {
    database.store.migrate(&with(Migration { name: "contract-more", ..MORE })).await.unwrap();
    for outcome in [database.store.pending(&all()).await, database.store.migrate(&all()).await] {
        assert!(matches!(&outcome, Err(Error::Broken(why)) if why.contains("contract-more")), "{outcome:?}");
    }
}

async fn other_services_are_none_of_our_business(database: TestStore) {
    let stranger = Migration { service: "stranger", ..MORE };
    database.store.migrate(&[stranger]).await.unwrap();
    assert_eq!(database.store.pending(&all()).await, Ok(vec![]));
}

async fn a_migration_that_fails_leaves_nothing_of_itself(database: TestStore) {
    let third = Migration {
        number: 3,
        name: "half-wrong",
        sql: "CREATE TABLE test_half (id {id} NOT NULL PRIMARY KEY) {strict};\nCREATE INDEX test_half_no ON test_half (no);\n",
        ..MORE
    };
    let both = [with(MORE), vec![third]].concat();
    let outcome = database.store.migrate(&both).await;
    assert!(matches!(&outcome, Err(Error::Broken(why)) if why.contains("half-wrong")), "{outcome:?}");
    assert_eq!(database.store.pending(&both).await, Ok(vec![named(third)]), "those before it stay");
    let right = Migration { sql: "CREATE TABLE test_half (id {id} NOT NULL PRIMARY KEY) {strict};\n", ..third };
    assert_eq!(database.store.migrate(&[with(MORE), vec![right]].concat()).await, Ok(vec![named(third)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_migrators_apply_each_once_in_a_file() {
    two_migrators(fresh(Engine::Sqlite).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_migrators_apply_each_once_on_a_server() {
    two_migrators(fresh(Engine::Postgres).await).await;
}

async fn two_migrators(database: TestStore) {
    let other = database.another().await;
    let every = with(MORE);
    assert_eq!(database.store.pending(&every).await.unwrap().len(), every.len());
    let (one, two) = tokio::join!(database.store.migrate(&every), other.migrate(&every));
    let mut applied: Vec<_> = one.unwrap().into_iter().chain(two.unwrap()).collect();
    applied.sort_by_key(|pending| (pending.service.clone(), pending.number));
    let mut wanted: Vec<_> = every.iter().map(|migration| named(*migration)).collect();
    wanted.sort_by_key(|pending| (pending.service.clone(), pending.number));
    assert_eq!(applied, wanted);
    assert_eq!(other.pending(&every).await, Ok(vec![]));
}
