//! Services that a test drives by hand: their deciders under the real executor, on a store that answers at once, in a world
//! where time stands and nothing happens by itself. The test says which event is heard next and by whom, which timer fires,
//! which job runs and when a call to the outside ends; so every history can be had, and had again.
//! Leaves cursors and chains to the real readers: here an event may be heard in any order and as often as the test likes.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use contracts::Event;
use kernel::{BoxFuture, Draw, Fault, Millis, Runtime, Timestamp, TraceContext};
use log::{LogEvent, Outbox, Wakes};
use store::{Error, Memory, Migration, Row, Table};

use crate::entity::Entity;
use crate::executor::Executor;
use crate::handle::Handle;
use crate::input::DEADLINE_DEFAULT_MS;
use crate::jobs::{Job, JobContext};
use crate::lanes::Lane;
use crate::reader::first_source;
use crate::service::Service;
use crate::subscription::Subscription;
use crate::tables::{TIMER, Timer};
use crate::timers::{TimerKind, firing};
use crate::work::Work;

/// How far time jumps at once while something is waited for; more would be a wait for nothing.
const JUMP_MS: Millis = 10_000;

/// Services that share a database, as one process would run them, and nothing that moves by itself.
pub struct Model {
    memory: Memory,
    world: Arc<World>,
    players: BTreeMap<&'static str, Player>,
    tasks: Vec<Task>,
    held: Vec<(&'static str, BoxFuture<'static, ()>)>,
}

/// A service without its loops.
struct Player {
    handle: Handle,
    source: String,
    subscriptions: Vec<Subscription>,
    timers: Vec<TimerKind>,
    jobs: Vec<Job>,
    tables: &'static [&'static Table],
}

/// Who hears what of whom: the events of one topic reach it in their order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Listener {
    /// The service that hears.
    pub service: &'static str,
    /// The service that says it.
    pub to: &'static str,
    /// Where.
    pub topic: &'static str,
}

/// A timer that is set.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TimerSet {
    /// When it is due.
    pub due_at: Timestamp,
    /// Whose it is.
    pub service: &'static str,
    /// Its kind.
    pub kind: String,
    /// What it is about.
    pub subject: String,
}

impl Model {
    /// `services` on an empty database that `migrations` make, at `now`; everything that is drawn follows from `seed`.
    ///
    /// # Errors
    /// As [`store::Store::migrate`].
    pub fn new(services: Vec<Service>, migrations: &[Migration], now: Timestamp, seed: u64) -> Result<Self, Error> {
        let memory = Memory::open()?;
        let world = Arc::new(World::new(now, seed));
        let mut model = Self { memory, world, players: BTreeMap::new(), tasks: Vec::new(), held: Vec::new() };
        let store = model.memory.store();
        model.run(store.migrate(migrations))?;
        for service in services {
            model.add(service)?;
        }
        Ok(model)
    }

    fn add(&mut self, service: Service) -> Result<(), Error> {
        let Service { name, subscriptions, timers, jobs, tables, .. } = service;
        let (lanes, watchers, meters) = Default::default();
        let store = self.memory.store();
        let handle = Handle { service: name, store: store.clone(), runtime: self.world.clone(), lanes, watchers, meters };
        let source = first_source(name, &handle);
        let head = self.run(store.head(name, &source))?;
        let (epoch, source) = (head.epoch, head.source);
        let wakes = Wakes::new(&store, &handle.runtime);
        let executor = Executor { handle: handle.clone(), wakes, epoch, source: source.clone() };
        self.tasks.push(Task::new(name, Box::pin(executor.run())));
        self.players.insert(name, Player { handle, source, subscriptions, timers, jobs, tables });
        Ok(())
    }

    /// The door to `service`.
    ///
    /// # Panics
    /// If there is none of that name.
    #[must_use]
    pub fn handle(&self, service: &str) -> Handle {
        self.player(service).handle.clone()
    }

    /// The port to this world.
    #[must_use]
    pub fn runtime(&self) -> Arc<dyn Runtime> {
        self.world.clone()
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// Lets time pass. Who slept until then wakes; timers that fall due wait for the test.
    pub fn pass(&mut self, ms: Millis) {
        self.world.clock.pass(ms);
        self.work();
    }

    /// What `future` gives, while the executors decide what it asks for. Time passes only if it waits for nothing else.
    ///
    /// # Panics
    /// If it waits for what never comes.
    pub fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        let (mut future, flag) = (pin!(future), Arc::new(Flag::raised()));
        let waker = Waker::from(flag.clone());
        loop {
            if flag.lower()
                && let Poll::Ready(came_to) = future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                self.work();
                return came_to;
            }
            if !self.step() && !flag.is_raised() {
                assert!(self.world.clock.jump(), "a future waits for what never comes");
            }
        }
    }

    /// Lets everything move that can without the test and without time.
    fn work(&mut self) {
        while self.step() {}
    }

    /// Polls each task that was woken, and tells whether there was any.
    fn step(&mut self) -> bool {
        let before = self.tasks.len();
        let mut moved = false;
        self.tasks.retain_mut(|task| {
            let woken = task.flag.lower();
            moved |= woken;
            !(woken && task.poll().is_ready())
        });
        self.held.append(&mut self.world.lock_spawned());
        moved || self.tasks.len() != before
    }

    /// The tasks that services have spawned and that wait until the test lets them go, as calls to the outside.
    pub fn held(&self) -> impl Iterator<Item = &'static str> {
        self.held.iter().map(|(name, _)| *name)
    }

    /// Lets the held task at `index` go as far as it comes.
    pub fn let_go(&mut self, index: usize) {
        let (name, future) = self.held.remove(index);
        self.tasks.push(Task::new(name, future));
        self.work();
    }

    /// Who hears what of whom.
    pub fn listeners(&self) -> impl Iterator<Item = Listener> {
        self.players.iter().flat_map(|(service, player)| {
            let topics = move |subscription: &Subscription| {
                let to = subscription.to;
                subscription.topics.keys().map(move |topic| Listener { service, to, topic }).collect::<Vec<_>>()
            };
            player.subscriptions.iter().flat_map(topics)
        })
    }

    /// What `service` has said after `after` on topics that anybody listens to, in order.
    ///
    /// # Panics
    /// If what is stored makes no sense.
    pub fn said(&mut self, service: &str, after: i64) -> Vec<LogEvent> {
        let mut topics: Vec<&'static str> =
            self.listeners().filter(|listener| listener.to == service).map(|listener| listener.topic).collect();
        topics.sort_unstable();
        topics.dedup();
        let outbox = Outbox::new(self.memory.store(), self.player(service).source.clone());
        let mut said: Vec<LogEvent> = Vec::new();
        loop {
            let from = said.last().map_or(after, |event| event.seq);
            let more = self.run(outbox.read(from, &topics)).expect("an outbox can be read");
            if more.is_empty() {
                return said;
            }
            said.extend(more);
        }
    }

    /// Lets `listener` hear `event` now, whatever it has heard before. An error is what would have parked it.
    ///
    /// # Errors
    /// What its handler refuses or breaks on.
    pub fn hear(&mut self, listener: &Listener, event: &LogEvent) -> Result<(), Fault> {
        let player = self.player(listener.service);
        let subscription = player.subscriptions.iter().find(|subscription| subscription.to == listener.to);
        let subscription = subscription.ok_or_else(|| Fault::internal("nobody listens there"))?;
        let (trace, handling) = subscription.handling(event).map_err(|error| Fault::internal(error.to_string()))?;
        let (handle, lane) = (player.handle.clone(), subscription.lane);
        let decide = move |work: &mut Work<'_>, _: Option<&str>| handling(work);
        let input = handle.input(trace, event.payload.len(), DEADLINE_DEFAULT_MS, false, decide);
        self.run(handle.submit(lane, vec![input]))?.into_iter().collect()
    }

    /// Lets `service` say `event` of its own accord.
    ///
    /// # Errors
    /// As [`Handle::decide`].
    pub fn say<E: Event>(&mut self, service: &str, event: E) -> Result<(), Fault> {
        let handle = self.handle(service);
        let trace = TraceContext::start(&mut self.world.draw());
        self.run(handle.decide(Lane::Rest, &trace, move |work| work.emit(&event)))
    }

    /// The timers that are set, those due first first.
    ///
    /// # Panics
    /// If what is stored makes no sense.
    #[must_use]
    pub fn timers(&self) -> Vec<TimerSet> {
        let timer = |row: &Row| {
            let Timer { service, kind, subject, due_at, .. } = Timer::from_row(row).expect("a timer is stored as one");
            let service = self.player(&service).handle.service;
            TimerSet { due_at, service, kind, subject }
        };
        let mut timers: Vec<TimerSet> = self.rows(&TIMER).iter().map(timer).collect();
        timers.sort();
        timers
    }

    /// Fires a timer, if it is still set and due. An error is what would have put it off.
    ///
    /// # Errors
    /// What its handler refuses or breaks on.
    pub fn fire(&mut self, timer: &TimerSet) -> Result<(), Fault> {
        let player = self.player(timer.service);
        let handle = player.handle.clone();
        let input = firing(&handle, &player.timers, (timer.kind.clone(), timer.subject.clone()));
        let put_off = self.run(handle.submit(Lane::Money, vec![input]))?.into_iter().collect::<Result<Vec<_>, Fault>>()?;
        put_off.into_iter().flatten().next().map_or(Ok(()), |cause| Err(Fault::internal(cause)))
    }

    /// The jobs of all services.
    #[must_use]
    pub fn jobs(&self) -> Vec<(&'static str, &'static str)> {
        self.players.iter().flat_map(|(service, player)| player.jobs.iter().map(|job| (*service, job.name))).collect()
    }

    /// Runs a job once, as the first and only holder of its service's lease.
    ///
    /// # Errors
    /// What it fails with.
    pub fn run_job(&mut self, (service, name): (&str, &str)) -> Result<(), Fault> {
        let player = self.player(service);
        let job = player.jobs.iter().find(|job| job.name == name).ok_or_else(|| Fault::internal("there is no such job"))?;
        let run = (job.run)(JobContext { handle: player.handle.clone(), lease_epoch: 0 });
        self.run(run)
    }

    /// The tables of all services, and the engine's own.
    pub fn tables(&self) -> impl Iterator<Item = &'static Table> {
        self.players.values().flat_map(|player| player.tables).chain(crate::TABLES).copied()
    }

    /// All rows of `table` in the order of their keys, with their version.
    ///
    /// # Panics
    /// If the table is not there.
    #[must_use]
    pub fn rows(&self, table: &Table) -> Vec<Row> {
        self.memory.rows(table).unwrap_or_else(|error| panic!("{}: {error}", table.name))
    }

    /// How many rows were ever written: while it stands still, nothing changes and nothing is said.
    #[must_use]
    pub fn rows_written(&self) -> u64 {
        self.memory.rows_written()
    }

    fn player(&self, service: &str) -> &Player {
        self.players.get(service).unwrap_or_else(|| panic!("there is no service {service}"))
    }
}

/// Something that goes on beside the test.
struct Task {
    name: &'static str,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    flag: Arc<Flag>,
}

impl Task {
    fn new(name: &'static str, future: BoxFuture<'static, ()>) -> Self {
        Self { name, future, flag: Arc::new(Flag::raised()) }
    }

    fn poll(&mut self) -> Poll<()> {
        tracing::trace!(task = self.name, "polled");
        let waker = Waker::from(self.flag.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// Raised when a task is to be polled.
struct Flag(AtomicBool);

impl Flag {
    fn raised() -> Self {
        Self(AtomicBool::new(true))
    }

    fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn lower(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

type Spawned = Vec<(&'static str, BoxFuture<'static, ()>)>;

/// The port to a world in which the test is time and chance.
struct World {
    clock: Arc<Clock>,
    seed: u64,
    draws: AtomicU64,
    spawned: Mutex<Spawned>,
}

impl World {
    fn new(now: Timestamp, seed: u64) -> Self {
        let clock = Clock { now_us: AtomicI64::new(now.as_micros()), sleeps: AtomicU64::new(0), sleepers: Mutex::default() };
        Self { clock: Arc::new(clock), seed, draws: AtomicU64::new(0), spawned: Mutex::default() }
    }

    fn lock_spawned(&self) -> MutexGuard<'_, Spawned> {
        self.spawned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime for World {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn draw(&self) -> Draw {
        let draw = self.draws.fetch_add(1, Ordering::SeqCst);
        Draw::seeded(self.seed.rotate_left(32).wrapping_add(draw))
    }

    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.lock_spawned().push((name, task));
    }

    fn sleep(&self, ms: Millis) -> BoxFuture<'static, ()> {
        let name = (self.now().plus_ms(ms), self.clock.sleeps.fetch_add(1, Ordering::SeqCst));
        Box::pin(Sleep { clock: self.clock.clone(), name })
    }
}

/// Until when somebody sleeps, and the how-manieth sleep it is.
type SleepName = (Timestamp, u64);

/// A clock that goes when it is told to.
struct Clock {
    now_us: AtomicI64,
    sleeps: AtomicU64,
    sleepers: Mutex<BTreeMap<SleepName, Waker>>,
}

impl Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now_us.load(Ordering::SeqCst))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SleepName, Waker>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, ms: Millis) {
        self.now_us.fetch_add(ms.saturating_mul(1000), Ordering::SeqCst);
        let later = self.lock().split_off(&(self.now(), u64::MAX));
        let due = std::mem::replace(&mut *self.lock(), later);
        due.into_values().for_each(Waker::wake);
    }

    /// Lets the first sleeper wake, if there is one that does not sleep too long.
    fn jump(&self) -> bool {
        let next = self.lock().keys().next().map(|(until, _)| until.since_ms(self.now()).max(0));
        let ms = next.filter(|ms| *ms <= JUMP_MS);
        // A part of a millisecond may be left.
        ms.inspect(|ms| self.pass(ms + 1)).is_some()
    }
}

/// A sleep; forgotten when nobody waits for it any more.
struct Sleep {
    clock: Arc<Clock>,
    name: SleepName,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.name.0 {
            return Poll::Ready(());
        }
        self.clock.lock().insert(self.name, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.lock().remove(&self.name);
    }
}
