//! The outbox log: a source's events read from its own database in `seq` order.
//! Leaves Kafka to a sibling of this file, and what is done with an event to `engine`.

use contracts::Envelope;
use kernel::{Bucket, Timestamp};
use serde::Deserialize;
use store::{Error, Kind, OUTBOX_ALL, OUTBOX_EVENTS, OUTBOX_LAST, OUTBOX_REMOVED, OUTBOX_TAILS, Read, Row, Store, Value};

use crate::chain::{Tails, link};

/// How many events one read brings at most.
pub const READ_EVENTS_MAX: usize = 512;

/// The log's reads, for the test that prepares them.
pub static READS: &[&Read] = &[&END, &FIRST, &OLDEST, &crate::tail::HEADS];

static END: Read =
    Read { name: "log.end", sql: "SELECT seq FROM store_head WHERE source = $1", arguments: &[Kind::Text], answer: &[Kind::Int] };

/// The first event on some topics after one number and up to another: source, topics, after, through.
static FIRST: Read = Read {
    name: "log.first",
    sql: "SELECT seq FROM store_outbox WHERE source = $1 AND topic {in $2} AND seq > $3 AND seq <= $4 ORDER BY seq LIMIT 1",
    arguments: &[Kind::Text, Kind::Texts, Kind::Int, Kind::Int],
    answer: &[Kind::Int],
};

/// The oldest events: source, limit.
static OLDEST: Read = Read {
    name: "log.oldest",
    sql: "SELECT seq, payload FROM store_outbox WHERE source = $1 ORDER BY seq LIMIT $2",
    arguments: &[Kind::Text, Kind::Int],
    answer: &[Kind::Int, Kind::Text],
};

/// What an envelope says of when.
#[derive(Deserialize)]
struct Said {
    time: Timestamp,
}

/// An event on its way to a consumer.
#[derive(Clone, PartialEq, Debug)]
pub struct LogEvent {
    /// The incarnation of the log that numbered it.
    pub source: String,
    /// Its number under the head row.
    pub seq: i64,
    /// The number of the event before it on the way it came by: what the consumer's cursor must have reached.
    pub prev: i64,
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: Bucket,
    /// Whose order must hold.
    pub key: String,
    /// Type and version.
    pub kind: String,
    /// The envelope as stored.
    pub payload: String,
}

impl LogEvent {
    /// The envelope.
    ///
    /// # Errors
    /// If it is no CloudEvent: such an event is parked.
    pub fn envelope(&self) -> Result<Envelope, serde_json::Error> {
        serde_json::from_str(&self.payload)
    }

    /// When it was said, if it says so; nothing else of it is read.
    #[must_use]
    pub fn said_at(&self) -> Option<Timestamp> {
        #[derive(Deserialize)]
        struct Said {
            time: Timestamp,
        }
        serde_json::from_str(&self.payload).ok().map(|said: Said| said.time)
    }
}

/// Reads one source's outbox.
#[derive(Clone, Debug)]
pub struct Outbox {
    store: Store,
    source: String,
}

impl Outbox {
    /// The outbox of `source` in `store`.
    #[must_use]
    pub fn new(store: Store, source: String) -> Self {
        Self { store, source }
    }

    /// The name of the log.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Up to [`READ_EVENTS_MAX`] events after `after` on `topics`, linked to each other and the first of them to `after`:
    /// what was committed is read in order, so nothing between two of them can be missing. Only where clean-up has removed
    /// some after `after` is the first linked to the last of those.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Broken`] of the store.
    pub async fn read(&self, after: i64, topics: &[&'static str]) -> Result<Vec<LogEvent>, Error> {
        let limit = i64::try_from(READ_EVENTS_MAX).unwrap_or(i64::MAX);
        let arguments = vec![self.source.clone().into(), texts(topics), after.into(), limit.into()];
        let rows = self.store.read(&OUTBOX_EVENTS, arguments).await?;
        let removed = rows.first().map_or(Ok(0), |row| row.int(6))?;
        let mut prev = after.max(removed);
        rows.iter().map(|row| self.event(row, &mut prev)).collect()
    }

    /// Up to [`READ_EVENTS_MAX`] events after `after` on all topics, each linked to the one before it on its topic and
    /// partition: `tails` holds these, and is moved on.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Broken`] of the store.
    pub async fn read_all(&self, after: i64, tails: &mut Tails) -> Result<Vec<LogEvent>, Error> {
        let limit = i64::try_from(READ_EVENTS_MAX).unwrap_or(i64::MAX);
        let rows = self.store.read(&OUTBOX_ALL, vec![self.source.clone().into(), after.into(), limit.into()]).await?;
        let mut prev = after;
        let mut events = rows.iter().map(|row| self.event(row, &mut prev)).collect::<Result<Vec<_>, Error>>()?;
        link(tails, &mut events);
        Ok(events)
    }

    /// The `seq` of the last event on `topics`, also if clean-up has removed it; 0 if there never was one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] of the store.
    pub async fn last(&self, topics: &[&'static str]) -> Result<i64, Error> {
        // Asked in this order, an event that is removed between the two is not overlooked.
        let last = number(&self.store.read(&OUTBOX_LAST, vec![self.source.clone().into(), texts(topics)]).await?)?;
        Ok(last.max(self.removed(topics).await?))
    }

    /// The `seq` of the last event on `topics` that clean-up has removed, 0 if it has removed none: who has not read as far
    /// has missed something.
    ///
    /// # Errors
    /// [`Error::Unavailable`] of the store.
    pub async fn removed(&self, topics: &[&'static str]) -> Result<i64, Error> {
        number(&self.store.read(&OUTBOX_REMOVED, vec![self.source.clone().into(), texts(topics)]).await?)
    }

    /// For each topic and partition the event before the first one after `mark` that is still there: what [`crate::link`]
    /// links from. It is the last one up to `mark`, or the last that clean-up has removed. Absent where there never was one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Broken`] of the store.
    pub async fn tails_at(&self, mark: i64) -> Result<Tails, Error> {
        let rows = self.store.read(&OUTBOX_TAILS, vec![self.source.clone().into(), mark.into()]).await?;
        rows.iter().map(|row| Ok(((row.text(0)?.to_owned(), partition(row, 1)?.0), row.int(2)?))).collect()
    }

    /// The `seq` of the last event on any topic: the cheapest look at whether there is anything new.
    ///
    /// # Errors
    /// [`Error::Unavailable`] of the store.
    pub async fn end(&self) -> Result<i64, Error> {
        number(&self.store.read(&END, vec![self.source.clone().into()]).await?)
    }

    /// The first event on `topics` after `after` and up to `through`, if there is one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] of the store.
    pub async fn first(&self, topics: &[&'static str], after: i64, through: i64) -> Result<Option<i64>, Error> {
        let arguments = vec![self.source.clone().into(), texts(topics), after.into(), through.into()];
        self.store.read(&FIRST, arguments).await?.first().map(|row| row.int(0)).transpose()
    }

    /// Up to which number the oldest events that are there were said before `before`, as far as one read brings them; 0 if
    /// the oldest was not. One that does not say when is as old as its neighbours.
    ///
    /// # Errors
    /// [`Error::Unavailable`] of the store.
    pub async fn said_before(&self, before: Timestamp) -> Result<i64, Error> {
        let limit = i64::try_from(READ_EVENTS_MAX).unwrap_or(i64::MAX);
        let mut through = 0;
        for row in self.store.read(&OLDEST, vec![self.source.clone().into(), limit.into()]).await? {
            if serde_json::from_str::<Said>(row.text(1)?).is_ok_and(|said| said.time >= before) {
                break;
            }
            through = row.int(0)?;
        }
        Ok(through)
    }

    fn event(&self, row: &Row, prev: &mut i64) -> Result<LogEvent, Error> {
        let seq = row.int(0)?;
        Ok(LogEvent {
            source: self.source.clone(),
            seq,
            prev: std::mem::replace(prev, seq),
            topic: row.text(1)?.to_owned(),
            partition: partition(row, 2)?,
            key: row.text(3)?.to_owned(),
            kind: row.text(4)?.to_owned(),
            payload: row.text(5)?.to_owned(),
        })
    }
}

fn partition(row: &Row, column: usize) -> Result<Bucket, Error> {
    let found = row.int(column)?;
    u16::try_from(found).map(Bucket).map_err(|_| Error::Broken(format!("{found} is no partition")))
}

fn texts(topics: &[&'static str]) -> Value {
    Value::Texts(topics.iter().map(|topic| (*topic).to_owned()).collect())
}

fn number(rows: &[Row]) -> Result<i64, Error> {
    rows.first().map_or(Ok(0), |row| row.int(0))
}
