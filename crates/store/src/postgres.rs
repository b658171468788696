//! The engine for PostgreSQL 15 and newer: a pool of connections, reads, and batches in one flight each.
//! Leaves what a batch means to whoever made it, and SQLite to `sqlite`.

mod blocker;
mod carry;
mod cell;
mod connection;
mod failure;
mod pipeline;
mod plan;
mod render;
mod schema;
mod tls;

use std::fmt;
use std::sync::Arc;

use deadpool_postgres::{ClientWrapper, Object, Pool};
use kernel::fail_point;
use postgres_types::ToSql;
use tokio_postgres::Statement;

use crate::{Batch, Committed, Error, Head, Key, Migration, Pending, Read, Row, Table, Value, check};
pub(crate) use carry::Arriving;
use cell::Cell;
use connection::{Backends, Lease};
use failure::Failure;

/// How many connections a process opens at most that does not ask for another number.
pub const CONNECTIONS_DEFAULT: usize = 8;

const HEAD: &str = "SELECT seq, epoch, source FROM store_head WHERE service = $1";
const NEW_HEAD: &str =
    "INSERT INTO store_head (service, seq, epoch, source) VALUES ($1, 0, 0, $2) ON CONFLICT (service) DO NOTHING";

/// A pool of connections to one database.
#[derive(Clone)]
pub(crate) struct Postgres {
    pool: Pool,
    /// One connection more, for whoever waits when all others do.
    overseer: Pool,
    backends: Backends,
    /// Where it is, without secrets.
    place: Arc<str>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("pool", &self.pool.status()).finish_non_exhaustive()
    }
}

impl Postgres {
    pub(crate) async fn connect(url: &str, connections: usize) -> Result<Self, Error> {
        let target = connection::target(url)?;
        let backends = Backends::default();
        let overseer = connection::pool(target.clone(), 1, &backends)?;
        let place = target.place().into();
        let engine = Self { pool: connection::pool(target, connections, &backends)?, overseer, backends, place };
        // The first connection is opened now, so that a wrong address or an old server is told at once.
        drop(engine.client().await?);
        Ok(engine)
    }

    /// Where it is, as somebody who may see it all would write it, without secrets.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// A transaction, alone on this database, in which a shop may arrive.
    pub(crate) async fn arriving(&self) -> Result<Arriving, Error> {
        Arriving::open(Lease::of(&self.pool).await?).await
    }

    pub(crate) async fn pending(&self, all: &[Migration]) -> Result<Vec<Pending>, Error> {
        let client = self.client().await?;
        schema::pending(&client, all).await
    }

    pub(crate) async fn migrate(&self, all: &[Migration]) -> Result<Vec<Pending>, Error> {
        schema::migrate(Lease::of(&self.pool).await?, all).await
    }

    pub(crate) async fn head(&self, service: &'static str, source: &str) -> Result<Head, Error> {
        let client = self.client().await?;
        let head = head(&client, service, source).await;
        settle(client, head)
    }

    pub(crate) async fn read(&self, read: &'static Read, arguments: Vec<Value>) -> Result<Vec<Row>, Error> {
        check::arguments(read, &arguments)?;
        let cells: Vec<_> = arguments.iter().map(Cell::of).collect();
        let statement = self.statement(read).await?;
        let parameters: Vec<_> = cells.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect();
        let rows = statement.client.query(&statement.prepared, &parameters).await.map_err(Failure::from);
        let rows = settle(statement.client, rows).map_err(|error| named(read, error))?;
        rows.iter().map(cell::decode).collect()
    }

    pub(crate) async fn load(&self, table: &'static Table, keys: Vec<Key>) -> Result<Vec<Row>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let columns = plan::keys(table, &keys)?;
        let client = self.client().await?;
        let rows = load(&client, table, &columns).await;
        settle_as(client, rows, Failure::before_batch)?.iter().map(cell::decode).collect()
    }

    /// The batch runs in a task of its own: whoever drops this future must not leave half a pipeline behind.
    #[allow(clippy::disallowed_methods, reason = "the task that sends a batch is never cancelled, and no simulation has it")]
    pub(crate) async fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        let engine = self.clone();
        let sent = tokio::spawn(async move { engine.send(&batch).await });
        sent.await.unwrap_or_else(|error| Err(Error::UnknownOutcome(error.to_string())))
    }

    async fn send(&self, batch: &Batch) -> Result<Committed, Error> {
        let groups = plan::groups(batch)?;
        let client = Lease::of(&self.pool).await?;
        let prepared = match pipeline::prepare(&client, batch, &groups).await {
            Ok(prepared) => prepared,
            Err(failure) => return Err(failure.before_batch()),
        };
        fail_point("store.postgres-before-batch");
        let flight = pipeline::fly(&client, batch, &groups, &prepared);
        let flight = match self.backends.pid(&client) {
            Some(pid) => blocker::supervised(&self.overseer, pid, flight).await,
            None => flight.await,
        };
        fail_point("store.postgres-landed");
        if flight.leaves_connection() {
            client.keep();
        }
        flight.outcome(batch, &groups)
    }

    pub(crate) async fn trim(&self, service: &'static str, source: &str, through: i64, limit: i64) -> Result<i64, Error> {
        let client = self.client().await?;
        let trimmed = trim(&client, service, source, through, limit).await;
        settle_as(client, trimmed, Failure::before_batch)
    }

    pub(crate) async fn prepare(&self, read: &'static Read) -> Result<(), Error> {
        if !render::numbers_in_order(read.sql, read.arguments.len()) {
            return Err(broken(read, "its numbers do not first appear in order, or are not as many as its arguments"));
        }
        self.statement(read).await.map(drop)
    }

    pub(crate) async fn columns(&self, table: &'static Table) -> Result<Vec<String>, Error> {
        let client = self.client().await?;
        let columns = schema::columns(&client, table).await;
        settle(client, columns)
    }

    /// A connection for statements that need no transaction. It goes back to the pool even if the caller drops its future
    /// half-way: the next statement waits for the answer to the last.
    async fn client(&self) -> Result<Object, Error> {
        self.pool.get().await.map_err(failure::of_pool)
    }

    /// A read on the connection on which it was prepared, its answer held against what it says of itself.
    async fn statement(&self, read: &'static Read) -> Result<Ready, Error> {
        let sql = render::read(read.sql).map_err(|error| named(read, error))?;
        let types: Vec<_> = read.arguments.iter().map(|kind| cell::type_of(*kind)).collect();
        let client = self.client().await?;
        let prepared = match client.prepare_typed_cached(&sql, &types).await {
            Ok(prepared) => prepared,
            Err(error) => return settle(client, Err(error.into())).map_err(|error| named(read, error)),
        };
        answer_fits(read, prepared.columns())?;
        Ok(Ready { client, prepared })
    }
}

struct Ready {
    client: Object,
    prepared: Statement,
}

fn answer_fits(read: &Read, columns: &[tokio_postgres::Column]) -> Result<(), Error> {
    if columns.len() != read.answer.len() {
        return Err(broken(read, &format!("the answer has {} columns, not {}", columns.len(), read.answer.len())));
    }
    match columns.iter().zip(read.answer).find(|(column, kind)| cell::kind_of(column.type_()) != Some(**kind)) {
        Some((column, kind)) => Err(broken(read, &format!("{} is {}, not {kind:?}", column.name(), column.type_()))),
        None => Ok(()),
    }
}

/// Gives the connection back, or closes it if it cannot be trusted.
fn settle<T>(client: Object, done: Result<T, Failure>) -> Result<T, Error> {
    settle_as(client, done, Failure::of_read)
}

/// The same; `meaning` says what a failure is to whoever asked.
fn settle_as<T>(client: Object, done: Result<T, Failure>, meaning: fn(Failure) -> Error) -> Result<T, Error> {
    done.map_err(|failure| {
        if !failure.leaves_connection() {
            drop(Object::take(client));
        }
        meaning(failure)
    })
}

async fn head(client: &ClientWrapper, service: &str, source: &str) -> Result<Head, Failure> {
    let find = client.prepare_cached(HEAD).await?;
    let mut row = client.query_opt(&find, &[&service]).await?;
    if row.is_none() {
        let make = client.prepare_cached(NEW_HEAD).await?;
        client.execute(&make, &[&service, &source]).await?;
        row = client.query_opt(&find, &[&service]).await?;
    }
    let row = row.ok_or_else(|| Failure::Lost("the head row vanished as it was made".to_owned()))?;
    Ok(Head { seq: row.try_get(0)?, epoch: row.try_get(1)?, source: row.try_get(2)? })
}

async fn load(client: &ClientWrapper, table: &Table, columns: &[Vec<Cell<'_>>]) -> Result<Vec<tokio_postgres::Row>, Failure> {
    let statement = client.prepare_cached(&render::load(table)).await?;
    let parameters: Vec<_> = columns.iter().map(|column| column as &(dyn ToSql + Sync)).collect();
    Ok(client.query(&statement, &parameters).await?)
}

/// One statement, so there is no moment at which a client that freezes would hold the head row.
async fn trim(client: &ClientWrapper, service: &str, source: &str, through: i64, limit: i64) -> Result<i64, Failure> {
    let statement = client.prepare_cached(render::TRIM).await?;
    fail_point("store.postgres-before-trim");
    let removed = client.query_one(&statement, &[&service, &source, &through, &limit]).await?;
    fail_point("store.postgres-trimmed");
    Ok(removed.try_get(0)?)
}

fn broken(read: &Read, why: &str) -> Error {
    Error::Broken(format!("{}: {why}", read.name))
}

fn named(read: &Read, error: Error) -> Error {
    match error {
        Error::Broken(why) => broken(read, &why),
        other => other,
    }
}
