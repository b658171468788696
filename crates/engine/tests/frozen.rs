//! A process that freezes in the middle of its lonely work for longer than its lease lives, while another takes over, and that
//! then goes on as if nothing had happened: nothing is done twice, lost or out of order, wherever it froze. A frozen process
//! is a runtime with one thread, which is held at a fail point. Leaves real processes that are stopped to the crash suite.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "engine/support.rs"]
#[allow(dead_code, reason = "shared with the suite, which uses all of it")]
mod support;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, mpsc};

use engine::{Job, LEASE_TTL_MS, Lane, Running, Service, TimerKind, Work};
use futures_util::{StreamExt, stream};
use kernel::{Bucket, Millis};
use store::{Mechanism, Sabotage, Store};
use testkit::{Engine, TestStore};
use tokio::runtime::{Builder, Runtime as Tokio};

use support::{ENGINES, Process, World, bank, count, counted, heard, hearing, plain, ready, say, trace, until};

/// How many such stories are told at once; most of each is waiting.
const AT_ONCE: usize = 4;
const ALARM: &str = "alarm";
const TIMERS: i64 = 10;
const SOON_MS: Millis = 3_600_000;

/// Points that the process passes in its own work, and those that it only passes where there is a lease to hold.
const POINTS: [&str; 8] = [
    "engine.before-commit",
    "engine.after-commit",
    "engine.reader-before-apply",
    "engine.reader-after-apply",
    "engine.timers-due",
    "engine.timers-fired",
    "engine.job-before-run",
    "engine.job-after-run",
];
const POINTS_SHARED: [&str; 6] = [
    "engine.lease-before-ask",
    "engine.lease-held",
    "store.postgres-before-batch",
    "store.postgres-before-commit",
    "store.postgres-in-flight",
    "store.postgres-landed",
];

/// Where the process is to be held next.
struct Hold {
    point: &'static str,
    arrived: mpsc::Sender<()>,
    thaw: mpsc::Receiver<()>,
}

/// By the name of the process's thread.
static HOLDS: LazyLock<Mutex<HashMap<String, Hold>>> = LazyLock::new(Mutex::default);
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn holds() -> MutexGuard<'static, HashMap<String, Hold>> {
    HOLDS.lock().unwrap()
}

/// A point at which the process will be held, or is.
struct Ice {
    arrived: mpsc::Receiver<()>,
    _thaws_when_dropped: mpsc::Sender<()>,
}

impl Ice {
    fn at(point: &'static str, thread: &str) -> Self {
        kernel::on_fail_point(|reached| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default();
            let hold = {
                let mut holds = holds();
                if holds.get(name).is_some_and(|hold| hold.point == reached) { holds.remove(name) } else { None }
            };
            if let Some(hold) = hold {
                hold.arrived.send(()).unwrap();
                let _ = hold.thaw.recv();
            }
        });
        let ((arrived, has_arrived), (thaws, thaw)) = (mpsc::channel(), mpsc::channel());
        holds().insert(thread.to_owned(), Hold { point, arrived, thaw });
        Self { arrived: has_arrived, _thaws_when_dropped: thaws }
    }

    async fn until_frozen(&self) {
        until("it freezes", || async { self.arrived.try_recv().is_ok() }).await;
    }

    fn thaw(self) {}
}

/// It hears the bank, counts which timers fired, and runs a job.
fn counter() -> Service {
    let fire = |work: &mut Work<'_>, subject: &str| count(work, &format!("fired {subject}"), 1);
    let job = Job::new("idle", 50, |_| Box::pin(async { Ok(()) }));
    Service { subscriptions: vec![hearing()], timers: vec![TimerKind::new(ALARM, fire)], jobs: vec![job], ..plain("counter") }
}

/// Sets timers that are due so soon.
async fn set(counter: &Running, round: &str, in_ms: Millis) {
    let subjects: Vec<String> = (0..TIMERS).map(|number| format!("{round}-{number}")).collect();
    let set = move |work: &mut Work<'_>| {
        let due_at = work.now().plus_ms(in_ms);
        subjects.iter().try_for_each(|subject| work.set_timer(ALARM, subject, Bucket(0), due_at))
    };
    counter.handle.decide(Lane::Rest, &trace(), set).await.unwrap();
}

/// How often each of these timers fired.
async fn fired(counter: &Running, round: &str) -> Vec<i64> {
    let mut fired = Vec::new();
    for number in 0..TIMERS {
        fired.push(counted(&counter.handle, &format!("fired {round}-{number}")).await);
    }
    fired
}

async fn until_fired(counter: &Running, round: &str) {
    until("all fire", || async { fired(counter, round).await.iter().all(|times| *times > 0) }).await;
}

/// A process of its own that can be frozen.
struct Frozen {
    thread: String,
    tokio: Tokio,
    world: Arc<World>,
    running: Running,
}

impl Frozen {
    async fn start(database: &TestStore, engine: Engine, beside: &Process, thread: String) -> Self {
        let tokio = Builder::new_multi_thread().worker_threads(1).thread_name(&thread).enable_all().build().unwrap();
        let (embedded, url, wakes) = (database.store.clone(), database.url.clone(), beside.settings.wakes.clone());
        let started = tokio.spawn(async move {
            if engine == Engine::Sqlite {
                // There two processes are two sets of loops in one, and wake each other.
                let mut process = Process::on(embedded);
                process.settings.wakes = wakes;
                return (process.world.clone(), process.start(counter()).await);
            }
            let process = Process::on(Store::postgres(&url, 4).await.unwrap());
            (process.world.clone(), process.start(counter()).await)
        });
        let (world, running) = started.await.unwrap();
        Self { thread, tokio, world, running }
    }

    /// Counts under a name of its own, as somebody asks it to; done when it has been answered.
    fn count_own(&self, number: i64) -> tokio::task::JoinHandle<()> {
        let handle = self.running.handle.clone();
        self.tokio.spawn(async move {
            handle.decide(Lane::Rest, &trace(), move |work| count(work, &format!("own-{number}"), 1)).await.unwrap();
        })
    }

    async fn end(self) {
        let Self { tokio, running, .. } = self;
        tokio.spawn(async move { running.shut_down().await }).await.unwrap();
        tokio.shutdown_background();
    }
}

/// Lets a process freeze at `point` for longer than a lease while another takes over, and tells whether anything was done
/// other than once and in order.
async fn breached_by_freezing(engine: Engine, point: &'static str) -> Option<String> {
    let database = ready(engine).await;
    let process = Process::on(database.another().await);
    let bank = process.start(bank()).await;
    let frozen = Frozen::start(&database, engine, &process, format!("{engine:?} {point}")).await;
    say(&bank.handle, &["x"], 1, 5).await;
    until("it works", || async { heard(&frozen.running.handle, "x").await.0 == 5 }).await;
    set(&frozen.running, "meanwhile", SOON_MS).await;

    let ice = Ice::at(point, &frozen.thread);
    let move_on = |ms| [&frozen.world, &process.world].map(|world| world.move_on(ms));
    move_on(SOON_MS);
    let first = frozen.count_own(1);
    say(&bank.handle, &["x"], 6, 10).await;
    ice.until_frozen().await;
    let other = process.start(counter()).await;
    move_on(LEASE_TTL_MS + 1);
    until("the other takes over", || async { heard(&other.handle, "x").await.0 >= 10 }).await;
    until_fired(&other, "meanwhile").await;
    ice.thaw();
    first.await.unwrap();
    // Decided behind whatever it had in hand as it woke.
    frozen.count_own(2).await.unwrap();
    say(&bank.handle, &["x"], 11, 15).await;
    set(&other, "later", 0).await;
    until("all is heard", || async { heard(&other.handle, "x").await.0 >= 15 }).await;
    until_fired(&other, "later").await;

    let mut wrong = Vec::new();
    let handle = &other.handle;
    let (heard, moved) = (heard(handle, "x").await, counted(handle, "moved").await);
    if (heard, moved) != ((15, 0), 15) {
        wrong.push(format!("heard {heard:?}, {moved} in all"));
    }
    for round in ["meanwhile", "later"] {
        let fired = fired(&other, round).await;
        if fired.iter().any(|times| *times != 1) {
            wrong.push(format!("{round}: {fired:?}"));
        }
    }
    let own = [counted(handle, "own-1").await, counted(handle, "own-2").await];
    if own != [1, 1] {
        wrong.push(format!("its own: {own:?}"));
    }
    frozen.end().await;
    for running in [other, bank] {
        running.shut_down().await;
    }
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_freezes_longer_than_a_lease_does_nothing_twice() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for engine in ENGINES {
        let shared: &[&str] = if engine == Engine::Postgres { &POINTS_SHARED } else { &[] };
        let stories = POINTS.iter().chain(shared).map(|point| async move { (point, breached_by_freezing(engine, point).await) });
        let told: Vec<_> = stream::iter(stories).buffer_unordered(AT_ONCE).collect().await;
        for (point, breach) in told {
            assert_eq!(breach, None, "{engine:?}: frozen at {point}");
        }
    }
}

/// The test of this test, and of timers: without looking at the row of a timer that fires, it fires for both.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_look_at_its_row_a_timer_fires_twice() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for engine in ENGINES {
        Sabotage::switch(Mechanism::TimerOnce, true);
        let breached = breached_by_freezing(engine, "engine.timers-due").await;
        Sabotage::switch(Mechanism::TimerOnce, false);
        assert!(breached.is_some_and(|what| what.contains("meanwhile: [2")), "{engine:?}");
    }
}
