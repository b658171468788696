//! The embedded engine: one file, one thread that writes, two that read, one that moves the log into the file.
//! Leaves the lock on the data directory to the binary: one process serves a file.
//!
//! Reading order: `connection` (settings, errors), `render` (the words), `group` (what one commit does), then the threads.

mod carry;
mod checkpoint;
mod connection;
mod group;
#[cfg(feature = "model")]
mod memory;
mod migrations;
mod readers;
mod render;
mod threads;
mod trim;
mod writer;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

#[cfg(feature = "model")]
pub use memory::Memory;

use crate::carry::{Load, Seal};
use crate::{Batch, Committed, Error, Head, Key, Migration, Pending, Read, Row, Table, Usage, Value, check};
use checkpoint::Log;
use threads::{Call, Threads};
use writer::{Commit, Job};

/// Threads that read: enough that one long read does not stop the short ones.
const READERS: usize = 2;

/// Jobs that wait for the writer, or for a reader, at the most.
const QUEUE_MAX: usize = 4_096;

/// A database in one file.
#[derive(Clone)]
pub(crate) struct Sqlite(Arc<Doors>);

// The order matters when they are dropped: the connection that is closed last tidies the file up, and a reader's cannot.
struct Doors {
    readers: Threads<Call>,
    writer: Threads<Job>,
    log: Arc<Log>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sqlite")
    }
}

impl Sqlite {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        // The writer's connection first: it makes the file and turns its log on.
        let mut writing = connection::writing(path)?;
        let checkpoints = checkpoint::start(path, &mut writing)?;
        let log = checkpoints.log();
        let reading = (0..READERS).map(|_| connection::reading(path)).collect::<Result<Vec<_>, _>>()?;
        let writer = Threads::start("sqlite-writer", QUEUE_MAX, [writing], move |connection, jobs| {
            writer::run(connection, jobs, &checkpoints);
        })?;
        let readers = Threads::start("sqlite-reader", QUEUE_MAX, reading, readers::run)?;
        Ok(Self(Arc::new(Doors { readers, writer, log })))
    }

    pub(crate) fn usage(&self) -> Usage {
        let Doors { readers, writer, log } = &*self.0;
        Usage::File { jobs_waiting: readers.waiting() + writer.waiting(), log_pages: log.pages() }
    }

    pub(crate) async fn pending(&self, all: &[Migration]) -> Result<Vec<Pending>, Error> {
        let all = all.to_vec();
        self.0.readers.ask(|call| call, move |connection| migrations::pending(connection, &all)).await
    }

    pub(crate) async fn migrate(&self, all: &[Migration]) -> Result<Vec<Pending>, Error> {
        let all = all.to_vec();
        self.0.writer.ask(Job::Call, move |connection| migrations::apply(connection, &all)).await
    }

    pub(crate) async fn head(&self, service: &'static str, source: &str) -> Result<Head, Error> {
        let source = source.to_owned();
        self.0.writer.ask(Job::Call, move |connection| group::head(connection, service, &source)).await
    }

    pub(crate) async fn read(&self, read: &'static Read, arguments: Vec<Value>) -> Result<Vec<Row>, Error> {
        check::arguments(read, &arguments)?;
        self.0.readers.ask(|call| call, move |connection| readers::read(connection, read, &arguments)).await
    }

    pub(crate) async fn load(&self, table: &'static Table, keys: Vec<Key>) -> Result<Vec<Row>, Error> {
        keys.iter().try_for_each(|key| check::key(table, key))?;
        self.0.readers.ask(|call| call, move |connection| readers::load(connection, table, &keys)).await
    }

    pub(crate) async fn commit(&self, mut batch: Batch) -> Result<Committed, Error> {
        check::batch(&batch)?;
        group::arrange(&mut batch.writes);
        let (answer, answered) = oneshot::channel();
        self.0.writer.send(Job::Commit(Commit { batch, answer }))?;
        answered.await.unwrap_or_else(|_| Err(Error::UnknownOutcome("the writer has ended".to_owned())))
    }

    pub(crate) async fn trim(&self, source: &str, through: i64, limit: i64) -> Result<i64, Error> {
        let source = source.to_owned();
        self.0.writer.ask(Job::Call, move |connection| trim::trim(connection, &source, through, limit)).await
    }

    /// All tables with their columns.
    pub(crate) async fn shape(&self) -> Result<Vec<(String, BTreeSet<String>)>, Error> {
        self.0.readers.ask(|call| call, |connection| carry::shape(connection)).await
    }

    /// All rows of a table, page by page.
    pub(crate) fn pages(&self, load: &Load) -> Result<mpsc::Receiver<Result<Vec<Row>, Error>>, Error> {
        let (sender, pages) = mpsc::channel(1);
        let load = load.clone();
        self.0.readers.send(Box::new(move |connection| carry::send_pages(connection, &load, &sender)))?;
        Ok(pages)
    }

    /// Where the shop of this file was carried, if it was.
    pub(crate) async fn seal_of(&self) -> Result<Option<Seal>, Error> {
        self.0.readers.ask(|call| call, |connection| carry::seal_of(connection)).await
    }

    pub(crate) async fn seal(&self, seal: Seal) -> Result<(), Error> {
        self.0.writer.ask(Job::Call, move |connection| carry::seal(connection, &seal)).await
    }

    pub(crate) async fn prepare(&self, read: &'static Read) -> Result<(), Error> {
        self.0.readers.ask(|call| call, move |connection| readers::prepare(connection, read)).await
    }

    pub(crate) async fn columns(&self, table: &'static Table) -> Result<Vec<String>, Error> {
        self.0.readers.ask(|call| call, move |connection| readers::columns(connection, table)).await
    }
}
