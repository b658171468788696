//! The door to a running service's executor: commands under their keys, inputs of its own loops, reads and waiting.
//! Leaves deciding to the executor and HTTP to `web`.

use std::sync::Arc;

use kernel::{Fault, Millis, Runtime, TraceContext};
use store::{Error, Read, Row, Store, Value};
use tokio::sync::Notify;
use tracing::Span;
use web::{Answer, StatusCode};

use crate::entity::Entity;
use crate::input::{Awaited, DEADLINE_DEFAULT_MS, Input, Stop, asked, outcome_unknown};
use crate::keys::{KeyScope, first_use, keep};
use crate::lanes::{Lane, Lanes};
use crate::meters::Meters;
use crate::watchers::Watchers;
use crate::work::Work;

/// How long a waiter pauses between looks for changes that other processes made: at first and at most, twice as long each time.
const FOREIGN_CHANGE_MS: (Millis, Millis) = (10, 160);

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
    pub fn answer(self, location: Option<&str>) -> Answer {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let answer = Answer::json(status, self.view).replayed(self.replayed);
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
    pub(crate) meters: Arc<Meters>,
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
        let decide = move |work: &mut Work<'_>, _: Option<&str>| -> Result<Reply, Stop> {
            let used = first_use(work, &key);
            if used == Err(Stop::Missing) {
                // What it will need besides comes in the same round.
                let _ = decide(work);
            }
            let (stored, replayed) = match used? {
                Some(stored) => (stored, true),
                None => {
                    let stored = decide(work)?;
                    keep(work, &key, &stored);
                    (stored, false)
                }
            };
            let view = show(work, &stored.resource)?;
            Ok(Reply { status: stored.status, resource: stored.resource, view, replayed })
        };
        let input = self.input(trace, bytes, deadline_ms, false, decide);
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
        let decide = move |work: &mut Work<'_>, _: Option<&str>| decide(work);
        let input = self.input(trace.clone(), 256, DEADLINE_DEFAULT_MS, false, decide);
        self.submit(lane, vec![input]).await?.pop().unwrap_or_else(gone)
    }

    /// Runs a named read of the service.
    ///
    /// # Errors
    /// `unavailable`, or `internal` if what is stored does not make sense.
    pub async fn read(&self, read: &'static Read, arguments: Vec<Value>) -> Result<Vec<Row>, Fault> {
        self.store.read(read, arguments).await.map_err(fault_of)
    }

    /// The entities of `keys` that there are.
    ///
    /// # Errors
    /// As [`Handle::read`].
    pub async fn load<E: Entity>(&self, keys: &[E::Key]) -> Result<Vec<E>, Fault> {
        let rows = self.rows::<E>(keys).await?;
        rows.iter().map(|row| E::from_row(row).map_err(fault_of)).collect()
    }

    /// The entity of `key` with its version, if there is one.
    ///
    /// # Errors
    /// As [`Handle::read`].
    pub async fn find<E: Entity>(&self, key: &E::Key) -> Result<Option<(E, i64)>, Fault> {
        let rows = self.rows::<E>(std::slice::from_ref(key)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let version = row.int(row.0.len() - 1).map_err(fault_of)?;
        E::from_row(row).map(|entity| Some((entity, version))).map_err(fault_of)
    }

    /// A signal that this process changes the row of `key`; to miss nothing, ask for it before reading the row.
    #[must_use]
    pub fn watch<E: Entity>(&self, key: &E::Key) -> Arc<Notify> {
        self.watchers.of((E::TABLE.name, E::key_values(key)))
    }

    /// The entity of `key` with its version, as soon as it is one that the caller does not know; after `wait_ms` as it is.
    /// Changes of this process are seen at once, those of others at first soon, then within a sixth of a second.
    ///
    /// # Errors
    /// As [`Handle::read`].
    pub async fn find_changed<E: Entity>(
        &self,
        key: &E::Key,
        known: impl Fn(&E, i64) -> bool,
        wait_ms: Millis,
    ) -> Result<Option<(E, i64)>, Fault> {
        let until = self.runtime.now().plus_ms(wait_ms);
        let mut foreign_ms = FOREIGN_CHANGE_MS.0;
        loop {
            let signal = self.watch::<E>(key);
            let changed = signal.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let found = self.find::<E>(key).await?;
            let left_ms = until.since_ms(self.runtime.now());
            if left_ms <= 0 || !found.as_ref().is_some_and(|(entity, version)| known(entity, *version)) {
                return Ok(found);
            }
            let pause_ms = if self.store.shared() { left_ms.min(foreign_ms) } else { left_ms };
            foreign_ms = (foreign_ms * 2).min(FOREIGN_CHANGE_MS.1);
            tokio::select! {
                () = changed => {}
                () = self.runtime.sleep(pause_ms) => {}
            }
        }
    }

    /// What every line carries that is told of work of this service which belongs to `trace`.
    #[must_use]
    pub fn span(&self, trace: &TraceContext) -> Span {
        // As an error, so that whatever filter lets a line pass lets its ids pass too.
        tracing::error_span!("input", service = self.service, trace_id = trace.trace_id(), span_id = trace.span_id())
    }

    async fn rows<E: Entity>(&self, keys: &[E::Key]) -> Result<Vec<Row>, Fault> {
        let keys = keys.iter().map(E::key_values).collect();
        self.store.load(E::TABLE, keys).await.map_err(fault_of)
    }

    /// An input that `decide` decides, and what it will come to. One that `puts_aside` has nobody to be refused to: if it
    /// is refused or broken, `decide` is run again with the reason and puts it aside.
    pub(crate) fn input<T: Send + 'static>(
        &self,
        trace: TraceContext,
        bytes: usize,
        deadline_ms: Millis,
        puts_aside: bool,
        decide: impl FnMut(&mut Work<'_>, Option<&str>) -> Result<T, Stop> + Send + 'static,
    ) -> (Input, Awaited<T>) {
        let (decider, awaited) = asked(decide);
        let made_at = self.runtime.now();
        let input = Input {
            lane: Lane::Rest,
            made_at,
            bytes,
            deadline: made_at.plus_ms(deadline_ms),
            span: self.span(&trace),
            trace,
            draw: self.runtime.draw(),
            decider,
            puts_aside,
            now: None,
            strikes: 0,
            unknown: false,
            broken: None,
            outcome: Ok(()),
            looked_at: Vec::new(),
        };
        (input, awaited)
    }

    /// Queues inputs of one lane and waits until each is answered.
    pub(crate) async fn submit<T>(&self, lane: Lane, inputs: Vec<(Input, Awaited<T>)>) -> Result<Vec<Result<T, Fault>>, Fault> {
        let (inputs, awaited): (Vec<_>, Vec<_>) = inputs.into_iter().unzip();
        self.lanes.push(lane, inputs)?;
        let mut answers = Vec::with_capacity(awaited.len());
        for answer in awaited {
            // An executor that ended in mid-batch tells nobody.
            answers.push(answer.await.unwrap_or_else(|_| Err(outcome_unknown())));
        }
        Ok(answers)
    }
}

fn gone<T>() -> Result<T, Fault> {
    Err(Fault::internal("an input was not answered"))
}

/// What a failed read is to a caller.
pub(crate) fn fault_of(error: Error) -> Fault {
    match error {
        Error::Unavailable(cause) | Error::UnknownOutcome(cause) => Fault::unavailable(cause, 1000),
        other => Fault::internal(other.to_string()),
    }
}
