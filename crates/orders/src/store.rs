//! The rows of orders and every read of them, named.
//! Leaves what is read together, and why, to `service` and `http`.

use contracts::delivery::Store;
use contracts::{CartId, OrderId, Sku, SlotKey, StoreId};
use engine::{Document, Handle, document_columns, tally};
use kernel::{Bucket, Fault, Id, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Column, Error, Kind, Migration, Read, Row, Rows, Table, Value};

use crate::domain::cart::Cart;
use crate::domain::order::Order;
use crate::domain::pricing::Offer;

/// The name of the service.
pub(crate) const SERVICE: &str = "orders";

/// Its migrations.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        service: SERVICE,
        number: 1,
        name: "carts-and-orders",
        sql: include_str!("../migrations/0001_carts_and_orders.sql"),
    },
    Migration { service: SERVICE, number: 2, name: "undecided", sql: include_str!("../migrations/0002_undecided.sql") },
];

/// Its tables.
pub(crate) static TABLES: &[&Table] = &[&CART, &ORDER, &STORE, &LISTING, &SLOT, &SECRET];

/// Its reads.
pub(crate) static READS: &[&Read] =
    &[&STORES, &LISTING_KEYS, &SLOT_KEYS, &ORDERS_OF_STORE, &ORDERS_OF_CUSTOMER, &ORDERS_ALL, &ORDER_UNDECIDED];

static CART: Table = Table { name: "orders_cart", key: &[Column::id("id")], columns: document_columns![], rows: Rows::Move };

static ORDER: Table = Table {
    name: "orders_order",
    key: &[Column::id("id")],
    columns: document_columns![Column::id("store"), Column::text("state"), Column::id("customer")],
    rows: Rows::Move,
};

static STORE: Table = Table { name: "orders_store", key: &[Column::id("id")], columns: document_columns![], rows: Rows::Stay };

impl Document for Cart {
    type Id = CartId;
    const TABLE: &'static Table = &CART;

    fn id(&self) -> CartId {
        self.id
    }

    fn id_values(id: &CartId) -> store::Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.id.bucket()
    }
}

impl Document for Order {
    type Id = OrderId;
    const TABLE: &'static Table = &ORDER;

    fn id(&self) -> OrderId {
        self.id
    }

    fn id_values(id: &OrderId) -> store::Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.id.bucket()
    }

    fn search(&self) -> Vec<Value> {
        vec![self.store.0.into(), self.state.as_str().into(), self.customer.map(|customer| customer.0).into()]
    }
}

/// The copy of a store.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct StoreCopy(pub(crate) Store);

impl Document for StoreCopy {
    type Id = StoreId;
    const TABLE: &'static Table = &STORE;

    fn id(&self) -> StoreId {
        self.0.id
    }

    fn id_values(id: &StoreId) -> store::Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.0.id.bucket()
    }
}

tally! {
    /// The copy of what a store lists of a SKU.
    pub(crate) struct ListingCopy in LISTING = "orders_listing", Stay {
        key { store: StoreId, sku: Sku, }
        name: String,
        price_minor: i64,
        tax_class: String,
        listed: bool,
    }
}

impl ListingCopy {
    /// What pricing needs of it.
    pub(crate) fn offer(&self) -> Offer {
        Offer { name: self.name.clone(), price_minor: self.price_minor, tax_class: self.tax_class.clone(), listed: self.listed }
    }
}

tally! {
    /// The copy of a slot that can be ordered.
    pub(crate) struct SlotCopy in SLOT = "orders_slot", Stay {
        key { store: StoreId, starts_at: SlotKey, }
        ends_at: Timestamp,
        cutoff_at: Timestamp,
    }
}

tally! {
    /// A key made once.
    pub(crate) struct Secret in SECRET = "orders_secret", Stay {
        key { name: String, }
        bytes: Vec<u8>,
    }
}

/// All stores: limit.
pub(crate) static STORES: Read = Read {
    name: "orders.stores",
    sql: "SELECT id, bucket, doc_v, doc FROM orders_store ORDER BY id LIMIT $1",
    arguments: &[Kind::Int],
    answer: &[Kind::Id, Kind::Int, Kind::Int, Kind::Text],
};

/// The orders of a store in a state, oldest first: store, state, after, limit.
pub(crate) static ORDERS_OF_STORE: Read = Read {
    name: "orders.orders-of-store",
    sql: "SELECT id, bucket, store, state, customer, doc_v, doc FROM orders_order \
          WHERE store = $1 AND state = $2 AND id > $3 ORDER BY id LIMIT $4",
    arguments: &[Kind::Id, Kind::Text, Kind::Id, Kind::Int],
    answer: ORDER_ANSWER,
};

/// The orders of a customer, newest first: customer, before, limit.
pub(crate) static ORDERS_OF_CUSTOMER: Read = Read {
    name: "orders.orders-of-customer",
    sql: "SELECT id, bucket, store, state, customer, doc_v, doc FROM orders_order \
          WHERE customer = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
    arguments: &[Kind::Id, Kind::Id, Kind::Int],
    answer: ORDER_ANSWER,
};

/// All orders by id: after, limit.
pub(crate) static ORDERS_ALL: Read = Read {
    name: "orders.orders-all",
    sql: "SELECT id, bucket, store, state, customer, doc_v, doc FROM orders_order WHERE id > $1 ORDER BY id LIMIT $2",
    arguments: &[Kind::Id, Kind::Int],
    answer: ORDER_ANSWER,
};

/// The oldest order that is neither promised nor ended; its id says when it was placed.
static ORDER_UNDECIDED: Read = Read {
    name: "orders.order-undecided",
    sql: "SELECT id FROM orders_order WHERE state IN ('placed', 'reserved', 'authorised') ORDER BY id LIMIT 1",
    arguments: &[],
    answer: &[Kind::Id],
};

const ORDER_ANSWER: &[Kind] = &[Kind::Id, Kind::Int, Kind::Id, Kind::Text, Kind::Id, Kind::Int, Kind::Text];

/// The keys of all copies of listings: store and SKU after which, limit.
static LISTING_KEYS: Read = Read {
    name: "orders.listing-keys",
    sql: "SELECT store, sku FROM orders_listing WHERE (store, sku) > ($1, $2) ORDER BY store, sku LIMIT $3",
    arguments: &[Kind::Id, Kind::Text, Kind::Int],
    answer: &[Kind::Id, Kind::Text],
};

/// The keys of all copies of slots: store and beginning after which, limit.
static SLOT_KEYS: Read = Read {
    name: "orders.slot-keys",
    sql: "SELECT store, starts_at FROM orders_slot WHERE (store, starts_at) > ($1, $2) ORDER BY store, starts_at LIMIT $3",
    arguments: &[Kind::Id, Kind::Int, Kind::Int],
    answer: &[Kind::Id, Kind::Int],
};

/// When the oldest order was placed that is neither promised nor ended, if there is one.
pub(crate) async fn undecided_since(handle: &Handle) -> Result<Option<Timestamp>, Fault> {
    let rows = handle.read(&ORDER_UNDECIDED, Vec::new()).await?;
    let id = rows.first().map(|row| row.id(0)).transpose().map_err(|error| Fault::internal(error.to_string()))?;
    Ok(id.map(Id::made_at))
}

/// Up to `limit` keys of copies of listings after `after`, in their order.
pub(crate) async fn listing_keys(
    handle: &Handle,
    after: Option<(StoreId, Sku)>,
    limit: i64,
) -> Result<Vec<(StoreId, Sku)>, Fault> {
    let (store, sku) = after.map_or((Id::from_bytes([0; 16]), String::new()), |(store, sku)| (store.0, sku.into()));
    let rows = handle.read(&LISTING_KEYS, vec![store.into(), sku.into(), limit.into()]).await?;
    let key = |row: &Row| Ok((StoreId(row.id(0)?), <Sku as engine::Field>::of(row, 1)?));
    rows.iter().map(|row| key(row).map_err(|error: Error| Fault::internal(error.to_string()))).collect()
}

/// Up to `limit` keys of copies of slots after `after`, in their order.
pub(crate) async fn slot_keys(
    handle: &Handle,
    after: Option<(StoreId, SlotKey)>,
    limit: i64,
) -> Result<Vec<(StoreId, SlotKey)>, Fault> {
    let (store, starts_at) = after.map_or((Id::from_bytes([0; 16]), i64::MIN), |(store, slot)| (store.0, slot.0.as_micros()));
    let rows = handle.read(&SLOT_KEYS, vec![store.into(), starts_at.into(), limit.into()]).await?;
    let key = |row: &Row| Ok((StoreId(row.id(0)?), SlotKey(row.time(1)?)));
    rows.iter().map(|row| key(row).map_err(|error: Error| Fault::internal(error.to_string()))).collect()
}
