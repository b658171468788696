//! The rows of payments and every read of them, named.
//! Leaves what is read together, and why, to `service`, `jobs` and `http`; how old documents are raised to its part `old`.

mod old;

use contracts::OrderId;
use contracts::audit::Fact;
use engine::{Document, Entity, document_columns, tally};
use kernel::{Bucket, Id, Timestamp};
use store::{Column, Error, Kind, Migration, Read, Row, Rows, Table, Value};

use crate::domain::audit::{Audited, Sums};
use crate::domain::payment::{Payment, PaymentState};

/// The name of the service.
pub(crate) const SERVICE: &str = "payments";

/// Its migrations.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { service: SERVICE, number: 1, name: "payments", sql: include_str!("../migrations/0001_payments.sql") },
    Migration { service: SERVICE, number: 2, name: "ways-out", sql: include_str!("../migrations/0002_ways_out.sql") },
];

/// Its tables.
pub(crate) static TABLES: &[&Table] = &[&PAYMENT, &ENTRY, &TASK, &WEBHOOK, &DIFFERENCE, &MARK];

/// Its reads.
pub(crate) static READS: &[&Read] = &[
    &TASKS_DUE,
    &PAYMENTS_LATEST,
    &PAYMENTS_IN_STATE,
    &PAYMENTS_SETTLED,
    &PAYMENTS_ALIVE,
    &PAYMENTS_AUDITED,
    &WEBHOOKS_OLD,
    &DIFFERENCES,
    &DIFFERENCES_OLDEST,
];

/// Before every id: where a list in order of orders begins.
pub(crate) fn order_first() -> OrderId {
    OrderId(Id::from_bytes([0; 16]))
}

/// Behind every id: where a list that begins with the latest order begins.
pub(crate) fn order_last() -> OrderId {
    OrderId(Id::from_bytes([0xff; 16]))
}

static PAYMENT: Table = Table {
    name: "payments_payment",
    key: &[Column::id("order_id")],
    columns: document_columns![
        Column::id("store"),
        Column::text("state"),
        Column::text("wish"),
        Column::int("authorised_minor"),
        Column::int("captured_minor"),
        Column::int("voided_minor"),
        Column::int("refunded_minor"),
    ],
    rows: Rows::Move,
};

impl Document for Payment {
    type Id = OrderId;
    const TABLE: &'static Table = &PAYMENT;
    const DOC_V: i64 = 2;

    fn id(&self) -> OrderId {
        self.order
    }

    fn id_values(id: &OrderId) -> store::Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.order.bucket()
    }

    fn search(&self) -> Vec<Value> {
        let Sums { authorised, captured, voided, refunded } = Sums::counting(self);
        vec![
            self.store.map(|store| store.0).into(),
            self.state().as_str().into(),
            self.wish.as_str().into(),
            authorised.into(),
            captured.into(),
            voided.into(),
            refunded.into(),
        ]
    }

    fn upcast(doc_v: i64, doc: serde_json::Value) -> Result<serde_json::Value, Error> {
        old::raise(doc_v, doc)
    }
}

tally! {
    /// What the provider did, as the ledger keeps it.
    pub(crate) struct Entry in ENTRY = "payments_entry", Move {
        key { order_id: OrderId, kind: String, attempt: i64, }
        bucket: Bucket,
        amount_minor: i64,
        currency: String,
        booked_at: Timestamp,
    }
}

tally! {
    /// What is still to be asked of the provider, and by the how-manieth holder of the lease it was last taken up. Its
    /// attempt is the number of the question, or how often a look was asked for.
    pub(crate) struct Task in TASK = "payments_task", Move {
        key { order_id: OrderId, kind: String, }
        bucket: Bucket,
        attempt: i64,
        next_at: Timestamp,
        tries: i64,
        lease_epoch: i64,
    }
}

tally! {
    /// A webhook that was heard.
    pub(crate) struct Webhook in WEBHOOK = "payments_webhook", Move {
        key { id: String, }
        bucket: Bucket,
        heard_at: Timestamp,
    }
}

tally! {
    /// How an intent differs between the provider's books and ours.
    pub(crate) struct Difference in DIFFERENCE = "payments_difference", Move {
        key { intent: String, }
        bucket: Bucket,
        /// As `intent-theirs-only`.
        rule: String,
        /// Which order the intent is for, or whatever the provider has there.
        reference: String,
        detail: String,
        /// How often it was seen.
        seen: i64,
        since: Timestamp,
        looked_at: Timestamp,
    }
}

tally! {
    /// How far the sweep has come.
    pub(crate) struct Mark in MARK = "payments_mark", Stay {
        key { name: String, }
        position: String,
    }
}

/// How often a difference must be seen before it counts: the two books are read one after the other.
pub(crate) const DIFFERENCE_COUNTS_FROM: i64 = 2;

/// Tasks that are due, the longest waiting first: now, limit.
pub(crate) static TASKS_DUE: Read = Read {
    name: "payments.tasks-due",
    sql: "SELECT order_id, kind FROM payments_task WHERE next_at <= $1 ORDER BY next_at, order_id LIMIT $2",
    arguments: &[Kind::Int, Kind::Int],
    answer: &[Kind::Id, Kind::Text],
};

/// Payments, those of the latest orders first: before, limit.
pub(crate) static PAYMENTS_LATEST: Read = Read {
    name: "payments.payments-latest",
    sql: "SELECT order_id, bucket, store, state, wish, authorised_minor, captured_minor, voided_minor, refunded_minor, doc_v, doc \
          FROM payments_payment WHERE order_id < $1 ORDER BY order_id DESC LIMIT $2",
    arguments: &[Kind::Id, Kind::Int],
    answer: PAYMENT_KINDS,
};

/// Payments in a state, those of the latest orders first: state, before, limit.
pub(crate) static PAYMENTS_IN_STATE: Read = Read {
    name: "payments.payments-in-state",
    sql: "SELECT order_id, bucket, store, state, wish, authorised_minor, captured_minor, voided_minor, refunded_minor, doc_v, doc \
          FROM payments_payment WHERE state = $1 AND order_id < $2 ORDER BY order_id DESC LIMIT $3",
    arguments: &[Kind::Text, Kind::Id, Kind::Int],
    answer: PAYMENT_KINDS,
};

/// Payments for which the provider may hold something, or have done something that we have not heard of, in order of their
/// orders: after, limit.
pub(crate) static PAYMENTS_ALIVE: Read = Read {
    name: "payments.payments-alive",
    sql: "SELECT order_id, bucket, store, state, wish, authorised_minor, captured_minor, voided_minor, refunded_minor, doc_v, doc \
          FROM payments_payment WHERE state IN ('authorised', 'requires-action', 'unknown') AND order_id > $1 \
          ORDER BY order_id LIMIT $2",
    arguments: &[Kind::Id, Kind::Int],
    answer: PAYMENT_KINDS,
};

/// Payments in order of their orders, each with how many tasks it has: after, limit.
pub(crate) static PAYMENTS_SETTLED: Read = Read {
    name: "payments.payments-settled",
    sql: "SELECT p.order_id, p.bucket, p.store, p.state, p.wish, p.authorised_minor, p.captured_minor, p.voided_minor, \
          p.refunded_minor, p.doc_v, p.doc, (SELECT count(*) FROM payments_task t WHERE t.order_id = p.order_id) \
          FROM payments_payment p WHERE p.order_id > $1 ORDER BY p.order_id LIMIT $2",
    arguments: &[Kind::Id, Kind::Int],
    answer: &[
        Kind::Id,
        Kind::Int,
        Kind::Id,
        Kind::Text,
        Kind::Text,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Text,
        Kind::Int,
    ],
};

/// What the audit asks of each payment, in order of their orders: after, limit.
pub(crate) static PAYMENTS_AUDITED: Read = Read {
    name: "payments.payments-audited",
    sql: "SELECT p.order_id, p.bucket, p.store, p.state, p.wish, p.authorised_minor, p.captured_minor, p.voided_minor, \
          p.refunded_minor, p.doc_v, p.doc, \
          (SELECT count(*) FROM payments_task t WHERE t.order_id = p.order_id), \
          COALESCE(e.authorised, 0), COALESCE(e.captured, 0), COALESCE(e.voided, 0), COALESCE(e.refunded, 0) \
          FROM payments_payment p LEFT JOIN (\
          SELECT order_id, \
          CAST(SUM(CASE WHEN kind = 'authorised' THEN amount_minor END) AS BIGINT) AS authorised, \
          CAST(SUM(CASE WHEN kind = 'captured' THEN amount_minor END) AS BIGINT) AS captured, \
          CAST(SUM(CASE WHEN kind = 'voided' THEN amount_minor END) AS BIGINT) AS voided, \
          CAST(SUM(CASE WHEN kind = 'refunded' THEN amount_minor END) AS BIGINT) AS refunded \
          FROM payments_entry WHERE order_id IN (\
          SELECT order_id FROM payments_payment WHERE order_id > $1 ORDER BY order_id LIMIT $2) GROUP BY order_id\
          ) e ON e.order_id = p.order_id \
          WHERE p.order_id > $3 ORDER BY p.order_id LIMIT $4",
    arguments: &[Kind::Id, Kind::Int, Kind::Id, Kind::Int],
    answer: &[
        Kind::Id,
        Kind::Int,
        Kind::Id,
        Kind::Text,
        Kind::Text,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Text,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
    ],
};

/// Webhooks that were heard up to then: until, limit.
pub(crate) static WEBHOOKS_OLD: Read = Read {
    name: "payments.webhooks-old",
    sql: "SELECT id FROM payments_webhook WHERE heard_at <= $1 ORDER BY heard_at LIMIT $2",
    arguments: &[Kind::Int, Kind::Int],
    answer: &[Kind::Text],
};

/// Differences that count, in order of the intents' names: seen so often at least, after, limit.
pub(crate) static DIFFERENCES: Read = Read {
    name: "payments.differences",
    sql: "SELECT intent, bucket, rule, reference, detail, seen, since, looked_at \
          FROM payments_difference WHERE seen >= $1 AND intent > $2 ORDER BY intent LIMIT $3",
    arguments: &[Kind::Int, Kind::Text, Kind::Int],
    answer: DIFFERENCE_KINDS,
};

/// Differences, those not looked at for the longest first, of before a time: before, limit.
pub(crate) static DIFFERENCES_OLDEST: Read = Read {
    name: "payments.differences-oldest",
    sql: "SELECT intent, bucket, rule, reference, detail, seen, since, looked_at \
          FROM payments_difference WHERE looked_at < $1 ORDER BY looked_at, intent LIMIT $2",
    arguments: &[Kind::Int, Kind::Int],
    answer: DIFFERENCE_KINDS,
};

const PAYMENT_KINDS: &[Kind] =
    &[Kind::Id, Kind::Int, Kind::Id, Kind::Text, Kind::Text, Kind::Int, Kind::Int, Kind::Int, Kind::Int, Kind::Int, Kind::Text];

const DIFFERENCE_KINDS: &[Kind] = &[Kind::Text, Kind::Int, Kind::Text, Kind::Text, Kind::Text, Kind::Int, Kind::Int, Kind::Int];

/// The key of a task that is due.
pub(crate) fn task_key(row: &Row) -> Result<(OrderId, String), Error> {
    Ok((OrderId(row.id(0)?), row.text(1)?.to_owned()))
}

/// The key of a webhook that is old.
pub(crate) fn webhook_key(row: &Row) -> Result<(String,), Error> {
    Ok((row.text(0)?.to_owned(),))
}

/// A payment and whether nothing is to be asked for it, from a row of [`PAYMENTS_SETTLED`].
pub(crate) fn settled_payment(row: &Row) -> Result<(Payment, bool), Error> {
    Ok((Payment::from_row(row)?, row.int(11)? == 0))
}

/// What the audit of all services hears of a payment. While the shopper must act a timer runs, so it is not settled.
pub(crate) fn fact((payment, unasked): &(Payment, bool)) -> Fact {
    let (state, Sums { authorised, captured, voided, refunded }) = (payment.state(), Sums::counting(payment));
    let sums = [("authorised", authorised), ("captured", captured), ("voided", voided), ("refunded", refunded)];
    Fact {
        order: payment.order,
        state: state.as_str().to_owned(),
        settled: *unasked && state != PaymentState::RequiresAction,
        sums: sums.map(|(name, minor)| (name.to_owned(), minor)).into(),
    }
}

/// What the audit asks of a payment, from a row of [`PAYMENTS_AUDITED`].
pub(crate) fn audited(row: &Row) -> Result<Audited, Error> {
    let sums = |at: usize| {
        let (authorised, captured, voided) = (row.int(at)?, row.int(at + 1)?, row.int(at + 2)?);
        Ok::<_, Error>(Sums { authorised, captured, voided, refunded: row.int(at + 3)? })
    };
    Ok(Audited {
        payment: Payment::from_row(row)?,
        state: row.text(3)?.to_owned(),
        columns: sums(5)?,
        tasks: row.int(11)?,
        ledger: sums(12)?,
    })
}
