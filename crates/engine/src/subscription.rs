//! What a service does on another's events: handlers by type, and the one way in which an event is applied: cursor, chain,
//! stopped keys, handler, in one decider and so in one batch. Leaves reading the log to `reader`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use contracts::Event;
use kernel::Fault;
use log::{Admission, LogEvent, admit};

use crate::input::{Answer, Stop};
use crate::tables::{Cursor, Parked, StoppedKey};
use crate::work::Work;

/// What is done with one event, with the event inside.
pub(crate) type Handling = Arc<dyn Fn(&mut Work<'_>) -> Result<(), Stop> + Send + Sync>;

type Decode = Arc<dyn Fn(serde_json::Value) -> Result<Handling, serde_json::Error> + Send + Sync>;

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
    handlers: HashMap<&'static str, Decode>,
}

impl Subscription {
    /// A subscription to the events of `service`.
    #[must_use]
    pub fn to(service: &'static str) -> Self {
        Self { to: service, topics: BTreeMap::new(), handlers: HashMap::new() }
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

    /// The topics and how each is taken.
    #[must_use]
    pub fn topics(&self) -> &BTreeMap<&'static str, Taken> {
        &self.topics
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
            Ok(Arc::new(move |work: &mut Work<'_>| handle(work, &event)))
        });
        self.handlers.insert(E::KIND, decode);
        self
    }

    /// What is to be done with `event`: nothing for types that nobody asked for.
    pub(crate) fn handling(&self, event: &LogEvent) -> Result<Handling, serde_json::Error> {
        match self.handlers.get(event.kind.as_str()) {
            Some(decode) => decode(event.envelope()?.data),
            None => Ok(Arc::new(|_| Ok(()))),
        }
    }
}

/// Which cursor takes an event: one per source for an outbox, one per topic and partition for a log between databases.
pub(crate) type CursorName = (String, String, String, i64);

/// The cursor of `service` in the outbox `source`.
pub(crate) fn outbox_cursor(service: &str, source: &str) -> CursorName {
    (service.to_owned(), source.to_owned(), "*".to_owned(), 0)
}

/// Applies `event` if it is the next for its cursor; events behind a parked one of their key are parked too.
pub(crate) fn apply(work: &mut Work<'_>, cursor: &CursorName, event: &LogEvent, handling: &Handling) -> Result<Admission, Stop> {
    let stopped = (cursor.0.clone(), event.source.clone(), event.key.clone());
    work.want::<StoppedKey>(&stopped);
    let admission = advance(work, cursor, event)?;
    if admission != Admission::Next {
        return Ok(admission);
    }
    if work.find::<StoppedKey>(&stopped)?.is_some() {
        keep_parked(work, &cursor.0, event, "an earlier event of its key is parked")?;
        return Ok(Admission::Next);
    }
    handling(work)?;
    Ok(Admission::Next)
}

/// Parks `event` because of `cause` and goes on behind it.
pub(crate) fn park(work: &mut Work<'_>, cursor: &CursorName, event: &LogEvent, cause: &str) -> Result<Answer, Stop> {
    let admission = advance(work, cursor, event)?;
    if admission == Admission::Next {
        keep_parked(work, &cursor.0, event, cause)?;
    }
    Ok(Box::new(admission))
}

/// Moves the cursor to `event` if that is the next one.
fn advance(work: &mut Work<'_>, name: &CursorName, event: &LogEvent) -> Result<Admission, Stop> {
    let seq = work.find::<Cursor>(name)?.map_or(0, |cursor| cursor.seq);
    let admission = admit(seq, event.prev, event.seq);
    if admission == Admission::Next {
        let (service, source, topic, partition) = name.clone();
        work.save(Cursor { service, source, topic, partition, seq: event.seq });
    }
    Ok(admission)
}

fn keep_parked(work: &mut Work<'_>, service: &str, event: &LogEvent, error: &str) -> Result<(), Stop> {
    tracing::error!(service, source = event.source, seq = event.seq, kind = event.kind, error, "event parked");
    let key = (service.to_owned(), event.source.clone(), event.key.clone());
    let events = work.find::<StoppedKey>(&key)?.map_or(0, |stopped| stopped.events) + 1;
    work.save(StoppedKey { service: key.0.clone(), source: key.1, key: key.2, bucket: event.partition, events });
    let parked_at = work.now();
    work.create(Parked {
        service: key.0,
        source: event.source.clone(),
        seq: event.seq,
        bucket: event.partition,
        topic: event.topic.clone(),
        key: event.key.clone(),
        kind: event.kind.clone(),
        payload: event.payload.clone(),
        error: error.to_owned(),
        parked_at,
    })
}

/// The refusal of a cursor that something else moved: the reader begins again where it stands.
pub(crate) fn gap() -> Fault {
    Fault::internal("an event before this one is missing")
}
