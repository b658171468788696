//! What only a server can suffer: a connection cut after COMMIT, clients that freeze while they hold the head row.
//! Leaves everything else to the tests that run on both engines.

use store::{Committed, Error, Store};
use testkit::{Engine, Proxy, admin};

use crate::support::{SERVICE, SOURCE, add, batch, new_tally, ready, tally, telling};

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_after_commit_is_an_unknown_outcome() {
    let database = ready(Engine::Postgres).await;
    let proxy = Proxy::before(&database.url).await;
    let store = Store::postgres(&proxy.url, 2).await.unwrap();
    store.commit(batch(vec![new_tally("milk", 9, 0)])).await.unwrap();
    proxy.cut_after_commit();
    let outcome = store.commit(telling(batch(vec![add("milk", -1, 1)]), "milk", 1)).await;
    assert!(matches!(outcome, Err(Error::UnknownOutcome(_))), "{outcome:?}");
    assert_eq!(tally(&database.store, "milk").await, Some([8, 1, 2]), "here it was written");
    let next = store.commit(telling(batch(vec![add("milk", -1, 1)]), "milk", 1)).await;
    assert_eq!(next, Ok(Committed { seq: 2 }), "the next batch finds another connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_freezes_in_mid_flight_is_ended() {
    let database = ready(Engine::Postgres).await;
    let proxy = Proxy::before(&database.url).await;
    let frozen = admin(&proxy.url).await;
    let hold = frozen.prepare("UPDATE store_head SET seq = seq + 100 WHERE service = $1").await.unwrap();
    frozen.batch_execute("BEGIN").await.unwrap();
    proxy.freeze_before_sync();
    // No time-out of the server ends this one: to it the client is still speaking.
    let frozen = async { frozen.execute(&hold, &[&SERVICE]).await.unwrap_err() };
    let commit = async {
        wait_until_somebody_holds_the_head(&database.url).await;
        database.store.commit(telling(batch(vec![new_tally("milk", 1, 0)]), "milk", 1)).await
    };
    let (_, committed) = tokio::join!(frozen, commit);
    assert_eq!(committed, Ok(Committed { seq: 1 }), "nothing of the frozen transaction is left");
}

/// The lock of a transaction on the table is the sign that its statement ran.
async fn wait_until_somebody_holds_the_head(url: &str) {
    let watcher = admin(url).await;
    let holds = "SELECT count(*) FROM pg_locks WHERE relation = 'store_head'::regclass AND mode = 'RowExclusiveLock' AND granted";
    while watcher.query_one(holds, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_freezes_with_the_head_row_is_ended() {
    let database = ready(Engine::Postgres).await;
    let frozen = admin(&database.url).await;
    frozen.batch_execute("BEGIN; UPDATE store_head SET seq = seq + 100 WHERE service = 'test'").await.unwrap();
    let committed = database.store.commit(telling(batch(vec![new_tally("milk", 1, 0)]), "milk", 1)).await;
    assert_eq!(committed, Ok(Committed { seq: 1 }), "nothing of the frozen transaction is left");
    frozen.batch_execute("COMMIT").await.unwrap_err();
    assert_eq!(database.store.head(SERVICE, SOURCE).await.unwrap().seq, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_not_available() {
    let database = ready(Engine::Postgres).await;
    let name = database.url.rsplit('/').next().unwrap().to_owned();
    let server = database.url.replace(&name, "postgres");
    let dropped = admin(&server).await.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
    dropped.unwrap();
    let outcome = database.store.commit(batch(vec![new_tally("milk", 1, 0)])).await;
    assert!(matches!(outcome, Err(Error::Unavailable(_) | Error::UnknownOutcome(_))), "{outcome:?}");
    let outcome = database.store.head(SERVICE, SOURCE).await;
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
}
