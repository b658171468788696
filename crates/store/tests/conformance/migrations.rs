//! Migrations: each once, in order, by one process at a time, and never another text than the one that was applied.
//! Leaves tokens and checksums to the unit tests beside them.

use store::{Error, Migration, Pending};
use testkit::{Engine, TestStore, fresh};

use crate::support::{SERVICE, TABLES, all, batch, new_tally, tally};

on_both! {
    what_is_applied_is_not_applied_again
    what_is_pending_is_named
    a_changed_text_is_refused
    a_database_ahead_of_the_program_is_refused
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

async fn a_database_ahead_of_the_program_is_refused(database: TestStore) {
    database.store.migrate(&with(MORE)).await.unwrap();
    for outcome in [database.store.pending(&all()).await, database.store.migrate(&all()).await] {
        assert!(matches!(&outcome, Err(Error::Broken(why)) if why.contains("ahead")), "{outcome:?}");
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
