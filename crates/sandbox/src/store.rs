//! The provider's books: intents, demands by key, webhooks to send, settings; and every read of them, named.
//! Leaves what is read together, and why, to `service`, `jobs` and `http`.

use engine::{Document, Entity, document_columns, tally};
use kernel::{Bucket, Fault, Timestamp};
use serde::Serialize;
use store::{Column, Error, Kind, Migration, Read, Row, Rows, Table, Value};

use crate::domain::intent::Intent;

/// The name of the service.
pub(crate) const SERVICE: &str = "sandbox";

/// The one bucket of the provider, which is never sharded.
pub(crate) const BUCKET: Bucket = Bucket(0);

/// Its migrations.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { service: SERVICE, number: 1, name: "books", sql: include_str!("../migrations/0001_books.sql") },
    Migration { service: SERVICE, number: 2, name: "provider", sql: include_str!("../migrations/0002_provider.sql") },
    Migration { service: SERVICE, number: 3, name: "traces", sql: include_str!("../migrations/0003_traces.sql") },
];

/// Its tables.
pub(crate) static TABLES: &[&Table] = &[&INTENT, &DEMAND, &COUNTER, &SETTING, &WEBHOOK];

/// Its reads.
pub(crate) static READS: &[&Read] = &[&INTENTS_CHANGED, &BOOKS, &DOUBLES, &WEBHOOKS_DUE];

static INTENT: Table = Table {
    name: "sandbox_intent",
    key: &[Column::text("id")],
    columns: document_columns![
        Column::text("reference"),
        Column::text("state"),
        Column::int("authorised_minor"),
        Column::int("captured_minor"),
        Column::int("voided_minor"),
        Column::int("refunded_minor"),
        Column::int("changed"),
    ],
    rows: Rows::Stay,
};

impl Document for Intent {
    type Id = String;
    const TABLE: &'static Table = &INTENT;
    const DOC_V: i64 = 2;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn id_values(id: &String) -> store::Key {
        vec![id.as_str().into()]
    }

    fn bucket(&self) -> Bucket {
        BUCKET
    }

    fn search(&self) -> Vec<Value> {
        vec![
            self.reference.as_str().into(),
            self.state.as_str().into(),
            self.authorised.minor.into(),
            self.captured_minor.into(),
            self.voided_minor.into(),
            self.refunded_minor.into(),
            self.changed.into(),
        ]
    }

    /// Version 1 called the reference an order, which it was.
    fn upcast(doc_v: i64, mut doc: serde_json::Value) -> Result<serde_json::Value, Error> {
        let order = doc.as_object_mut().filter(|_| doc_v == 1).and_then(|members| members.remove("order"));
        let order = order.ok_or_else(|| Error::Broken(format!("an intent of version {doc_v} is not known to this program")))?;
        doc["reference"] = order;
        Ok(doc)
    }
}

tally! {
    /// A demand by its key, and what became of it once that is settled.
    pub(crate) struct StoredDemand in DEMAND = "sandbox_demand", Stay {
        key { key: String, }
        fingerprint: String,
        outcome: Option<String>,
    }
}

tally! {
    /// A number that only rises.
    pub(crate) struct Counter in COUNTER = "sandbox_counter", Stay {
        key { name: String, }
        value: i64,
    }
}

tally! {
    /// Something that is set once for all processes of the provider.
    pub(crate) struct Setting in SETTING = "sandbox_setting", Stay {
        key { name: String, }
        value: String,
    }
}

tally! {
    /// A webhook that is still to be sent.
    pub(crate) struct Webhook in WEBHOOK = "sandbox_webhook", Stay {
        key { id: String, }
        intent: String,
        reference: String,
        made_at: Timestamp,
        due_at: Timestamp,
        tries: i64,
        /// Whether it was held back on purpose, which happens once.
        held_back: bool,
        /// The request that the change goes back to.
        traceparent: Option<String>,
    }
}

/// Intents in the order of their last changes: after, limit.
pub(crate) static INTENTS_CHANGED: Read = Read {
    name: "sandbox.intents-changed",
    sql: "SELECT id, bucket, reference, state, authorised_minor, captured_minor, voided_minor, refunded_minor, changed, doc_v, doc \
          FROM sandbox_intent WHERE changed > $1 ORDER BY changed LIMIT $2",
    arguments: &[Kind::Int, Kind::Int],
    answer: &[
        Kind::Text,
        Kind::Int,
        Kind::Text,
        Kind::Text,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Text,
    ],
};

/// The sums of all intents: for each state how many, then the money that is held, taken, let go and given back.
pub(crate) static BOOKS: Read = Read {
    name: "sandbox.books",
    sql: "SELECT COUNT(*), COUNT(CASE WHEN state = 'requires-action' THEN 1 END), COUNT(CASE WHEN state = 'authorised' THEN 1 END), \
          COUNT(CASE WHEN state = 'declined' THEN 1 END), COUNT(CASE WHEN state = 'captured' THEN 1 END), \
          COUNT(CASE WHEN state = 'voided' THEN 1 END), COUNT(CASE WHEN state = 'expired' THEN 1 END), \
          CAST(COALESCE(SUM(CASE WHEN state = 'authorised' THEN authorised_minor END), 0) AS BIGINT), \
          CAST(COALESCE(SUM(captured_minor), 0) AS BIGINT), CAST(COALESCE(SUM(voided_minor), 0) AS BIGINT), \
          CAST(COALESCE(SUM(refunded_minor), 0) AS BIGINT) FROM sandbox_intent",
    arguments: &[],
    answer: &[Kind::Int; 11],
};

/// How many references have more than one intent that is captured, more than one that is held, one of each; how many demands
/// are known, and how many webhooks wait.
pub(crate) static DOUBLES: Read = Read {
    name: "sandbox.doubles",
    sql: "WITH money AS (SELECT reference, COUNT(CASE WHEN state = 'captured' THEN 1 END) AS captured, \
          COUNT(CASE WHEN state = 'authorised' THEN 1 END) AS held FROM sandbox_intent GROUP BY reference) \
          SELECT COUNT(CASE WHEN captured > 1 THEN 1 END), COUNT(CASE WHEN held > 1 THEN 1 END), \
          COUNT(CASE WHEN held > 0 AND captured > 0 THEN 1 END), (SELECT COUNT(*) FROM sandbox_demand), \
          (SELECT COUNT(*) FROM sandbox_webhook) FROM money",
    arguments: &[],
    answer: &[Kind::Int; 5],
};

/// Webhooks that are due, the longest waiting first: now, limit.
pub(crate) static WEBHOOKS_DUE: Read = Read {
    name: "sandbox.webhooks-due",
    sql: "SELECT id, intent, reference, made_at, due_at, tries, held_back, traceparent FROM sandbox_webhook WHERE due_at <= $1 \
          ORDER BY due_at, id LIMIT $2",
    arguments: &[Kind::Int, Kind::Int],
    answer: &[Kind::Text, Kind::Text, Kind::Text, Kind::Int, Kind::Int, Kind::Int, Kind::Int, Kind::Text],
};

/// The sums of the books, for whoever wants to know whether somebody paid twice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Books {
    intents: i64,
    requires_action: i64,
    authorised_open: i64,
    declined: i64,
    captured: i64,
    voided: i64,
    expired: i64,
    authorised_open_minor: i64,
    captured_minor: i64,
    voided_minor: i64,
    refunded_minor: i64,
    /// References with more than one captured intent.
    captured_twice: i64,
    /// References with more than one intent that is held.
    open_twice: i64,
    /// References with an intent that is held beside one that is captured.
    open_beside_captured: i64,
    demands: i64,
    webhooks_waiting: i64,
}

/// The books from the row of [`BOOKS`] and that of [`DOUBLES`].
pub(crate) fn books(sums: &[Row], doubles: &[Row]) -> Result<Books, Fault> {
    let of = |rows: &[Row], index: usize| match rows.first() {
        Some(row) => row.int(index).map_err(|error| Fault::internal(error.to_string())),
        None => Err(Fault::internal("a sum has no row")),
    };
    Ok(Books {
        intents: of(sums, 0)?,
        requires_action: of(sums, 1)?,
        authorised_open: of(sums, 2)?,
        declined: of(sums, 3)?,
        captured: of(sums, 4)?,
        voided: of(sums, 5)?,
        expired: of(sums, 6)?,
        authorised_open_minor: of(sums, 7)?,
        captured_minor: of(sums, 8)?,
        voided_minor: of(sums, 9)?,
        refunded_minor: of(sums, 10)?,
        captured_twice: of(doubles, 0)?,
        open_twice: of(doubles, 1)?,
        open_beside_captured: of(doubles, 2)?,
        demands: of(doubles, 3)?,
        webhooks_waiting: of(doubles, 4)?,
    })
}

/// What the rows hold, or the defect that one holds something else.
pub(crate) fn loaded<E: Entity>(rows: &[Row]) -> Result<Vec<E>, Fault> {
    rows.iter().map(|row| E::from_row(row).map_err(|error| Fault::internal(error.to_string()))).collect()
}
