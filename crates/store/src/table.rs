//! Tables and reads as data: what the renderers of both engines and the tests that enumerate them work from.
//! Leaves the tables themselves to the services' migrations.

use crate::Kind;

/// A column's name and what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// As in the migrations.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

impl Column {
    /// A column of integers.
    #[must_use]
    pub const fn int(name: &'static str) -> Self {
        Self { name, kind: Kind::Int }
    }

    /// A column of text.
    #[must_use]
    pub const fn text(name: &'static str) -> Self {
        Self { name, kind: Kind::Text }
    }

    /// A column of bytes.
    #[must_use]
    pub const fn blob(name: &'static str) -> Self {
        Self { name, kind: Kind::Blob }
    }

    /// A column of ids.
    #[must_use]
    pub const fn id(name: &'static str) -> Self {
        Self { name, kind: Kind::Id }
    }
}

/// Whether a table's rows follow their bucket to another shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rows {
    /// They move with their bucket; the table has a column `bucket`.
    Move,
    /// They belong to the shard: outboxes, copies, leases.
    Stay,
}

/// A table. Besides the columns named here each has `version BIGINT`: 1 when inserted, one more with every change.
#[derive(Debug)]
pub struct Table {
    /// Prefixed by its service, as `orders_order`.
    pub name: &'static str,
    /// The columns that tell its rows apart, in the order of a key's values.
    pub key: &'static [Column],
    /// The other columns.
    pub columns: &'static [Column],
    /// Whether its rows follow their bucket.
    pub rows: Rows,
}

impl Table {
    /// All columns, the key's first: the order of a row's values.
    pub fn all(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().chain(self.columns)
    }

    /// The index of the column `name` among all columns.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.all().position(|column| column.name == name)
    }
}

/// A named read: one SQL text with `$1 … $n` for all engines.
///
/// The numbers first appear in order (SQLite numbers them by appearance). Tokens, the closed table of dialect:
/// `{in $n}` compares with each text of a list argument: `WHERE topic {in $2}`. There is no other.
#[derive(Debug)]
pub struct Read {
    /// As `orders.order-by-state`, for errors and measures.
    pub name: &'static str,
    /// The statement; only `SELECT` or `WITH`.
    pub sql: &'static str,
    /// What each argument holds.
    pub arguments: &'static [Kind],
    /// What each column of the answer holds.
    pub answer: &'static [Kind],
}
