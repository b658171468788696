//! The store's own tables: one head row per service, and the outbox that the head row numbers.
//! Leaves cursors, timers, keys and leases to `engine`.

use crate::{Kind, Migration, Read};

/// The store's own migrations.
pub const PLATFORM: &[Migration] = &[Migration {
    service: "store",
    number: 1,
    name: "head-and-outbox",
    sql: include_str!("../migrations/0001_head_and_outbox.sql"),
}];

/// Events of a source after a `seq`, of the topics named, in order: source, seq, topics, limit.
pub static OUTBOX_EVENTS: Read = Read {
    name: "store.outbox-events",
    sql: "SELECT seq, topic, partition, key, kind, payload FROM store_outbox \
          WHERE source = $1 AND seq > $2 AND topic {in $3} ORDER BY seq LIMIT $4",
    arguments: &[Kind::Text, Kind::Int, Kind::Texts, Kind::Int],
    answer: &[Kind::Int, Kind::Text, Kind::Int, Kind::Text, Kind::Text, Kind::Text],
};

/// The last event of a source on the topics named: source, topics; no row if there is none.
pub static OUTBOX_LAST: Read = Read {
    name: "store.outbox-last",
    sql: "SELECT seq FROM store_outbox WHERE source = $1 AND topic {in $2} ORDER BY seq DESC LIMIT 1",
    arguments: &[Kind::Text, Kind::Texts],
    answer: &[Kind::Int],
};

/// The store's reads, for the test that prepares them.
pub static READS: &[&Read] = &[&OUTBOX_EVENTS, &OUTBOX_LAST];
