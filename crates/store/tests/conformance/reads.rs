//! Named reads, loads by key, and what `prepare` and `columns` tell the tests that enumerate statements and tables.
//! Leaves writes to `writes`.

use store::{Error, Kind, OUTBOX_EVENTS, Read, Store, Value};
use testkit::TestStore;

use crate::support::{SOURCE, TALLY, THING, add, batch, new_tally, sku, telling};

on_both! {
    a_key_set_is_read_page_by_page
    a_list_is_compared_with_each_of_its_texts
    nothing_and_sums_come_back_by_kind
    a_load_finds_what_is_there
    arguments_and_answers_of_another_kind_are_broken
    what_is_committed_is_read_at_once
    statements_are_held_against_the_engine
    columns_are_told_by_name
}

static PAGE: Read = Read {
    name: "test.page",
    sql: "SELECT sku, available FROM test_tally WHERE shop = $1 AND (available > $2 OR (available = $2 AND sku > $3)) \
          ORDER BY available, sku LIMIT $4",
    arguments: &[Kind::Text, Kind::Int, Kind::Text, Kind::Int],
    answer: &[Kind::Text, Kind::Int],
};

static NAMED: Read = Read {
    name: "test.named",
    sql: "SELECT sku FROM test_tally WHERE sku {in $1} AND shop {in $2} ORDER BY sku",
    arguments: &[Kind::Texts, Kind::Texts],
    answer: &[Kind::Text],
};

static SUMS: Read = Read {
    name: "test.sums",
    sql: "SELECT CAST(sum(available) AS BIGINT), count(*), CAST(sum(held) AS BIGINT), CAST(NULL AS BIGINT) FROM test_tally WHERE shop = $1",
    arguments: &[Kind::Text],
    answer: &[Kind::Int, Kind::Int, Kind::Int, Kind::Int],
};

static WRONG_ANSWER: Read = Read {
    name: "test.wrong-answer",
    sql: "SELECT available FROM test_tally WHERE sku = $1",
    arguments: &[Kind::Text],
    answer: &[Kind::Text],
};

static OUT_OF_ORDER: Read = Read {
    name: "test.out-of-order",
    sql: "SELECT sku FROM test_tally WHERE available = $2 AND shop = $1",
    arguments: &[Kind::Text, Kind::Int],
    answer: &[Kind::Text],
};

static TOO_FEW_COLUMNS: Read =
    Read { name: "test.too-few-columns", sql: "SELECT sku FROM test_tally", arguments: &[], answer: &[Kind::Text, Kind::Int] };

static TOO_MANY_ARGUMENTS: Read = Read {
    name: "test.too-many-arguments",
    sql: "SELECT sku FROM test_tally WHERE shop = $1",
    arguments: &[Kind::Text, Kind::Int],
    answer: &[Kind::Text],
};

static NO_SUCH_TABLE: Read =
    Read { name: "test.no-such-table", sql: "SELECT sku FROM test_nowhere", arguments: &[], answer: &[Kind::Text] };

async fn tallies(store: &Store) {
    let writes = (0..10).map(|number| new_tally(&format!("sku-{number}"), number / 3, 0)).collect();
    store.commit(batch(writes)).await.unwrap();
}

async fn a_key_set_is_read_page_by_page(database: TestStore) {
    tallies(&database.store).await;
    let (mut available, mut sku, mut pages) = (-1, String::new(), Vec::new());
    loop {
        let arguments = vec!["north".into(), available.into(), sku.as_str().into(), Value::Int(4)];
        let rows = database.store.read(&PAGE, arguments).await.unwrap();
        let Some(last) = rows.last() else { break };
        (sku, available) = (last.text(0).unwrap().to_owned(), last.int(1).unwrap());
        pages.push(rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect::<Vec<_>>());
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
    assert_eq!(pages.concat(), (0..10).map(|number| format!("sku-{number}")).collect::<Vec<_>>());
}

async fn a_list_is_compared_with_each_of_its_texts(database: TestStore) {
    let odd = ["a \"quoted\" one", "back\\slash", "two\nlines", "Größe", "{in $1}", "it's"];
    database.store.commit(batch(odd.iter().map(|name| new_tally(name, 1, 0)).collect())).await.unwrap();
    let named = async |skus: &[&str], shops: &[&str]| {
        let list = |texts: &[&str]| Value::Texts(texts.iter().map(|&text| text.to_owned()).collect());
        let rows = database.store.read(&NAMED, vec![list(skus), list(shops)]).await.unwrap();
        rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect::<Vec<_>>()
    };
    for name in odd {
        assert_eq!(named(&[name, "nobody"], &["south", "north"]).await, [name]);
    }
    assert_eq!(named(&odd, &["north"]).await.len(), odd.len());
    assert!(named(&[], &["north"]).await.is_empty());
    assert!(named(&odd, &["south"]).await.is_empty());
}

async fn nothing_and_sums_come_back_by_kind(database: TestStore) {
    tallies(&database.store).await;
    let rows = database.store.read(&SUMS, vec!["north".into()]).await.unwrap();
    assert_eq!(rows[0].0, [Value::Int(12), Value::Int(10), Value::Int(0), Value::Null]);
    let rows = database.store.read(&SUMS, vec!["south".into()]).await.unwrap();
    assert_eq!(rows[0].0, [Value::Null, Value::Int(0), Value::Null, Value::Null]);
    let rows = database.store.read(&SUMS, vec![Value::Null]).await.unwrap();
    assert_eq!(rows[0].int(1), Ok(0), "nothing is equal to nothing");
}

async fn a_load_finds_what_is_there(database: TestStore) {
    tallies(&database.store).await;
    let keys = ["sku-1", "nobody", "sku-4"].map(sku).to_vec();
    let mut rows = database.store.load(&TALLY, keys).await.unwrap();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(rows.iter().map(|row| row.text(1).unwrap()).collect::<Vec<_>>(), ["sku-1", "sku-4"]);
    assert_eq!(database.store.load(&TALLY, vec![]).await, Ok(vec![]));
}

async fn arguments_and_answers_of_another_kind_are_broken(database: TestStore) {
    tallies(&database.store).await;
    for arguments in [vec![], vec![Value::Int(1)], vec!["north".into(), "south".into()], vec!["zero\0".into()]] {
        let outcome = database.store.read(&SUMS, arguments).await;
        assert!(matches!(outcome, Err(Error::Broken(_))), "{outcome:?}");
    }
    let outcome = database.store.read(&WRONG_ANSWER, vec!["sku-1".into()]).await;
    assert!(matches!(outcome, Err(Error::Broken(_))), "{outcome:?}");
    let outcome = database.store.load(&TALLY, vec![vec!["north".into()]]).await;
    assert!(matches!(outcome, Err(Error::Broken(_))), "{outcome:?}");
}

async fn what_is_committed_is_read_at_once(database: TestStore) {
    let store = &database.store;
    store.commit(batch(vec![new_tally("milk", 0, 0)])).await.unwrap();
    for round in 1..=100 {
        store.commit(batch(vec![add("milk", 1, 0)])).await.unwrap();
        let rows = store.read(&SUMS, vec!["north".into()]).await.unwrap();
        assert_eq!(rows[0].int(0), Ok(round));
    }
    store.commit(telling(batch(vec![]), "milk", 1)).await.unwrap();
    let topics = Value::Texts(vec!["test.things".to_owned()]);
    assert_eq!(store.read(&OUTBOX_EVENTS, vec![SOURCE.into(), topics, Value::Int(0), Value::Int(9)]).await.unwrap().len(), 1);
}

async fn statements_are_held_against_the_engine(database: TestStore) {
    for right in [&OUTBOX_EVENTS, &PAGE, &NAMED, &SUMS] {
        assert_eq!(database.store.prepare(right).await, Ok(()), "{}", right.name);
    }
    for wrong in [&OUT_OF_ORDER, &TOO_FEW_COLUMNS, &TOO_MANY_ARGUMENTS, &NO_SUCH_TABLE] {
        let outcome = database.store.prepare(wrong).await;
        assert!(matches!(&outcome, Err(Error::Broken(why)) if why.contains(wrong.name)), "{outcome:?}");
    }
}

async fn columns_are_told_by_name(database: TestStore) {
    for table in [&THING, &TALLY] {
        let mut found = database.store.columns(table).await.unwrap();
        let mut named: Vec<_> = table.all().map(|column| column.name.to_owned()).collect();
        found.sort();
        named.sort();
        assert_eq!(found, named);
    }
}
