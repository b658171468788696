//! Connections with their settings, and what SQLite's errors mean.
//! Leaves the statements to `render`.

use std::path::Path;
use std::time::Duration;

use rusqlite::ffi::ErrorCode;
use rusqlite::{Connection, OpenFlags, ffi};

use crate::Error;

/// How long a statement waits for another connection: long enough for a checkpoint, too short to look like a standstill.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages of the file kept in memory by the writer, in KiB; what a batch dirties beyond it goes to the log early.
const WRITER_CACHE_KIB: i64 = 8 * 1_024;

/// The same for each reader.
const READER_CACHE_KIB: i64 = 2 * 1_024;

/// What is left of a log that once was longer, in bytes: its pages are written again, which is cheaper than to let it grow.
const LOG_KEPT_BYTES: i64 = 64 * 1_024 * 1_024;

/// Prepared statements kept by the writer: about five for each table.
const WRITER_STATEMENTS: usize = 192;

/// Prepared statements kept by each reader: about two for each table.
const READER_STATEMENTS: usize = 96;

/// The connection that writes; it makes the file if it is not there.
pub(super) fn writing(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open(path, flags, WRITER_STATEMENTS, |connection| {
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        // Checkpoints inside a commit make somebody wait: they are made elsewhere.
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
        connection.pragma_update_and_check(None, "journal_size_limit", LOG_KEPT_BYTES, |_| Ok(()))?;
        Ok(mode)
    })
    .and_then(|(connection, mode)| match mode.as_str() {
        "wal" => Ok(connection),
        other => Err(Error::Unavailable(format!("{}: no write-ahead log is possible here, only {other}", path.display()))),
    })
}

/// A connection that cannot write.
pub(super) fn reading(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let set = |connection: &Connection| connection.pragma_update(None, "cache_size", -READER_CACHE_KIB);
    open(path, flags, READER_STATEMENTS, set).map(|(connection, ())| connection)
}

/// The connection of the checkpoints: it reads nothing and needs no memory.
pub(super) fn checkpointing(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let set = |connection: &Connection| {
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)
    };
    open(path, flags, 1, set).map(|(connection, ())| connection)
}

fn open<T>(
    path: &Path,
    flags: OpenFlags,
    statements: usize,
    set: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<(Connection, T), Error> {
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(statements);
        set(&connection).map(|told| (connection, told))
    });
    opened.map_err(|error| Error::Unavailable(format!("{}: {error}", path.display())))
}

/// What an error means to whoever asked, apart from taken keys.
pub(super) fn meaning(error: &rusqlite::Error) -> Error {
    let Some(cause) = cause(error) else {
        return Error::Broken(error.to_string());
    };
    match cause.code {
        ErrorCode::ConstraintViolation
        | ErrorCode::TooBig
        | ErrorCode::TypeMismatch
        | ErrorCode::Unknown
        | ErrorCode::ApiMisuse
        | ErrorCode::ParameterOutOfRange => Error::Broken(error.to_string()),
        _ => Error::Unavailable(error.to_string()),
    }
}

/// What an error of a batch or of a load means. Their statements are rendered, so one that SQLite does not understand is
/// nobody's data: a table that is not there is the operator's to mend.
pub(super) fn of_batch(error: &rusqlite::Error) -> Error {
    match cause(error).map(|cause| cause.code) {
        Some(ErrorCode::Unknown) => Error::Unavailable(error.to_string()),
        _ => meaning(error),
    }
}

/// Whether a key is taken.
pub(super) fn taken(error: &rusqlite::Error) -> bool {
    let codes = [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY, ffi::SQLITE_CONSTRAINT_ROWID];
    cause(error).is_some_and(|cause| codes.contains(&cause.extended_code))
}

/// Whether a COMMIT that failed like this left nothing for certain: the frame that makes a transaction hold is written last.
/// After any other failure (of the sync, of the index of the log) that frame is in the file, and a crash might bring it to life.
pub(super) fn left_nothing(error: &rusqlite::Error) -> bool {
    cause(error).is_some_and(|cause| {
        matches!(cause.code, ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::ConstraintViolation)
            || cause.extended_code == ffi::SQLITE_IOERR_WRITE
    })
}

fn cause(error: &rusqlite::Error) -> Option<&ffi::Error> {
    match error {
        rusqlite::Error::SqliteFailure(cause, _) | rusqlite::Error::SqlInputError { error: cause, .. } => Some(cause),
        _ => None,
    }
}
