//! A service as data, and how it is started and stopped. Building one starts nothing.
//! Leaves which services run where to the program that composes them.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use kernel::{BoxFuture, Fault, Runtime};
use log::{Outbox, Wakes};
use serde::Serialize;
use store::{Error, Migration, Read, Row, Store, Table};
use tokio::sync::{Mutex, mpsc, watch};

use crate::executor::Executor;
use crate::handle::{Handle, fault_of};
use crate::jobs::Job;
use crate::lanes::Lanes;
use crate::lease::Leadership;
use crate::reader::{Reader, first_source};
use crate::subscription::{Subscription, outbox_cursor};
use crate::tables::{Cursor, PARKED_COUNT, TIMERS_SET};
use crate::timers::{TimerKind, TimerWake, Timers};
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
}

/// A service that runs.
pub struct Running {
    /// Its door.
    pub handle: Handle,
    subscriptions: Vec<Arc<Subscription>>,
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
}

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
        let timers = timers.iter().map(pair).collect::<Result<_, Error>>().map_err(|error| fault_of(&error))?;
        let parked = handle.read(&PARKED_COUNT, vec![service.into()]).await?;
        let parked = parked.first().map_or(Ok(0), |row| row.int(0)).map_err(|error| fault_of(&error))?;
        let mut behind = Vec::new();
        for subscription in &self.subscriptions {
            behind.extend(self.behind(subscription).await?);
        }
        Ok(Pending { service, timers, parked, behind })
    }

    async fn behind(&self, subscription: &Subscription) -> Result<Option<Behind>, Fault> {
        let store = &self.handle.store;
        let head =
            store.head(subscription.to, &first_source(subscription.to, &self.handle)).await.map_err(|error| fault_of(&error))?;
        let topics: Vec<&'static str> = subscription.topics.keys().copied().collect();
        let last = Outbox::new(store.clone(), head.source.clone()).last(&topics).await.map_err(|error| fault_of(&error))?;
        let cursor = self.handle.find::<Cursor>(&outbox_cursor(self.handle.service, &head.source)).await?;
        let seq = cursor.map_or(0, |(cursor, _)| cursor.seq);
        Ok((seq < last).then_some(Behind { source: head.source, seq, last }))
    }

    /// How many events the service has said, by its head row; so also whether it reaches its database.
    ///
    /// # Errors
    /// `unavailable` with what the database said.
    pub async fn events_said(&self) -> Result<i64, Fault> {
        self.handle.store.head(self.handle.service, &self.source).await.map(|head| head.seq).map_err(|error| fault_of(&error))
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

/// Starts `service` on an up-to-date database.
///
/// # Errors
/// [`Error::Unavailable`] if its head row cannot be read.
pub async fn start(service: Service, settings: &Settings) -> Result<Running, Error> {
    let Settings { store, runtime, wakes } = settings.clone();
    let (lanes, watchers) = (Arc::new(Lanes::default()), Arc::new(Watchers::default()));
    let handle = Handle {
        service: service.name,
        store: store.clone(),
        runtime: runtime.clone(),
        lanes: lanes.clone(),
        watchers: watchers.clone(),
    };
    let source = first_source(service.name, &handle);
    let head = store.head(service.name, &source).await?;
    let (stop, stopped) = watch::channel(false);
    let stopping = Stopping(stopped);
    let timer_wake = TimerWake::default();

    let (executor_alive, executor_ended) = mpsc::channel(1);
    let executor = Executor {
        service: service.name,
        store: store.clone(),
        runtime: runtime.clone(),
        lanes,
        wakes: wakes.clone(),
        watchers,
        timer_wake: timer_wake.clone(),
        epoch: head.epoch,
        source: head.source.clone(),
    };
    runtime.spawn("executor", holding(executor_alive, Box::pin(executor.run())));

    let (alive, loops_ended) = mpsc::channel(1);
    let spawn = |name, task| runtime.spawn(name, holding(alive.clone(), task));
    let leadership = if store.shared() {
        let (leadership, contest) = Leadership::contested(handle.clone(), stopping.clone());
        spawn("lease", contest);
        leadership
    } else {
        Leadership::alone()
    };
    let mut all_caught_up = Vec::new();
    let subscriptions: Vec<Arc<Subscription>> = service.subscriptions.into_iter().map(Arc::new).collect();
    for subscription in &subscriptions {
        let (caught_up, receiver) = watch::channel(false);
        all_caught_up.push(receiver);
        let reader = Reader {
            handle: handle.clone(),
            subscription: subscription.clone(),
            wakes: wakes.clone(),
            leadership: leadership.clone(),
            stopping: stopping.clone(),
            caught_up,
        };
        spawn("reader", Box::pin(reader.run()));
    }
    let timers = Timers {
        handle: handle.clone(),
        kinds: service.timers,
        wake: timer_wake,
        leadership: leadership.clone(),
        stopping: stopping.clone(),
        caught_up: all_caught_up,
    };
    spawn("timers", Box::pin(timers.run()));
    for job in service.jobs {
        spawn("job", Box::pin(job.repeat(handle.clone(), leadership.clone(), stopping.clone())));
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

/// Whether the service is to stop.
#[derive(Clone)]
pub(crate) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    pub(crate) fn begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when the service is to stop.
    pub(crate) async fn wait(&self) {
        // The sender lives as long as the service: if it is gone, that is a stop too.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }

    /// What `future` gives, or `None` if the service is to stop first.
    pub(crate) async fn or<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.wait() => None,
            value = future => Some(value),
        }
    }
}
