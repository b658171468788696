//! Migrations applied to the file, each in a transaction of its own.
//! Leaves their texts, their dialect and what is missing to `migrate`.

use kernel::fail_point;
use rusqlite::{Connection, TransactionBehavior, params};

use crate::Error;
use crate::migrate::{self, Applied, Migration, Pending};
use crate::sqlite::connection::meaning;
use crate::sqlite::render::DIALECT;

/// What the file lacks of `all`.
pub(super) fn pending(connection: &Connection, all: &[Migration]) -> Result<Vec<Pending>, Error> {
    let missing = migrate::missing(all, &applied(connection)?)?.into_iter().map(Migration::pending).collect();
    Ok(missing)
}

/// Applies what the file lacks of `all` and tells what that was.
pub(super) fn apply(connection: &mut Connection, all: &[Migration]) -> Result<Vec<Pending>, Error> {
    let mut done = Vec::new();
    while let Some(pending) = apply_next(connection, all)? {
        done.push(pending);
    }
    Ok(done)
}

/// Applies the first that the file lacks. What that is is asked under the lock: another process may be at it too.
fn apply_next(connection: &mut Connection, all: &[Migration]) -> Result<Option<Pending>, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| meaning(&error))?;
    let applied = applied(&transaction)?;
    let Some(migration) = migrate::missing(all, &applied)?.first().copied() else {
        return Ok(None);
    };
    let run = |sql: &str| transaction.execute_batch(sql).map_err(|error| migration.refused(meaning(&error)));
    run(&migrate::render(migrate::APPLIED_TABLE, &DIALECT)?)?;
    for statement in migration.statements(&DIALECT).map_err(|error| migration.refused(error))? {
        run(&statement)?;
    }
    let row = params![migration.service, migration.number, migration.name, migration.checksum()];
    let noted = transaction.execute("INSERT INTO store_migration (service, number, name, checksum) VALUES (?1, ?2, ?3, ?4)", row);
    fail_point("store.sqlite-migration-before-commit");
    noted.and_then(|_| transaction.commit()).map_err(|error| migration.refused(meaning(&error)))?;
    fail_point("store.sqlite-migration-committed");
    Ok(Some(migration.pending()))
}

fn applied(connection: &Connection) -> Result<Vec<Applied>, Error> {
    let read = || {
        let known = "SELECT count(*) FROM sqlite_schema WHERE name = 'store_migration'";
        if connection.query_one(known, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(Vec::new());
        }
        connection
            .prepare("SELECT service, number, name, checksum FROM store_migration ORDER BY service, number")?
            .query_map([], |row| {
                Ok(Applied { service: row.get(0)?, number: row.get(1)?, name: row.get(2)?, checksum: row.get(3)? })
            })?
            .collect()
    };
    read().map_err(|error| meaning(&error))
}
