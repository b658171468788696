//! The database's own shape: migrations under a lock, the function that refuses, the columns of a table.
//! Leaves the texts to the services and what is missing to `migrate`.

use deadpool_postgres::ClientWrapper;
use kernel::fail_point;

use super::connection::Lease;
use super::failure::Failure;
use super::render::REFUSE;
use crate::migrate::{APPLIED_TABLE, Applied, Dialect, missing, render};
use crate::{Error, Migration, Pending, Table};

const DIALECT: Dialect = Dialect { int: "BIGINT", text: "TEXT COLLATE \"C\"", blob: "BYTEA", id: "UUID", strict: "" };

// Per schema, so that two shops in one database do not wait for each other; held by the session until it ends.
const LOCK: &str = "SELECT pg_advisory_lock(hashtextextended('store_migration ' || coalesce(current_schema(), ''), 0))";

pub(super) async fn pending(client: &ClientWrapper, all: &[Migration]) -> Result<Vec<Pending>, Error> {
    let applied = applied(client).await.map_err(Failure::of_read)?;
    Ok(missing(all, &applied)?.into_iter().map(Migration::pending).collect())
}

/// Applies what is missing. The connection is closed at the end, and the lock with it.
pub(super) async fn migrate(client: Lease, all: &[Migration]) -> Result<Vec<Pending>, Error> {
    // An index may take its time, and so may the process before us. Alone, because the limit counts from its message.
    for statement in ["SET statement_timeout = 0", LOCK, &render(APPLIED_TABLE, &DIALECT)?, REFUSE] {
        execute(&client, statement).await?;
    }
    let applied = applied(&client).await.map_err(Failure::of_read)?;
    let missing = missing(all, &applied)?;
    for migration in &missing {
        apply(&client, migration).await.map_err(|error| migration.refused(error))?;
    }
    Ok(missing.into_iter().map(Migration::pending).collect())
}

async fn apply(client: &ClientWrapper, migration: &Migration) -> Result<(), Error> {
    execute(client, "BEGIN").await?;
    for statement in migration.statements(&DIALECT)? {
        execute(client, &statement).await?;
    }
    let note = "INSERT INTO store_migration (service, number, name, checksum) VALUES ($1, $2, $3, $4)";
    let (number, checksum) = (i64::from(migration.number), migration.checksum());
    client
        .execute(note, &[&migration.service, &number, &migration.name, &checksum])
        .await
        .map_err(|error| Failure::from(error).of_read())?;
    fail_point("store.postgres-migration-before-commit");
    execute(client, "COMMIT").await?;
    fail_point("store.postgres-migration-committed");
    Ok(())
}

async fn execute(client: &ClientWrapper, statement: &str) -> Result<(), Error> {
    client.batch_execute(statement).await.map_err(|error| Failure::from(error).of_read())
}

async fn applied(client: &ClientWrapper) -> Result<Vec<Applied>, Failure> {
    let there: bool = client.query_one("SELECT to_regclass('store_migration') IS NOT NULL", &[]).await?.try_get(0)?;
    if !there {
        return Ok(Vec::new());
    }
    let rows = client.query("SELECT service, number, name, checksum FROM store_migration ORDER BY service, number", &[]).await?;
    let row = |row: &tokio_postgres::Row| {
        let (service, number, name, checksum) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        Ok(Applied { service, number, name, checksum })
    };
    rows.iter().map(row).collect()
}

pub(super) async fn columns(client: &ClientWrapper, table: &Table) -> Result<Vec<String>, Failure> {
    let text = "SELECT column_name::text FROM information_schema.columns \
                WHERE table_schema = current_schema() AND table_name = $1 AND column_name <> 'version' ORDER BY ordinal_position";
    let statement = client.prepare_typed_cached(text, &[postgres_types::Type::TEXT]).await?;
    let rows = client.query(&statement, &[&table.name]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}
