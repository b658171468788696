//! The threads that read, each with a connection of its own that cannot write.
//! Leaves the texts to `render`.

use rusqlite::{Connection, Statement, params_from_iter};

use crate::sqlite::connection::{meaning, of_batch};
use crate::sqlite::render::{self, Bound};
use crate::sqlite::threads::{Call, Jobs};
use crate::{Error, Key, Kind, Read, Row, Table, Value};

/// Does what is asked for until nobody can ask any more.
pub(super) fn run(mut connection: Connection, jobs: &Jobs<Call>) {
    while let Some(call) = jobs.next() {
        call(&mut connection);
    }
}

/// The answer of a named read.
pub(super) fn read(connection: &Connection, read: &Read, arguments: &[Value]) -> Result<Vec<Row>, Error> {
    let sql = render::read(read)?;
    let named = |error: Error| match error {
        Error::Broken(why) => Error::Broken(format!("{}: {why}", read.name)),
        other => other,
    };
    let mut statement = connection.prepare_cached(&sql).map_err(|error| named(meaning(&error)))?;
    let mut rows = Vec::new();
    let kinds = || read.answer.iter().copied();
    collect(&mut statement, arguments, kinds, &mut rows, meaning).map_err(named)?;
    Ok(rows)
}

/// The rows of `keys` that are there, all as of one moment.
pub(super) fn load(connection: &Connection, table: &Table, keys: &[Key]) -> Result<Vec<Row>, Error> {
    let moment = connection.unchecked_transaction().map_err(|error| meaning(&error))?;
    let mut rows = Vec::with_capacity(keys.len());
    {
        let mut statement = moment.prepare_cached(&render::load(table)).map_err(|error| of_batch(&error))?;
        for key in keys {
            let kinds = || table.all().map(|column| column.kind).chain([Kind::Int]);
            collect(&mut statement, key, kinds, &mut rows, of_batch)?;
        }
    }
    moment.commit().map_err(|error| meaning(&error))?;
    Ok(rows)
}

/// All rows of `table` in the order of their keys.
#[cfg(feature = "model")]
pub(super) fn rows(connection: &Connection, table: &Table) -> Result<Vec<Row>, Error> {
    let mut statement = connection.prepare_cached(&render::rows(table)).map_err(|error| meaning(&error))?;
    let mut rows = Vec::new();
    collect(&mut statement, &[], || table.all().map(|column| column.kind).chain([Kind::Int]), &mut rows, meaning)?;
    Ok(rows)
}

fn collect<K: Iterator<Item = Kind>>(
    statement: &mut Statement<'_>,
    values: &[Value],
    kinds: impl Fn() -> K,
    rows: &mut Vec<Row>,
    meaning: fn(&rusqlite::Error) -> Error,
) -> Result<(), Error> {
    let mut answers = statement.query(params_from_iter(values.iter().map(Bound::Value))).map_err(|error| meaning(&error))?;
    while let Some(answer) = answers.next().map_err(|error| meaning(&error))? {
        rows.push(render::row(answer, kinds())?);
    }
    Ok(())
}

/// Holds a named read against the database without running it.
pub(super) fn prepare(connection: &Connection, read: &Read) -> Result<(), Error> {
    let refuse = |why: String| Err(Error::Broken(format!("{}: {why}", read.name)));
    let sql = render::read(read)?;
    let statement = match connection.prepare(&sql) {
        Ok(statement) => statement,
        Err(error) => return refuse(error.to_string()),
    };
    // SQLite numbers by first appearance, whatever the numbers say.
    let numbers: Vec<_> = (1..=statement.parameter_count()).map(|place| statement.parameter_name(place).unwrap_or("?")).collect();
    if !numbers.iter().enumerate().all(|(index, name)| *name == format!("${}", index + 1)) {
        return refuse(format!("its numbers appear as {}", numbers.join(", ")));
    }
    if numbers.len() != read.arguments.len() {
        return refuse(format!("it has {} numbers for {} arguments", numbers.len(), read.arguments.len()));
    }
    if statement.column_count() != read.answer.len() {
        return refuse(format!("it answers {} columns, not {}", statement.column_count(), read.answer.len()));
    }
    if !statement.readonly() {
        return refuse("it writes".to_owned());
    }
    Ok(())
}

/// The columns of `table` in the database, without `version`.
pub(super) fn columns(connection: &Connection, table: &Table) -> Result<Vec<String>, Error> {
    let names = connection
        .prepare("SELECT name FROM pragma_table_info(?1) WHERE name <> 'version' ORDER BY name")
        .and_then(|mut statement| statement.query_map([table.name], |row| row.get(0))?.collect());
    names.map_err(|error| meaning(&error))
}
