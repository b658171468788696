//! The rows of notifications and every read of them, named.
//! Leaves what is read together, and why, to `service`, `jobs` and `http`.

use contracts::OrderId;
use engine::{Document, Entity, document_columns};
use kernel::{Bucket, Fault, Id};
use store::{Column, Kind, Migration, Read, Row, Rows, Table, Value};

use crate::domain::contact::Contact;
use crate::domain::message::{Message, State};

/// The name of the service.
pub(crate) const SERVICE: &str = "notifications";

/// Its migrations.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        service: SERVICE,
        number: 1,
        name: "contacts-and-messages",
        sql: include_str!("../migrations/0001_notifications.sql"),
    },
    Migration { service: SERVICE, number: 2, name: "what-letters-are-about", sql: include_str!("../migrations/0002_about.sql") },
];

/// Its tables.
pub(crate) static TABLES: &[&Table] = &[&CONTACT, &MESSAGE];

/// Its reads.
pub(crate) static READS: &[&Read] = &[&MESSAGES, &MESSAGES_OF_ORDER, &MESSAGES_OF_CUSTOMER, &MESSAGES_DUE, &MESSAGES_QUEUED];

static CONTACT: Table =
    Table { name: "notifications_contact", key: &[Column::id("id")], columns: document_columns![], rows: Rows::Move };

static MESSAGE: Table = Table {
    name: "notifications_message",
    key: &[Column::id("id")],
    columns: document_columns![
        Column::id("order_id"),
        Column::text("template"),
        Column::text("about"),
        Column::id("customer"),
        Column::text("state"),
        Column::int("due_at"),
        Column::int("made_at"),
    ],
    rows: Rows::Move,
};

impl Document for Contact {
    type Id = OrderId;
    const TABLE: &'static Table = &CONTACT;

    fn id(&self) -> OrderId {
        self.order
    }

    fn id_values(id: &OrderId) -> store::Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.order.bucket()
    }
}

impl Document for Message {
    type Id = Id;
    const TABLE: &'static Table = &MESSAGE;

    fn id(&self) -> Id {
        self.id
    }

    fn id_values(id: &Id) -> store::Key {
        vec![(*id).into()]
    }

    fn bucket(&self) -> Bucket {
        self.order.bucket()
    }

    fn search(&self) -> Vec<Value> {
        // Only what is queued is ever due, so the index of what is due stays short.
        let due_at = (self.state == State::Queued).then_some(self.due_at);
        vec![
            self.order.0.into(),
            self.template.as_str().into(),
            self.about.as_str().into(),
            self.customer.map(|customer| customer.0).into(),
            self.state.as_str().into(),
            due_at.into(),
            self.made_at.into(),
        ]
    }
}

/// The beginning of every read of messages: the columns of their table.
macro_rules! messages {
    ($condition:literal) => {
        concat!(
            "SELECT id, bucket, order_id, template, about, customer, state, due_at, made_at, doc_v, doc FROM notifications_message ",
            $condition
        )
    };
}

const MESSAGE_ANSWER: &[Kind] =
    &[Kind::Id, Kind::Int, Kind::Id, Kind::Text, Kind::Text, Kind::Id, Kind::Text, Kind::Int, Kind::Int, Kind::Int, Kind::Text];

/// All messages, newest first: before when, before which, limit.
pub(crate) static MESSAGES: Read = Read {
    name: "notifications.messages",
    sql: messages!("WHERE (made_at, id) < ($1, $2) ORDER BY made_at DESC, id DESC LIMIT $3"),
    arguments: &[Kind::Int, Kind::Id, Kind::Int],
    answer: MESSAGE_ANSWER,
};

/// The messages of an order, newest first: order, before when, before which, limit.
pub(crate) static MESSAGES_OF_ORDER: Read = Read {
    name: "notifications.messages-of-order",
    sql: messages!("WHERE order_id = $1 AND (made_at, id) < ($2, $3) ORDER BY made_at DESC, id DESC LIMIT $4"),
    arguments: &[Kind::Id, Kind::Int, Kind::Id, Kind::Int],
    answer: MESSAGE_ANSWER,
};

/// The messages to a customer, newest first: customer, before when, before which, limit.
pub(crate) static MESSAGES_OF_CUSTOMER: Read = Read {
    name: "notifications.messages-of-customer",
    sql: messages!("WHERE customer = $1 AND (made_at, id) < ($2, $3) ORDER BY made_at DESC, id DESC LIMIT $4"),
    arguments: &[Kind::Id, Kind::Int, Kind::Id, Kind::Int],
    answer: MESSAGE_ANSWER,
};

/// What is to be sent, longest due first: now, limit.
pub(crate) static MESSAGES_DUE: Read = Read {
    name: "notifications.messages-due",
    sql: messages!("WHERE state = 'queued' AND due_at <= $1 ORDER BY due_at LIMIT $2"),
    arguments: &[Kind::Int, Kind::Int],
    answer: MESSAGE_ANSWER,
};

/// What has waited since before some time, oldest first: made before, limit.
pub(crate) static MESSAGES_QUEUED: Read = Read {
    name: "notifications.messages-queued",
    sql: messages!("WHERE state = 'queued' AND made_at < $1 ORDER BY made_at LIMIT $2"),
    arguments: &[Kind::Int, Kind::Int],
    answer: MESSAGE_ANSWER,
};

/// The messages in the rows of such a read.
pub(crate) fn messages(rows: &[Row]) -> Result<Vec<Message>, Fault> {
    rows.iter().map(|row| Message::from_row(row).map_err(|error| Fault::internal(error.to_string()))).collect()
}
