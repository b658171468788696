//! What carrying a shop asks of its file: which tables there are, all their rows, and the seal.
//! Leaves the order of things to `carry`.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::mpsc;

use crate::carry::{Load, PAGE_ROWS, Seal};
use crate::sqlite::connection::meaning;
use crate::sqlite::render;
use crate::{Error, Row};

/// All tables with their columns.
pub(super) fn shape(connection: &Connection) -> Result<Vec<(String, BTreeSet<String>)>, Error> {
    let read = || -> rusqlite::Result<Vec<_>> {
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name";
        let names: Vec<String> = connection.prepare(names)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut columns = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
        let with_columns = |name: String| {
            let columns = columns.query_map([&name], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            Ok((name, columns))
        };
        names.into_iter().map(with_columns).collect()
    };
    read().map_err(|error| meaning(&error))
}

/// Sends all rows of `load`, page by page, until there are no more or nobody wants them.
pub(super) fn send_pages(connection: &Connection, load: &Load, to: &mpsc::Sender<Result<Vec<Row>, Error>>) {
    if let Err(error) = try_send_pages(connection, load, to) {
        // Who no longer waits for it does not need it.
        let _ = to.blocking_send(Err(error));
    }
}

fn try_send_pages(connection: &Connection, load: &Load, to: &mpsc::Sender<Result<Vec<Row>, Error>>) -> Result<(), Error> {
    let kinds = load.kinds();
    let mut statement = connection.prepare(&load.select()).map_err(|error| meaning(&error))?;
    let mut rows = statement.query([]).map_err(|error| meaning(&error))?;
    let mut page = Vec::with_capacity(PAGE_ROWS);
    while let Some(row) = rows.next().map_err(|error| meaning(&error))? {
        page.push(render::row(row, kinds.iter().copied())?);
        if page.len() == PAGE_ROWS && to.blocking_send(Ok(std::mem::take(&mut page))).is_err() {
            return Ok(());
        }
    }
    let _ = to.blocking_send(Ok(page));
    Ok(())
}

/// Where the shop of this file was carried, if it was.
pub(super) fn seal_of(connection: &Connection) -> Result<Option<Seal>, Error> {
    let read = || {
        let known = "SELECT count(*) FROM sqlite_schema WHERE name = 'store_promotion'";
        if connection.query_one(known, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(None);
        }
        let seal = "SELECT id, place FROM store_promotion WHERE way = 'to'";
        connection.query_one(seal, [], |row| Ok(Seal { id: row.get(0)?, place: row.get(1)? })).optional()
    };
    read().map_err(|error| meaning(&error))
}

/// Seals the file: its shop is elsewhere from now on. Sealed again, it stays as it was.
pub(super) fn seal(connection: &Connection, seal: &Seal) -> Result<(), Error> {
    let insert = "INSERT INTO store_promotion (way, id, place) VALUES ('to', ?1, ?2) ON CONFLICT (way) DO NOTHING";
    connection.execute(insert, [&seal.id, &seal.place]).map(drop).map_err(|error| meaning(&error))
}
