//! Parked events seen and ended by people: listed, shown, tried again, dropped. What is tried again is applied as it would
//! have been, by the same handler, with all behind it of its key, in order, each in a batch of its own that takes it away.
//! Leaves parking them to `subscription`, and who may do this to the program.

use kernel::{Fault, Timestamp, TraceContext};
use log::LogEvent;
use serde::Serialize;
use store::{Error, Row, Value};

use crate::entity::Entity;
use crate::handle::{Command, Stored, fault_of};
use crate::input::{Awaited, DEADLINE_DEFAULT_MS, Input, Stop};
use crate::keys::KeyScope;
use crate::lanes::Lane;
use crate::service::Running;
use crate::subscription::{Handling, Subscription};
use crate::tables::{Dropped, PARKED_FIRST, PARKED_PAGE, Parked, StoppedKey};
use crate::work::Work;

/// How many events one retry applies at most; what is left takes another.
const RETRY_EVENTS_MAX: usize = 1_000;

/// A parked event.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeadLetter {
    /// The service that could not handle it.
    pub service: String,
    /// The log that it is from.
    pub source: String,
    /// Its number there.
    pub seq: i64,
    /// Its topic.
    pub topic: String,
    /// The key that it stops.
    pub key: String,
    /// Type and version.
    pub kind: String,
    /// Why it is parked, as far as is known since it was last tried.
    pub error: String,
    /// Since when.
    pub parked_at: Timestamp,
    /// The event in its envelope, where one is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
}

impl DeadLetter {
    fn listed(parked: Parked) -> Self {
        let Parked { service, source, seq, topic, key, kind, error, parked_at, .. } = parked;
        Self { service, source, seq, topic, key, kind, error, parked_at, payload: None }
    }

    fn shown(parked: Parked) -> Self {
        // What is no JSON is shown as the text that it is.
        let payload = serde_json::from_str(&parked.payload).unwrap_or_else(|_| parked.payload.clone().into());
        Self { payload: Some(payload), ..Self::listed(parked) }
    }
}

/// A wish of an admin for one parked event.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The log that the event is from.
    pub source: String,
    /// Its number there.
    pub seq: i64,
    /// The key of the request.
    pub key: KeyScope,
    /// The request.
    pub trace: TraceContext,
}

/// Who drops an event, and why.
#[derive(Clone, Debug)]
pub struct Blame {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What became of a key whose parked events were tried again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Retried {
    /// The key.
    pub key: String,
    /// How many of its events were applied now.
    pub applied: usize,
    /// How many are still parked.
    pub left: i64,
    /// The event that could still not be handled, if that is why.
    pub failed: Option<Failed>,
}

/// An event that could still not be handled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Failed {
    /// Its number.
    pub seq: i64,
    /// Why.
    pub error: String,
}

/// What one try came to.
enum Tried {
    Applied,
    /// Somebody else has ended it.
    Gone,
    Failed(String),
}

impl Running {
    /// Up to `limit` parked events in the order of their logs, after that of a source and number.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn dead_letters(&self, after: Option<(String, i64)>, limit: i64) -> Result<Vec<DeadLetter>, Fault> {
        let (source, seq) = after.unwrap_or_default();
        let arguments = vec![self.handle.service.into(), source.into(), seq.into(), limit.into()];
        let rows = self.handle.read(&PARKED_PAGE, arguments).await?;
        rows.iter().map(|row| parked(row).map(DeadLetter::listed)).collect()
    }

    /// A parked event whole.
    ///
    /// # Errors
    /// `not-found`, `unavailable`.
    pub async fn dead_letter(&self, source: &str, seq: i64) -> Result<DeadLetter, Fault> {
        let found = self.handle.find::<Parked>(&(self.handle.service.to_owned(), source.to_owned(), seq)).await?;
        found.map(|(parked, _)| DeadLetter::shown(parked)).ok_or_else(not_parked)
    }

    /// Tries the parked events of the wish's event's key again, from the first on, until none is left or one fails.
    /// Whatever comes for that key meanwhile stays behind them. A repeat tries what is still parked then.
    ///
    /// # Errors
    /// `not-found`, `unavailable`, or what kept an event from being decided.
    pub async fn retry_dead_letter(&self, wish: Wish) -> Result<Retried, Fault> {
        let source = wish.source.clone();
        let key = self.command_on(wish, |_, parked| Ok(parked.key.clone())).await?;
        self.retry_key(&source, key, None).await
    }

    /// Drops the event, keeping it with who and why; if it was the one that stopped its key, those behind it are tried.
    ///
    /// # Errors
    /// As [`Running::retry_dead_letter`].
    pub async fn drop_dead_letter(&self, wish: Wish, blame: Blame) -> Result<Retried, Fault> {
        let (source, seq, service) = (wish.source.clone(), wish.seq, self.handle.service);
        tracing::warn!(service, source, seq, by = blame.by, reason = blame.reason, "a parked event is dropped");
        let drop = move |work: &mut Work<'_>, parked: &Parked| {
            unpark(work, parked)?;
            let Parked { service, source, seq, bucket, topic, key, kind, payload, error, parked_at } = parked.clone();
            let (dropped_at, Blame { by: dropped_by, reason }) = (work.now(), blame.clone());
            let resource = key.clone();
            work.save(Dropped {
                service,
                source,
                seq,
                bucket,
                topic,
                key,
                kind,
                payload,
                error,
                parked_at,
                dropped_at,
                dropped_by,
                reason,
            });
            Ok(resource)
        };
        let key = self.command_on(wish, drop).await?;
        self.retry_key(&source, key, Some(seq)).await
    }

    /// Does `act` with a parked event once, and tells its key, also to whoever repeats the wish when the event has gone.
    async fn command_on(
        &self,
        wish: Wish,
        act: impl Fn(&mut Work<'_>, &Parked) -> Result<String, Stop> + Send + Sync + 'static,
    ) -> Result<String, Fault> {
        let Wish { source, seq, key, trace } = wish;
        let name = (self.handle.service.to_owned(), source, seq);
        let decide = move |work: &mut Work<'_>| {
            let parked = work.find::<Parked>(&name)?.ok_or_else(not_parked)?;
            act(work, &parked).map(|resource| Stored { status: 200, resource })
        };
        let show = |_: &mut Work<'_>, key: &str| Ok(key.into());
        let (lane, bytes, deadline_ms) = (Lane::Rest, 1024, DEADLINE_DEFAULT_MS);
        let reply = self.handle.command(Command { lane, key, trace, bytes, deadline_ms, decide, show }).await?;
        Ok(reply.resource)
    }

    /// Tries the parked events of a key in order; if `after` is given, only if all of them are behind it.
    async fn retry_key(&self, source: &str, key: String, after: Option<i64>) -> Result<Retried, Fault> {
        let (mut applied, mut failed) = (0, None);
        for _ in 0..RETRY_EVENTS_MAX {
            // What was the first may be gone when it is its turn, but nothing ever comes before it.
            let Some(first) = self.first_parked(source, &key).await?.filter(|first| after.is_none_or(|seq| first.seq > seq))
            else {
                break;
            };
            let seq = first.seq;
            match self.retry_one(first).await? {
                Tried::Applied => applied += 1,
                Tried::Gone => {}
                Tried::Failed(error) => {
                    failed = Some(Failed { seq, error });
                    break;
                }
            }
        }
        let stopped = self.handle.find::<StoppedKey>(&(self.handle.service.to_owned(), source.to_owned(), key.clone())).await?;
        Ok(Retried { key, applied, left: stopped.map_or(0, |(stopped, _)| stopped.events), failed })
    }

    async fn first_parked(&self, source: &str, key: &str) -> Result<Option<Parked>, Fault> {
        let arguments: Vec<Value> = vec![self.handle.service.into(), source.into(), key.into()];
        self.handle.read(&PARKED_FIRST, arguments).await?.first().map(parked).transpose()
    }

    async fn retry_one(&self, parked: Parked) -> Result<Tried, Fault> {
        let topic = parked.topic.as_str();
        let Some(subscription) = self.subscriptions.iter().find(|subscription| subscription.topics.contains_key(topic)) else {
            return Ok(Tried::Failed(format!("{} does not listen to {topic} any more", self.handle.service)));
        };
        let input = self.retry_input(subscription, parked);
        self.handle.submit(subscription.lane, vec![input]).await?.pop().unwrap_or(Ok(Tried::Gone))
    }

    fn retry_input(&self, subscription: &Subscription, parked: Parked) -> (Input, Awaited<Tried>) {
        let name = parked.key();
        let event = event_of(parked);
        let bytes = event.payload.len();
        let (trace, handling) = self.handle.handling(subscription, &event);
        let decide = move |work: &mut Work<'_>, broken: Option<&str>| retry(work, &name, &handling, broken);
        self.handle.input(trace, bytes, DEADLINE_DEFAULT_MS, true, decide)
    }
}

/// Applies a parked event and takes it away, or notes why that still does not go.
fn retry(
    work: &mut Work<'_>,
    name: &(String, String, i64),
    handling: &Result<Handling, String>,
    broken: Option<&str>,
) -> Result<Tried, Stop> {
    let Some(parked) = work.find::<Parked>(name)? else { return Ok(Tried::Gone) };
    let error = match (broken, handling) {
        (Some(cause), _) => cause,
        (None, Err(cause)) => cause,
        (None, Ok(handling)) => {
            unpark(work, &parked)?;
            return handling(work).map(|()| Tried::Applied);
        }
    };
    work.save(Parked { error: error.to_owned(), ..(*parked).clone() });
    Ok(Tried::Failed(error.to_owned()))
}

/// Takes an event from those that its key has parked; the last lets the key go on.
fn unpark(work: &mut Work<'_>, parked: &Parked) -> Result<(), Stop> {
    let key = (parked.service.clone(), parked.source.clone(), parked.key.clone());
    let stopped = work.find::<StoppedKey>(&key)?;
    let stopped = stopped.ok_or_else(|| Stop::Broken(format!("{key:?} has parked events and is not stopped")))?;
    if stopped.events > 1 {
        work.save(StoppedKey { events: stopped.events - 1, ..(*stopped).clone() });
    } else {
        work.remove::<StoppedKey>(&key);
    }
    work.remove::<Parked>(&parked.key());
    Ok(())
}

fn event_of(parked: Parked) -> LogEvent {
    let Parked { source, seq, bucket, topic, key, kind, payload, .. } = parked;
    LogEvent { source, seq, prev: seq - 1, topic, partition: bucket, key, kind, payload }
}

fn parked(row: &Row) -> Result<Parked, Fault> {
    Parked::from_row(row).map_err(|error: Error| fault_of(error))
}

fn not_parked() -> Fault {
    Fault::not_found("dead letter")
}
