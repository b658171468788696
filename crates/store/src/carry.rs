//! Carries all rows of a shop from its file to a server, once and whole. Nobody writes to either meanwhile: whoever asks holds
//! the file, and the server's head rows are locked. Leaves the two databases' own words to the engines.
//!
//! The file is sealed when all is copied and compared, just before the server's one transaction ends. Whatever is killed before
//! that leaves the shop in the file; whatever is killed after it leaves a file that nobody serves, and the carrying, begun
//! again, finds out by the promotion's id whether the server has all, and if it has nothing copies again.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use kernel::fail_point;

use crate::platform::{APPLIED_TABLE_NAME, PROMOTION_TABLE_NAME, STORE_TABLES};
use crate::postgres::{Arriving, Postgres};
use crate::sqlite::Sqlite;
use crate::{Column, Error, Kind, Row, Store, Table};

/// How many rows travel at once.
pub(crate) const PAGE_ROWS: usize = 500;

/// A table that was carried: how many rows, and a sum over all that is in them that does not depend on their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Carried {
    /// The table.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// Equal for equal rows.
    pub sum: u64,
}

/// What came of carrying a shop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Carriage {
    /// It is there now, and both sides were compared.
    Done(Vec<Carried>),
    /// It had been carried there before.
    Before,
}

/// Why a shop was not carried.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum NotCarried {
    /// It must not be, as things are.
    #[error("{0}")]
    Refused(String),
    /// A database failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// That a database's shop was carried to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seal {
    pub(crate) id: String,
    pub(crate) place: String,
}

/// A table as it is carried: all that its rows hold.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<Column>,
}

impl Load {
    /// The store's own tables have no versions, because nobody writes to them but the store.
    fn of_store(table: &'static Table) -> Self {
        Self { name: table.name, columns: table.all().copied().collect() }
    }

    fn of(table: &'static Table) -> Self {
        Self { name: table.name, columns: table.all().copied().chain([Column::int("version")]).collect() }
    }

    /// The statement that reads all its rows, on either engine.
    pub(crate) fn select(&self) -> String {
        format!("SELECT {} FROM \"{}\"", self.names(), self.name)
    }

    /// Its columns' names, quoted.
    pub(crate) fn names(&self) -> String {
        self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.columns.iter().map(|column| column.kind).collect()
    }
}

impl Carried {
    pub(crate) fn none_of(load: &Load) -> Self {
        Self { table: load.name, rows: 0, sum: 0 }
    }

    pub(crate) fn add(&mut self, rows: &[Row]) {
        for row in rows {
            let mut hasher = DefaultHasher::new();
            row.0.hash(&mut hasher);
            self.rows += 1;
            self.sum = self.sum.wrapping_add(hasher.finish());
        }
    }
}

/// Carries all of `tables`, and the store's own, from the file to the server at `place`, which has all their migrations.
/// `id` names this promotion if the file was never promoted; `told` hears of each table.
pub(crate) async fn carry(
    from: &Sqlite,
    to: &Postgres,
    tables: &[&'static Table],
    id: &str,
    mut told: impl FnMut(&Carried),
) -> Result<Carriage, NotCarried> {
    let own = STORE_TABLES.iter().map(|table| Load::of_store(table));
    let loads: Vec<Load> = own.chain(tables.iter().map(|table| Load::of(table))).collect();
    nothing_is_missed(&from.shape().await?, &loads)?;
    let sealed = from.seal_of().await?;
    let mut arriving = to.arriving().await?;
    match (arriving.id().await?, &sealed) {
        (Some(there), Some(seal)) if there == seal.id => return Ok(Carriage::Before),
        (Some(_), _) => return refused(format!("{} holds another shop that was carried there", to.place())),
        (None, Some(seal)) if seal.place != to.place() => {
            return refused(format!("the shop was carried to {}; it can be finished only there", seal.place));
        }
        _ => {}
    }
    if arriving.is_taken().await? {
        return refused(format!("there is a shop at {}, and one cannot be carried into another", to.place()));
    }
    let mut carried = Vec::with_capacity(loads.len());
    for load in &loads {
        let one = carry_table(from, &mut arriving, load).await?;
        told(&one);
        carried.push(one);
        fail_point("store.carry-table");
    }
    let seal = sealed.unwrap_or_else(|| Seal { id: id.to_owned(), place: to.place().to_owned() });
    arriving.sign(&seal.id).await?;
    fail_point("store.carry-before-seal");
    from.seal(seal).await?;
    fail_point("store.carry-sealed");
    arriving.commit().await?;
    fail_point("store.carry-committed");
    Ok(Carriage::Done(carried))
}

/// Copies one table and reads back what has come of it.
async fn carry_table(from: &Sqlite, arriving: &mut Arriving, load: &Load) -> Result<Carried, NotCarried> {
    arriving.clear(load).await?;
    let mut left = Carried::none_of(load);
    let mut pages = from.pages(load)?;
    while let Some(page) = pages.recv().await {
        let page = page?;
        left.add(&page);
        if !page.is_empty() {
            arriving.take(load, &page).await?;
        }
    }
    let arrived = arriving.count(load).await?;
    if arrived == left {
        return Ok(left);
    }
    refused(format!("{} arrived with {} rows and the sum {:016x}, not {left:?}", load.name, arrived.rows, arrived.sum))
}

/// Nothing is left behind in silence: what the file has, tables and columns, is what is carried.
fn nothing_is_missed(shape: &[(String, BTreeSet<String>)], loads: &[Load]) -> Result<(), NotCarried> {
    for (name, columns) in shape.iter().filter(|(name, _)| ![APPLIED_TABLE_NAME, PROMOTION_TABLE_NAME].contains(&&**name)) {
        let Some(load) = loads.iter().find(|load| load.name == name) else {
            return refused(format!("this program does not know the table {name}; a newer one has been here"));
        };
        let known: BTreeSet<String> = load.columns.iter().map(|column| column.name.to_owned()).collect();
        if let Some(column) = columns.symmetric_difference(&known).next() {
            return refused(format!("the column {name}.{column} is not both in the file and known to this program"));
        }
    }
    match loads.iter().find(|load| !shape.iter().any(|(name, _)| name == load.name)) {
        Some(load) => refused(format!("the file has no table {}", load.name)),
        None => Ok(()),
    }
}

fn refused<T>(why: String) -> Result<T, NotCarried> {
    Err(NotCarried::Refused(why))
}

impl Store {
    /// Carries everything that this file holds to the server `to`, whose tables are up to date and without a shop, and seals the file.
    /// Killed at any moment and begun again, it does the rest. `id` is to be new each time; `told` hears of each table.
    ///
    /// # Errors
    /// [`NotCarried::Refused`] if this is no file, `to` no server, or either not as it must be; else what a database said.
    pub async fn carry(
        &self,
        to: &Self,
        tables: &[&'static Table],
        id: &str,
        told: impl FnMut(&Carried),
    ) -> Result<Carriage, NotCarried> {
        match (&self.0, &to.0) {
            (crate::Engine::Sqlite(from), crate::Engine::Postgres(to)) => carry(from, to, tables, id, told).await,
            _ => refused("a shop is carried from the embedded database to PostgreSQL".to_owned()),
        }
    }

    /// Where the shop of this file was carried: then nobody may serve it here. A server's is never sealed.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn carried_to(&self) -> Result<Option<String>, Error> {
        match &self.0 {
            crate::Engine::Sqlite(engine) => Ok(engine.seal_of().await?.map(|seal| seal.place)),
            _ => Ok(None),
        }
    }
}
