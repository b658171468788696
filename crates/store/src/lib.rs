//! SQLite and PostgreSQL behind one interface: reads are SQL texts, writes are described and rendered, and every batch
//! begins with its service's head row. This crate alone knows the drivers. It takes no decision and knows no service.
//!
//! Reading order: [`Value`], [`Table`], [`Batch`], [`Error`], then the two engines `sqlite` and `postgres`.

mod batch;
mod error;
mod migrate;
mod platform;
mod postgres;
mod sabotage;
mod sqlite;
mod table;
mod value;

use std::path::Path;

pub use batch::{Batch, Committed, Head, Key, OutboxEvent, Write};
pub use error::Error;
pub use migrate::{Migration, Pending};
pub use platform::{OUTBOX_EVENTS, PLATFORM};
pub use sabotage::{Mechanism, Sabotage};
pub use table::{Column, Read, Rows, Table};
pub use value::{Kind, Row, Value};

/// A database of one of the two engines. Cheap to clone; the last clone closes it.
#[derive(Clone, Debug)]
pub struct Store(Engine);

#[derive(Clone, Debug)]
enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}
