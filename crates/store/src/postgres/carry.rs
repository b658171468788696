//! What carrying a shop asks of the server that it comes to: one transaction, alone, that takes all rows or none.
//! Leaves the order of things to `carry`.

use std::pin::pin;

use futures_util::StreamExt;
use postgres_types::ToSql;

use super::cell::{self, Cell};
use super::connection::Lease;
use super::failure::Failure;
use super::render;
use crate::carry::{Carried, Load, PAGE_ROWS};
use crate::{Error, Row};

/// No limit on time, for a shop may be large; but whoever is at work here already is not waited for.
const OPEN: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '5s'; BEGIN";

/// Nobody makes a head row, or commits a batch, while a shop arrives.
const ALONE: &str = "LOCK TABLE store_head IN SHARE ROW EXCLUSIVE MODE";

/// A transaction in which a shop arrives. Its connection is closed at the end, and the transaction with it unless committed.
#[derive(Debug)]
pub(crate) struct Arriving(Lease);

impl Arriving {
    pub(super) async fn open(lease: Lease) -> Result<Self, Error> {
        let arriving = Self(lease);
        arriving.run(OPEN).await?;
        arriving.run(ALONE).await?;
        Ok(arriving)
    }

    /// The id of the promotion by which a shop came here, if one did.
    pub(crate) async fn id(&self) -> Result<Option<String>, Error> {
        let row = self.0.query_opt("SELECT id FROM store_promotion WHERE way = 'from'", &[]).await;
        row.and_then(|row| row.map(|row| row.try_get(0)).transpose()).map_err(failed)
    }

    /// Whether a shop is here already: nobody writes a row of one without a head row.
    pub(crate) async fn is_taken(&self) -> Result<bool, Error> {
        let head = self.0.query_one("SELECT EXISTS (SELECT 1 FROM store_head)", &[]).await;
        head.and_then(|row| row.try_get(0)).map_err(failed)
    }

    /// Makes room for what arrives of a table: the rows that migrations put there have changed where it comes from.
    pub(crate) async fn clear(&self, load: &Load) -> Result<(), Error> {
        self.run(&format!("DELETE FROM \"{}\"", load.name)).await
    }

    /// Takes some rows.
    pub(crate) async fn take(&mut self, load: &Load, rows: &[Row]) -> Result<(), Error> {
        let kinds = load.kinds();
        let arrays: Vec<Vec<Cell<'_>>> =
            (0..kinds.len()).map(|at| rows.iter().map(|row| Cell::of(&row.0[at])).collect()).collect();
        let parameters: Vec<_> = arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect();
        let insert = format!("INSERT INTO \"{}\" ({}) SELECT * FROM {}", load.name, load.names(), render::unnest(&kinds, 1));
        let statement = self.0.prepare_cached(&insert).await.map_err(failed)?;
        self.0.execute(&statement, &parameters).await.map(drop).map_err(failed)
    }

    /// What has arrived of a table.
    pub(crate) async fn count(&self, load: &Load) -> Result<Carried, Error> {
        let mut carried = Carried::none_of(load);
        let none: [&(dyn ToSql + Sync); 0] = [];
        let rows = self.0.query_raw(&load.select(), none).await.map_err(failed)?;
        let mut pages = pin!(rows.ready_chunks(PAGE_ROWS));
        while let Some(page) = pages.next().await {
            let rows: Result<Vec<Row>, Error> = page.into_iter().map(|row| cell::decode(&row.map_err(failed)?)).collect();
            carried.add(&rows?);
        }
        Ok(carried)
    }

    /// Notes by which promotion the shop came, and lets the server count for its plans.
    pub(crate) async fn sign(&self, id: &str) -> Result<(), Error> {
        let signed = "INSERT INTO store_promotion (way, id, place) VALUES ('from', $1, 'an embedded database')";
        self.0.execute(signed, &[&id]).await.map_err(failed)?;
        self.run("ANALYZE").await
    }

    pub(crate) async fn commit(self) -> Result<(), Error> {
        self.0.batch_execute("COMMIT").await.map_err(|error| match Failure::from(error) {
            Failure::Refused(refusal) => refusal.of_batch(),
            Failure::Lost(text) => Error::UnknownOutcome(text),
        })
    }

    async fn run(&self, statement: &str) -> Result<(), Error> {
        self.0.batch_execute(statement).await.map_err(failed)
    }
}

fn failed(error: tokio_postgres::Error) -> Error {
    Failure::from(error).of_read()
}
