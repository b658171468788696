//! Each kind of write: what it does, when it is refused, that the refusal names the row, and that it leaves nothing.
//! Leaves the order of the log to `log`.

use kernel::{Bucket, Draw, Id, Timestamp};
use store::{Batch, Committed, Error, Key, OUTBOX_EVENTS, Store, Table, Value, Write};
use testkit::TestStore;

use crate::support::{SERVICE, SOURCE, TALLY, THING, add, batch, expect, find, new_tally, sku, tally, telling};

on_both! {
    a_row_comes_back_as_it_was_inserted
    a_key_is_taken_once
    a_unique_name_is_taken_once
    a_put_needs_the_version
    sums_never_fall_below_zero
    sums_never_wrap
    a_deletion_needs_the_version
    what_was_only_read_must_still_be_so
    of_many_rows_the_one_that_fails_is_named
    what_goes_makes_room_for_what_comes
    a_refused_batch_leaves_nothing
    a_stale_epoch_is_refused
    broken_data_is_refused_as_such
    a_large_batch_is_one_batch
    services_have_logs_of_their_own
}

const NOTHING: Value = Value::Null;

fn id(number: u64) -> Id {
    Id::new(Timestamp::from_millis(1_700_000_000_000), Bucket(3), &mut Draw::seeded(number))
}

fn thing_key(number: u64) -> Key {
    vec![id(number).into(), Bucket(3).into()]
}

fn thing(number: u64, name: impl Into<Value>) -> Vec<Value> {
    vec![id(number).into(), Bucket(3).into(), name.into(), "{\"a\":\"Größe \u{1f6d2}\"}".into(), Value::Blob(vec![0, 1, 255])]
}

fn new_thing(number: u64, name: &str) -> Write {
    Write::Insert { table: &THING, row: thing(number, name) }
}

fn expectation(table: &Table, key: Key) -> Result<Committed, Error> {
    Err(Error::Expectation { table: table.name, key })
}

async fn commit(store: &Store, write: Write) -> Result<Committed, Error> {
    store.commit(batch(vec![write])).await
}

async fn a_row_comes_back_as_it_was_inserted(database: TestStore) {
    let store = &database.store;
    let bare = vec![id(2).into(), Bucket(3).into(), NOTHING, NOTHING, NOTHING];
    let writes = vec![new_thing(1, "first"), Write::Insert { table: &THING, row: bare.clone() }];
    store.commit(batch(writes)).await.unwrap();
    let whole = find(store, &THING, thing_key(1)).await.unwrap();
    assert_eq!(whole.0, [thing(1, "first"), vec![Value::Int(1)]].concat());
    let bare_found = find(store, &THING, thing_key(2)).await.unwrap();
    assert_eq!(bare_found.0, [bare, vec![Value::Int(1)]].concat());
    assert!(find(store, &THING, thing_key(3)).await.is_none());
}

async fn a_key_is_taken_once(database: TestStore) {
    let store = &database.store;
    commit(store, new_thing(1, "first")).await.unwrap();
    assert_eq!(commit(store, new_thing(1, "second")).await, expectation(&THING, thing_key(1)));
    assert_eq!(find(store, &THING, thing_key(1)).await.unwrap().text(2), Ok("first"));
}

async fn a_unique_name_is_taken_once(database: TestStore) {
    let store = &database.store;
    store.commit(batch(vec![new_thing(1, "first"), new_thing(2, "second")])).await.unwrap();
    assert!(matches!(commit(store, new_thing(3, "first")).await, Err(Error::Expectation { table: "test_thing", .. })));
    assert!(find(store, &THING, thing_key(3)).await.is_none());
    let put = Write::Put { table: &THING, row: thing(2, "first"), version: 1 };
    assert!(matches!(commit(store, put).await, Err(Error::Expectation { table: "test_thing", .. })));
    assert_eq!(find(store, &THING, thing_key(2)).await.unwrap().text(2), Ok("second"));
}

async fn a_put_needs_the_version(database: TestStore) {
    let store = &database.store;
    commit(store, new_thing(1, "first")).await.unwrap();
    let put = |name: &str, version| Write::Put { table: &THING, row: thing(1, name), version };
    commit(store, put("second", 1)).await.unwrap();
    for version in [0, 1, 3] {
        assert_eq!(commit(store, put("third", version)).await, expectation(&THING, thing_key(1)));
    }
    let row = find(store, &THING, thing_key(1)).await.unwrap();
    assert_eq!((row.text(2), row.int(5)), (Ok("second"), Ok(2)));
    let nobody = Write::Put { table: &THING, row: thing(2, "nobody"), version: 1 };
    assert_eq!(commit(store, nobody).await, expectation(&THING, thing_key(2)));
}

async fn sums_never_fall_below_zero(database: TestStore) {
    let store = &database.store;
    commit(store, new_tally("milk", 5, 0)).await.unwrap();
    commit(store, add("milk", -5, 5)).await.unwrap();
    assert_eq!(tally(store, "milk").await, Some([0, 5, 2]));
    assert_eq!(commit(store, add("milk", -1, 1)).await, expectation(&TALLY, sku("milk")));
    assert_eq!(commit(store, add("milk", 1, -6)).await, expectation(&TALLY, sku("milk")));
    assert_eq!(tally(store, "milk").await, Some([0, 5, 2]));
    assert_eq!(commit(store, add("bread", 1, 0)).await, expectation(&TALLY, sku("bread")));
}

async fn sums_never_wrap(database: TestStore) {
    let store = &database.store;
    commit(store, new_tally("much", i64::MAX, 0)).await.unwrap();
    let refused = commit(store, add("much", 1, 0)).await;
    assert!(matches!(refused, Err(Error::Broken(_) | Error::Expectation { .. })), "{refused:?}");
    let refused = commit(store, add("much", i64::MIN, 0)).await;
    assert_eq!(refused, expectation(&TALLY, sku("much")));
    assert_eq!(tally(store, "much").await, Some([i64::MAX, 0, 1]));
    commit(store, add("much", -i64::MAX, 0)).await.unwrap();
    assert_eq!(tally(store, "much").await, Some([0, 0, 2]));
}

async fn a_deletion_needs_the_version(database: TestStore) {
    let store = &database.store;
    commit(store, new_tally("milk", 5, 0)).await.unwrap();
    let delete = |version| Write::Delete { table: &TALLY, key: sku("milk"), version };
    assert_eq!(commit(store, delete(2)).await, expectation(&TALLY, sku("milk")));
    assert_eq!(tally(store, "milk").await, Some([5, 0, 1]));
    commit(store, delete(1)).await.unwrap();
    assert_eq!(tally(store, "milk").await, None);
    assert_eq!(commit(store, delete(1)).await, expectation(&TALLY, sku("milk")));
}

async fn what_was_only_read_must_still_be_so(database: TestStore) {
    let store = &database.store;
    commit(store, new_tally("milk", 5, 0)).await.unwrap();
    for (name, version, holds) in
        [("milk", 1, true), ("milk", 2, false), ("milk", 0, false), ("bread", 0, true), ("bread", 1, false)]
    {
        let outcome = commit(store, expect(name, version)).await;
        match holds {
            true => assert!(outcome.is_ok(), "{name} {version}: {outcome:?}"),
            false => assert_eq!(outcome, expectation(&TALLY, sku(name)), "{name} {version}"),
        }
    }
    assert_eq!(tally(store, "milk").await, Some([5, 0, 1]));
}

async fn of_many_rows_the_one_that_fails_is_named(database: TestStore) {
    let store = &database.store;
    let names: Vec<String> = (0..50).map(|number| format!("sku-{number:02}")).collect();
    store.commit(batch(names.iter().map(|name| new_tally(name, 10, 0)).collect())).await.unwrap();
    commit(store, add("sku-31", -9, 9)).await.unwrap();
    let adds = names.iter().map(|name| add(name, -2, 2)).collect();
    assert_eq!(store.commit(batch(adds)).await, expectation(&TALLY, sku("sku-31")));
    let expects = names.iter().map(|name| expect(name, 1)).collect();
    assert_eq!(store.commit(batch(expects)).await, expectation(&TALLY, sku("sku-31")));
    let deletes = names.iter().map(|name| Write::Delete { table: &TALLY, key: sku(name), version: 1 }).collect();
    assert_eq!(store.commit(batch(deletes)).await, expectation(&TALLY, sku("sku-31")));
    let puts = names.iter().map(|name| Write::Put {
        table: &TALLY,
        row: [sku(name), vec![Value::Int(0), Value::Int(0)]].concat(),
        version: 1,
    });
    assert_eq!(store.commit(batch(puts.collect())).await, expectation(&TALLY, sku("sku-31")));
    let inserts = ["new-1", "sku-07", "new-2"].map(|name| new_tally(name, 1, 1)).to_vec();
    assert_eq!(store.commit(batch(inserts)).await, expectation(&TALLY, sku("sku-07")));
    assert_eq!(tally(store, "sku-00").await, Some([10, 0, 1]));
}

async fn what_goes_makes_room_for_what_comes(database: TestStore) {
    let store = &database.store;
    store.commit(batch(vec![new_thing(1, "first"), new_thing(2, "second")])).await.unwrap();
    let going = Write::Delete { table: &THING, key: thing_key(1), version: 1 };
    let renamed = Write::Put { table: &THING, row: thing(2, "first"), version: 1 };
    store.commit(batch(vec![new_thing(3, "second"), renamed, going])).await.unwrap();
    assert!(find(store, &THING, thing_key(1)).await.is_none());
    assert_eq!(find(store, &THING, thing_key(2)).await.unwrap().text(2), Ok("first"));
    assert_eq!(find(store, &THING, thing_key(3)).await.unwrap().text(2), Ok("second"));
}

async fn a_refused_batch_leaves_nothing(database: TestStore) {
    let store = &database.store;
    store.commit(telling(batch(vec![new_tally("milk", 5, 0)]), "milk", 2)).await.unwrap();
    let before = store.head(SERVICE, "another").await.unwrap();
    assert_eq!((before.seq, before.source.as_str()), (2, SOURCE));
    let failing = [
        expect("milk", 7),
        new_tally("milk", 1, 1),
        add("bread", 1, 0),
        Write::Put { table: &TALLY, row: [sku("milk"), vec![Value::Int(1), Value::Int(2000)]].concat(), version: 1 },
    ];
    for write in failing {
        let batch = batch(vec![new_thing(1, "left over"), new_tally("butter", 1, 0), write]);
        store.commit(telling(batch, "left over", 3)).await.unwrap_err();
        assert_eq!(store.head(SERVICE, "another").await.as_ref(), Ok(&before));
        assert!(find(store, &THING, thing_key(1)).await.is_none());
        assert_eq!((tally(store, "butter").await, tally(store, "milk").await), (None, Some([5, 0, 1])));
        assert_eq!(events(store).await, [(1, "milk".to_owned()), (2, "milk".to_owned())]);
    }
    let next = store.commit(telling(batch(vec![]), "next", 1)).await;
    assert_eq!(next, Ok(Committed { seq: 3 }), "a refused batch takes no number");
}

async fn a_stale_epoch_is_refused(database: TestStore) {
    let store = &database.store;
    let head = store.head(SERVICE, SOURCE).await.unwrap();
    let stale = Batch { epoch: head.epoch + 1, ..telling(batch(vec![new_tally("milk", 1, 0)]), "stale", 1) };
    assert_eq!(store.commit(stale).await, Err(Error::StaleEpoch { epoch: head.epoch + 1 }));
    assert_eq!((tally(store, "milk").await, events(store).await), (None, vec![]));
    let nobody = Batch { service: "nobody", ..batch(vec![]) };
    assert_eq!(store.commit(nobody).await, Err(Error::StaleEpoch { epoch: 0 }), "a service without a head row writes nothing");
}

async fn broken_data_is_refused_as_such(database: TestStore) {
    let store = &database.store;
    commit(store, new_tally("milk", 5, 1000)).await.unwrap();
    let broken = [
        new_tally("too-much", 1, 1001),
        add("milk", 0, 1),
        Write::Put { table: &TALLY, row: [sku("milk"), vec![Value::Int(1), Value::Int(2000)]].concat(), version: 1 },
        Write::Insert { table: &TALLY, row: vec!["north".into(), "few".into(), Value::Int(1)] },
        Write::Insert { table: &TALLY, row: vec!["north".into(), "text".into(), "1".into(), Value::Int(1)] },
        Write::Insert { table: &TALLY, row: vec!["north".into(), "nothing".into(), NOTHING, Value::Int(1)] },
        Write::Insert { table: &TALLY, row: vec!["north".into(), "zero\0".into(), Value::Int(1), Value::Int(1)] },
        Write::Insert { table: &THING, row: vec!["no id".into(), Value::Int(3), NOTHING, NOTHING, NOTHING] },
        Write::Add { table: &TALLY, key: sku("milk"), deltas: vec![("nothing", 1)] },
    ];
    for write in broken {
        let what = format!("{write:?}");
        let outcome = commit(store, write).await;
        assert!(matches!(outcome, Err(Error::Broken(_))), "{what}: {outcome:?}");
    }
    assert_eq!(tally(store, "milk").await, Some([5, 1000, 1]));
}

async fn a_large_batch_is_one_batch(database: TestStore) {
    let store = &database.store;
    let names: Vec<String> = (0..500).map(|number| format!("sku-{number}")).collect();
    store.commit(batch(names.iter().map(|name| new_tally(name, 10, 0)).collect())).await.unwrap();
    let mixed = names.iter().enumerate().map(|(index, name)| match index % 4 {
        0 => add(name, -1, 1),
        1 => Write::Put { table: &TALLY, row: [sku(name), vec![Value::Int(9), Value::Int(1)]].concat(), version: 1 },
        2 => expect(name, 1),
        _ => Write::Delete { table: &TALLY, key: sku(name), version: 1 },
    });
    let things = (0..300).map(|number| new_thing(number, &format!("thing-{number}")));
    let committed = store.commit(telling(batch(mixed.chain(things).collect()), "many", 700)).await;
    assert_eq!(committed, Ok(Committed { seq: 700 }));
    let rows = store.load(&TALLY, names.iter().map(|name| sku(name)).collect()).await.unwrap();
    assert_eq!(rows.len(), 375);
    assert_eq!(rows.iter().filter(|row| row.int(2) == Ok(9) && row.int(3) == Ok(1) && row.int(4) == Ok(2)).count(), 250);
    assert_eq!(store.load(&THING, (0..300).map(thing_key).collect()).await.unwrap().len(), 300);
    assert_eq!(events(store).await.len(), 700);
}

async fn services_have_logs_of_their_own(database: TestStore) {
    let store = &database.store;
    let other = store.head("other", "other-1").await.unwrap();
    assert_eq!((other.seq, other.source.as_str()), (0, "other-1"));
    assert_eq!(store.commit(telling(batch(vec![]), "mine", 2)).await, Ok(Committed { seq: 2 }));
    let theirs = Batch { service: "other", ..telling(batch(vec![]), "theirs", 1) };
    assert_eq!(store.commit(theirs).await, Ok(Committed { seq: 1 }));
    assert_eq!(store.commit(batch(vec![])).await, Ok(Committed { seq: 2 }), "a batch without events tells the last number");
    assert_eq!(events(store).await, [(1, "mine".to_owned()), (2, "mine".to_owned())]);
}

/// The numbers and keys in the log of these tests.
async fn events(store: &Store) -> Vec<(i64, String)> {
    let topics = Value::Texts(vec!["test.things".to_owned()]);
    let rows = store.read(&OUTBOX_EVENTS, vec![SOURCE.into(), topics, Value::Int(0), Value::Int(10_000)]).await.unwrap();
    rows.iter().map(|row| (row.int(0).unwrap(), row.text(3).unwrap().to_owned())).collect()
}
