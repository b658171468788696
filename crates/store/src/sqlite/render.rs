//! What is described, in the words of SQLite: writes and reads as texts, values as what SQLite binds and answers.
//! Leaves their execution to `group` and `readers`.

use std::borrow::Cow;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::migrate::Dialect;
use crate::{Error, Kind, Mechanism, Read, Row, Sabotage, Table, Value, Write};

/// The words for the tokens of a migration.
pub(super) const DIALECT: Dialect = Dialect { int: "INTEGER", text: "TEXT", blob: "BLOB", id: "BLOB", strict: "STRICT" };

/// The statement of `write`, and of all writes of its kind to its table; [`write_values`] tells what it binds.
pub(super) fn write(write: &Write) -> String {
    let table = write.table();
    let (name, columns) = (table.name, table.columns.len());
    match write {
        Write::Insert { .. } => {
            let names = table.all().map(|column| column.name).collect::<Vec<_>>().join(", ");
            let places = list(", ", 0..table.key.len() + columns, |index| format!("?{}", index + 1));
            format!("INSERT INTO {name} ({names}, version) VALUES ({places}, 1)")
        }
        Write::Put { .. } => {
            let set = list("", 0..columns, |index| format!("{} = ?{}, ", table.columns[index].name, table.key.len() + index + 1));
            format!(
                "UPDATE {name} SET {set}version = version + 1 WHERE {}{}",
                key(table),
                at_version(table.key.len() + columns + 1)
            )
        }
        Write::Add { deltas, .. } => {
            let place = |index: usize| table.key.len() + index + 1;
            let set = list("", 0..deltas.len(), |index| format!("{0} = {0} + ?{1}, ", deltas[index].0, place(index)));
            let guard = list("", 0..deltas.len(), |index| format!(" AND {} + ?{} >= 0", deltas[index].0, place(index)));
            format!("UPDATE {name} SET {set}version = version + 1 WHERE {}{guard}", key(table))
        }
        Write::Delete { .. } => format!("DELETE FROM {name} WHERE {}{}", key(table), at_version(table.key.len() + 1)),
        Write::Expect { .. } => format!("SELECT version FROM {name} WHERE {}", key(table)),
    }
}

/// Whether two writes have the same statement.
pub(super) fn alike(one: &Write, other: &Write) -> bool {
    let same_columns = match (one, other) {
        (Write::Add { deltas: one, .. }, Write::Add { deltas: other, .. }) => {
            one.iter().map(|delta| delta.0).eq(other.iter().map(|delta| delta.0))
        }
        _ => true,
    };
    std::mem::discriminant(one) == std::mem::discriminant(other) && std::ptr::eq(one.table(), other.table()) && same_columns
}

/// What the statement of `write` binds, in order.
pub(super) fn write_values(write: &Write) -> Vec<Bound<'_>> {
    let (values, version) = match write {
        Write::Put { row, version, .. } => (row, Some(*version)),
        Write::Delete { key, version, .. } => (key, Some(*version)),
        Write::Insert { row: values, .. } | Write::Add { key: values, .. } | Write::Expect { key: values, .. } => (values, None),
    };
    let deltas = if let Write::Add { deltas, .. } = write { deltas.as_slice() } else { &[] };
    let version = version.filter(|_| !Sabotage::off(Mechanism::Version));
    let more = deltas.iter().map(|delta| delta.1).chain(version).map(Bound::Int);
    values.iter().map(Bound::Value).chain(more).collect()
}

/// The statement that loads one row of `table` by its key.
pub(super) fn load(table: &Table) -> String {
    let names = list("", table.all(), |column| format!("{}, ", column.name));
    format!("SELECT {names}version FROM {} WHERE {}", table.name, key(table))
}

/// The statement that reads all rows of `table`.
#[cfg(feature = "model")]
pub(super) fn rows(table: &Table) -> String {
    let names = list("", table.all(), |column| format!("{}, ", column.name));
    let key = list(", ", table.key.iter(), |column| column.name.to_owned());
    format!("SELECT {names}version FROM {} ORDER BY {key}", table.name)
}

/// The text of `read`.
pub(super) fn read(read: &Read) -> Result<Cow<'static, str>, Error> {
    if !read.sql.contains('{') {
        return Ok(Cow::Borrowed(read.sql));
    }
    let mut parts = read.sql.split('{');
    let mut sql = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let token = part.strip_prefix("in $").and_then(|rest| rest.split_once('}'));
        let (number, rest) = token.ok_or_else(|| Error::Broken(format!("{}: there is no token {{{part}", read.name)))?;
        sql.push_str("IN (SELECT value FROM json_each($");
        sql.push_str(number);
        sql.push_str("))");
        sql.push_str(rest);
    }
    Ok(Cow::Owned(sql))
}

/// What SQLite answered, as `kinds` say.
pub(super) fn row(answer: &rusqlite::Row<'_>, kinds: impl Iterator<Item = Kind>) -> Result<Row, Error> {
    let value = |(index, kind)| {
        let found = answer.get_ref(index).map_err(|error| Error::Broken(error.to_string()))?;
        value(kind, found).ok_or_else(|| Error::Broken(format!("column {index}: expected {kind:?}, found {}", found.data_type())))
    };
    kinds.enumerate().map(value).collect::<Result<Vec<_>, _>>().map(Row)
}

fn value(kind: Kind, found: ValueRef<'_>) -> Option<Value> {
    match (kind, found) {
        (_, ValueRef::Null) => Some(Value::Null),
        (Kind::Int, ValueRef::Integer(value)) => Some(Value::Int(value)),
        (Kind::Text, ValueRef::Text(bytes)) => std::str::from_utf8(bytes).ok().map(|text| Value::Text(text.to_owned())),
        (Kind::Blob, ValueRef::Blob(bytes)) => Some(Value::Blob(bytes.to_vec())),
        (Kind::Id, ValueRef::Blob(bytes)) => bytes.try_into().ok().map(|bytes| Value::Id(kernel::Id::from_bytes(bytes))),
        _ => None,
    }
}

/// Something that a statement binds.
pub(super) enum Bound<'a> {
    Value(&'a Value),
    Int(i64),
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Int(value) => ToSqlOutput::from(*value),
            Self::Value(Value::Null) => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Value(Value::Int(value)) => ToSqlOutput::from(*value),
            Self::Value(Value::Text(text)) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Value(Value::Blob(bytes)) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Value(Value::Id(id)) => ToSqlOutput::Borrowed(ValueRef::Blob(id.as_bytes())),
            Self::Value(Value::Texts(texts)) => ToSqlOutput::from(json(texts)),
        })
    }
}

/// A list of texts as JSON, for `json_each`.
fn json(texts: &[String]) -> String {
    let quoted = texts.iter().map(|text| {
        let escaped = text.chars().map(|char| match char {
            '"' | '\\' => format!("\\{char}"),
            control if control < ' ' => format!("\\u{:04x}", u32::from(control)),
            other => other.to_string(),
        });
        format!("\"{}\"", escaped.collect::<String>())
    });
    format!("[{}]", quoted.collect::<Vec<_>>().join(","))
}

fn key(table: &Table) -> String {
    list(" AND ", table.key.iter().enumerate(), |(index, column)| format!("{} = ?{}", column.name, index + 1))
}

fn at_version(place: usize) -> String {
    if Sabotage::off(Mechanism::Version) { String::new() } else { format!(" AND version = ?{place}") }
}

fn list<T>(between: &str, items: impl Iterator<Item = T>, text: impl Fn(T) -> String) -> String {
    items.map(text).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_texts_is_json() {
        let texts = ["plain", "say \"no\"", "back\\slash", "two\nlines", "Köln"].map(str::to_owned);
        assert_eq!(json(&texts), r#"["plain","say \"no\"","back\\slash","two\u000alines","Köln"]"#);
        assert_eq!(json(&[]), "[]");
    }

    #[test]
    fn only_the_known_token_is_replaced() {
        const READ: Read = Read { name: "t.some", sql: "", arguments: &[], answer: &[] };
        let text = |sql| read(&Read { sql, ..READ });
        assert_eq!(text("SELECT 1").as_deref(), Ok("SELECT 1"));
        assert_eq!(
            text("a {in $1} AND b {in $2}").as_deref(),
            Ok("a IN (SELECT value FROM json_each($1)) AND b IN (SELECT value FROM json_each($2))")
        );
        assert!(text("a {like $1}").is_err());
    }
}
