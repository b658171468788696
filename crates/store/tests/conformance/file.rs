//! What only a file can suffer: a full disk, a process killed in mid-load, a log that grows.
//! Leaves everything else to the tests that run on both engines.

#![allow(clippy::disallowed_methods, reason = "a child process is told by its environment what to do")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use futures_util::future::join_all;
use store::{Error, OUTBOX_EVENTS, Store, Value, Write};
use testkit::Engine;

use crate::support::{SERVICE, SOURCE, THING, all, batch, new_tally, ready, tally, telling};

/// Tells a child process where its file is; without it the tests named `child_…` have nothing to do.
const CHILD_FILE: &str = "SWIFTCART_TEST_CHILD_FILE";

/// How a child tells that a batch is durable.
const ACKNOWLEDGED: &str = "acknowledged ";

/// Acknowledgements after which the child is killed.
const KILL_AFTER: usize = 150;

/// What no file of the other child may exceed, in the blocks of `ulimit`: of 512 or 1,024 bytes, as the shell has it.
const FULL_BLOCKS: u32 = 4_096;

async fn opened(path: &Path) -> Store {
    let store = Store::sqlite(path).unwrap();
    store.migrate(&all()).await.unwrap();
    store.head(SERVICE, SOURCE).await.unwrap();
    store
}

/// A document of so many bytes.
fn large(number: u64, bytes: usize) -> Write {
    let id = kernel::Id::new(kernel::Timestamp::from_millis(1), kernel::Bucket(1), &mut kernel::Draw::seeded(number));
    Write::Insert { table: &THING, row: vec![id.into(), Value::Int(1), Value::Null, "x".repeat(bytes).into(), Value::Null] }
}

fn child_file() -> Option<PathBuf> {
    std::env::var_os(CHILD_FILE).map(PathBuf::from)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("killed.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "file::child_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD_FILE, &file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The first acknowledgement may share its line with what the harness says.
        let Some((_, name)) = line.split_once(ACKNOWLEDGED) else { continue };
        acknowledged.push(name.to_owned());
        if acknowledged.len() == KILL_AFTER {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    assert!(acknowledged.len() >= KILL_AFTER);

    let store = Store::sqlite(&file).unwrap();
    for name in &acknowledged {
        assert_eq!(tally(&store, name).await, Some([1, 0, 1]), "{name} was acknowledged");
    }
    let seq = store.head(SERVICE, SOURCE).await.unwrap().seq;
    let topics = Value::Texts(vec!["test.things".to_owned()]);
    let log = store.read(&OUTBOX_EVENTS, vec![SOURCE.into(), topics, Value::Int(0), i64::MAX.into()]).await.unwrap();
    assert!(log.iter().map(|row| row.int(0).unwrap()).eq(1..=seq), "the log has no hole");
    assert!(log.len() >= 2 * acknowledged.len());
    store.commit(batch(vec![new_tally("after", 1, 0)])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn child_writes_until_it_is_killed() {
    let Some(file) = child_file() else { return };
    let store = &opened(&file).await;
    join_all((0..8).map(async |writer| {
        for number in 0.. {
            let name = format!("{writer}/{number}");
            store.commit(telling(batch(vec![new_tally(&name, 1, 0)]), &name, 2)).await.unwrap();
            println!("{ACKNOWLEDGED}{name}");
        }
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_no_other_batch() {
    let directory = tempfile::tempdir().unwrap();
    // A limit on the size of files behaves like a disk that is full, once the signal that would kill is ignored.
    let full = format!("trap '' XFSZ; ulimit -f {FULL_BLOCKS}; exec \"$0\" \"$@\"");
    let status = Command::new("sh")
        .args(["-c", &full])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "file::child_fills_the_disk", "--nocapture"])
        .env(CHILD_FILE, directory.path().join("full.db"))
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn child_fills_the_disk() {
    let Some(file) = child_file() else { return };
    let store = &opened(&file).await;
    // The smaller one fails at COMMIT, the larger one when it outgrows the writer's memory.
    for (round, bytes) in [6_000_000, 16_000_000].into_iter().enumerate() {
        let too_large = telling(batch(vec![new_tally(&format!("large-{round}"), 1, 0), large(round as u64, bytes)]), "large", 1);
        let small = (0..20).map(|number| telling(batch(vec![new_tally(&format!("small-{round}-{number}"), 1, 0)]), "small", 1));
        let batches: Vec<_> = small.clone().take(5).chain([too_large]).chain(small.skip(5)).collect();
        let outcomes = join_all(batches.into_iter().map(|batch| store.commit(batch))).await;
        for (index, outcome) in outcomes.iter().enumerate() {
            match index {
                5 => assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}"),
                _ => assert!(outcome.is_ok(), "round {round}, {index}: {outcome:?}"),
            }
        }
        assert_eq!(tally(store, &format!("large-{round}")).await, None);
        assert_eq!(store.head(SERVICE, SOURCE).await.unwrap().seq, 20 * (i64::try_from(round).unwrap() + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_closed_is_whole_and_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("closed.db");
    let store = opened(&file).await;
    store.commit(batch(vec![new_tally("milk", 1, 0)])).await.unwrap();
    drop(store);
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["closed.db"], "the log is in the file and gone");
    assert_eq!(tally(&Store::sqlite(&file).unwrap(), "milk").await, Some([1, 0, 1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_the_file_begins_again() {
    let database = ready(Engine::Sqlite).await;
    let log = database.file().unwrap().with_extension("db-wal");
    for number in 0..160 {
        database.store.commit(batch(vec![large(number, 1_000_000)])).await.unwrap();
    }
    let bytes = std::fs::metadata(log).unwrap().len();
    assert!(bytes < 80_000_000, "{bytes} bytes");
}

#[test]
fn a_place_where_no_file_can_be_is_not_available() {
    let directory = tempfile::tempdir().unwrap();
    let outcome = Store::sqlite(&directory.path().join("no/such/directory.db"));
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
}
