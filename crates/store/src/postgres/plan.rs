//! A batch sorted into one group per table and kind of write, as columns of cells.
//! Leaves the texts to `render` and the sending to `pipeline`.

use std::collections::HashSet;

use super::cell::Cell;
use super::render::Shape;
use crate::{Batch, Error, Key, Mechanism, OutboxEvent, Sabotage, Table, Value, Write, check};

/// What one batch may weigh. The server drops the connection of whoever sends more than 1 GiB in one statement, which
/// would look like an unknown outcome, for ever.
pub(super) const BATCH_BYTES_MAX: usize = 256 << 20;

/// The rows of one statement.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) table: &'static Table,
    pub(super) shape: Shape,
    /// The row's keys, by ordinal from 0.
    pub(super) keys: Vec<&'a [Value]>,
    /// One array per input of the statement.
    pub(super) columns: Vec<Vec<Cell<'a>>>,
}

/// The groups of a batch: what goes makes room for what comes; within a kind, tables in the order in which they appear.
pub(super) fn groups(batch: &Batch) -> Result<Vec<Group<'_>>, Error> {
    check::batch(batch)?;
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut rows = HashSet::with_capacity(batch.writes.len());
    let mut bytes: usize = batch.events.iter().map(|event| event.payload.len() + event.key.len()).sum();
    for write in &batch.writes {
        // Two writes to one row in one statement: the server would do one of them and not say which.
        if !rows.insert((write.table().name, write.key())) {
            return Err(Error::Broken(format!("a row of {} is written twice in one batch", write.table().name)));
        }
        let (shape, cells) = parts(write);
        bytes += cells.iter().map(Cell::bytes).sum::<usize>();
        push(&mut groups, write, shape, cells);
    }
    if bytes > BATCH_BYTES_MAX {
        return Err(Error::Broken(format!("a batch of {bytes} bytes; at most {BATCH_BYTES_MAX}")));
    }
    groups.retain(|group| group.shape != Shape::Expect || !Sabotage::off(Mechanism::ReadOnly));
    groups.sort_by_key(|group| match group.shape {
        Shape::Expect => 0,
        Shape::Delete => 1,
        Shape::Put => 2,
        Shape::Add(_) => 3,
        Shape::Insert => 4,
    });
    Ok(groups)
}

fn push<'a>(groups: &mut Vec<Group<'a>>, write: &'a Write, shape: Shape, cells: Vec<Cell<'a>>) {
    let table = write.table();
    let at = groups.iter().position(|group| std::ptr::eq(group.table, table) && group.shape == shape).unwrap_or_else(|| {
        groups.push(Group { table, shape, keys: Vec::new(), columns: vec![Vec::new(); cells.len()] });
        groups.len() - 1
    });
    groups[at].keys.push(write.key());
    for (column, cell) in groups[at].columns.iter_mut().zip(cells) {
        column.push(cell);
    }
}

fn parts(write: &Write) -> (Shape, Vec<Cell<'_>>) {
    match write {
        Write::Insert { row, .. } => (Shape::Insert, cells(row, None)),
        Write::Put { row, version, .. } => (Shape::Put, cells(row, Some(*version))),
        Write::Delete { key, version, .. } => (Shape::Delete, cells(key, Some(*version))),
        Write::Expect { key, version, .. } => (Shape::Expect, cells(key, Some(*version))),
        Write::Add { key, deltas, .. } => {
            let mut cells = cells(key, None);
            cells.extend(deltas.iter().map(|(_, delta)| Cell::Int(*delta)));
            (Shape::Add(deltas.iter().map(|(column, _)| *column).collect()), cells)
        }
    }
}

fn cells(values: &[Value], version: Option<i64>) -> Vec<Cell<'_>> {
    values.iter().map(Cell::of).chain(version.map(Cell::Int)).collect()
}

/// The events as the outbox's arrays.
pub(super) fn events(events: &[OutboxEvent]) -> [Vec<Cell<'_>>; 5] {
    [
        events.iter().map(|event| Cell::Text(event.topic)).collect(),
        events.iter().map(|event| Cell::Int(event.partition.0.into())).collect(),
        events.iter().map(|event| Cell::Text(&event.key)).collect(),
        events.iter().map(|event| Cell::Text(&event.kind)).collect(),
        events.iter().map(|event| Cell::Text(&event.payload)).collect(),
    ]
}

/// The keys as one array per column.
pub(super) fn keys<'a>(table: &Table, keys: &'a [Key]) -> Result<Vec<Vec<Cell<'a>>>, Error> {
    keys.iter().try_for_each(|key| check::key(table, key))?;
    Ok((0..table.key.len()).map(|at| keys.iter().map(|key| Cell::of(&key[at])).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Rows};

    static NOTE: Table = Table { name: "note", key: &[Column::int("n")], columns: &[Column::text("text")], rows: Rows::Stay };

    fn batch(writes: Vec<Write>) -> Batch {
        Batch { service: "notes", epoch: 0, writes, events: vec![] }
    }

    fn insert(n: i64, text: impl Into<Value>) -> Write {
        Write::Insert { table: &NOTE, row: vec![n.into(), text.into()] }
    }

    #[test]
    fn writes_are_sorted_by_kind_and_table_into_columns() {
        let put = Write::Put { table: &NOTE, row: vec![2_i64.into(), "b".into()], version: 7 };
        let batch = batch(vec![insert(1, "a"), put, insert(3, "c")]);
        let groups = groups(&batch).unwrap();
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].columns, [vec![Cell::Int(2)], vec![Cell::Text("b")], vec![Cell::Int(7)]]);
        assert_eq!(groups[1].columns, [vec![Cell::Int(1), Cell::Int(3)], vec![Cell::Text("a"), Cell::Text("c")]]);
        assert_eq!(groups[1].keys[1], [Value::Int(3)]);
    }

    #[test]
    fn a_row_is_written_once_in_a_batch() {
        let gone = Write::Delete { table: &NOTE, key: vec![1_i64.into()], version: 1 };
        for again in [insert(1, "b"), gone] {
            assert!(matches!(groups(&batch(vec![insert(1, "a"), again])), Err(Error::Broken(_))));
        }
    }
}
