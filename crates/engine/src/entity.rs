//! What a decider loads and saves: rows with a type. A document keeps its key columns and the whole of itself as JSON;
//! a tally keeps plain columns. Leaves the rows' way to the database to `store`.

use kernel::Bucket;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Error, Key, Row, Table, Value};

/// A row with a type. Its values stand in the order of its table's columns.
pub trait Entity: Clone + Send + Sync + 'static {
    /// What tells one from another.
    type Key: Clone + Send + Sync + 'static;
    /// Where its rows are.
    const TABLE: &'static Table;
    /// Integer columns that are written as differences, so that rivals on another process add up instead of clashing.
    /// A difference that would bring a column below 0 is refused.
    const TALLIES: &'static [&'static str] = &[];

    /// Its key.
    fn key(&self) -> Self::Key;
    /// The key as values of the key's columns.
    fn key_values(key: &Self::Key) -> Key;
    /// All its values.
    fn to_row(&self) -> Vec<Value>;
    /// From all its values; the version may follow and is ignored.
    ///
    /// # Errors
    /// [`Error::Broken`] if a column does not hold what it should.
    fn from_row(row: &Row) -> Result<Self, Error>;
}

/// An aggregate that is loaded whole: key columns, then `bucket`, its search columns, `doc_v` and `doc`.
/// Its table's columns come from [`document_columns!`](crate::document_columns).
pub trait Document: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// What tells one from another.
    type Id: Clone + Send + Sync + 'static;
    /// Where its rows are.
    const TABLE: &'static Table;
    /// The version of the document's form; old forms are raised in [`Document::upcast`].
    const DOC_V: i64 = 1;

    /// What tells it from others.
    fn id(&self) -> Self::Id;
    /// The id as values of the key's columns.
    fn id_values(id: &Self::Id) -> Key;
    /// The bucket it moves with.
    fn bucket(&self) -> Bucket;
    /// The values of the search columns, from the document itself, so that they cannot drift.
    fn search(&self) -> Vec<Value> {
        Vec::new()
    }
    /// Raises a stored form of an older version to today's; pure.
    ///
    /// # Errors
    /// [`Error::Broken`] if the version is unknown.
    fn upcast(doc_v: i64, _doc: serde_json::Value) -> Result<serde_json::Value, Error> {
        Err(Error::Broken(format!("a document of version {doc_v} is not known to this program")))
    }
}

impl<D: Document> Entity for D {
    type Key = D::Id;
    const TABLE: &'static Table = D::TABLE;

    fn key(&self) -> D::Id {
        self.id()
    }

    fn key_values(key: &D::Id) -> Key {
        D::id_values(key)
    }

    fn to_row(&self) -> Vec<Value> {
        let mut row = D::id_values(&self.id());
        row.push(self.bucket().into());
        row.extend(self.search());
        row.push(D::DOC_V.into());
        row.push(serde_json::to_string(self).expect("a document's type is representable in JSON").into());
        row
    }

    fn from_row(row: &Row) -> Result<D, Error> {
        let doc_at = D::TABLE.key.len() + D::TABLE.columns.len() - 1;
        let (doc_v, doc) = (row.int(doc_at - 1)?, row.text(doc_at)?);
        let broken = |error: serde_json::Error| Error::Broken(format!("{}: {error}", D::TABLE.name));
        if doc_v == D::DOC_V {
            return serde_json::from_str(doc).map_err(broken);
        }
        let raised = D::upcast(doc_v, serde_json::from_str(doc).map_err(broken)?)?;
        serde_json::from_value(raised).map_err(broken)
    }
}

/// The columns of a document's table after its key: `bucket`, the search columns given, `doc_v`, `doc`.
#[macro_export]
macro_rules! document_columns {
    ($($search:expr),* $(,)?) => {
        &[store::Column::int("bucket"), $($search,)* store::Column::int("doc_v"), store::Column::text("doc")]
    };
}
