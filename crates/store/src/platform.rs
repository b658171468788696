//! The store's own tables: one head row per service, the outbox that the head row numbers, and where clean-up left off.
//! Leaves cursors, timers, keys and leases to `engine`.

use crate::{Column, Kind, Migration, Read, Rows, Table};

/// The store's own migrations.
pub const PLATFORM: &[Migration] = &[
    Migration {
        service: "store",
        number: 1,
        name: "head-and-outbox",
        sql: include_str!("../migrations/0001_head_and_outbox.sql"),
    },
    Migration { service: "store", number: 2, name: "tail", sql: include_str!("../migrations/0002_tail.sql") },
    Migration { service: "store", number: 3, name: "promotion", sql: include_str!("../migrations/0003_promotion.sql") },
];

/// What was applied to this very database.
pub(crate) const APPLIED_TABLE_NAME: &str = "store_migration";

/// Where this very database's shop came from, or went.
pub(crate) const PROMOTION_TABLE_NAME: &str = "store_promotion";

/// The store's tables that hold what belongs to a shop, head rows first. They have no versions.
pub(crate) static STORE_TABLES: [&Table; 3] = [
    &Table {
        name: "store_head",
        key: &[Column::text("service")],
        columns: &[Column::int("seq"), Column::int("epoch"), Column::text("source")],
        rows: Rows::Stay,
    },
    &Table {
        name: "store_outbox",
        key: &[Column::text("source"), Column::int("seq")],
        columns: &[
            Column::text("topic"),
            Column::int("partition"),
            Column::text("key"),
            Column::text("kind"),
            Column::text("payload"),
        ],
        rows: Rows::Stay,
    },
    &Table {
        name: "store_tail",
        key: &[Column::text("source"), Column::text("topic"), Column::int("partition")],
        columns: &[Column::int("seq")],
        rows: Rows::Stay,
    },
];

/// Events of a source on the topics named after a `seq`, in order: source, topics, seq, limit. With each comes the last event
/// on these topics that clean-up has removed, of the same moment; 0 if none was.
pub static OUTBOX_EVENTS: Read = Read {
    name: "store.outbox-events",
    sql: "SELECT seq, topic, partition, key, kind, payload, \
          (SELECT coalesce(max(t.seq), 0) FROM store_tail t WHERE t.source = $1 AND t.topic {in $2}) \
          FROM store_outbox WHERE source = $1 AND topic {in $2} AND seq > $3 ORDER BY seq LIMIT $4",
    arguments: &[Kind::Text, Kind::Texts, Kind::Int, Kind::Int],
    answer: &[Kind::Int, Kind::Text, Kind::Int, Kind::Text, Kind::Text, Kind::Text, Kind::Int],
};

/// Events of a source after a `seq` on all topics, in order: source, seq, limit.
pub static OUTBOX_ALL: Read = Read {
    name: "store.outbox-all",
    sql: "SELECT seq, topic, partition, key, kind, payload FROM store_outbox WHERE source = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    arguments: &[Kind::Text, Kind::Int, Kind::Int],
    answer: &[Kind::Int, Kind::Text, Kind::Int, Kind::Text, Kind::Text, Kind::Text],
};

/// The last event of a source on the topics named: source, topics; no row if there is none.
pub static OUTBOX_LAST: Read = Read {
    name: "store.outbox-last",
    sql: "SELECT seq FROM store_outbox WHERE source = $1 AND topic {in $2} ORDER BY seq DESC LIMIT 1",
    arguments: &[Kind::Text, Kind::Texts],
    answer: &[Kind::Int],
};

/// The last event of a source on the topics named that clean-up has removed: source, topics; 0 if none was.
pub static OUTBOX_REMOVED: Read = Read {
    name: "store.outbox-removed",
    sql: "SELECT coalesce(max(seq), 0) FROM store_tail WHERE source = $1 AND topic {in $2}",
    arguments: &[Kind::Text, Kind::Texts],
    answer: &[Kind::Int],
};

/// For each topic and partition of a source its last event up to a `seq`, or, where none of these is left, the last one that
/// clean-up has removed: source, seq. It leaps from place to place through the index, however many events each has.
pub static OUTBOX_TAILS: Read = Read {
    name: "store.outbox-tails",
    sql: "WITH RECURSIVE place (topic, partition) AS (\
            SELECT f.topic, f.partition FROM (SELECT topic, partition FROM store_outbox WHERE source = $1 \
              ORDER BY topic, partition LIMIT 1) f \
            UNION ALL SELECT \
              (SELECT o.topic FROM store_outbox o WHERE o.source = $1 AND (o.topic, o.partition) > (p.topic, p.partition) \
                ORDER BY o.topic, o.partition LIMIT 1), \
              (SELECT o.partition FROM store_outbox o WHERE o.source = $1 AND (o.topic, o.partition) > (p.topic, p.partition) \
                ORDER BY o.topic, o.partition LIMIT 1) \
            FROM place p WHERE p.topic IS NOT NULL), \
          tail (topic, partition, seq) AS (\
            SELECT p.topic, p.partition, (SELECT max(o.seq) FROM store_outbox o \
              WHERE o.source = $1 AND o.topic = p.topic AND o.partition = p.partition AND o.seq <= $2) FROM place p \
            UNION ALL SELECT topic, partition, seq FROM store_tail WHERE source = $1) \
          SELECT topic, partition, max(seq) FROM tail WHERE seq IS NOT NULL GROUP BY topic, partition",
    arguments: &[Kind::Text, Kind::Int],
    answer: &[Kind::Text, Kind::Int, Kind::Int],
};

/// The store's reads, for the test that prepares them.
pub static READS: &[&Read] = &[&OUTBOX_EVENTS, &OUTBOX_ALL, &OUTBOX_LAST, &OUTBOX_REMOVED, &OUTBOX_TAILS];
