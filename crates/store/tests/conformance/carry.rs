//! A shop that is carried from its file to a server: whole, compared, once, and the file is sealed. Leaves what is killed on the
//! way to the crash suite, and what a shop is to its services.

#![allow(clippy::disallowed_methods, reason = "tests of the real thing stand outside of the ports")]

use store::{Batch, Carriage, Error, NotCarried, Store, Table, Value, Write};
use testkit::{Engine, TestStore, admin, fresh};

use crate::support::{SERVICE, SOURCE, TALLY, THING, all, batch, find, new_tally, ready, sku, tally, telling};

static TABLES: [&Table; 2] = [&THING, &TALLY];

async fn migrated() -> TestStore {
    let database = fresh(Engine::Postgres).await;
    database.store.migrate(&all()).await.unwrap();
    database
}

/// A file with more rows than travel at once, of every kind, with versions of their own.
async fn filled() -> TestStore {
    let database = ready(Engine::Sqlite).await;
    let store = &database.store;
    let id =
        |number: u64| kernel::Id::new(kernel::Timestamp::from_millis(1), kernel::Bucket(1), &mut kernel::Draw::seeded(number));
    let thing = |number: u64| {
        let name = if number.is_multiple_of(3) { Value::Null } else { format!("Größe {number}").into() };
        let picture = if number.is_multiple_of(2) { Value::Null } else { vec![0_u8, 255, 7].into() };
        let row = vec![id(number).into(), Value::Int(-5), name, "{\"a\":\"\\u0000 'quoted'\"}".into(), picture];
        Write::Insert { table: &THING, row }
    };
    store.commit(telling(batch((0..700).map(thing).collect()), "things", 600)).await.unwrap();
    store.commit(batch(vec![new_tally("milk", i64::MAX, 0)])).await.unwrap();
    let row = [sku("milk"), vec![Value::Int(3), Value::Int(4)]].concat();
    store.commit(batch(vec![Write::Put { table: &TALLY, row, version: 1 }])).await.unwrap();
    store.trim(SERVICE, SOURCE, 100, 1000).await.unwrap();
    database
}

async fn carry(from: &Store, to: &Store, id: &str) -> Result<Carriage, NotCarried> {
    from.carry(to, &TABLES, id, |_| {}).await
}

fn why(outcome: Result<Carriage, NotCarried>) -> String {
    match outcome {
        Err(NotCarried::Refused(why)) => why,
        other => panic!("it was not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_arrives_and_the_file_is_sealed() {
    let (from, to) = (filled().await, migrated().await);
    assert_eq!(from.store.carried_to().await, Ok(None));
    let Ok(Carriage::Done(carried)) = carry(&from.store, &to.store, "first").await else { panic!("it is carried") };
    let rows: Vec<_> = carried.iter().map(|carried| (carried.table, carried.rows)).collect();
    assert_eq!(rows, [("store_head", 1), ("store_outbox", 500), ("store_tail", 1), ("test_thing", 700), ("test_tally", 1)]);
    let place = from.store.carried_to().await.unwrap().expect("the file is sealed");
    assert!(to.url.contains(place.split('@').next_back().unwrap().split('?').next().unwrap()), "{place} is {}", to.url);
    assert_eq!(tally(&to.store, "milk").await, Some([3, 4, 2]), "with its version");
    for number in [0, 1, 699] {
        let id = kernel::Id::new(kernel::Timestamp::from_millis(1), kernel::Bucket(1), &mut kernel::Draw::seeded(number));
        let key = vec![id.into(), Value::Int(-5)];
        let (here, there) = (find(&from.store, &THING, key.clone()).await, find(&to.store, &THING, key).await);
        assert!(here.is_some() && here == there, "{here:?} {there:?}");
    }
    let head = to.store.head(SERVICE, "unused").await.unwrap();
    assert_eq!((head.seq, head.source.as_str()), (600, SOURCE));
    let next = Batch { epoch: head.epoch, ..telling(batch(vec![]), "next", 1) };
    assert_eq!(to.store.commit(next).await.unwrap().seq, 601, "numbers go on");
    assert_eq!(carry(&from.store, &to.store, "second").await, Ok(Carriage::Before), "once");
    let elsewhere = migrated().await;
    assert!(why(carry(&from.store, &elsewhere.store, "third").await).contains(&place), "and nowhere else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_sealed_before_the_end_is_carried_again() {
    let (from, to) = (filled().await, migrated().await);
    carry(&from.store, &to.store, "first").await.unwrap();
    // As if the server had not heard the end of it.
    let sql = admin(&to.url).await;
    sql.batch_execute("TRUNCATE store_promotion, store_head, store_outbox, store_tail, test_thing, test_tally").await.unwrap();
    assert!(matches!(carry(&from.store, &to.store, "second").await, Ok(Carriage::Done(_))));
    assert_eq!(tally(&to.store, "milk").await, Some([3, 4, 2]));
    assert_eq!(carry(&from.store, &to.store, "third").await, Ok(Carriage::Before));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_is_refused_and_leaves_both_as_they_were() {
    let (from, to) = (filled().await, migrated().await);
    to.store.commit(batch(vec![])).await.unwrap_err();
    to.store.head("another", "another-1").await.unwrap();
    assert!(why(carry(&from.store, &to.store, "first").await).contains("there is a shop at"));
    let sql = admin(&to.url).await;
    sql.batch_execute("TRUNCATE store_head; INSERT INTO store_promotion VALUES ('from', 'other', 'x')").await.unwrap();
    assert!(why(carry(&from.store, &to.store, "first").await).contains("another shop"));
    sql.batch_execute("TRUNCATE store_promotion").await.unwrap();
    let missed = from.store.carry(&to.store, &[&TALLY], "first", |_| {}).await;
    assert!(why(missed).contains("test_thing"), "a table that nobody named");
    assert!(why(carry(&to.store, &to.store, "first").await).contains("embedded"));
    assert_eq!(from.store.carried_to().await, Ok(None), "the file is not sealed");
    // A server that takes no such row: nothing of the others is left.
    sql.batch_execute("ALTER TABLE test_tally ADD CHECK (available > 3)").await.unwrap();
    let broken = carry(&from.store, &to.store, "first").await;
    assert!(matches!(broken, Err(NotCarried::Failed(Error::Broken(_)))), "{broken:?}");
    sql.batch_execute("ALTER TABLE test_tally DROP CONSTRAINT test_tally_available_check").await.unwrap();
    // One that changes what it takes.
    let change = "CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.held = 9; RETURN NEW; END'; \
                  CREATE TRIGGER change BEFORE INSERT ON test_tally FOR EACH ROW EXECUTE FUNCTION change()";
    sql.batch_execute(change).await.unwrap();
    assert!(why(carry(&from.store, &to.store, "first").await).contains("test_tally arrived with"));
    assert_eq!(from.store.carried_to().await, Ok(None));
    sql.batch_execute("DROP TRIGGER change ON test_tally").await.unwrap();
    assert!(matches!(carry(&from.store, &to.store, "first").await, Ok(Carriage::Done(_))), "after all that");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_begins_on_a_server_while_a_shop_arrives() {
    let (from, to) = (filled().await, migrated().await);
    let other = to.another().await;
    let beginning = std::sync::Mutex::new(None);
    let told = |carried: &store::Carried| {
        if carried.table == "store_head" {
            let other = other.clone();
            *beginning.lock().unwrap() = Some(tokio::spawn(async move { other.head(SERVICE, "born-here").await }));
        }
    };
    from.store.carry(&to.store, &TABLES, "first", told).await.unwrap();
    let began = beginning.into_inner().unwrap().unwrap().await.unwrap();
    assert_eq!(began.unwrap().source, SOURCE, "it waits, and finds the shop that arrived");
}
