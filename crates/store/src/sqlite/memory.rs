//! The embedded engine without file and threads: whoever asks does the work at once, so that nothing depends on when.
//! For models of services; it keeps the rules of the real one because it runs the same statements.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use crate::sqlite::connection::meaning;
use crate::sqlite::{group, migrations, readers, trim};
use crate::{Batch, Committed, Error, Head, Key, Migration, Pending, Read, Row, Store, Table, Value, check};

/// Prepared statements kept: about seven for each table of a whole shop.
const STATEMENTS: usize = 512;

/// A database in memory that answers before it is waited for. Clones share it; the last one takes it along.
#[derive(Clone)]
pub struct Memory(Arc<Mutex<Connection>>);

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    /// A new, empty one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no memory for it.
    pub fn open() -> Result<Self, Error> {
        let opened = Connection::open_in_memory().and_then(|connection| {
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            connection.pragma_update(None, "foreign_keys", true)?;
            connection.pragma_update(None, "temp_store", "memory")?;
            Ok(connection)
        });
        opened.map(|connection| Self(Arc::new(Mutex::new(connection)))).map_err(|error| meaning(&error))
    }

    /// The store on it.
    #[must_use]
    pub fn store(&self) -> Store {
        Store(crate::Engine::Memory(self.clone()))
    }

    /// All rows of `table` in the order of their keys: all columns, the key's first, then the version.
    ///
    /// # Errors
    /// [`Error::Broken`] if the table is not there or a column holds another kind.
    pub fn rows(&self, table: &Table) -> Result<Vec<Row>, Error> {
        readers::rows(&self.lock(), table)
    }

    /// How many rows were ever inserted, changed or deleted, also by what was undone: while it stands still, nothing changes.
    #[must_use]
    pub fn rows_written(&self) -> u64 {
        self.lock().total_changes()
    }

    pub(crate) fn pending(&self, all: &[Migration]) -> Result<Vec<Pending>, Error> {
        migrations::pending(&self.lock(), all)
    }

    pub(crate) fn migrate(&self, all: &[Migration]) -> Result<Vec<Pending>, Error> {
        migrations::apply(&mut self.lock(), all)
    }

    pub(crate) fn head(&self, service: &'static str, source: &str) -> Result<Head, Error> {
        group::head(&mut self.lock(), service, source)
    }

    pub(crate) fn read(&self, read: &'static Read, arguments: &[Value]) -> Result<Vec<Row>, Error> {
        check::arguments(read, arguments)?;
        readers::read(&self.lock(), read, arguments)
    }

    pub(crate) fn load(&self, table: &'static Table, keys: &[Key]) -> Result<Vec<Row>, Error> {
        keys.iter().try_for_each(|key| check::key(table, key))?;
        readers::load(&self.lock(), table, keys)
    }

    pub(crate) fn commit(&self, mut batch: Batch) -> Result<Committed, Error> {
        check::batch(&batch)?;
        group::arrange(&mut batch.writes);
        let committed = group::commit(&self.lock(), std::slice::from_ref(&batch)).pop();
        committed.unwrap_or_else(|| Err(Error::Unavailable("a batch of one came to nothing".to_owned())))
    }

    pub(crate) fn trim(&self, source: &str, through: i64, limit: i64) -> Result<i64, Error> {
        trim::trim(&mut self.lock(), source, through, limit)
    }

    pub(crate) fn prepare(&self, read: &'static Read) -> Result<(), Error> {
        readers::prepare(&self.lock(), read)
    }

    pub(crate) fn columns(&self, table: &'static Table) -> Result<Vec<String>, Error> {
        readers::columns(&self.lock(), table)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
