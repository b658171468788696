//! The five kinds of value that a row may hold, the same on every engine, and rows of them.
//! Leaves their form on the wire of a database to the engines.

use kernel::{Bucket, Id, Timestamp};

use crate::Error;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A 64-bit integer: counts, minor units of money, microseconds, booleans as 0 and 1.
    Int,
    /// Text in UTF-8, compared byte by byte. Documents are text too.
    Text,
    /// Bytes.
    Blob,
    /// A [`kernel::Id`]: `uuid` on PostgreSQL, 16 bytes on SQLite.
    Id,
    /// A list of texts; only for an argument of a read under the token `{in $n}`, never a column.
    Texts,
}

/// One value of a row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// A 64-bit integer.
    Int(i64),
    /// Text or a document.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// An id.
    Id(Id),
    /// A list of texts; only for an argument of a read.
    Texts(Vec<String>),
}

macro_rules! value_from {
    ($($from:ty => |$value:ident| $to:expr;)+) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        }
    )+};
}

value_from! {
    i64 => |value| Self::Int(value);
    u32 => |value| Self::Int(i64::from(value));
    bool => |value| Self::Int(i64::from(value));
    &str => |value| Self::Text(value.to_owned());
    String => |value| Self::Text(value);
    Vec<u8> => |value| Self::Blob(value);
    Id => |value| Self::Id(value);
    Bucket => |value| Self::Int(i64::from(value.0));
    Timestamp => |value| Self::Int(value.as_micros());
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The values of one row in the order of the columns that were asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// The integer in column `index`.
    ///
    /// # Errors
    /// [`Error::Broken`] if there is none or it is of another kind, as for all getters.
    pub fn int(&self, index: usize) -> Result<i64, Error> {
        match self.0.get(index) {
            Some(Value::Int(value)) => Ok(*value),
            other => Err(unexpected(index, "an integer", other)),
        }
    }

    /// The text in column `index`.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn text(&self, index: usize) -> Result<&str, Error> {
        match self.0.get(index) {
            Some(Value::Text(value)) => Ok(value),
            other => Err(unexpected(index, "text", other)),
        }
    }

    /// The bytes in column `index`.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn blob(&self, index: usize) -> Result<&[u8], Error> {
        match self.0.get(index) {
            Some(Value::Blob(value)) => Ok(value),
            other => Err(unexpected(index, "bytes", other)),
        }
    }

    /// The id in column `index`.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn id(&self, index: usize) -> Result<Id, Error> {
        match self.0.get(index) {
            Some(Value::Id(value)) => Ok(*value),
            other => Err(unexpected(index, "an id", other)),
        }
    }

    /// The instant in column `index`.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn time(&self, index: usize) -> Result<Timestamp, Error> {
        self.int(index).map(Timestamp::from_micros)
    }

    /// Whether column `index` holds nothing.
    #[must_use]
    pub fn is_null(&self, index: usize) -> bool {
        matches!(self.0.get(index), Some(Value::Null) | None)
    }
}

fn unexpected(index: usize, wanted: &str, found: Option<&Value>) -> Error {
    let found = match found {
        None => "no such column",
        Some(Value::Null) => "null",
        Some(Value::Int(_)) => "an integer",
        Some(Value::Text(_)) => "text",
        Some(Value::Blob(_)) => "bytes",
        Some(Value::Id(_)) => "an id",
        Some(Value::Texts(_)) => "a list",
    };
    Error::Broken(format!("column {index}: expected {wanted}, found {found}"))
}
