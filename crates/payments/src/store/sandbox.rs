//! The sandbox provider's books: intents, demands by key, and every read of them, named.
//! Leaves payments to `store`: the provider knows none.

use contracts::OrderId;
use engine::{Document, document_columns, tally};
use kernel::Bucket;
use store::{Column, Kind, Migration, Read, Rows, Table, Value};

use crate::domain::sandbox::Intent;

/// The name of the provider's service.
pub(crate) const SERVICE: &str = "sandbox";

/// Its migrations.
pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration { service: SERVICE, number: 1, name: "books", sql: include_str!("../../migrations/sandbox/0001_books.sql") }];

/// Its tables.
pub(crate) static TABLES: &[&Table] = &[&INTENT, &DEMAND];

/// Its reads.
pub(crate) static READS: &[&Read] = &[&INTENTS, &ORDERS, &INTENTS_OF_ORDERS];

static INTENT: Table = Table {
    name: "payments_sandbox_intent",
    key: &[Column::text("id")],
    columns: document_columns![
        Column::id("order_id"),
        Column::int("authorised_minor"),
        Column::int("captured_minor"),
        Column::int("voided_minor"),
    ],
    rows: Rows::Move,
};

impl Document for Intent {
    type Id = String;
    const TABLE: &'static Table = &INTENT;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn id_values(id: &String) -> store::Key {
        vec![id.as_str().into()]
    }

    fn bucket(&self) -> Bucket {
        self.order.bucket()
    }

    fn search(&self) -> Vec<Value> {
        vec![self.order.0.into(), self.authorised.minor.into(), self.captured_minor.into(), self.voided_minor.into()]
    }
}

tally! {
    /// A demand by its key, and what became of it once that is settled.
    pub(crate) struct StoredDemand in DEMAND = "payments_sandbox_demand", Move {
        key { key: String, }
        bucket: Bucket,
        fingerprint: String,
        outcome: Option<String>,
    }
}

/// Intents in order of their ids: after, limit.
pub(crate) static INTENTS: Read = Read {
    name: "sandbox.intents",
    sql: "SELECT id, bucket, order_id, authorised_minor, captured_minor, voided_minor, doc_v, doc \
          FROM payments_sandbox_intent WHERE id > $1 ORDER BY id LIMIT $2",
    arguments: &[Kind::Text, Kind::Int],
    answer: INTENT_KINDS,
};

/// Orders that have intents, in order: after, limit.
pub(crate) static ORDERS: Read = Read {
    name: "sandbox.orders",
    sql: "SELECT DISTINCT order_id FROM payments_sandbox_intent WHERE order_id > $1 ORDER BY order_id LIMIT $2",
    arguments: &[Kind::Id, Kind::Int],
    answer: &[Kind::Id],
};

/// The intents of a span of orders: after the first, up to and with the last, limit.
pub(crate) static INTENTS_OF_ORDERS: Read = Read {
    name: "sandbox.intents-of-orders",
    sql: "SELECT id, bucket, order_id, authorised_minor, captured_minor, voided_minor, doc_v, doc \
          FROM payments_sandbox_intent WHERE order_id > $1 AND order_id <= $2 ORDER BY order_id, id LIMIT $3",
    arguments: &[Kind::Id, Kind::Id, Kind::Int],
    answer: INTENT_KINDS,
};

const INTENT_KINDS: &[Kind] = &[Kind::Text, Kind::Int, Kind::Id, Kind::Int, Kind::Int, Kind::Int, Kind::Int, Kind::Text];

/// The order of a row of [`ORDERS`].
pub(crate) fn order_of(row: &store::Row) -> Result<OrderId, store::Error> {
    row.id(0).map(OrderId)
}
