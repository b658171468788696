//! What can be refused before a database is asked: rows, keys and arguments of the wrong length or kind.
//! Leaves what only the database knows (conditions, `CHECK`, uniqueness) to the engines.

use crate::{Batch, Error, Kind, OutboxEvent, Read, Table, Value, Write};

/// Whether every row and key of `batch` has the shape of its table.
pub(crate) fn batch(batch: &Batch) -> Result<(), Error> {
    batch.writes.iter().try_for_each(write)?;
    let texts = |event: &OutboxEvent| [&event.key, &event.kind, &event.payload].iter().all(|text| is_text(text));
    match batch.events.iter().find(|event| !texts(event)) {
        None => Ok(()),
        Some(event) => Err(Error::Broken(format!("an event of {} holds the character 0", event.topic))),
    }
}

/// Whether `arguments` fit `read`.
pub(crate) fn arguments(read: &Read, arguments: &[Value]) -> Result<(), Error> {
    let fit =
        read.arguments.len() == arguments.len() && read.arguments.iter().zip(arguments).all(|(kind, value)| fits(*kind, value));
    if fit { Ok(()) } else { Err(Error::Broken(format!("{}: its arguments are {:?}", read.name, read.arguments))) }
}

/// Whether `key` fits the key of `table`.
pub(crate) fn key(table: &Table, key: &[Value]) -> Result<(), Error> {
    columns(table, table.key.len(), key)?;
    if key.contains(&Value::Null) { Err(Error::Broken(format!("{}: a key holds nothing", table.name))) } else { Ok(()) }
}

fn write(write: &Write) -> Result<(), Error> {
    let table = write.table();
    match write {
        Write::Insert { row, .. } | Write::Put { row, .. } => {
            columns(table, table.key.len() + table.columns.len(), row)?;
        }
        Write::Add { deltas, .. } => deltas.iter().try_for_each(|(name, _)| delta(table, name))?,
        Write::Delete { .. } | Write::Expect { .. } => {}
    }
    key(table, write.key())
}

/// Whether `values` are those of the first `count` columns.
fn columns(table: &Table, count: usize, values: &[Value]) -> Result<(), Error> {
    if count != values.len() {
        return Err(Error::Broken(format!("{}: {} values for {count} columns", table.name, values.len())));
    }
    match table.all().zip(values).find(|(column, value)| !fits(column.kind, value)) {
        None => Ok(()),
        Some((column, _)) => {
            Err(Error::Broken(format!("{}.{}: not a value of the kind {:?}", table.name, column.name, column.kind)))
        }
    }
}

fn delta(table: &Table, name: &str) -> Result<(), Error> {
    let known = table.columns.iter().any(|column| column.name == name && column.kind == Kind::Int);
    if known { Ok(()) } else { Err(Error::Broken(format!("{}.{name}: no column of integers", table.name))) }
}

fn fits(kind: Kind, value: &Value) -> bool {
    match (kind, value) {
        (_, Value::Null) | (Kind::Int, Value::Int(_)) | (Kind::Blob, Value::Blob(_)) | (Kind::Id, Value::Id(_)) => true,
        (Kind::Text, Value::Text(text)) => is_text(text),
        (Kind::Texts, Value::Texts(texts)) => texts.iter().all(|text| is_text(text)),
        _ => false,
    }
}

// PostgreSQL has no text with the character 0; so none of the engines has.
fn is_text(text: &str) -> bool {
    !text.as_bytes().contains(&0)
}
