//! A batch: everything that one commit changes, described. The engines render it; nobody else writes.
//! Leaves the decision what to write to the deciders.

use kernel::Bucket;

use crate::{Table, Value};

/// The values of a key's columns, in the table's order.
pub type Key = Vec<Value>;

/// One change of one row, or one condition on it. Any that does not hold undoes the whole batch.
#[derive(Clone, Debug)]
pub enum Write {
    /// A new row with all its columns; refused if its key, or another unique key of the table, is taken.
    Insert {
        /// Where.
        table: &'static Table,
        /// The values of all columns.
        row: Vec<Value>,
    },
    /// The row of this key gets these values, if it is still at `version`.
    Put {
        /// Where.
        table: &'static Table,
        /// The values of all columns.
        row: Vec<Value>,
        /// What it must be at; it becomes one more.
        version: i64,
    },
    /// Integers are added to columns of the row of this key; refused if there is none, or if a sum would be below 0.
    Add {
        /// Where.
        table: &'static Table,
        /// Which row.
        key: Key,
        /// Column (by name) and what is added; all writes to one table in a batch name the same columns.
        deltas: Vec<(&'static str, i64)>,
    },
    /// The row of this key goes, if it is still at `version`.
    Delete {
        /// Where.
        table: &'static Table,
        /// Which row.
        key: Key,
        /// What it must be at.
        version: i64,
    },
    /// The row of this key, which was only read, must still be at `version`; 0 says that there must be none.
    Expect {
        /// Where.
        table: &'static Table,
        /// Which row.
        key: Key,
        /// What it must be at.
        version: i64,
    },
}

impl Write {
    /// The table it concerns.
    #[must_use]
    pub fn table(&self) -> &'static Table {
        match self {
            Self::Insert { table, .. }
            | Self::Put { table, .. }
            | Self::Add { table, .. }
            | Self::Delete { table, .. }
            | Self::Expect { table, .. } => table,
        }
    }

    /// The key of the row it concerns.
    #[must_use]
    pub fn key(&self) -> &[Value] {
        match self {
            Self::Insert { table, row } | Self::Put { table, row, .. } => &row[..table.key.len()],
            Self::Add { key, .. } | Self::Delete { key, .. } | Self::Expect { key, .. } => key,
        }
    }
}

/// An event on its way into the outbox; the engine numbers it under the head row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutboxEvent {
    /// The topic, named after the aggregate whose key it carries.
    pub topic: &'static str,
    /// The partition: where its readers work.
    pub partition: Bucket,
    /// Whose order must hold, as the order's id.
    pub key: String,
    /// The event's type and version, as `order.placed.v1`.
    pub kind: String,
    /// The envelope: a CloudEvents 1.0 document in JSON.
    pub payload: String,
}

/// What one commit of one service on one shard changes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose head row it begins with.
    pub service: &'static str,
    /// The map's epoch under which it was decided; refused if the head row has another.
    pub epoch: i64,
    /// Changes and conditions, at most one per row.
    pub writes: Vec<Write>,
    /// Events in the order in which they happened.
    pub events: Vec<OutboxEvent>,
}

/// What a durable commit tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The `seq` of the batch's last event, or of the last event before it if it has none.
    pub seq: i64,
}

/// A service's head row on this shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The number of the last event.
    pub seq: i64,
    /// The epoch of the shard map.
    pub epoch: i64,
    /// This incarnation of the shard's log.
    pub source: String,
}
