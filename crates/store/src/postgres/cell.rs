//! The five kinds of value on PostgreSQL's wire, in both directions, one by one and as arrays.
//! Leaves the statements that carry them to `render`.

use std::error::Error as StdError;

use bytes::{BufMut, BytesMut};
use kernel::Id;
use postgres_types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use crate::{Error, Kind, Row, Value};

type Refusal = Box<dyn StdError + Sync + Send>;

/// A value on its way to the server. A `Vec` of them is an array.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Cell<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Blob(&'a [u8]),
    Id(&'a [u8; 16]),
    Texts(&'a [String]),
}

impl<'a> Cell<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Int(value) => Self::Int(*value),
            Value::Text(value) => Self::Text(value),
            Value::Blob(value) => Self::Blob(value),
            Value::Id(value) => Self::Id(value.as_bytes()),
            Value::Texts(value) => Self::Texts(value),
        }
    }

    /// About how many bytes it takes on the wire.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Null => 4,
            Self::Int(_) => 12,
            Self::Text(value) => 4 + value.len(),
            Self::Blob(value) => 4 + value.len(),
            Self::Id(_) => 20,
            Self::Texts(value) => value.iter().map(|text| 4 + text.len()).sum(),
        }
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Refusal> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Int(value) => out.put_i64(*value),
            Self::Text(value) => out.put_slice(value.as_bytes()),
            Self::Blob(value) => out.put_slice(value),
            Self::Id(value) => out.put_slice(*value),
            Self::Texts(value) => return value.to_sql(ty, out),
        }
        Ok(IsNull::No)
    }

    accepts!(INT8, TEXT, BYTEA, UUID, TEXT_ARRAY);
    to_sql_checked!();
}

/// The server's type of a `kind`.
pub(super) fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Int => Type::INT8,
        Kind::Text => Type::TEXT,
        Kind::Blob => Type::BYTEA,
        Kind::Id => Type::UUID,
        Kind::Texts => Type::TEXT_ARRAY,
    }
}

/// The kind that a column of an answer holds. Small integers and truth values count as integers, as on SQLite.
pub(super) fn kind_of(ty: &Type) -> Option<Kind> {
    match *ty {
        Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL => Some(Kind::Int),
        Type::TEXT | Type::VARCHAR => Some(Kind::Text),
        Type::BYTEA => Some(Kind::Blob),
        Type::UUID => Some(Kind::Id),
        _ => None,
    }
}

struct Found(Value);

impl<'a> FromSql<'a> for Found {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Refusal> {
        let value = match *ty {
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Value::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Value::Int(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Value::Int(bool::from_sql(ty, raw)?.into()),
            Type::BYTEA => Value::Blob(raw.to_vec()),
            Type::UUID => Value::Id(Id::from_bytes(raw.try_into()?)),
            _ => Value::Text(String::from_sql(ty, raw)?),
        };
        Ok(Self(value))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Refusal> {
        Ok(Self(Value::Null))
    }

    accepts!(INT8, INT4, INT2, BOOL, TEXT, VARCHAR, BYTEA, UUID);
}

/// The values of an answer's row.
pub(super) fn decode(row: &tokio_postgres::Row) -> Result<Row, Error> {
    let value = |column| row.try_get::<_, Found>(column).map(|found| found.0);
    (0..row.len()).map(value).collect::<Result<_, _>>().map(Row).map_err(|error| Error::Broken(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let id = Id::from_bytes([9; 16]);
        for (kind, value) in [
            (Kind::Int, Value::Int(-5)),
            (Kind::Text, "grüße".into()),
            (Kind::Blob, vec![0_u8, 255].into()),
            (Kind::Id, id.into()),
        ] {
            let mut out = BytesMut::new();
            Cell::of(&value).to_sql_checked(&type_of(kind), &mut out).unwrap();
            assert_eq!(Found::from_sql(&type_of(kind), &out).unwrap().0, value);
        }
    }
}
