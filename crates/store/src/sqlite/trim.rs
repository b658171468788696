//! Takes the oldest events out of the outbox and notes where that leaves their topics and partitions, in one transaction.
//! Leaves which events may go to whoever asks.

use kernel::fail_point;
use rusqlite::{Connection, TransactionBehavior, params};

use crate::Error;
use crate::sqlite::connection::of_batch;

/// The last of the oldest `?3` events up to `?2`.
const LAST: &str = "SELECT max(seq) FROM (SELECT seq FROM store_outbox WHERE source = ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3)";

const NOTE: &str = "INSERT INTO store_tail (source, topic, partition, seq) \
     SELECT source, topic, partition, max(seq) FROM store_outbox WHERE source = ?1 AND seq <= ?2 GROUP BY topic, partition \
     ON CONFLICT (source, topic, partition) DO UPDATE SET seq = max(seq, excluded.seq)";

const REMOVE: &str = "DELETE FROM store_outbox WHERE source = ?1 AND seq <= ?2";

/// Removes up to `limit` events of `source` up to `through`; tells how many. Who writes is alone, so no head row is held.
pub(super) fn trim(connection: &mut Connection, source: &str, through: i64, limit: i64) -> Result<i64, Error> {
    let mut removed = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last: Option<i64> = transaction.prepare_cached(LAST)?.query_one(params![source, through, limit], |row| row.get(0))?;
        let Some(last) = last else { return Ok(0) };
        transaction.prepare_cached(NOTE)?.execute(params![source, last])?;
        let removed = transaction.prepare_cached(REMOVE)?.execute(params![source, last])?;
        fail_point("store.sqlite-trim-before-commit");
        transaction.commit()?;
        fail_point("store.sqlite-trimmed");
        Ok(removed)
    };
    let removed = removed().map_err(|error: rusqlite::Error| of_batch(&error))?;
    Ok(i64::try_from(removed).unwrap_or(i64::MAX))
}
