//! Tallies: entities of plain columns, declared once; the struct, its table and its way to and from rows follow.
//! Leaves aggregates that are loaded whole to [`Document`](crate::Document).

use contracts::{CartId, OrderId, PersonId, ProductId, Sku, SlotKey, StoreId};
use kernel::{Bucket, Id, Timestamp};
use store::{Error, Kind, Row, Value};

/// What a tally's column may hold.
pub trait Field: Sized {
    /// The column's kind.
    const KIND: Kind;
    /// Its value.
    fn value(&self) -> Value;
    /// From column `index` of `row`.
    ///
    /// # Errors
    /// [`Error::Broken`] if the column does not hold what it should.
    fn of(row: &Row, index: usize) -> Result<Self, Error>;
}

macro_rules! fields {
    ($($type:ty: $kind:ident, |$this:ident| $value:expr, |$row:ident, $index:ident| $of:expr;)+) => {$(
        impl Field for $type {
            const KIND: Kind = Kind::$kind;

            fn value(&self) -> Value {
                let $this = self;
                $value.into()
            }

            fn of($row: &Row, $index: usize) -> Result<Self, Error> {
                $of
            }
        }
    )+};
}

fields! {
    String: Text, |this| this.clone(), |row, index| row.text(index).map(str::to_owned);
    i64: Int, |this| *this, |row, index| row.int(index);
    bool: Int, |this| *this, |row, index| row.int(index).map(|value| value != 0);
    Vec<u8>: Blob, |this| this.clone(), |row, index| row.blob(index).map(<[u8]>::to_vec);
    Timestamp: Int, |this| *this, |row, index| row.time(index);
    SlotKey: Int, |this| this.0, |row, index| row.time(index).map(SlotKey);
    Id: Id, |this| *this, |row, index| row.id(index);
    CartId: Id, |this| this.0, |row, index| row.id(index).map(CartId);
    OrderId: Id, |this| this.0, |row, index| row.id(index).map(OrderId);
    StoreId: Id, |this| this.0, |row, index| row.id(index).map(StoreId);
    ProductId: Id, |this| this.0, |row, index| row.id(index).map(ProductId);
    PersonId: Id, |this| this.0, |row, index| row.id(index).map(PersonId);
    Sku: Text, |this| this.as_str(), |row, index| {
        row.text(index)?.parse().map_err(|_| Error::Broken(format!("column {index}: not a SKU")))
    };
    Bucket: Int, |this| *this, |row, index| {
        let number = row.int(index)?;
        u16::try_from(number).map(Bucket).map_err(|_| Error::Broken(format!("column {index}: {number} is no bucket")))
    };
}

impl<T: Field> Field for Option<T> {
    const KIND: Kind = T::KIND;

    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::value)
    }

    fn of(row: &Row, index: usize) -> Result<Self, Error> {
        if row.is_null(index) { Ok(None) } else { T::of(row, index).map(Some) }
    }
}

/// Declares a tally: the struct, the static [`Table`](store::Table) named after `in`, and its [`Entity`](crate::Entity).
/// Columns listed under `adds`, before the key, are written as differences that never bring them below 0.
#[macro_export]
macro_rules! tally {
    ($(#[$doc:meta])* $vis:vis struct $name:ident in $table:ident = $sql:literal, $rows:ident {
        $(adds [$($add:ident),+])?
        key { $($(#[$key_doc:meta])* $key:ident: $key_type:ty,)+ }
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Debug)]
        $vis struct $name {
            $($(#[$key_doc])* $vis $key: $key_type,)+
            $($(#[$field_doc])* $vis $field: $type,)*
        }

        #[doc = concat!("The table `", $sql, "`.")]
        $vis static $table: store::Table = store::Table {
            name: $sql,
            key: &[$(store::Column { name: stringify!($key), kind: <$key_type as $crate::Field>::KIND },)+],
            columns: &[$(store::Column { name: stringify!($field), kind: <$type as $crate::Field>::KIND },)*],
            rows: store::Rows::$rows,
        };

        impl $crate::Entity for $name {
            type Key = ($($key_type,)+);
            const TABLE: &'static store::Table = &$table;
            $(const TALLIES: &'static [&'static str] = &[$(stringify!($add)),+];)?

            fn key(&self) -> Self::Key {
                ($(self.$key.clone(),)+)
            }

            fn key_values(($($key,)+): &Self::Key) -> store::Key {
                vec![$($crate::Field::value($key),)+]
            }

            fn to_row(&self) -> Vec<store::Value> {
                vec![$($crate::Field::value(&self.$key),)+ $($crate::Field::value(&self.$field),)*]
            }

            fn from_row(row: &store::Row) -> Result<Self, store::Error> {
                let mut index = 0..;
                let mut next = || index.next().unwrap_or_default();
                Ok(Self { $($key: $crate::Field::of(row, next())?,)+ $($field: $crate::Field::of(row, next())?,)* })
            }
        }
    };
}
