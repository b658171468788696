//! The rows of catalog and every read of them, named.
//! Leaves what is read together, and why, to `service` and `http`.

use contracts::{ProductId, Sku, StoreId};
use engine::{Document, Handle, document_columns, tally};
use kernel::{Bucket, Fault, Id};
use store::{Column, Kind, Migration, Read, Row, Rows, Table, Value};

use crate::domain::category::{Category, Slug};
use crate::domain::listing::{Availability, KnownStore, Listing};
use crate::domain::product::Product;

/// The name of the service.
pub(crate) const SERVICE: &str = "catalog";

/// Its migrations.
pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration { service: SERVICE, number: 1, name: "catalog", sql: include_str!("../migrations/0001_catalog.sql") }];

/// Its tables.
pub(crate) static TABLES: &[&Table] = &[&CATEGORY, &PRODUCT, &SKU, &LISTING, &WORD, &STORE, &SUPPLY];

/// Its reads.
pub(crate) static READS: &[&Read] = &[&CATEGORIES, &SKUS, &LISTING_KEYS, &LISTED, &LISTED_IN_CATEGORY, &LISTED_WITH_WORDS];

static CATEGORY: Table = Table {
    name: "catalog_category",
    key: &[Column::text("slug")],
    columns: document_columns![Column::int("position")],
    rows: Rows::Stay,
};

static PRODUCT: Table =
    Table { name: "catalog_product", key: &[Column::id("id")], columns: document_columns![], rows: Rows::Stay };

static LISTING: Table = Table {
    name: "catalog_listing",
    key: &[Column::id("store"), Column::text("sku")],
    columns: document_columns![Column::text("category"), Column::int("listed"), Column::text("sort_name")],
    rows: Rows::Stay,
};

static STORE: Table = Table { name: "catalog_store", key: &[Column::id("id")], columns: document_columns![], rows: Rows::Stay };

impl Document for Category {
    type Id = Slug;
    const TABLE: &'static Table = &CATEGORY;

    fn id(&self) -> Slug {
        self.slug.clone()
    }

    fn id_values(slug: &Slug) -> store::Key {
        vec![slug.as_str().into()]
    }

    fn bucket(&self) -> Bucket {
        // Categories are few and say nothing to others: there is nothing to spread.
        Bucket(0)
    }

    fn search(&self) -> Vec<Value> {
        vec![self.position.into()]
    }
}

impl Document for Product {
    type Id = ProductId;
    const TABLE: &'static Table = &PRODUCT;

    fn id(&self) -> ProductId {
        self.id
    }

    fn id_values(id: &ProductId) -> store::Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.id.bucket()
    }
}

impl Document for Listing {
    type Id = (StoreId, Sku);
    const TABLE: &'static Table = &LISTING;

    fn id(&self) -> (StoreId, Sku) {
        (self.store, self.sku.clone())
    }

    fn id_values((store, sku): &(StoreId, Sku)) -> store::Key {
        vec![store.0.into(), sku.as_str().into()]
    }

    fn bucket(&self) -> Bucket {
        self.product.bucket()
    }

    fn search(&self) -> Vec<Value> {
        vec![self.category.as_str().into(), self.listed.into(), self.sort_name().into()]
    }
}

impl Document for KnownStore {
    type Id = StoreId;
    const TABLE: &'static Table = &STORE;

    fn id(&self) -> StoreId {
        self.id
    }

    fn id_values(id: &StoreId) -> store::Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.id.bucket()
    }
}

tally! {
    /// Which product has a SKU.
    pub(crate) struct SkuOwner in SKU = "catalog_sku", Stay {
        key { sku: Sku, }
        product: ProductId,
    }
}

tally! {
    /// A word by which a listing is found.
    pub(crate) struct Word in WORD = "catalog_word", Stay {
        key { store: StoreId, word: String, sku: Sku, }
    }
}

tally! {
    /// The copy of how much is left, as a word.
    pub(crate) struct Supply in SUPPLY = "catalog_supply", Stay {
        key { store: StoreId, sku: Sku, }
        band: String,
    }
}

/// Categories as they stand: after position, after slug, limit.
pub(crate) static CATEGORIES: Read = Read {
    name: "catalog.categories",
    sql: "SELECT slug, bucket, position, doc_v, doc FROM catalog_category \
          WHERE (position, slug) > ($1, $2) ORDER BY position, slug LIMIT $3",
    arguments: &[Kind::Int, Kind::Text, Kind::Int],
    answer: &[Kind::Text, Kind::Int, Kind::Int, Kind::Int, Kind::Text],
};

/// SKUs and their products: after, limit.
pub(crate) static SKUS: Read = Read {
    name: "catalog.skus",
    sql: "SELECT sku, product FROM catalog_sku WHERE sku > $1 ORDER BY sku LIMIT $2",
    arguments: &[Kind::Text, Kind::Int],
    answer: &[Kind::Text, Kind::Id],
};

/// The keys of all listings: store and SKU after which, limit.
static LISTING_KEYS: Read = Read {
    name: "catalog.listing-keys",
    sql: "SELECT store, sku FROM catalog_listing WHERE (store, sku) > ($1, $2) ORDER BY store, sku LIMIT $3",
    arguments: &[Kind::Id, Kind::Text, Kind::Int],
    answer: &[Kind::Id, Kind::Text],
};

/// The beginning of every read of listings: the columns of a listing, then its band.
macro_rules! listings {
    ($($condition:literal)*) => {
        concat!(
            "SELECT l.store, l.sku, l.bucket, l.category, l.listed, l.sort_name, l.doc_v, l.doc, s.band \
             FROM catalog_listing l LEFT JOIN catalog_supply s ON s.store = l.store AND s.sku = l.sku \
             WHERE l.store = $1 AND l.listed = 1",
            $($condition,)*
        )
    };
}

const LISTED_ANSWER: &[Kind] =
    &[Kind::Id, Kind::Text, Kind::Int, Kind::Text, Kind::Int, Kind::Text, Kind::Int, Kind::Text, Kind::Text];

/// What a store sells, by name: store, after name, after SKU, limit.
pub(crate) static LISTED: Read = Read {
    name: "catalog.listed",
    sql: listings!(" AND (l.sort_name, l.sku) > ($2, $3) ORDER BY l.sort_name, l.sku LIMIT $4"),
    arguments: &[Kind::Id, Kind::Text, Kind::Text, Kind::Int],
    answer: LISTED_ANSWER,
};

/// What a store sells of a category, by name: store, category, after name, after SKU, limit.
pub(crate) static LISTED_IN_CATEGORY: Read = Read {
    name: "catalog.listed-in-category",
    sql: listings!(" AND l.category = $2 AND (l.sort_name, l.sku) > ($3, $4) ORDER BY l.sort_name, l.sku LIMIT $5"),
    arguments: &[Kind::Id, Kind::Text, Kind::Text, Kind::Text, Kind::Int],
    answer: LISTED_ANSWER,
};

/// The listings of a store that have a word in a range.
macro_rules! with_word {
    ($from:literal, $below:literal) => {
        concat!(
            " AND l.sku IN (SELECT w.sku FROM catalog_word w WHERE w.store = $1 AND w.word >= ",
            $from,
            " AND w.word < ",
            $below,
            ")"
        )
    };
}

/// What a store sells that has a word in each of six ranges, by name: store, category or nothing, after name, after SKU,
/// the ranges' ends, limit. A search for fewer words names one of its ranges again.
pub(crate) static LISTED_WITH_WORDS: Read = Read {
    name: "catalog.listed-with-words",
    sql: concat!(
        listings!(" AND ($2 = '' OR l.category = $2) AND (l.sort_name, l.sku) > ($3, $4)"),
        with_word!("$5", "$6"),
        with_word!("$7", "$8"),
        with_word!("$9", "$10"),
        with_word!("$11", "$12"),
        with_word!("$13", "$14"),
        with_word!("$15", "$16"),
        " ORDER BY l.sort_name, l.sku LIMIT $17"
    ),
    arguments: &[
        Kind::Id,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Int,
    ],
    answer: LISTED_ANSWER,
};

/// Up to `limit` keys of listings after `after`, in their order.
pub(crate) async fn listing_keys(
    handle: &Handle,
    after: Option<(StoreId, Sku)>,
    limit: i64,
) -> Result<Vec<(StoreId, Sku)>, Fault> {
    let (store, sku) = after.map_or((Id::from_bytes([0; 16]), String::new()), |(store, sku)| (store.0, sku.into()));
    let rows = handle.read(&LISTING_KEYS, vec![store.into(), sku.into(), limit.into()]).await?;
    rows.iter().map(|row| Ok((StoreId(row.id(0).map_err(broken)?), sku_in(row, 1)?))).collect()
}

/// The listing in a row of such a read, and what its band says.
pub(crate) fn listed(row: &Row) -> Result<(Listing, Availability), Fault> {
    let band = LISTED_ANSWER.len() - 1;
    let availability =
        if row.is_null(band) { Availability::Unknown } else { Availability::of_word(row.text(band).map_err(broken)?) };
    Ok((document(row)?, availability))
}

/// The document in a row that begins with its table's columns.
pub(crate) fn document<D: Document>(row: &Row) -> Result<D, Fault> {
    <D as engine::Entity>::from_row(row).map_err(broken)
}

/// The SKU and the product in a row of [`SKUS`].
pub(crate) fn sku_owner(row: &Row) -> Result<(Sku, ProductId), Fault> {
    Ok((sku_in(row, 0)?, ProductId(row.id(1).map_err(broken)?)))
}

fn sku_in(row: &Row, index: usize) -> Result<Sku, Fault> {
    row.text(index).map_err(broken)?.parse().map_err(|error: contracts::WordError| Fault::internal(error.to_string()))
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn broken(error: store::Error) -> Fault {
    Fault::internal(error.to_string())
}
