//! SQLite and PostgreSQL behind one interface: reads are SQL texts, writes are described and rendered, and every batch
//! begins with its service's head row. This crate alone knows the drivers. It takes no decision and knows no service.
//!
//! Reading order: [`Value`], [`Table`], [`Batch`], [`Error`], then the two engines `sqlite` and `postgres`.

mod batch;
mod carry;
mod check;
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
pub use carry::{Carriage, Carried, NotCarried};
pub use error::Error;
pub use migrate::{CONTRACTS, Migration, Pending};
pub use platform::{OUTBOX_ALL, OUTBOX_EVENTS, OUTBOX_LAST, OUTBOX_REMOVED, OUTBOX_TAILS, PLATFORM, READS};
pub use postgres::CONNECTIONS_DEFAULT;
pub use sabotage::{Mechanism, Sabotage};
#[cfg(feature = "model")]
pub use sqlite::Memory;
pub use table::{Column, Read, Rows, Table};
pub use value::{Kind, Row, Value};

/// A database of one of the two engines. Cheap to clone; the last clone closes it.
#[derive(Clone, Debug)]
pub struct Store(Engine);

#[derive(Clone, Debug)]
enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
    #[cfg(feature = "model")]
    Memory(sqlite::Memory),
}

impl Store {
    /// Opens the embedded database in the file `path`, made if it is not there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the file cannot be opened.
    pub fn sqlite(path: &Path) -> Result<Self, Error> {
        sqlite::Sqlite::open(path).map(|engine| Self(Engine::Sqlite(engine)))
    }

    /// Connects to the PostgreSQL (15 or newer) at `url` with at most `connections` connections; by TLS if it holds
    /// `sslmode=verify-full`, with `sslrootcert=FILE` for roots other than the system's.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it does not answer or is too old; [`Error::Broken`] if the URL is none.
    pub async fn postgres(url: &str, connections: usize) -> Result<Self, Error> {
        postgres::Postgres::connect(url, connections).await.map(|engine| Self(Engine::Postgres(engine)))
    }

    /// Whether other processes may write to this database too.
    #[must_use]
    pub fn shared(&self) -> bool {
        matches!(self.0, Engine::Postgres(_))
    }

    /// The migrations of `all` that the database lacks, in order.
    ///
    /// # Errors
    /// [`Error::Broken`] if an applied text differs from ours, or the database has what this program cannot live with.
    pub async fn pending(&self, all: &[Migration]) -> Result<Vec<Pending>, Error> {
        match &self.0 {
            Engine::Sqlite(engine) => engine.pending(all).await,
            Engine::Postgres(engine) => engine.pending(all).await,
            #[cfg(feature = "model")]
            Engine::Memory(engine) => engine.pending(all),
        }
    }

    /// Applies what [`Store::pending`] names, one process at a time, each migration in a transaction of its own.
    ///
    /// # Errors
    /// As [`Store::pending`], and [`Error::Broken`] if a statement is refused.
    pub async fn migrate(&self, all: &[Migration]) -> Result<Vec<Pending>, Error> {
        match &self.0 {
            Engine::Sqlite(engine) => engine.migrate(all).await,
            Engine::Postgres(engine) => engine.migrate(all).await,
            #[cfg(feature = "model")]
            Engine::Memory(engine) => engine.migrate(all),
        }
    }

    /// The head row of `service`, made with `source` as the name of its log if there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn head(&self, service: &'static str, source: &str) -> Result<Head, Error> {
        match &self.0 {
            Engine::Sqlite(engine) => engine.head(service, source).await,
            Engine::Postgres(engine) => engine.head(service, source).await,
            #[cfg(feature = "model")]
            Engine::Memory(engine) => engine.head(service, source),
        }
    }

    /// Runs a named read.
    ///
    /// # Errors
    /// [`Error::Broken`] if an argument or a column is of another kind; [`Error::Unavailable`].
    pub async fn read(&self, read: &'static Read, arguments: Vec<Value>) -> Result<Vec<Row>, Error> {
        match &self.0 {
            Engine::Sqlite(engine) => engine.read(read, arguments).await,
            Engine::Postgres(engine) => engine.read(read, arguments).await,
            #[cfg(feature = "model")]
            Engine::Memory(engine) => engine.read(read, &arguments),
        }
    }

    /// The rows of `keys` that are there, in any order: all columns, the key's first, then the version.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn load(&self, table: &'static Table, keys: Vec<Key>) -> Result<Vec<Row>, Error> {
        match &self.0 {
            Engine::Sqlite(engine) => engine.load(table, keys).await,
            Engine::Postgres(engine) => engine.load(table, keys).await,
            #[cfg(feature = "model")]
            Engine::Memory(engine) => engine.load(table, &keys),
        }
    }

    /// Commits `batch` whole or not at all; `Ok` says that it is durable.
    ///
    /// # Errors
    /// All of [`Error`]; only [`Error::UnknownOutcome`] leaves open whether it was written.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        match &self.0 {
            Engine::Sqlite(engine) => engine.commit(batch).await,
            Engine::Postgres(engine) => engine.commit(batch).await,
            #[cfg(feature = "model")]
            Engine::Memory(engine) => engine.commit(batch),
        }
    }

    /// Removes up to `limit` events of `source`, a log of `service`, up to number `through`, in order, and notes where that
    /// leaves each topic and partition; tells how many it removed. Whole or not at all; again, it does the rest.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn trim(&self, service: &'static str, source: &str, through: i64, limit: i64) -> Result<i64, Error> {
        match &self.0 {
            Engine::Sqlite(engine) => engine.trim(source, through, limit).await,
            Engine::Postgres(engine) => engine.trim(service, source, through, limit).await,
            #[cfg(feature = "model")]
            Engine::Memory(engine) => engine.trim(source, through, limit),
        }
    }

    /// Prepares a read without running it: for the test that holds every statement against both engines.
    ///
    /// # Errors
    /// [`Error::Broken`] if the engine refuses it or its numbers do not appear in order.
    pub async fn prepare(&self, read: &'static Read) -> Result<(), Error> {
        match &self.0 {
            Engine::Sqlite(engine) => engine.prepare(read).await,
            Engine::Postgres(engine) => engine.prepare(read).await,
            #[cfg(feature = "model")]
            Engine::Memory(engine) => engine.prepare(read),
        }
    }

    /// The columns that `table` has in the database, by name, without `version`: for the test that holds [`Table`]s against it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn columns(&self, table: &'static Table) -> Result<Vec<String>, Error> {
        match &self.0 {
            Engine::Sqlite(engine) => engine.columns(table).await,
            Engine::Postgres(engine) => engine.columns(table).await,
            #[cfg(feature = "model")]
            Engine::Memory(engine) => engine.columns(table),
        }
    }
}
