//! Which of several processes does the lonely work: when it dies, another takes over; when it stops, sooner.
//! Leaves two that both believe it is theirs to `logs` and `timers`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use engine::{Job, LEASE_TTL_MS, Lane, Service};
use kernel::Fault;
use testkit::Engine;
use tokio::runtime::{Builder, Runtime as Tokio};

use crate::support::{ENGINES, Process, bank, counted, counter, heard, ready, say, trace, until};

/// A runtime that can be killed with all that runs in it.
fn mortal() -> Tokio {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A counter whose job tells under which lease it ran last.
fn working(epoch: Arc<AtomicI64>) -> Service {
    let job = Job::new("tell", 10, move |context| {
        epoch.store(context.lease_epoch, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    });
    Service { jobs: vec![job], ..counter() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_the_one_that_works_is_killed_another_takes_over() {
    let database = ready(Engine::Postgres).await;
    let bank = Process::on(database.store.clone()).start(bank()).await;
    let epochs: [Arc<AtomicI64>; 2] = Default::default();
    let (mortal, url) = (mortal(), database.url.clone());
    let service = working(epochs[0].clone());
    let started = mortal.spawn(async move {
        let process = Process::on(store::Store::postgres(&url, 4).await.unwrap());
        // Whoever is killed says no goodbye.
        std::mem::forget(process.start(service).await);
    });
    started.await.unwrap();
    until("the first works", || async { epochs[0].load(Ordering::SeqCst) == 1 }).await;
    let survivor = Process::on(database.another().await);
    let counter = survivor.start(working(epochs[1].clone())).await;
    say(&bank.handle, &["x", "y"], 1, 30).await;
    until("the first has heard some", || async { counted(&counter.handle, "moved").await > 0 }).await;
    assert_eq!(epochs[1].load(Ordering::SeqCst), 0, "only one works");
    mortal.shutdown_background();
    say(&bank.handle, &["x", "y"], 31, 60).await;
    until("the second works", || async { epochs[1].load(Ordering::SeqCst) == 2 }).await;
    until("all is heard", || async { counted(&counter.handle, "moved").await == 120 }).await;
    for account in ["x", "y"] {
        assert_eq!(heard(&counter.handle, account).await, (60, 0), "once and in order");
    }
    for running in [bank, counter] {
        running.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_stops_gives_its_lease_back() {
    let database = ready(Engine::Postgres).await;
    let [one, other] = Process::two(&database, Engine::Postgres).await;
    let epochs: [Arc<AtomicI64>; 2] = Default::default();
    let first = one.start(working(epochs[0].clone())).await;
    until("the first works", || async { epochs[0].load(Ordering::SeqCst) == 1 }).await;
    let second = other.start(working(epochs[1].clone())).await;
    first.shut_down().await;
    let table = engine::TABLES.iter().find(|table| table.name == "engine_lease").unwrap();
    let lease = database.store.load(table, vec![vec!["counter".into(), "work".into()]]).await.unwrap();
    let until_at = lease[0].time(table.index_of("until").unwrap()).unwrap();
    assert!(until_at <= one.settings.runtime.now(), "it need not run out");
    until("the second works", || async { epochs[1].load(Ordering::SeqCst) == 2 }).await;
    second.shut_down().await;
}

/// A lease that could not be renewed is not ours any more, whatever we would like to believe.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lease_that_ran_out_is_taken_up_again_before_work_goes_on() {
    let database = ready(Engine::Postgres).await;
    let process = Process::on(database.store.clone());
    let (bank, counter) = (process.start(bank()).await, process.start(counter()).await);
    for round in 1..=3 {
        process.world.move_on(LEASE_TTL_MS + 1);
        say(&bank.handle, &["x"], 10 * round - 9, 10 * round).await;
        until("all is heard", || async { heard(&counter.handle, "x").await == (10 * round, 0) }).await;
    }
    for running in [bank, counter] {
        running.shut_down().await;
    }
}

/// A job that fails, or panics, runs again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_that_fails_runs_again() {
    let database = ready(Engine::Sqlite).await;
    let runs = Arc::new(AtomicI64::new(0));
    let (count, ended) = (runs.clone(), Arc::new(AtomicBool::new(false)));
    let end = ended.clone();
    let job = Job::new("stumble", 10, move |_| {
        let (run, end) = (count.fetch_add(1, Ordering::SeqCst), end.clone());
        Box::pin(async move {
            match run {
                0 => Err(Fault::internal("it fails on purpose")),
                1 => panic!("it panics on purpose"),
                _ => {
                    end.store(true, Ordering::SeqCst);
                    Ok(())
                }
            }
        })
    });
    let counter = Process::on(database.store.clone()).start(Service { jobs: vec![job], ..counter() }).await;
    until("it ends well", || async { ended.load(Ordering::SeqCst) }).await;
    counter.shut_down().await;
}

/// Whoever drops a running service without a word has stopped it all the same: nothing spins on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_service_that_is_dropped_ends_its_loops() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let counter = process.start(working(Arc::default())).await;
        assert!(process.world.tasks() > 3, "{engine:?}");
        let handle = counter.handle.clone();
        drop(counter);
        until("only the executor is left", || async { process.world.tasks() == 1 }).await;
        assert!(handle.decide(Lane::Rest, &trace(), |_| Ok(())).await.is_ok(), "{engine:?}: its door is still open");
    }
}
