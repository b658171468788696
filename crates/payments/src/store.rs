//! The rows of payments and every read of them, named.
//! Leaves what is read together, and why, to `service`, `jobs` and `http`; the provider's books to its part `sandbox`.

pub(crate) mod sandbox;

use contracts::OrderId;
use contracts::audit::Fact;
use engine::{Document, Entity, document_columns, tally};
use kernel::{Bucket, Id, Timestamp};
use store::{Column, Error, Kind, Migration, Read, Row, Rows, Table, Value};

use crate::domain::audit::{Audited, Sums};
use crate::domain::payment::Payment;

/// The name of the service.
pub(crate) const SERVICE: &str = "payments";

/// Its migrations.
pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration { service: SERVICE, number: 1, name: "payments", sql: include_str!("../migrations/0001_payments.sql") }];

/// Its tables.
pub(crate) static TABLES: &[&Table] = &[&PAYMENT, &ENTRY, &TASK];

/// Its reads.
pub(crate) static READS: &[&Read] = &[&TASKS_DUE, &PAYMENTS_LATEST, &PAYMENTS_IN_STATE, &PAYMENTS_SETTLED, &PAYMENTS_AUDITED];

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
    ],
    rows: Rows::Move,
};

impl Document for Payment {
    type Id = OrderId;
    const TABLE: &'static Table = &PAYMENT;

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
        vec![
            self.store().map(|store| store.0).into(),
            self.state.as_str().into(),
            self.wish.as_str().into(),
            self.authorised_minor.into(),
            self.captured_minor.into(),
            self.voided_minor.into(),
        ]
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
    /// What is still to be asked of the provider, and by the how-manieth holder of the lease it was last taken up.
    pub(crate) struct Task in TASK = "payments_task", Move {
        key { order_id: OrderId, kind: String, }
        bucket: Bucket,
        attempt: i64,
        next_at: Timestamp,
        tries: i64,
        lease_epoch: i64,
    }
}

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
    sql: "SELECT order_id, bucket, store, state, wish, authorised_minor, captured_minor, voided_minor, doc_v, doc \
          FROM payments_payment WHERE order_id < $1 ORDER BY order_id DESC LIMIT $2",
    arguments: &[Kind::Id, Kind::Int],
    answer: PAYMENT_KINDS,
};

/// Payments in a state, those of the latest orders first: state, before, limit.
pub(crate) static PAYMENTS_IN_STATE: Read = Read {
    name: "payments.payments-in-state",
    sql: "SELECT order_id, bucket, store, state, wish, authorised_minor, captured_minor, voided_minor, doc_v, doc \
          FROM payments_payment WHERE state = $1 AND order_id < $2 ORDER BY order_id DESC LIMIT $3",
    arguments: &[Kind::Text, Kind::Id, Kind::Int],
    answer: PAYMENT_KINDS,
};

/// Payments in order of their orders, each with how many tasks it has: after, limit.
pub(crate) static PAYMENTS_SETTLED: Read = Read {
    name: "payments.payments-settled",
    sql: "SELECT p.order_id, p.bucket, p.store, p.state, p.wish, p.authorised_minor, p.captured_minor, p.voided_minor, p.doc_v, \
          p.doc, (SELECT count(*) FROM payments_task t WHERE t.order_id = p.order_id) \
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
        Kind::Text,
        Kind::Int,
    ],
};

/// What the audit asks of each payment, in order of their orders: after, limit.
pub(crate) static PAYMENTS_AUDITED: Read = Read {
    name: "payments.payments-audited",
    sql: "SELECT p.order_id, p.state, p.wish, p.authorised_minor, p.captured_minor, p.voided_minor, \
          CAST(COALESCE(SUM(CASE WHEN e.kind = 'authorised' THEN e.amount_minor END), 0) AS BIGINT), \
          CAST(COALESCE(SUM(CASE WHEN e.kind = 'captured' THEN e.amount_minor END), 0) AS BIGINT), \
          CAST(COALESCE(SUM(CASE WHEN e.kind = 'voided' THEN e.amount_minor END), 0) AS BIGINT), \
          CAST(COALESCE(SUM(CASE WHEN e.kind = 'refunded' THEN e.amount_minor END), 0) AS BIGINT), \
          (SELECT count(*) FROM payments_task t WHERE t.order_id = p.order_id) \
          FROM (SELECT order_id, state, wish, authorised_minor, captured_minor, voided_minor \
                FROM payments_payment WHERE order_id > $1 ORDER BY order_id LIMIT $2) p \
          LEFT JOIN payments_entry e ON e.order_id = p.order_id \
          GROUP BY p.order_id, p.state, p.wish, p.authorised_minor, p.captured_minor, p.voided_minor ORDER BY p.order_id",
    arguments: &[Kind::Id, Kind::Int],
    answer: &[
        Kind::Id,
        Kind::Text,
        Kind::Text,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
    ],
};

const PAYMENT_KINDS: &[Kind] =
    &[Kind::Id, Kind::Int, Kind::Id, Kind::Text, Kind::Text, Kind::Int, Kind::Int, Kind::Int, Kind::Int, Kind::Text];

/// The key of a task that is due.
pub(crate) fn task_key(row: &Row) -> Result<(OrderId, String), Error> {
    Ok((OrderId(row.id(0)?), row.text(1)?.to_owned()))
}

/// A payment and whether nothing is to be asked for it, from a row of [`PAYMENTS_SETTLED`].
pub(crate) fn settled_payment(row: &Row) -> Result<(Payment, bool), Error> {
    Ok((Payment::from_row(row)?, row.int(10)? == 0))
}

/// What the audit of all services hears of a payment.
pub(crate) fn fact((payment, settled): &(Payment, bool)) -> Fact {
    let sums = [("authorised", payment.authorised_minor), ("captured", payment.captured_minor), ("voided", payment.voided_minor)];
    Fact {
        order: payment.order,
        state: payment.state.as_str().to_owned(),
        settled: *settled,
        sums: sums.map(|(name, minor)| (name.to_owned(), minor)).into(),
    }
}

/// What the audit asks of a payment, from a row of [`PAYMENTS_AUDITED`].
pub(crate) fn audited(row: &Row) -> Result<Audited, Error> {
    let sums =
        |at: usize| Ok::<_, Error>(Sums { authorised: row.int(at)?, captured: row.int(at + 1)?, voided: row.int(at + 2)? });
    Ok(Audited {
        order: OrderId(row.id(0)?),
        state: row.text(1)?.to_owned(),
        wish: row.text(2)?.to_owned(),
        document: sums(3)?,
        ledger: sums(6)?,
        refunded: row.int(9)?,
        tasks: row.int(10)?,
    })
}
