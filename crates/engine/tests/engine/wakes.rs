//! What one process commits another hears of at once, though nobody but the tail looks for it.
//! Leaves wakes within one process to whatever else is tested here.

use std::sync::Arc;

use engine::{Job, Service, TokioRuntime};
use kernel::{Millis, Runtime, Timestamp};
use log::Wakes;
use testkit::Engine;
use tokio::sync::watch;

use crate::support::{Heard, Process, World, bank, counter, heard, ready, say, until};

/// Longer than a wake takes even on a busy machine, and far shorter than what readers and jobs wait without one: readers five
/// seconds, jobs until their process renews its lease.
const HEARD_WITHIN_MS: Millis = 500;

/// How often it is measured, and how many of these may be late on a machine that is busy with something else.
const ROUNDS: usize = 101;
const LATE_MAX: usize = 4;

/// What was measured, and the clock to measure with.
#[derive(Default)]
struct Delays {
    clock: TokioRuntime,
    sorted_ms: Vec<Millis>,
    late: usize,
}

impl Delays {
    fn add(&mut self, since: Timestamp) {
        let delay_ms = self.clock.now().since_ms(since);
        let place = self.sorted_ms.partition_point(|other_ms| *other_ms < delay_ms);
        self.sorted_ms.insert(place, delay_ms);
        self.late += usize::from(delay_ms > HEARD_WITHIN_MS);
        assert!(self.late <= LATE_MAX, "nobody is woken: {:?} ms", self.sorted_ms);
    }

    fn print(&self, what: &str) {
        let [median_ms, p99_ms] = [50, 99].map(|percent| self.sorted_ms[(self.sorted_ms.len() - 1) * percent / 100]);
        eprintln!("{what}: median {median_ms} ms, p99 {p99_ms} ms");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_of_another_process_wakes_readers() {
    let database = ready(Engine::Postgres).await;
    let [one, other] = Process::two(&database, Engine::Postgres).await;
    let (bank, counter) = (one.start(bank()).await, other.start(counter()).await);
    say(&bank.handle, &["x"], 1, 1).await;
    until("the reader has its lease", || async { heard(&counter.handle, "x").await.0 == 1 }).await;
    let mut delays = Delays::default();
    for number in (2..).take(ROUNDS) {
        say(&bank.handle, &["x"], number, number).await;
        let said_at = delays.clock.now();
        let before = |heard: &Heard, _| heard.last < number;
        counter.handle.find_changed::<Heard>(&("x".to_owned(),), before, 10_000).await.unwrap();
        delays.add(said_at);
    }
    delays.print("from a commit to what another process does on it");
    for running in [counter, bank] {
        running.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_of_another_process_wakes_jobs() {
    let database = ready(Engine::Postgres).await;
    let [one, other] = Process::two(&database, Engine::Postgres).await;
    let (run, mut runs) = watch::channel(());
    let job = Job::new("tell", 3_600_000, move |_| {
        run.send_replace(());
        Box::pin(async { Ok(()) })
    });
    let working = one.start(Service { jobs: vec![job], ..bank() }).await;
    runs.changed().await.unwrap();
    let idle = other.start(bank()).await;
    let mut delays = Delays::default();
    for number in (1..).take(ROUNDS) {
        runs.mark_unchanged();
        let said_at = delays.clock.now();
        say(&idle.handle, &["x"], number, number).await;
        runs.changed().await.unwrap();
        delays.add(said_at);
    }
    delays.print("from a commit to the run of a job in another process");
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
