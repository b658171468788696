//! What one process commits another hears of at once, though nobody but the tail looks for it.
//! Leaves wakes within one process to whatever else is tested here.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use engine::{Job, Service, TokioRuntime};
use kernel::{Millis, Runtime};
use log::Wakes;
use testkit::Engine;

use crate::support::{Heard, Process, World, bank, counter, ready, say, until};

/// Far longer than a wake takes even on a busy machine, and far shorter than it takes to look without one.
const HEARD_WITHIN_MS: Millis = 1000;

const ROUNDS: i64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_of_another_process_wakes_readers() {
    let database = ready(Engine::Postgres).await;
    let [one, other] = Process::two(&database, Engine::Postgres).await;
    let (bank, counter) = (one.start(bank()).await, other.start(counter()).await);
    let (clock, mut delays_ms) = (TokioRuntime::new(), Vec::new());
    for round in 1..=ROUNDS {
        say(&bank.handle, &["x"], round, round).await;
        let said_at = clock.now();
        let before = |heard: &Heard, _| heard.last < round;
        while counter.handle.find_changed::<Heard>(&("x".to_owned(),), before, 1000).await.unwrap().is_none() {}
        delays_ms.push(clock.now().since_ms(said_at));
    }
    // The first waits besides until the reader has its lease.
    delays_ms.remove(0);
    delays_ms.sort_unstable();
    let (median_ms, p99_ms) = (delays_ms[delays_ms.len() / 2], delays_ms[delays_ms.len() * 99 / 100]);
    eprintln!("from a commit to what another process does on it: median {median_ms} ms, p99 {p99_ms} ms");
    assert!(median_ms < HEARD_WITHIN_MS, "{delays_ms:?}");
    for running in [counter, bank] {
        running.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_of_another_process_wakes_jobs() {
    let database = ready(Engine::Postgres).await;
    let [one, other] = Process::two(&database, Engine::Postgres).await;
    let runs = Arc::new(AtomicI64::new(0));
    let count = runs.clone();
    let job = Job::new("count", 3_600_000, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    });
    let working = one.start(Service { jobs: vec![job], ..bank() }).await;
    until("the first works", || async { runs.load(Ordering::SeqCst) > 0 }).await;
    let idle = other.start(bank()).await;
    let before = runs.load(Ordering::SeqCst);
    say(&idle.handle, &["x"], 1, 1).await;
    until("the job runs again", || async { runs.load(Ordering::SeqCst) > before }).await;
    for running in [working, idle] {
        running.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_looks_when_nobody_listens() {
    let database = ready(Engine::Postgres).await;
    let world = Arc::new(World::default());
    let runtime: Arc<dyn Runtime> = world.clone();
    let wakes = Wakes::new(&database.store, &runtime);
    assert_eq!(world.tasks(), 1);
    drop(wakes);
    until("the tail ends", || async { world.tasks() == 0 }).await;
}
