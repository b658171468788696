//! The test of the tests: with one mechanism switched off, the property that it stands for breaks, and these tests see it.
//! Leaves the properties themselves to `conformance`. Switches are of the whole process, so these tests run one at a time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "conformance/support.rs"]
#[allow(dead_code, reason = "shared with the suite, which uses all of it")]
mod support;

use store::{Batch, Mechanism, Sabotage, Write};
use testkit::Engine;
use tokio::sync::{Mutex, MutexGuard};

use support::{TALLY, add, batch, expect, leave_at_once, new_tally, ready, sku, tally};

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// Rounds in which two writers are let loose at each other; the first breach ends them.
const ROUNDS: usize = 2_000;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A mechanism that is off as long as this lives.
struct Off(Mechanism, #[allow(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Drop for Off {
    fn drop(&mut self) {
        Sabotage::switch(self.0, false);
    }
}

async fn without(mechanism: Mechanism) -> Off {
    let alone = ONE_AT_A_TIME.lock().await;
    Sabotage::switch(mechanism, true);
    Off(mechanism, alone)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_head_row_first_both_doctors_leave() {
    let _off = without(Mechanism::HeadFirst).await;
    let database = ready(Engine::Postgres).await;
    for round in 0..ROUNDS {
        if leave_at_once(&database.store, round).await == 2 {
            return;
        }
    }
    panic!("no write skew in {ROUNDS} rounds");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_read_expectations_both_doctors_leave() {
    let _off = without(Mechanism::ReadOnly).await;
    for engine in ENGINES {
        let database = ready(engine).await;
        assert_eq!(leave_at_once(&database.store, 0).await, 2, "{engine:?}");
        assert!(database.store.commit(batch(vec![expect("nobody", 1)])).await.is_ok(), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_epoch_an_old_map_still_writes() {
    let _off = without(Mechanism::Epoch).await;
    for engine in ENGINES {
        let database = ready(engine).await;
        let stale = Batch { epoch: 7, ..batch(vec![new_tally("milk", 1, 0)]) };
        assert!(database.store.commit(stale).await.is_ok(), "{engine:?}");
        assert_eq!(tally(&database.store, "milk").await, Some([1, 0, 1]), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_versions_an_update_is_lost() {
    let _off = without(Mechanism::Version).await;
    for engine in ENGINES {
        let database = ready(engine).await;
        let store = &database.store;
        store.commit(batch(vec![new_tally("milk", 5, 0)])).await.unwrap();
        store.commit(batch(vec![add("milk", -1, 1)])).await.unwrap();
        let seen_before = Write::Put {
            table: &TALLY,
            row: [sku("milk"), vec![store::Value::Int(6), store::Value::Int(0)]].concat(),
            version: 1,
        };
        assert!(store.commit(batch(vec![seen_before])).await.is_ok(), "{engine:?}");
        assert_eq!(tally(store, "milk").await, Some([6, 0, 3]), "{engine:?}: the sale is lost");
        let gone = Write::Delete { table: &TALLY, key: sku("milk"), version: 1 };
        assert!(store.commit(batch(vec![gone])).await.is_ok(), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_checks_a_broken_rule_is_stored() {
    let _off = without(Mechanism::Check).await;
    for engine in ENGINES {
        let database = ready(engine).await;
        assert!(database.store.commit(batch(vec![new_tally("too-much", 1, 1001)])).await.is_ok(), "{engine:?}");
    }
}
