//! The engine's own tables, shared by all services of a database and told apart by the column `service`.
//! Leaves head rows and outboxes to `store`.

use kernel::{Bucket, Timestamp};
use store::{Kind, Migration, Read, Table};

use crate::tally;

/// The engine's migrations.
pub const MIGRATIONS: &[Migration] = &[
    Migration { service: "engine", number: 1, name: "engine", sql: include_str!("../migrations/0001_engine.sql") },
    Migration { service: "engine", number: 2, name: "dead-letters", sql: include_str!("../migrations/0002_dead_letters.sql") },
    Migration { service: "engine", number: 3, name: "kafka", sql: include_str!("../migrations/0003_kafka.sql") },
];

/// The engine's tables, for the test that holds them against the database.
pub static TABLES: &[&Table] = &[&CURSOR, &RELAY, &TIMER, &LEASE, &KEY, &PARKED, &STOPPED_KEY, &DROPPED, &TOKEN_KEY];

/// The engine's reads, for the test that prepares them.
pub static READS: &[&Read] = &[
    &CURSORS,
    &PLACES,
    &TIMERS_NEXT,
    &KEYS_EXPIRED,
    &TOKEN_KEYS,
    &TIMERS_SET,
    &TIMERS_OVERDUE,
    &PARKED_COUNT,
    &PARKED_PAGE,
    &PARKED_FIRST,
];

tally! {
    /// How far a service has applied a log, or one partition of it.
    pub(crate) struct Cursor in CURSOR = "engine_cursor", Stay {
        key { service: String, source: String, topic: String, partition: i64, }
        seq: i64,
        next_offset: i64,
    }
}

tally! {
    /// Up to where a service's log lies in Kafka for certain, and the how-manieth beginning of its relay that is.
    pub(crate) struct RelayMark in RELAY = "engine_relay", Stay {
        key { service: String, source: String, }
        seq: i64,
        epoch: i64,
    }
}

tally! {
    /// Something that is to happen.
    pub(crate) struct Timer in TIMER = "engine_timer", Move {
        key { service: String, kind: String, subject: String, }
        bucket: Bucket,
        due_at: Timestamp,
    }
}

tally! {
    /// Who does a service's lonely work, and the how-manieth holder that is.
    pub(crate) struct Lease in LEASE = "engine_lease", Stay {
        key { service: String, name: String, }
        holder: String,
        epoch: i64,
        until: Timestamp,
    }
}

tally! {
    /// An idempotency key and what its first use came to.
    pub(crate) struct StoredKey in KEY = "engine_key", Move {
        key { service: String, scope: String, key: String, }
        bucket: Bucket,
        fingerprint: Vec<u8>,
        status: i64,
        resource: String,
        expires_at: Option<Timestamp>,
    }
}

tally! {
    /// An event that could not be handled, or stands behind one of its key that could not.
    pub(crate) struct Parked in PARKED = "engine_parked", Move {
        key { service: String, source: String, seq: i64, }
        bucket: Bucket,
        topic: String,
        key: String,
        kind: String,
        payload: String,
        error: String,
        parked_at: Timestamp,
    }
}

tally! {
    /// A key that is stopped, and how many of its events are parked.
    pub(crate) struct StoppedKey in STOPPED_KEY = "engine_stopped_key", Move {
        key { service: String, source: String, key: String, }
        bucket: Bucket,
        events: i64,
    }
}

tally! {
    /// A parked event that somebody dropped.
    pub(crate) struct Dropped in DROPPED = "engine_dropped", Move {
        key { service: String, source: String, seq: i64, }
        bucket: Bucket,
        topic: String,
        key: String,
        kind: String,
        payload: String,
        error: String,
        parked_at: Timestamp,
        dropped_at: Timestamp,
        dropped_by: String,
        reason: String,
    }
}

tally! {
    /// A service's copy of one of identity's public keys.
    pub(crate) struct TokenKey in TOKEN_KEY = "engine_token_key", Stay {
        key { service: String, kid: String, }
        public_key: String,
    }
}

/// Where a service stands in every log: source, topic, partition, seq.
pub(crate) static CURSORS: Read = Read {
    name: "engine.cursors",
    sql: "SELECT source, topic, partition, seq FROM engine_cursor WHERE service = $1",
    arguments: &[Kind::Text],
    answer: &[Kind::Text, Kind::Text, Kind::Int, Kind::Int],
};

/// Where a service reads each partition of Kafka from: topic, partition, offset. Of several sources the farthest holds, since
/// all of them were read up to there.
pub(crate) static PLACES: Read = Read {
    name: "engine.places",
    sql: "SELECT topic, partition, max(next_offset) FROM engine_cursor WHERE service = $1 GROUP BY topic, partition",
    arguments: &[Kind::Text],
    answer: &[Kind::Text, Kind::Int, Kind::Int],
};

pub(crate) static TIMERS_NEXT: Read = Read {
    name: "engine.timers-next",
    sql: "SELECT kind, subject, due_at FROM engine_timer WHERE service = $1 ORDER BY due_at LIMIT $2",
    arguments: &[Kind::Text, Kind::Int],
    answer: &[Kind::Text, Kind::Text, Kind::Int],
};

pub(crate) static KEYS_EXPIRED: Read = Read {
    name: "engine.keys-expired",
    sql: "SELECT scope, key FROM engine_key WHERE service = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3",
    arguments: &[Kind::Text, Kind::Int, Kind::Int],
    answer: &[Kind::Text, Kind::Text],
};

pub(crate) static TOKEN_KEYS: Read = Read {
    name: "engine.token-keys",
    sql: "SELECT kid, public_key FROM engine_token_key WHERE service = $1 ORDER BY kid",
    arguments: &[Kind::Text],
    answer: &[Kind::Text, Kind::Text],
};

pub(crate) static TIMERS_SET: Read = Read {
    name: "engine.timers-set",
    sql: "SELECT kind, count(*) FROM engine_timer WHERE service = $1 GROUP BY kind ORDER BY kind",
    arguments: &[Kind::Text],
    answer: &[Kind::Text, Kind::Int],
};

/// How many timers fell due before an instant and stand there still: service, instant.
pub(crate) static TIMERS_OVERDUE: Read = Read {
    name: "engine.timers-overdue",
    sql: "SELECT count(*) FROM engine_timer WHERE service = $1 AND due_at < $2",
    arguments: &[Kind::Text, Kind::Int],
    answer: &[Kind::Int],
};

pub(crate) static PARKED_COUNT: Read = Read {
    name: "engine.parked-count",
    sql: "SELECT count(*) FROM engine_parked WHERE service = $1",
    arguments: &[Kind::Text],
    answer: &[Kind::Int],
};

const PARKED_ANSWER: &[Kind] =
    &[Kind::Text, Kind::Text, Kind::Int, Kind::Int, Kind::Text, Kind::Text, Kind::Text, Kind::Text, Kind::Text, Kind::Int];

/// Parked events in the order of their logs: service, source and seq after which, limit.
pub(crate) static PARKED_PAGE: Read = Read {
    name: "engine.parked-page",
    sql: "SELECT service, source, seq, bucket, topic, key, kind, payload, error, parked_at FROM engine_parked \
          WHERE service = $1 AND (source, seq) > ($2, $3) ORDER BY source, seq LIMIT $4",
    arguments: &[Kind::Text, Kind::Text, Kind::Int, Kind::Int],
    answer: PARKED_ANSWER,
};

/// The first parked event of a key: service, source, key.
pub(crate) static PARKED_FIRST: Read = Read {
    name: "engine.parked-first",
    sql: "SELECT service, source, seq, bucket, topic, key, kind, payload, error, parked_at FROM engine_parked \
          WHERE service = $1 AND source = $2 AND key = $3 ORDER BY seq LIMIT 1",
    arguments: &[Kind::Text, Kind::Text, Kind::Text],
    answer: PARKED_ANSWER,
};
