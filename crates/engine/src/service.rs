//! A service as data, and how it is started and stopped. Building one starts nothing.
//! Leaves which services run where to the program that composes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kernel::{BoxFuture, Fault, Millis, Runtime};
use log::Wakes;
use serde::Serialize;
use store::{Error, Migration, Read, Row, Store, Table};
use tokio::sync::{Mutex, mpsc, watch};

use crate::executor::Executor;
use crate::handle::{Handle, fault_of};
use crate::jobs::Job;
use crate::keys;
use crate::lanes::Lanes;
use crate::lease::Leadership;
use crate::reader::{Reader, first_source, outbox_of};
use crate::subscription::{Subscription, outbox_cursor};
use crate::tables::{Cursor, PARKED_COUNT, TIMERS_OVERDUE, TIMERS_SET};
use crate::timers::{TimerKind, Timers};
use crate::trim::Trim;
use crate::watchers::Watchers;

/// What a service is, besides its routes.
pub struct Service {
    /// Its name, which prefixes its tables and topics.
    pub name: &'static str,
    /// Its migrations.
    pub migrations: &'static [Migration],
    /// Its tables, for the test that holds them against the database.
    pub tables: &'static [&'static Table],
    /// Its reads, for the test that prepares them.
    pub reads: &'static [&'static Read],
    /// What it does on others' events; at most one for each other service.
    pub subscriptions: Vec<Subscription>,
    /// What it does when time has passed.
    pub timers: Vec<TimerKind>,
    /// What it does again and again.
    pub jobs: Vec<Job>,
}

/// What services of one process share.
#[derive(Clone)]
pub struct Settings {
    /// The database.
    pub store: Store,
    /// The port to the world.
    pub runtime: Arc<dyn Runtime>,
    /// Wakes readers within the process.
    pub wakes: Wakes,
    /// When events go; nothing where all of them are to stay.
    pub trim: Option<Trim>,
}

/// A service that runs.
pub struct Running {
    /// Its door.
    pub handle: Handle,
    pub(crate) subscriptions: Vec<Arc<Subscription>>,
    source: String,
    stop: watch::Sender<bool>,
    loops_ended: Mutex<mpsc::Receiver<()>>,
    executor_ended: Mutex<mpsc::Receiver<()>>,
}

/// What a service still has before it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Pending {
    /// The service.
    pub service: &'static str,
    /// How many timers of each kind are set.
    pub timers: BTreeMap<String, i64>,
    /// How many events are parked.
    pub parked: i64,
    /// The logs that it has not read to their end.
    pub behind: Vec<Behind>,
    /// The subscriptions that have stopped in this process, because too many of their events could not be handled.
    pub stopped: Vec<Stopped>,
}

/// A subscription that has stopped: nothing of it is applied, parked or skipped until a restart, or until it is resumed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Stopped {
    /// The service that listens.
    pub service: &'static str,
    /// To whom.
    pub from: &'static str,
    /// Why it has stopped.
    pub why: String,
}

/// What a service has before it, in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gauges {
    /// How many timers fell due at least [`OVERDUE_AFTER_MS`] ago and have not fired.
    pub timers_overdue: i64,
    /// By how many numbers of each log, named by its service, the cursor stands before the last event that concerns this one:
    /// so many events at most are unheard.
    pub unheard: BTreeMap<&'static str, i64>,
    /// How many inputs wait in each lane of this process.
    pub waiting: BTreeMap<&'static str, usize>,
}

/// How late a timer may be before it counts as overdue.
pub const OVERDUE_AFTER_MS: Millis = 5000;

/// A log that was not read to its end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Behind {
    /// The log.
    pub source: String,
    /// Where the cursor stands.
    pub seq: i64,
    /// Its last event that concerns the service.
    pub last: i64,
}

impl Running {
    /// What the service still has before it, as far as it is known at this moment.
    ///
    /// # Errors
    /// `unavailable` if the database does not answer.
    pub async fn pending(&self) -> Result<Pending, Fault> {
        let (handle, service) = (&self.handle, self.handle.service);
        let pair = |row: &Row| Ok((row.text(0)?.to_owned(), row.int(1)?));
        let timers = handle.read(&TIMERS_SET, vec![service.into()]).await?;
        let timers = timers.iter().map(pair).collect::<Result<_, Error>>().map_err(fault_of)?;
        let parked = handle.read(&PARKED_COUNT, vec![service.into()]).await?;
        let parked = parked.first().map_or(Ok(0), |row| row.int(0)).map_err(fault_of)?;
        let mut behind = Vec::new();
        for subscription in &self.subscriptions {
            behind.extend(self.behind(subscription).await?);
        }
        Ok(Pending { service, timers, parked, behind, stopped: self.stopped() })
    }

    /// The subscriptions that have stopped in this process.
    #[must_use]
    pub fn stopped(&self) -> Vec<Stopped> {
        let stopped = |subscription: &Arc<Subscription>| {
            let (service, from) = (self.handle.service, subscription.to);
            subscription.breaker.stopped().map(|why| Stopped { service, from, why })
        };
        self.subscriptions.iter().filter_map(stopped).collect()
    }

    /// Lets the subscription to `from` go on, if it has stopped; tells whether there is one.
    #[must_use]
    pub fn resume(&self, from: &str) -> bool {
        let subscription = self.subscriptions.iter().find(|subscription| subscription.to == from);
        subscription.inspect(|subscription| subscription.breaker.resume()).is_some()
    }

    /// What the service has before it in numbers for those who watch it.
    ///
    /// # Errors
    /// As [`Running::pending`].
    pub async fn gauges(&self) -> Result<Gauges, Fault> {
        let (handle, service) = (&self.handle, self.handle.service);
        let overdue_before = handle.runtime.now().plus_ms(-OVERDUE_AFTER_MS);
        let overdue = handle.read(&TIMERS_OVERDUE, vec![service.into(), overdue_before.into()]).await?;
        let timers_overdue = overdue.first().map_or(Ok(0), |row| row.int(0)).map_err(fault_of)?;
        let mut unheard = BTreeMap::new();
        for subscription in &self.subscriptions {
            let stands = self.stand(subscription).await?;
            unheard.insert(subscription.to, (stands.last - stands.seq).max(0));
        }
        Ok(Gauges { timers_overdue, unheard, waiting: handle.lanes.waiting().into() })
    }

    async fn behind(&self, subscription: &Subscription) -> Result<Option<Behind>, Fault> {
        let stands = self.stand(subscription).await?;
        Ok((stands.seq < stands.last).then_some(stands))
    }

    /// Where the service stands in a log, and where the last event there is that concerns it.
    async fn stand(&self, subscription: &Subscription) -> Result<Behind, Fault> {
        let outbox = outbox_of(subscription.to, &self.handle).await?;
        let topics: Vec<&'static str> = subscription.topics.keys().copied().collect();
        let last = outbox.last(&topics).await.map_err(fault_of)?;
        let cursor = self.handle.find::<Cursor>(&outbox_cursor(self.handle.service, outbox.source())).await?;
        let seq = cursor.map_or(0, |(cursor, _)| cursor.seq);
        Ok(Behind { source: outbox.source().to_owned(), seq, last })
    }

    /// How many events the service has said, by its head row; so also whether it reaches its database.
    ///
    /// # Errors
    /// `unavailable` with what the database said.
    pub async fn events_said(&self) -> Result<i64, Fault> {
        self.handle.store.head(self.handle.service, &self.source).await.map(|head| head.seq).map_err(fault_of)
    }

    /// Stops reading, firing and working, then decides what is queued, then ends.
    pub async fn shut_down(&self) {
        self.stop.send_replace(true);
        // The channel closes when the last loop has dropped its end of it.
        let _ = self.loops_ended.lock().await.recv().await;
        self.handle.lanes.close();
        let _ = self.executor_ended.lock().await.recv().await;
    }
}

/// Starts `service` on an up-to-date database. Panics if two of its subscriptions are to the same service: they would have
/// one cursor.
///
/// # Errors
/// [`Error::Unavailable`] if its head row cannot be read.
pub async fn start(service: Service, settings: &Settings) -> Result<Running, Error> {
    let subscriptions: Vec<Arc<Subscription>> = service.subscriptions.into_iter().map(Arc::new).collect();
    let heard: BTreeSet<&str> = subscriptions.iter().map(|subscription| subscription.to).collect();
    assert_eq!(heard.len(), subscriptions.len(), "{} subscribes twice to the same service", service.name);
    let Settings { store, runtime, wakes, trim } = settings.clone();
    let (lanes, watchers) = (Arc::new(Lanes::default()), Arc::new(Watchers::default()));
    let handle = Handle { service: service.name, store: store.clone(), runtime: runtime.clone(), lanes, watchers };
    let head = store.head(service.name, &first_source(service.name, &handle)).await?;
    let (epoch, source) = (head.epoch, head.source.clone());
    let executor = Executor { handle: handle.clone(), wakes: wakes.clone(), epoch, source };
    let (executor_alive, executor_ended) = mpsc::channel(1);
    runtime.spawn("executor", holding(executor_alive, Box::pin(executor.run())));

    let (stop, stopped) = watch::channel(false);
    let (alive, loops_ended) = mpsc::channel(1);
    let spawn = |name, task| runtime.spawn(name, holding(alive.clone(), task));
    let leadership = if store.shared() {
        let (leadership, contest) = Leadership::contested(handle.clone(), stopped);
        spawn("lease", contest);
        leadership
    } else {
        Leadership::alone(runtime.clone(), stopped)
    };
    let mut all_caught_up = Vec::new();
    for subscription in &subscriptions {
        let (caught_up, receiver) = watch::channel(false);
        all_caught_up.push(receiver);
        let (handle, leadership) = (handle.clone(), leadership.clone());
        let reader = Reader { handle, subscription: subscription.clone(), wakes: wakes.clone(), leadership, caught_up };
        spawn("reader", Box::pin(reader.run()));
    }
    let (kinds, caught_up) = (service.timers, all_caught_up);
    let timers = Timers { handle: handle.clone(), kinds, leadership: leadership.clone(), caught_up };
    spawn("timers", Box::pin(timers.run()));
    for job in service.jobs.into_iter().chain([keys::sweep()]) {
        spawn("job", Box::pin(job.repeat(handle.clone(), leadership.clone())));
    }
    if let Some(trim) = trim {
        spawn("trim", Box::pin(trim.run(handle.clone(), leadership.clone())));
    }
    let (loops_ended, executor_ended) = (Mutex::new(loops_ended), Mutex::new(executor_ended));
    Ok(Running { handle, subscriptions, source: head.source, stop, loops_ended, executor_ended })
}

/// Runs `task` and lets go of `alive` when it has ended, even by a panic.
fn holding(alive: mpsc::Sender<()>, task: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        task.await;
        drop(alive);
    })
}
