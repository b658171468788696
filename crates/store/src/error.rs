//! The closed set of what may go wrong in a store, so that the executor can answer each kind in its own way.
//! Leaves the answer to the executor.

use crate::Value;

/// Why a read or a batch failed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Error {
    /// A condition of the batch does not hold; nothing was written. `table` and `key` name the row, as far as known.
    #[error("the row {table} {key:?} is not as expected")]
    Expectation {
        /// The table of the row.
        table: &'static str,
        /// The key of the row; empty if only the table is known.
        key: Vec<Value>,
    },
    /// The head row has another epoch: the shard map is old. Nothing was written.
    #[error("the shard map is of another epoch than {epoch}")]
    StaleEpoch {
        /// The epoch that was refused.
        epoch: i64,
    },
    /// The data itself is refused (a `CHECK`, a number out of range, a text that is none) and would be again. Nothing was written.
    #[error("broken data: {0}")]
    Broken(String),
    /// The database does not answer, is full, read-only or busy. Nothing was written.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The connection was lost when the batch may have been under way to its commit: it is written, or not, or will be.
    #[error("the outcome of the commit is unknown: {0}")]
    UnknownOutcome(String),
}
