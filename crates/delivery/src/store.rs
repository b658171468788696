//! The tables of delivery, its documents, and its reads by name.
//! Leaves what rows mean to `domain`, and writing them to the executor.

use contracts::{OrderId, PersonId, StoreId};
use engine::{Document, Entity, Handle, document_columns};
use kernel::{Bucket, Fault, Id, Timestamp};
use store::{Column, Error, Key, Kind, Migration, Read, Row, Rows, Table, Value};
use web::{Listing, Page};

use crate::domain::courier::Courier;
use crate::domain::delivery::Delivery;
use crate::domain::state::State;
use crate::domain::store::StoreRecord;

/// The name of the service.
pub(crate) const SERVICE: &str = "delivery";

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        service: SERVICE,
        number: 1,
        name: "stores-deliveries-couriers",
        sql: include_str!("../migrations/0001_stores_deliveries_couriers.sql"),
    },
    Migration { service: SERVICE, number: 2, name: "ways-out", sql: include_str!("../migrations/0002_ways_out.sql") },
];

pub(crate) static STORE: Table =
    Table { name: "delivery_store", key: &[Column::id("id")], columns: document_columns!(), rows: Rows::Stay };

pub(crate) static DELIVERY: Table = Table {
    name: "delivery_delivery",
    key: &[Column::id("id")],
    columns: document_columns!(
        Column::text("state"),
        Column::id("store"),
        Column::id("holder"),
        Column::text("goods"),
        Column::int("settled"),
        Column::int("accepted"),
        Column::int("created_at"),
        Column::int("ready_at"),
    ),
    rows: Rows::Move,
};

pub(crate) static COURIER: Table = Table {
    name: "delivery_courier",
    key: &[Column::id("id")],
    columns: document_columns!(Column::id("store"), Column::text("duty"), Column::id("task"), Column::int("since")),
    rows: Rows::Stay,
};

pub(crate) static TABLES: &[&Table] = &[&STORE, &DELIVERY, &COURIER];

impl Document for StoreRecord {
    type Id = StoreId;
    const TABLE: &'static Table = &STORE;

    fn id(&self) -> StoreId {
        self.store.id
    }

    fn id_values(id: &StoreId) -> Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.store.id.bucket()
    }
}

impl Document for Delivery {
    type Id = OrderId;
    const TABLE: &'static Table = &DELIVERY;

    fn id(&self) -> OrderId {
        self.order
    }

    fn id_values(id: &OrderId) -> Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.order.bucket()
    }

    fn search(&self) -> Vec<Value> {
        vec![
            self.state.as_str().into(),
            self.store().map(|store| store.0).into(),
            self.holder().map(|person| person.0).into(),
            self.goods().as_str().into(),
            i64::from(self.is_settled()).into(),
            self.offers.accepted().into(),
            self.created_at.into(),
            self.ready_at.into(),
        ]
    }
}

impl Document for Courier {
    type Id = PersonId;
    const TABLE: &'static Table = &COURIER;

    fn id(&self) -> PersonId {
        self.person
    }

    fn id_values(id: &PersonId) -> Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.person.bucket()
    }

    fn search(&self) -> Vec<Value> {
        vec![self.store.0.into(), self.duty().as_str().into(), self.order().map(|order| order.0).into(), self.since.into()]
    }
}

pub(crate) static READS: &[&Read] = &[
    &STORES_AFTER,
    &DELIVERIES_OF_STORE,
    &DELIVERIES_OF_STORE_IN_STATE,
    &STORES_TO_DISPATCH,
    &DELIVERIES_WAITING,
    &COURIERS_FREE,
    &FACTS_AFTER,
    &ACCEPTED_TWICE,
    &HOLDERS_OF_TWO,
    &DELIVERIES_AT_ODDS,
    &COURIERS_AT_ODDS,
    &GOODS_WITH_NOBODY,
    &ACCEPTED_BY_NOBODY,
];

/// Stores after an id, in the order of ids: id, limit.
static STORES_AFTER: Read = Read {
    name: "delivery.stores-after",
    sql: "SELECT id, bucket, doc_v, doc FROM delivery_store WHERE id > $1 ORDER BY id LIMIT $2",
    arguments: &[Kind::Id, Kind::Int],
    answer: &[Kind::Id, Kind::Int, Kind::Int, Kind::Text],
};

/// A read of whole deliveries.
macro_rules! deliveries {
    ($name:literal, $arguments:expr, $rest:literal) => {
        Read {
            name: $name,
            sql: concat!(
                "SELECT id, bucket, state, store, holder, goods, settled, accepted, created_at, ready_at, doc_v, doc ",
                "FROM delivery_delivery ",
                $rest
            ),
            arguments: $arguments,
            answer: &[
                Kind::Id,
                Kind::Int,
                Kind::Text,
                Kind::Id,
                Kind::Id,
                Kind::Text,
                Kind::Int,
                Kind::Int,
                Kind::Int,
                Kind::Int,
                Kind::Int,
                Kind::Text,
            ],
        }
    };
}

/// Deliveries of a store, the newest first, older than an instant and id: store, instant, id, limit.
static DELIVERIES_OF_STORE: Read = deliveries!(
    "delivery.deliveries-of-store",
    &[Kind::Id, Kind::Int, Kind::Id, Kind::Int],
    "WHERE store = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4"
);

/// The same of those in one state: store, state, instant, id, limit.
static DELIVERIES_OF_STORE_IN_STATE: Read = deliveries!(
    "delivery.deliveries-of-store-in-state",
    &[Kind::Id, Kind::Text, Kind::Int, Kind::Id, Kind::Int],
    "WHERE store = $1 AND state = $2 AND (created_at, id) < ($3, $4) ORDER BY created_at DESC, id DESC LIMIT $5"
);

/// Deliveries of a store that wait for a courier, the longest waiting first: store, limit.
static DELIVERIES_WAITING: Read = deliveries!(
    "delivery.deliveries-waiting",
    &[Kind::Id, Kind::Int],
    "WHERE state = 'unassigned' AND store = $1 ORDER BY ready_at, id LIMIT $2"
);

/// Stores after an id where a courier is free and a delivery waits: id, limit.
static STORES_TO_DISPATCH: Read = Read {
    name: "delivery.stores-to-dispatch",
    sql: "SELECT DISTINCT c.store FROM delivery_courier c WHERE c.duty = 'free' AND c.store > $1 \
          AND EXISTS (SELECT 1 FROM delivery_delivery d WHERE d.state = 'unassigned' AND d.store = c.store) \
          ORDER BY c.store LIMIT $2",
    arguments: &[Kind::Id, Kind::Int],
    answer: &[Kind::Id],
};

/// Couriers of a store who are free, the longest waiting first: store, limit.
static COURIERS_FREE: Read = Read {
    name: "delivery.couriers-free",
    sql: "SELECT id FROM delivery_courier WHERE duty = 'free' AND store = $1 ORDER BY since, id LIMIT $2",
    arguments: &[Kind::Id, Kind::Int],
    answer: &[Kind::Id],
};

/// The state of each delivery after an order, and whether it is settled, in the order of ids: order, limit.
static FACTS_AFTER: Read = Read {
    name: "delivery.facts-after",
    sql: "SELECT id, state, settled FROM delivery_delivery WHERE id > $1 ORDER BY id LIMIT $2",
    arguments: &[Kind::Id, Kind::Int],
    answer: &[Kind::Id, Kind::Text, Kind::Int],
};

/// Deliveries of which more than one offer was accepted: limit.
static ACCEPTED_TWICE: Read = Read {
    name: "delivery.accepted-twice",
    sql: "SELECT id FROM delivery_delivery WHERE accepted > 1 ORDER BY id LIMIT $1",
    arguments: &[Kind::Int],
    answer: &[Kind::Id],
};

/// Couriers who hold more than one delivery: limit.
static HOLDERS_OF_TWO: Read = Read {
    name: "delivery.holders-of-two",
    sql: "SELECT holder FROM delivery_delivery WHERE holder IS NOT NULL GROUP BY holder HAVING COUNT(*) > 1 \
          ORDER BY holder LIMIT $1",
    arguments: &[Kind::Int],
    answer: &[Kind::Id],
};

/// Deliveries that name a courier who does not name them, or not as offered where they are offered: limit.
static DELIVERIES_AT_ODDS: Read = Read {
    name: "delivery.deliveries-at-odds",
    sql: "SELECT d.id FROM delivery_delivery d LEFT JOIN delivery_courier c ON c.id = d.holder \
          WHERE d.holder IS NOT NULL AND (c.id IS NULL OR c.task IS NULL OR c.task <> d.id \
          OR (c.duty = 'offered') <> (d.state = 'offered') OR (d.state <> 'offered' AND d.accepted <> 1)) \
          ORDER BY d.id LIMIT $1",
    arguments: &[Kind::Int],
    answer: &[Kind::Id],
};

/// Couriers who name a delivery that does not name them: limit.
static COURIERS_AT_ODDS: Read = Read {
    name: "delivery.couriers-at-odds",
    sql: "SELECT c.id FROM delivery_courier c LEFT JOIN delivery_delivery d ON d.id = c.task \
          WHERE c.task IS NOT NULL AND (d.id IS NULL OR d.holder IS NULL OR d.holder <> c.id) \
          ORDER BY c.id LIMIT $1",
    arguments: &[Kind::Int],
    answer: &[Kind::Id],
};

/// Deliveries whose goods are with a courier, and nobody knows with whom: limit.
static GOODS_WITH_NOBODY: Read = Read {
    name: "delivery.goods-with-nobody",
    sql: "SELECT id FROM delivery_delivery WHERE settled = 0 AND holder IS NULL \
          AND (goods = 'courier' OR state IN ('picked-up', 'to-dropoff', 'at-dropoff', 'returning')) ORDER BY id LIMIT $1",
    arguments: &[Kind::Int],
    answer: &[Kind::Id],
};

/// Deliveries of which an offer is accepted, and which nobody brings: limit.
static ACCEPTED_BY_NOBODY: Read = Read {
    name: "delivery.accepted-by-nobody",
    sql: "SELECT id FROM delivery_delivery WHERE settled = 0 AND holder IS NULL AND accepted > 0 ORDER BY id LIMIT $1",
    arguments: &[Kind::Int],
    answer: &[Kind::Id],
};

/// What no id comes before.
fn first() -> Id {
    Id::from_bytes([0; 16])
}

/// What no id comes after.
fn last() -> Id {
    Id::from_bytes([0xff; 16])
}

/// A page of all stores.
pub(crate) async fn stores(handle: &Handle, page: &Page<StoreId>) -> Result<Listing<StoreRecord>, Fault> {
    let after = page.after.map_or_else(first, |store| store.0);
    let rows = handle.read(&STORES_AFTER, vec![after.into(), page.rows_wanted().into()]).await?;
    Ok(page.list(entities::<StoreRecord>(&rows)?, |record| record.store.id))
}

/// Up to `limit` ids of stores after `after`, in their order.
pub(crate) async fn store_ids(handle: &Handle, after: Option<StoreId>, limit: i64) -> Result<Vec<StoreId>, Fault> {
    let after = after.map_or_else(first, |store| store.0);
    let ids = ids(&handle.read(&STORES_AFTER, vec![after.into(), limit.into()]).await?)?;
    Ok(ids.into_iter().map(StoreId).collect())
}

/// A page of the deliveries of a store, the newest first.
pub(crate) async fn deliveries_of(
    handle: &Handle,
    store: StoreId,
    state: Option<State>,
    page: &Page<(Timestamp, OrderId)>,
) -> Result<Listing<Delivery>, Fault> {
    let (before, id) = page.after.map_or_else(|| (Timestamp::from_micros(i64::MAX), last()), |(at, order)| (at, order.0));
    let (before, id, limit) = (before.into(), id.into(), page.rows_wanted().into());
    let rows = match state {
        None => handle.read(&DELIVERIES_OF_STORE, vec![store.0.into(), before, id, limit]).await?,
        Some(state) => {
            let arguments = vec![store.0.into(), state.as_str().into(), before, id, limit];
            handle.read(&DELIVERIES_OF_STORE_IN_STATE, arguments).await?
        }
    };
    Ok(page.list(entities::<Delivery>(&rows)?, |delivery| (delivery.created_at, delivery.order)))
}

/// Up to `limit` stores after `after` where a courier is free and a delivery waits.
pub(crate) async fn stores_to_dispatch(handle: &Handle, after: Option<StoreId>, limit: i64) -> Result<Vec<StoreId>, Fault> {
    let after = after.map_or_else(first, |store| store.0);
    let ids = ids(&handle.read(&STORES_TO_DISPATCH, vec![after.into(), limit.into()]).await?)?;
    Ok(ids.into_iter().map(StoreId).collect())
}

/// Up to `limit` deliveries of `store` that wait for a courier, the longest waiting first.
pub(crate) async fn deliveries_waiting(handle: &Handle, store: StoreId, limit: i64) -> Result<Vec<Delivery>, Fault> {
    entities(&handle.read(&DELIVERIES_WAITING, vec![store.0.into(), limit.into()]).await?)
}

/// Up to `limit` couriers of `store` who are free, the longest waiting first.
pub(crate) async fn couriers_free(handle: &Handle, store: StoreId, limit: i64) -> Result<Vec<PersonId>, Fault> {
    let ids = ids(&handle.read(&COURIERS_FREE, vec![store.0.into(), limit.into()]).await?)?;
    Ok(ids.into_iter().map(PersonId).collect())
}

/// A page of all deliveries: order, state, and whether it is settled.
pub(crate) async fn facts(handle: &Handle, page: &Page<OrderId>) -> Result<Listing<(OrderId, String, bool)>, Fault> {
    let after = page.after.map_or_else(first, |order| order.0);
    let rows = handle.read(&FACTS_AFTER, vec![after.into(), page.rows_wanted().into()]).await?;
    let fact = |row: &Row| Ok((OrderId(row.id(0)?), row.text(1)?.to_owned(), row.int(2)? == 1));
    let facts: Result<Vec<_>, Error> = rows.iter().map(fact).collect();
    Ok(page.list(facts.map_err(broken)?, |(order, ..)| *order))
}

/// The rows, up to `limit` of each kind, that break a rule which must hold at every instant: rule, row, and what is wrong.
pub(crate) async fn breaches(handle: &Handle, limit: i64) -> Result<Vec<(&'static str, Id, &'static str)>, Fault> {
    let rules = [
        (&ACCEPTED_TWICE, "one-accepted-offer-per-delivery", "more than one offer of the delivery was accepted"),
        (&HOLDERS_OF_TWO, "one-delivery-per-courier", "the courier holds more than one delivery"),
        (&DELIVERIES_AT_ODDS, "courier-agrees-with-delivery", "the delivery names a courier who does not name it so"),
        (&COURIERS_AT_ODDS, "courier-agrees-with-delivery", "the courier names a delivery that does not name them"),
        (&GOODS_WITH_NOBODY, "goods-are-with-somebody", "the goods are with a courier, and the delivery names none"),
        (&ACCEPTED_BY_NOBODY, "accepted-offer-has-courier", "an offer is accepted, and the delivery names no courier"),
    ];
    let mut found = Vec::new();
    for (read, rule, detail) in rules {
        let rows = handle.read(read, vec![limit.into()]).await?;
        found.extend(ids(&rows)?.into_iter().map(|id| (rule, id, detail)));
    }
    Ok(found)
}

fn ids(rows: &[Row]) -> Result<Vec<Id>, Fault> {
    rows.iter().map(|row| row.id(0).map_err(broken)).collect()
}

fn entities<E: Entity>(rows: &[Row]) -> Result<Vec<E>, Fault> {
    rows.iter().map(|row| E::from_row(row).map_err(broken)).collect()
}

#[allow(clippy::needless_pass_by_value, reason = "it stands where an error is mapped")]
fn broken(error: Error) -> Fault {
    Fault::internal(error.to_string())
}
