//! The door to a running service's executor: commands under their keys, inputs of its own loops, reads and waiting.
//! Leaves deciding to the executor and HTTP to `web`.

use std::sync::Arc;

use kernel::{Draw, Fault, Millis, Runtime, TraceContext};
use store::{Error, Read, Row, Store, Table, Value};
use tokio::sync::{Notify, oneshot};
use web::{Answer as HttpAnswer, StatusCode};

use crate::entity::Entity;
use crate::input::{Answer, DEADLINE_DEFAULT_MS, Decide, Input, Park, Stop};
use crate::keys::{FirstUse, KeyScope, first_use, keep};
use crate::lanes::{Lane, Lanes};
use crate::watchers::Watchers;
use crate::work::Work;

/// How soon a waiter looks for changes that other processes made.
const FOREIGN_CHANGE_MS: Millis = 100;

/// What a command came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Reply {
    /// The HTTP status of its first time.
    pub status: u16,
    /// The id of what it made or changed.
    pub resource: String,
    /// That resource as it is now.
    pub view: serde_json::Value,
    /// Whether its key had been used before, so that nothing was done.
    pub replayed: bool,
}

impl Reply {
    /// The answer to whoever sent the command; `location` is the path of the resource if the command made one.
    #[must_use]
    pub fn answer(self, location: Option<&str>) -> HttpAnswer {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let answer = HttpAnswer::json(status, self.view).replayed(self.replayed);
        match location {
            Some(path) => answer.location(path),
            None => answer,
        }
    }
}

/// What a command's decider did: the status to answer with, and the id of what it made or changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The HTTP status.
    pub status: u16,
    /// The id.
    pub resource: String,
}

/// A command from outside: which lane, under which key, what to do, and how to show what it was done to.
pub struct Command<D, S> {
    /// Its share of the executor.
    pub lane: Lane,
    /// The key it came under.
    pub key: KeyScope,
    /// The request it belongs to.
    pub trace: TraceContext,
    /// About how many bytes it holds.
    pub bytes: usize,
    /// How long its caller waits.
    pub deadline_ms: Millis,
    /// What to do, unless its key says that it was done.
    pub decide: D,
    /// The resource of this id as it is now.
    pub show: S,
}

/// The door to one running service.
#[derive(Clone)]
pub struct Handle {
    pub(crate) service: &'static str,
    pub(crate) store: Store,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) watchers: Arc<Watchers>,
}

impl Handle {
    /// The service.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// The port to the world.
    #[must_use]
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// Runs a command once, however often it is sent under its key.
    ///
    /// # Errors
    /// What its decider refuses; `idempotency-key-reused`; `lane-full`; `unavailable` or `outcome-unknown` at its deadline.
    pub async fn command<D, S>(&self, command: Command<D, S>) -> Result<Reply, Fault>
    where
        D: Fn(&mut Work<'_>) -> Result<Stored, Stop> + Send + Sync + 'static,
        S: Fn(&mut Work<'_>, &str) -> Result<serde_json::Value, Stop> + Send + Sync + 'static,
    {
        let Command { lane, key, trace, bytes, deadline_ms, decide, show } = command;
        let decide = move |work: &mut Work<'_>| -> Result<Reply, Stop> {
            if let Some(FirstUse { status, resource }) = first_use(work, &key)? {
                let view = show(work, &resource)?;
                return Ok(Reply { status, resource, view, replayed: true });
            }
            let Stored { status, resource } = decide(work)?;
            let first = FirstUse { status, resource };
            keep(work, &key, &first);
            let view = show(work, &first.resource)?;
            Ok(Reply { status, resource: first.resource, view, replayed: false })
        };
        let input = self.input(trace, bytes, deadline_ms, decide, None);
        self.submit(lane, vec![input]).await?.pop().unwrap_or_else(gone)
    }

    /// Decides something that the service itself wants: the answer of a worker, the step of a job. What it does must be
    /// safe to repeat by what it reads.
    ///
    /// # Errors
    /// As [`Handle::command`].
    pub async fn decide<T: Send + Sync + 'static>(
        &self,
        lane: Lane,
        trace: &TraceContext,
        decide: impl Fn(&mut Work<'_>) -> Result<T, Stop> + Send + Sync + 'static,
    ) -> Result<T, Fault> {
        let input = self.input(trace.clone(), 256, DEADLINE_DEFAULT_MS, decide, None);
        self.submit(lane, vec![input]).await?.pop().unwrap_or_else(gone)
    }

    /// Runs a named read of the service.
    ///
    /// # Errors
    /// `unavailable`, or `internal` if what is stored does not make sense.
    pub async fn read(&self, read: &'static Read, arguments: Vec<Value>) -> Result<Vec<Row>, Fault> {
        self.store.read(read, arguments).await.map_err(|error| fault_of(&error))
    }

    /// The entities of `keys` that there are.
    ///
    /// # Errors
    /// As [`Handle::read`].
    pub async fn load<E: Entity>(&self, keys: &[E::Key]) -> Result<Vec<E>, Fault> {
        let rows = self.rows::<E>(keys).await?;
        rows.iter().map(|row| E::from_row(row).map_err(|error| fault_of(&error))).collect()
    }

    /// The entity of `key` with its version, if there is one.
    ///
    /// # Errors
    /// As [`Handle::read`].
    pub async fn find<E: Entity>(&self, key: &E::Key) -> Result<Option<(E, i64)>, Fault> {
        let rows = self.rows::<E>(std::slice::from_ref(key)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let version = row.int(row.0.len() - 1).map_err(|error| fault_of(&error))?;
        E::from_row(row).map(|entity| Some((entity, version))).map_err(|error| fault_of(&error))
    }

    /// A signal that this process changes the row of `key`; to miss nothing, ask for it before reading the row.
    #[must_use]
    pub fn watch<E: Entity>(&self, key: &E::Key) -> Arc<Notify> {
        self.watchers.of((E::TABLE.name, E::key_values(key)))
    }

    /// The entity of `key` with its version, as soon as that is one that the caller does not know; after `wait_ms` as it is.
    /// Changes of this process are seen at once, those of others within a tenth of a second.
    ///
    /// # Errors
    /// As [`Handle::read`].
    pub async fn find_changed<E: Entity>(
        &self,
        key: &E::Key,
        known: impl Fn(i64) -> bool,
        wait_ms: Millis,
    ) -> Result<Option<(E, i64)>, Fault> {
        let until = self.runtime.now().plus_ms(wait_ms);
        loop {
            let signal = self.watch::<E>(key);
            let changed = signal.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let found = self.find::<E>(key).await?;
            let left_ms = until.since_ms(self.runtime.now());
            if left_ms <= 0 || !found.as_ref().is_some_and(|(_, version)| known(*version)) {
                return Ok(found);
            }
            let foreign_ms = if self.store.shared() { FOREIGN_CHANGE_MS } else { left_ms };
            tokio::select! {
                () = changed => {}
                () = self.runtime.sleep(left_ms.min(foreign_ms)) => {}
            }
        }
    }

    async fn rows<E: Entity>(&self, keys: &[E::Key]) -> Result<Vec<Row>, Fault> {
        let table: &'static Table = E::TABLE;
        self.store.load(table, keys.iter().map(E::key_values).collect()).await.map_err(|error| fault_of(&error))
    }

    /// An input with a decider of type `T` inside; [`Handle::submit`] must ask for the same type.
    pub(crate) fn input<T: Send + Sync + 'static>(
        &self,
        trace: TraceContext,
        bytes: usize,
        deadline_ms: Millis,
        decide: impl Fn(&mut Work<'_>) -> Result<T, Stop> + Send + Sync + 'static,
        park: Option<Park>,
    ) -> (Input, oneshot::Receiver<Result<Answer, Fault>>) {
        let decide: Decide = Box::new(move |work| decide(work).map(|answer| Box::new(answer) as Answer));
        let (answer, receiver) = oneshot::channel();
        let deadline = self.runtime.now().plus_ms(deadline_ms);
        let draw: Draw = self.runtime.draw();
        let input =
            Input { bytes, deadline, trace, draw, decide, park, answer, now: None, strikes: 0, unknown: false, broken: None };
        (input, receiver)
    }

    /// Queues inputs of one lane and waits until each is answered.
    pub(crate) async fn submit<T: Send + Sync + 'static>(
        &self,
        lane: Lane,
        inputs: Vec<(Input, oneshot::Receiver<Result<Answer, Fault>>)>,
    ) -> Result<Vec<Result<T, Fault>>, Fault> {
        let (inputs, receivers): (Vec<_>, Vec<_>) = inputs.into_iter().unzip();
        self.lanes.push(lane, inputs)?;
        let mut answers = Vec::with_capacity(receivers.len());
        for receiver in receivers {
            let answer = receiver.await.unwrap_or_else(|_| Err(Fault::unavailable("the executor has ended", 1000)));
            answers.push(answer.and_then(|answer| match answer.downcast::<T>() {
                Ok(answer) => Ok(*answer),
                Err(_) => Err(Fault::internal("an input was answered with another type")),
            }));
        }
        Ok(answers)
    }
}

fn gone<T>() -> Result<T, Fault> {
    Err(Fault::internal("an input was not answered"))
}

/// What a failed read is to a caller.
pub(crate) fn fault_of(error: &Error) -> Fault {
    match error {
        Error::Unavailable(cause) | Error::UnknownOutcome(cause) => Fault::unavailable(cause.clone(), 1000),
        Error::Broken(_) | Error::Expectation { .. } | Error::StaleEpoch { .. } => Fault::internal(error.to_string()),
    }
}
