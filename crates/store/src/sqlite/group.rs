//! What one commit does: the batches of a group, each in a savepoint, under one COMMIT.
//! Leaves who waits for the answers to `writer`.

use kernel::fail_point;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use crate::sqlite::connection::{left_nothing, meaning, of_batch, taken};
use crate::sqlite::render;
use crate::{Batch, Committed, Error, Head, Mechanism, OutboxEvent, Sabotage, Table, Write};

type Outcome = Result<Committed, Error>;

/// Commits `batches`, each whole or not at all, and tells for each what came of it.
pub(super) fn commit(connection: &Connection, batches: &[Batch]) -> Vec<Outcome> {
    // Those whose statements ended the whole transaction (a full disk, mostly), and why: the group runs again without them.
    let mut deadly: Vec<Option<Error>> = vec![None; batches.len()];
    loop {
        match attempt(connection, batches, &deadly) {
            Attempt::Over(outcomes) => return outcomes,
            Attempt::Died(index, error) => deadly[index] = Some(error),
            // One batch may be too large for what is left of the disk: alone, the others may still find their place.
            Attempt::NotCommitted(error) if batches.len() > 1 && left_nothing(&error) => {
                return batches.iter().flat_map(|batch| commit(connection, std::slice::from_ref(batch))).collect();
            }
            Attempt::NotCommitted(error) => return vec![Err(not_committed(&error)); batches.len()],
        }
    }
}

enum Attempt {
    /// Committed, or nothing left to commit.
    Over(Vec<Outcome>),
    /// The batch of this index ended the transaction.
    Died(usize, Error),
    /// COMMIT failed.
    NotCommitted(rusqlite::Error),
}

fn attempt(connection: &Connection, batches: &[Batch], deadly: &[Option<Error>]) -> Attempt {
    if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
        return Attempt::Over(vec![Err(Error::Unavailable(error.to_string())); batches.len()]);
    }
    let mut outcomes = Vec::with_capacity(batches.len());
    for (index, batch) in batches.iter().enumerate() {
        let outcome = match &deadly[index] {
            Some(error) => Err(error.clone()),
            None => in_savepoint(connection, batch),
        };
        if connection.is_autocommit() {
            return Attempt::Died(
                index,
                outcome.err().unwrap_or_else(|| Error::Unavailable("the transaction has ended".to_owned())),
            );
        }
        outcomes.push(outcome);
    }
    fail_point("store.sqlite-before-commit");
    let Err(error) = execute(connection, "COMMIT") else {
        fail_point("store.sqlite-after-commit");
        return Attempt::Over(outcomes);
    };
    roll_back(connection);
    Attempt::NotCommitted(error)
}

fn in_savepoint(connection: &Connection, batch: &Batch) -> Outcome {
    let run = |sql| execute(connection, sql).map_err(|error| meaning(&error));
    run("SAVEPOINT batch")?;
    let outcome = write_batch(connection, batch).and_then(|committed| run("RELEASE batch").map(|_| committed));
    // If the batch cannot be undone alone, all must be: the group then runs again without it.
    if outcome.is_err() && run("ROLLBACK TO batch").and_then(|_| run("RELEASE batch")).is_err() {
        roll_back(connection);
    }
    outcome
}

fn write_batch(connection: &Connection, batch: &Batch) -> Outcome {
    let (seq, source) = advance_head(connection, batch)?;
    for alike in batch.writes.chunk_by(render::alike) {
        write_rows(connection, alike)?;
    }
    append(connection, &source, seq, &batch.events)?;
    Ok(Committed { seq })
}

/// The statement that every batch begins with: the order of the log, and the fence against an old shard map.
fn advance_head(connection: &Connection, batch: &Batch) -> Result<(i64, String), Error> {
    let sql = if Sabotage::off(Mechanism::Epoch) {
        "UPDATE store_head SET seq = seq + ?1 WHERE service = ?2 AND ?3 = ?3 RETURNING seq, source"
    } else {
        "UPDATE store_head SET seq = seq + ?1 WHERE service = ?2 AND epoch = ?3 RETURNING seq, source"
    };
    let head = connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            let moved = params![length(&batch.events), batch.service, batch.epoch];
            statement.query_one(moved, |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(|error| of_batch(&error))?;
    head.ok_or(Error::StaleEpoch { epoch: batch.epoch })
}

/// Runs writes that have the same statement.
fn write_rows(connection: &Connection, alike: &[Write]) -> Result<(), Error> {
    let Some(first) = alike.first() else { return Ok(()) };
    let mut statement = connection.prepare_cached(&render::write(first)).map_err(|error| of_batch(&error))?;
    for write in alike {
        let values = params_from_iter(render::write_values(write));
        let holds = match write {
            Write::Expect { .. } if Sabotage::off(Mechanism::ReadOnly) => true,
            Write::Expect { version, .. } => {
                let found: Option<i64> =
                    statement.query_one(values, |row| row.get(0)).optional().map_err(|error| of_batch(&error))?;
                found.unwrap_or(0) == *version
            }
            _ => match statement.execute(values) {
                Ok(changed) => changed == 1,
                Err(error) if taken(&error) => false,
                Err(error) => return Err(of_batch(&error)),
            },
        };
        if !holds {
            return Err(Error::Expectation { table: write.table().name, key: write.key().to_vec() });
        }
    }
    Ok(())
}

/// Puts `events` into the outbox; the last has the number `seq`.
fn append(connection: &Connection, source: &str, seq: i64, events: &[OutboxEvent]) -> Result<(), Error> {
    let sql = "INSERT INTO store_outbox (source, seq, topic, partition, key, kind, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let appended = connection.prepare_cached(sql).and_then(|mut statement| {
        for (number, event) in (seq - length(events) + 1..).zip(events) {
            statement.execute(params![source, number, event.topic, event.partition.0, event.key, event.kind, event.payload])?;
        }
        Ok(())
    });
    appended.map_err(|error| of_batch(&error))
}

/// The head row of `service`, made if there is none.
pub(super) fn head(connection: &mut Connection, service: &'static str, source: &str) -> Result<Head, Error> {
    let read = || {
        connection.execute(
            "INSERT INTO store_head (service, seq, epoch, source) VALUES (?1, 0, 0, ?2) ON CONFLICT (service) DO NOTHING",
            params![service, source],
        )?;
        connection.query_one("SELECT seq, epoch, source FROM store_head WHERE service = ?1", [service], |row| {
            Ok(Head { seq: row.get(0)?, epoch: row.get(1)?, source: row.get(2)? })
        })
    };
    read().map_err(|error| meaning(&error))
}

/// Orders writes so that what goes makes room for what comes, and those that share a statement stand together.
/// Within a kind, tables keep the order in which they first appear, and rows their own.
pub(super) fn arrange(writes: &mut [Write]) {
    let mut tables: Vec<&'static Table> = Vec::new();
    for write in writes.iter() {
        if !tables.iter().any(|table| std::ptr::eq(*table, write.table())) {
            tables.push(write.table());
        }
    }
    writes.sort_by_key(|write| {
        let kind = match write {
            Write::Expect { .. } => 0,
            Write::Delete { .. } => 1,
            Write::Put { .. } => 2,
            Write::Add { .. } => 3,
            Write::Insert { .. } => 4,
        };
        (kind, tables.iter().position(|table| std::ptr::eq(*table, write.table())))
    });
}

fn not_committed(error: &rusqlite::Error) -> Error {
    match meaning(error) {
        other if left_nothing(error) => other,
        other => Error::UnknownOutcome(other.to_string()),
    }
}

fn length(events: &[OutboxEvent]) -> i64 {
    i64::try_from(events.len()).expect("what fits into memory fits into 63 bits")
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute([])
}

// After some errors SQLite has rolled back by itself; then there is nothing to undo, and it says so.
fn roll_back(connection: &Connection) {
    if connection.is_autocommit() {
        return;
    }
    if let Err(error) = execute(connection, "ROLLBACK") {
        tracing::error!(%error, "a transaction could not be rolled back");
    }
}
