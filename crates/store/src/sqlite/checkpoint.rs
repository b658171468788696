//! Moves the write-ahead log into the file without making a commit wait: a thread copies while the writer goes on, and
//! the writer begins the log again between two groups once nearly all of it is copied. Leaves commits to `group`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use kernel::fail_point;
use rusqlite::Connection;

use crate::Error;
use crate::sqlite::connection;
use crate::sqlite::threads::Threads;

/// After how many new pages (of 4 KiB) in the log the thread copies.
const COPY_EVERY_PAGES: i64 = 1_000;

/// From how many pages on the writer wants the log to begin again: 40 MiB.
const LONG_PAGES: i64 = 10_000;

/// How many pages the writer is ready to copy itself for that.
const REST_PAGES_MAX: i64 = 1_000;

/// How long the writer waits for readers of the old log; they are seldom longer at it, and it tries again.
const RESTART_WAIT: Duration = Duration::from_millis(20);

/// What the writer knows of the log, and its way to the thread that copies.
pub(super) struct Checkpoints {
    log: Arc<Log>,
    thread: Threads<()>,
}

/// Lengths in pages.
#[derive(Default)]
pub(super) struct Log {
    /// What the last commit left in the log.
    written: AtomicI64,
    /// How much of it is in the file.
    copied: AtomicI64,
    /// How long it was when the thread was last called.
    called: AtomicI64,
    /// How long it must be for the next attempt to begin it again.
    restart_from: AtomicI64,
}

/// Starts the thread that copies, and lets the writer's connection tell how long the log is.
pub(super) fn start(path: &Path, writing: &mut Connection) -> Result<Checkpoints, Error> {
    let log = Arc::new(Log { restart_from: AtomicI64::new(LONG_PAGES), ..Log::default() });
    let told = Arc::clone(&log);
    let hook = move |_: &mut rusqlite::hooks::Wal, pages: i32| {
        told.written.store(i64::from(pages), Ordering::Relaxed);
        Ok(())
    };
    writing.wal_hook(Some(hook)).map_err(|error| connection::meaning(&error))?;
    let copied = Arc::clone(&log);
    // A queue of one: a call that waits already serves for the next one too.
    let thread = Threads::start("sqlite-checkpoint", 1, [connection::checkpointing(path)?], move |connection, calls| {
        while calls.next().is_some() {
            if let Some((_, pages)) = checkpoint(&connection, "PASSIVE") {
                copied.copied.store(pages, Ordering::Relaxed);
            }
        }
        // Closed here as the last connection, it brings the rest of the log into the file.
    })?;
    Ok(Checkpoints { log, thread })
}

impl Log {
    /// How long it is.
    pub(super) fn pages(&self) -> i64 {
        self.written.load(Ordering::Relaxed)
    }
}

impl Checkpoints {
    /// What is known of the log.
    pub(super) fn log(&self) -> Arc<Log> {
        self.log.clone()
    }

    /// Between two commits: calls the thread if the log has grown, and begins the log again if it is long and copied.
    pub(super) fn after_commit(&self, writing: &Connection) {
        let written = self.log.written.load(Ordering::Relaxed);
        // The log has begun again by itself, which it does when all of it was copied and nobody reads it.
        if written < self.log.called.load(Ordering::Relaxed) {
            self.begun_again();
        }
        if written - self.log.called.load(Ordering::Relaxed) >= COPY_EVERY_PAGES {
            let _ = self.thread.send(());
            self.log.called.store(written, Ordering::Relaxed);
        }
        let rest = written - self.log.copied.load(Ordering::Relaxed);
        if written >= self.log.restart_from.load(Ordering::Relaxed) && rest <= REST_PAGES_MAX {
            self.restart(writing, written);
        }
    }

    fn restart(&self, writing: &Connection, written: i64) {
        let waited = writing.busy_timeout(RESTART_WAIT);
        let restarted = checkpoint(writing, "RESTART").is_some_and(|(busy, _)| !busy);
        if let Err(error) = waited.and_then(|()| writing.busy_timeout(connection::BUSY_TIMEOUT)) {
            tracing::warn!(%error, "the time to wait for a busy database could not be set");
        }
        if restarted {
            self.log.written.store(0, Ordering::Relaxed);
            self.begun_again();
        } else {
            self.log.restart_from.store(written + COPY_EVERY_PAGES, Ordering::Relaxed);
        }
    }

    fn begun_again(&self) {
        self.log.called.store(0, Ordering::Relaxed);
        self.log.copied.store(0, Ordering::Relaxed);
        self.log.restart_from.store(LONG_PAGES, Ordering::Relaxed);
    }
}

/// Whether it was hindered, and how many pages of the log are in the file now.
fn checkpoint(connection: &Connection, mode: &str) -> Option<(bool, i64)> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    fail_point("store.sqlite-before-checkpoint");
    let told = connection.query_one(&sql, [], |row| Ok((row.get::<_, i64>(0)? != 0, row.get(2)?)));
    fail_point("store.sqlite-after-checkpoint");
    match told {
        Ok(told) => Some(told),
        Err(error) => {
            tracing::warn!(%error, mode, "a checkpoint failed");
            None
        }
    }
}
