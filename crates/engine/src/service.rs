//! A service as data, and how it is started and stopped. Building one starts nothing.
//! Leaves which services run where to the program that composes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::try_join_all;
use kernel::{BoxFuture, Fault, Millis, Runtime};
use log::{Kafka, Wakes};
use serde::{Deserialize, Serialize};
use store::{Error, Migration, Read, Store, Table};
use tokio::sync::{Mutex, mpsc, watch};

use crate::age::Age;
use crate::consumer::Consumer;
use crate::executor::Executor;
use crate::handle::{Handle, fault_of};
use crate::jobs::Job;
use crate::keys;
use crate::lease::Leadership;
use crate::moving;
use crate::pending::{parked, timers_set};
use crate::reader::{Reader, first_source, outbox_of};
use crate::relay::Relay;
use crate::subscription::{Subscription, Taken, outbox_cursor};
use crate::tables::{Cursor, TIMERS_OVERDUE};
use crate::timers::{TimerKind, Timers};
use crate::trim::Trim;

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
    /// How old what waits in it is, for those who watch it.
    pub ages: Vec<Age>,
}

/// What services of one process share.
#[derive(Clone)]
pub struct Settings {
    /// The database.
    pub store: Store,
    /// The port to the world.
    pub runtime: Arc<dyn Runtime>,
    /// Wakes readers of its logs.
    pub wakes: Wakes,
    /// By what services hear each other instead of by the outboxes of their database.
    pub kafka: Option<Kafka>,
    /// When events go; nothing where all of them are to stay.
    pub trim: Option<Trim>,
}

impl Settings {
    /// Services that share a database, hear each other by its outboxes, and keep all their events.
    #[must_use]
    pub fn alone(store: Store, runtime: Arc<dyn Runtime>) -> Self {
        Self { wakes: Wakes::new(&store, &runtime), store, runtime, kafka: None, trim: None }
    }
}

/// A service that runs.
pub struct Running {
    /// Its door.
    pub handle: Handle,
    pub(crate) subscriptions: Vec<Arc<Subscription>>,
    ages: Vec<Age>,
    pub(crate) listens_to_kafka: bool,
    source: String,
    stop: watch::Sender<bool>,
    loops_ended: Mutex<mpsc::Receiver<()>>,
    executor_ended: Mutex<mpsc::Receiver<()>>,
}

/// A subscription that has stopped: nothing of it is applied, parked or skipped until a restart, or until it is resumed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stopped {
    /// The service that listens.
    pub service: String,
    /// To whom.
    pub from: String,
    /// Why it has stopped.
    pub why: String,
}

/// What a service has before it, in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gauges {
    /// How many timers of each kind are set.
    pub timers: BTreeMap<String, i64>,
    /// How many events are parked.
    pub parked: i64,
    /// How many timers fell due at least [`OVERDUE_AFTER_MS`] ago and have not fired.
    pub timers_overdue: i64,
    /// By how many numbers of each log, named by its service, the cursor stands before the last event that concerns this one:
    /// so many events at most are unheard.
    pub unheard: BTreeMap<&'static str, i64>,
    /// What the service tells of itself: name, help, and how old.
    pub ages: Vec<(&'static str, &'static str, Millis)>,
}

/// How late a timer may be before it counts as overdue.
pub const OVERDUE_AFTER_MS: Millis = 5000;

impl Running {
    /// The subscriptions that have stopped in this process.
    #[must_use]
    pub fn stopped(&self) -> Vec<Stopped> {
        let stopped = |subscription: &Arc<Subscription>| {
            let (service, from) = (self.handle.service.to_owned(), subscription.to.to_owned());
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
        let (timers, parked, unheard) = (timers_set(handle).await?, parked(handle).await?, self.unheard().await?);
        let asked = self.ages.iter().map(async |age| (age.ask)(handle.clone()).await.map(|ms| (age.name, age.help, ms)));
        let ages = try_join_all(asked).await?;
        Ok(Gauges { timers, parked, timers_overdue, unheard, ages })
    }

    /// How much of each log is unheard: of an outbox by its numbers, of Kafka by what this process still has to read.
    async fn unheard(&self) -> Result<BTreeMap<&'static str, i64>, Fault> {
        if self.listens_to_kafka {
            return Ok(self.subscriptions.iter().map(|subscription| (subscription.to, subscription.unread())).collect());
        }
        let mut unheard = BTreeMap::new();
        for subscription in &self.subscriptions {
            let outbox = outbox_of(subscription.to, &self.handle).await?;
            let topics: Vec<&'static str> = subscription.topics.keys().copied().collect();
            let last = outbox.last(&topics).await.map_err(fault_of)?;
            let cursor = self.handle.find::<Cursor>(&outbox_cursor(self.handle.service, outbox.source())).await?;
            unheard.insert(subscription.to, (last - cursor.map_or(0, |(cursor, _)| cursor.seq)).max(0));
        }
        Ok(unheard)
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
    let Settings { store, runtime, wakes, kafka, trim } = settings.clone();
    let (lanes, watchers, meters) = Default::default();
    let handle = Handle { service: service.name, store: store.clone(), runtime: runtime.clone(), lanes, watchers, meters };
    let head = store.head(service.name, &first_source(service.name, &handle)).await?;
    let (epoch, source) = (head.epoch, head.source.clone());
    let executor = Executor { handle: handle.clone(), wakes: wakes.clone(), epoch, source };
    let (executor_alive, executor_ended) = mpsc::channel(1);
    runtime.spawn("executor", holding(executor_alive, Box::pin(executor.run())));

    let (stop, stopped) = watch::channel(false);
    let (alive, loops_ended) = mpsc::channel(1);
    let spawn = |name, task| runtime.spawn(name, holding(alive.clone(), task));
    let present = Leadership::alone(runtime.clone(), stopped.clone());
    let lead = |name| {
        if !store.shared() {
            return present.clone();
        }
        let (leadership, contest) = Leadership::contested(handle.clone(), name, stopped.clone());
        spawn("lease", contest);
        leadership
    };
    let leadership = lead("work");
    let mut all_caught_up = Vec::new();
    let mut caught_up = || {
        let (caught_up, receiver) = watch::channel(false);
        all_caught_up.push(receiver);
        caught_up
    };
    let listens_to_kafka = kafka.is_some();
    hears_by(listens_to_kafka, &handle).await?;
    if let Some(kafka) = kafka {
        // A lease of its own: processes that do not relay yet, or no longer, must not hold it.
        let relay = Relay { handle: handle.clone(), kafka: kafka.clone(), wakes: wakes.clone(), leadership: lead("relay") };
        spawn("relay", Box::pin(relay.run()));
        for taken in [Taken::Work, Taken::Copy] {
            let subscriptions: Vec<_> =
                subscriptions.iter().filter(|to| to.topics.values().any(|one| *one == taken)).cloned().collect();
            if subscriptions.is_empty() {
                continue;
            }
            let (handle, kafka, leadership) = (handle.clone(), kafka.clone(), present.clone());
            let caught_up = caught_up();
            let consumer = Consumer { handle, kafka, subscriptions, taken, leadership, caught_up };
            spawn("consumer", Box::pin(consumer.run()));
        }
    } else {
        for subscription in &subscriptions {
            let (handle, leadership, caught_up) = (handle.clone(), leadership.clone(), caught_up());
            let reader = Reader { handle, subscription: subscription.clone(), wakes: wakes.clone(), leadership, caught_up };
            spawn("reader", Box::pin(reader.run()));
        }
    }
    let (kinds, caught_up) = (service.timers, all_caught_up);
    let timers = Timers { handle: handle.clone(), kinds, leadership: leadership.clone(), caught_up };
    spawn("timers", Box::pin(timers.run()));
    for job in service.jobs.into_iter().chain([keys::sweep()]) {
        spawn("job", Box::pin(job.repeat(handle.clone(), leadership.clone(), wakes.clone())));
    }
    if let Some(trim) = trim {
        spawn("trim", Box::pin(trim.run(handle.clone(), leadership.clone())));
    }
    let (loops_ended, executor_ended) = (Mutex::new(loops_ended), Mutex::new(executor_ended));
    let ages = service.ages;
    Ok(Running { handle, subscriptions, ages, listens_to_kafka, source: head.source, stop, loops_ended, executor_ended })
}

/// Lets the service hear others by Kafka from now on, or refuses to go back to outboxes.
async fn hears_by(kafka: bool, handle: &Handle) -> Result<(), Error> {
    let unavailable = |fault: Fault| Error::Unavailable(fault.to_string());
    if kafka {
        return moving::to_kafka(handle).await.map_err(unavailable);
    }
    if moving::has_moved(handle).await.map_err(unavailable)? {
        let service = handle.service;
        return Err(Error::Broken(format!("{service} listens to Kafka and cannot go back: set log.kind = \"kafka\"")));
    }
    Ok(())
}

/// Runs `task` and lets go of `alive` when it has ended, even by a panic.
fn holding(alive: mpsc::Sender<()>, task: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        task.await;
        drop(alive);
    })
}
