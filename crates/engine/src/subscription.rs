//! What a service does on another's events: handlers by type, and the one way in which an event is applied: cursor, chain,
//! stopped keys, handler, in one decider and so in one batch. Leaves reading the log to `reader`.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use contracts::Event;
use kernel::{Fault, Millis, Timestamp, TraceContext};
use log::{Admission, LogEvent, admit};
use tracing::Span;

use crate::breaker::Breaker;
use crate::handle::Handle;
use crate::input::{Awaited, DEADLINE_DEFAULT_MS, Input, Stop};
use crate::lag::Lag;
use crate::lanes::Lane;
use crate::tables::{Cursor, Parked, StoppedKey};
use crate::work::Work;

/// What is done with one event, with the event inside.
pub(crate) type Handling = Box<dyn Fn(&mut Work<'_>) -> Result<(), Stop> + Send>;

type Decode = Arc<dyn Fn(serde_json::Value) -> Result<Handling, serde_json::Error> + Send + Sync>;

/// How events of one type are read, and how they are taken.
#[derive(Clone)]
struct Handler {
    taken: Taken,
    decode: Decode,
}

/// How the events of a topic are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// Applied once, in the shard that owns their bucket.
    Work,
    /// Reference data that every shard keeps for itself.
    Copy,
}

/// What a service does on the events of one other service.
#[derive(Clone)]
pub struct Subscription {
    pub(crate) to: &'static str,
    pub(crate) topics: BTreeMap<&'static str, Taken>,
    pub(crate) lane: Lane,
    pub(crate) breaker: Arc<Breaker>,
    /// Of what is work, and of what are copies, where these come by ways of their own.
    lags: Arc<[Lag; 2]>,
    handlers: HashMap<&'static str, Handler>,
}

impl Subscription {
    /// A subscription to the events of `service`.
    #[must_use]
    pub fn to(service: &'static str) -> Self {
        Self {
            to: service,
            topics: BTreeMap::new(),
            lane: Lane::Saga,
            breaker: Arc::default(),
            lags: Arc::default(),
            handlers: HashMap::new(),
        }
    }

    /// Its events are promises already given, as money and couriers: they take the lane of those.
    #[must_use]
    pub fn promised(mut self) -> Self {
        self.lane = Lane::Money;
        self
    }

    /// Events of type `E` are work: `handle` is applied once to each, in the order of their key.
    #[must_use]
    pub fn work<E: Event>(self, handle: impl Fn(&mut Work<'_>, &E) -> Result<(), Stop> + Send + Sync + Clone + 'static) -> Self {
        self.on(Taken::Work, handle)
    }

    /// Events of type `E` are copies: `handle` keeps what they say.
    #[must_use]
    pub fn copy<E: Event>(self, handle: impl Fn(&mut Work<'_>, &E) -> Result<(), Stop> + Send + Sync + Clone + 'static) -> Self {
        self.on(Taken::Copy, handle)
    }

    /// The service whose events these are.
    #[must_use]
    pub fn to_service(&self) -> &'static str {
        self.to
    }

    /// The topics and how each is taken.
    #[must_use]
    pub fn topics(&self) -> &BTreeMap<&'static str, Taken> {
        &self.topics
    }

    /// Whether events of type `kind` are heard, and taken as copies.
    #[must_use]
    pub fn copies(&self, kind: &str) -> bool {
        self.handlers.get(kind).is_some_and(|handler| handler.taken == Taken::Copy)
    }

    /// Whether events of type `kind` are heard, and taken as work.
    #[must_use]
    pub fn works_on(&self, kind: &str) -> bool {
        self.handlers.get(kind).is_some_and(|handler| handler.taken == Taken::Work)
    }

    /// How far its reader in this process is behind; an outbox has one reader, whatever is read.
    pub(crate) fn lag(&self, taken: Taken) -> &Lag {
        &self.lags[taken as usize]
    }

    /// How many records of Kafka this process has not read.
    pub(crate) fn unread(&self) -> i64 {
        self.lags.iter().map(Lag::unread).sum()
    }

    /// The larger of what its readers in this process are behind.
    pub(crate) fn lag_ms(&self, now: Timestamp) -> Option<Millis> {
        self.lags.iter().filter_map(|lag| lag.age_ms(now)).max()
    }

    fn on<E: Event>(
        mut self,
        taken: Taken,
        handle: impl Fn(&mut Work<'_>, &E) -> Result<(), Stop> + Send + Sync + Clone + 'static,
    ) -> Self {
        let before = self.topics.insert(E::TOPIC, taken);
        assert!(before.is_none_or(|before| before == taken), "{} is taken both as work and as copy", E::TOPIC);
        let decode: Decode = Arc::new(move |data| {
            let event: E = serde_json::from_value(data)?;
            let handle = handle.clone();
            Ok(Box::new(move |work: &mut Work<'_>| handle(work, &event)))
        });
        assert!(self.handlers.insert(E::KIND, Handler { taken, decode }).is_none(), "{} is handled twice", E::KIND);
        self
    }

    /// The request that `event` goes back to, and what is to be done with it: nothing for types that nobody asked for.
    pub(crate) fn handling(&self, event: &LogEvent) -> Result<(TraceContext, Handling), serde_json::Error> {
        let envelope = event.envelope()?;
        let handling = match self.handlers.get(event.kind.as_str()) {
            Some(handler) => (handler.decode)(envelope.data)?,
            None => Box::new(|_: &mut Work<'_>| Ok(())),
        };
        Ok((envelope.traceparent, handling))
    }
}

/// Which cursor takes an event: one per source for an outbox, one per topic and partition for a log between databases.
pub(crate) type CursorName = (String, String, String, i64);

/// What stands for all topics in the name of a cursor in an outbox.
pub(crate) const ALL_TOPICS: &str = "*";
/// What stands there for how far a service had read a source's outbox when it moved to Kafka.
pub(crate) const BEFORE_KAFKA: &str = "*before-kafka";
/// What stands for all sources where it says that the service has moved.
pub(crate) const ALL_SOURCES: &str = "*";

/// The cursor of `service` in the outbox `source`.
pub(crate) fn outbox_cursor(service: &str, source: &str) -> CursorName {
    (service.to_owned(), source.to_owned(), ALL_TOPICS.to_owned(), 0)
}

/// How far `service` had read `source` when it moved to Kafka; of [`ALL_SOURCES`], whether it has.
pub(crate) fn before_kafka(service: &str, source: &str) -> CursorName {
    (service.to_owned(), source.to_owned(), BEFORE_KAFKA.to_owned(), 0)
}

/// An event with the cursor that takes it, and where its partition is to be read from once it is applied.
struct Arrived {
    event: LogEvent,
    cursor: CursorName,
    next_offset: i64,
}

/// What its cursor said to an event, and what is to be noted if it was parked.
type Applied = (Admission, Option<String>);

impl Handle {
    /// Applies events of a log between databases, which may lose, double and reorder: each under the cursor of its topic and
    /// partition, if it is the next there. Tells for each what its cursor said to it; after a [`Admission::Gap`] the log is to
    /// be read on, or again.
    ///
    /// # Errors
    /// `lane-full`, or the first of what kept an event from being decided; those before it may have been applied.
    pub async fn apply(&self, subscription: &Subscription, events: Vec<LogEvent>) -> Result<Vec<Admission>, Fault> {
        self.apply_at(subscription, events.into_iter().map(|event| (event, 0)).collect()).await
    }

    /// The same of events beside which stands from where on their partition is to be read once they are applied.
    pub(crate) async fn apply_at(
        &self,
        subscription: &Subscription,
        events: Vec<(LogEvent, i64)>,
    ) -> Result<Vec<Admission>, Fault> {
        let arrived = |(event, next_offset): (LogEvent, i64)| {
            let cursor = (self.service.to_owned(), event.source.clone(), event.topic.clone(), i64::from(event.partition.0));
            Arrived { event, cursor, next_offset }
        };
        self.apply_all(subscription, events.into_iter().map(arrived)).await
    }

    /// Applies events of an outbox, in its order.
    pub(crate) async fn apply_in_order(
        &self,
        cursor: &CursorName,
        subscription: &Subscription,
        events: Vec<LogEvent>,
    ) -> Result<Vec<Admission>, Fault> {
        let arrived = |event| Arrived { event, cursor: cursor.clone(), next_offset: 0 };
        self.apply_all(subscription, events.into_iter().map(arrived)).await
    }

    async fn apply_all(
        &self,
        subscription: &Subscription,
        events: impl Iterator<Item = Arrived>,
    ) -> Result<Vec<Admission>, Fault> {
        let inputs: Vec<_> = events.map(|arrived| self.event(subscription, arrived)).collect();
        let spans: Vec<Span> = inputs.iter().map(|(input, _)| input.span.clone()).collect();
        let note = |((admission, parked), span): (Applied, &Span)| {
            if let Some(parked) = parked {
                span.in_scope(|| tracing::error!(parked, "an event was parked"));
            }
            admission
        };
        let applied = self.submit(subscription.lane, inputs).await?.into_iter().zip(&spans);
        applied.map(|(applied, span)| applied.map(|applied| note((applied, span)))).collect()
    }

    fn event(&self, subscription: &Subscription, arrived: Arrived) -> (Input, Awaited<Applied>) {
        let bytes = arrived.event.payload.len();
        let (trace, handling) = self.handling(subscription, &arrived.event);
        let breaker = subscription.breaker.clone();
        let decide = move |work: &mut Work<'_>, broken: Option<&str>| apply(work, &arrived, &handling, broken, &breaker);
        self.input(trace, bytes, DEADLINE_DEFAULT_MS, true, decide)
    }

    /// What tells this service's part of a trace apart: the same however often the event comes.
    fn span_of(&self, event: &LogEvent) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.service, &event.source, event.seq).hash(&mut hasher);
        hasher.finish()
    }

    /// The request that `event` goes back to, and what is to be done with it, or why nothing can be.
    pub(crate) fn handling(&self, subscription: &Subscription, event: &LogEvent) -> (TraceContext, Result<Handling, String>) {
        match subscription.handling(event) {
            Ok((trace, handling)) => (trace.child(self.span_of(event)), Ok(handling)),
            Err(error) => (TraceContext::start(&mut self.runtime.draw()), Err(error.to_string())),
        }
    }
}

/// Applies `event` if it is the next for its cursor. One that is `broken` is parked, and so are those of its key behind it,
/// unless too many are: then the cursor stays before it.
fn apply(
    work: &mut Work<'_>,
    arrived: &Arrived,
    handling: &Result<Handling, String>,
    broken: Option<&str>,
    breaker: &Breaker,
) -> Result<Applied, Stop> {
    let Arrived { event, cursor: name, next_offset } = arrived;
    let key = (name.0.clone(), event.source.clone(), event.key.clone());
    work.want::<Cursor>(name);
    work.want::<Cursor>(&beginning(name));
    work.want::<StoppedKey>(&key);
    if work.rehearses() {
        // The event before it is not applied yet, so its cursor would say that there is a gap.
        if let (Ok(handling), None) = (handling, broken) {
            handling(work)?;
        }
        return Ok((Admission::Next, None));
    }
    let admission = admit(standing(work, name)?, event.prev, event.seq);
    if admission != Admission::Next {
        return Ok((admission, None));
    }
    let (service, source, topic, partition) = name.clone();
    work.save(Cursor { service, source, topic, partition, seq: event.seq, next_offset: *next_offset });
    let parked_before = work.find::<StoppedKey>(&key)?.map_or(0, |stopped| stopped.events);
    let cause = match (broken, handling) {
        (Some(cause), _) => cause,
        (None, Err(cause)) => cause,
        (None, Ok(_)) if parked_before > 0 => "an earlier event of its key is parked",
        (None, Ok(handling)) => {
            handling(work)?;
            breaker.handled(event.seq);
            return Ok((admission, None));
        }
    };
    if parked_before == 0 {
        breaker.may_park(event.seq).map_err(Stop::Broken)?;
    }
    park(work, key, event, cause, parked_before + 1).map(|parked| (admission, Some(parked)))
}

/// What says where a cursor begins that is not there yet: in a partition of Kafka with what had been read of the outbox before,
/// in an outbox nowhere any more once the service has moved.
fn beginning(name: &CursorName) -> CursorName {
    let (service, source, topic, _) = name;
    before_kafka(service, if topic == ALL_TOPICS { ALL_SOURCES } else { source })
}

/// How far the cursor `name` has come.
fn standing(work: &mut Work<'_>, name: &CursorName) -> Result<i64, Stop> {
    if let Some(cursor) = work.find::<Cursor>(name)? {
        return Ok(cursor.seq);
    }
    let beginning = work.find::<Cursor>(&beginning(name))?;
    Ok(match beginning {
        Some(_) if name.2 == ALL_TOPICS => i64::MAX,
        beginning => beginning.map_or(0, |before| before.seq),
    })
}

/// Puts `event` aside as the one that stops its key, or as one more behind it.
fn park(
    work: &mut Work<'_>,
    (service, source, key): (String, String, String),
    event: &LogEvent,
    error: &str,
    events: i64,
) -> Result<String, Stop> {
    let (bucket, seq, parked_at) = (event.partition, event.seq, work.now());
    let parked = format!("{} {source}/{seq} of {key}: {error}", event.kind);
    work.save(StoppedKey { service: service.clone(), source: source.clone(), key: key.clone(), bucket, events });
    let (topic, kind, payload) = (event.topic.clone(), event.kind.clone(), event.payload.clone());
    work.create(Parked { service, source, seq, bucket, topic, key, kind, payload, error: error.to_owned(), parked_at })?;
    Ok(parked)
}
