//! The rows of inventory and every read of them, named.
//! Leaves what is read together, and why, to `service` and `http`.

use contracts::{OrderId, PersonId, Sku, Slot, SlotKey, StoreId};
use engine::{Document, Handle, document_columns, tally};
use kernel::{Bucket, Fault, Id, Timestamp};
use store::{Column, Error, Kind, Migration, Read, Row, Rows, Table, Value};

use crate::domain::hold::Hold;
use crate::domain::slots::StoreCopy;
use crate::domain::supply::Level;
use crate::domain::timetable::{Made, Timetable};

/// The name of the service.
pub(crate) const SERVICE: &str = "inventory";

/// Its migrations.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        service: SERVICE,
        number: 1,
        name: "supply-and-holds",
        sql: include_str!("../migrations/0001_supply_and_holds.sql"),
    },
    Migration {
        service: SERVICE,
        number: 2,
        name: "withdrawn-slots",
        sql: include_str!("../migrations/0002_withdrawn_slots.sql"),
    },
];

/// Its tables.
pub(crate) static TABLES: &[&Table] = &[&SUPPLY, &SLOT, &SLOT_MOVE, &TELLING, &TIMETABLE, &HOLD, &HOLD_LINE, &MOVEMENT, &STORE];

/// Its reads.
pub(crate) static READS: &[&Read] = &[
    &SLOTS_OPEN,
    &SLOTS,
    &SLOT_KEYS,
    &SLOT_MOVES,
    &TELLINGS,
    &ORDERS_OF_THING,
    &STOCK,
    &STOCK_KEYS,
    &MOVEMENTS,
    &HOLDS,
    &SUPPLY_AGAINST_HOLDS,
    &HELD_OF_NOTHING,
    &STOCK_AGAINST_LEDGER,
];

/// What the things that are SKUs begin with; [`SKUS_END`] is greater than all of them.
pub(crate) const SKUS_BEGIN: &str = "sku:";
/// The first text after all things that are SKUs.
pub(crate) const SKUS_END: &str = "sku;";

static TIMETABLE: Table =
    Table { name: "inventory_timetable", key: &[Column::id("store")], columns: document_columns![], rows: Rows::Move };

static HOLD: Table = Table {
    name: "inventory_hold",
    key: &[Column::id("order_id")],
    columns: document_columns![Column::text("state")],
    rows: Rows::Move,
};

static STORE: Table = Table { name: "inventory_store", key: &[Column::id("id")], columns: document_columns![], rows: Rows::Stay };

impl Document for Timetable {
    type Id = StoreId;
    const TABLE: &'static Table = &TIMETABLE;

    fn id(&self) -> StoreId {
        self.store
    }

    fn id_values(id: &StoreId) -> store::Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.store.bucket()
    }
}

impl Document for Hold {
    type Id = OrderId;
    const TABLE: &'static Table = &HOLD;

    fn id(&self) -> OrderId {
        self.order
    }

    fn id_values(id: &OrderId) -> store::Key {
        vec![id.0.into()]
    }

    fn bucket(&self) -> Bucket {
        self.store.bucket()
    }

    fn search(&self) -> Vec<Value> {
        vec![self.state.as_str().into()]
    }
}

impl Document for StoreCopy {
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
    /// How many of a thing a store has to promise, and has promised.
    pub(crate) struct Supply in SUPPLY = "inventory_supply", Move {
        adds [available, held]
        key {
            store: StoreId,
            /// `sku:…` or `slot:<instant>`.
            thing: String,
        }
        bucket: Bucket,
        /// The band that was last told of it. It is stored, and not computed from what was there before, since two processes
        /// that each take some know only their own step: the next one tells what both missed.
        band: String,
        /// When its number was last said by people. It also makes that a change of a version: two such words, unlike two
        /// holds, must not be added up.
        set_at: Timestamp,
        available: i64,
        held: i64,
    }
}

impl Supply {
    /// None of it.
    pub(crate) fn none(store: StoreId, thing: String, at: Timestamp) -> Self {
        Self { store, thing, bucket: store.bucket(), band: "none".to_owned(), set_at: at, available: 0, held: 0 }
    }

    /// Its two numbers.
    pub(crate) fn level(&self) -> Level {
        Level { available: self.available, held: self.held }
    }
}

tally! {
    /// A slot that a store offers.
    pub(crate) struct OfferedSlot in SLOT = "inventory_slot", Move {
        key { store: StoreId, starts_at: SlotKey, }
        bucket: Bucket,
        ends_at: Timestamp,
        cutoff_at: Timestamp,
        places: i64,
        by_hand: bool,
        /// Why people took it away, if they did.
        withdrawn: Option<String>,
    }
}

tally! {
    /// What somebody did with a slot.
    pub(crate) struct SlotMove in SLOT_MOVE = "inventory_slot_move", Move {
        key { store: StoreId, id: Id, }
        bucket: Bucket,
        starts_at: SlotKey,
        /// `withdraw`, `reopen` or `places`.
        did: String,
        /// Why, in their words.
        reason: Option<String>,
        /// How many places they gave it.
        places: Option<i64>,
        person: PersonId,
        /// As what they did it.
        role: String,
        at: Timestamp,
    }
}

tally! {
    /// A slot whose orders are still to be told that it was taken away.
    pub(crate) struct Telling in TELLING = "inventory_telling", Move {
        key { store: StoreId, starts_at: SlotKey, }
        bucket: Bucket,
        /// By which move it was: what is under way for an older one counts no more.
        moved: Id,
        /// The last order, in their order, that was told.
        told_to: Id,
    }
}

impl OfferedSlot {
    /// The slot itself.
    pub(crate) fn slot(&self) -> Slot {
        Slot { starts_at: self.starts_at, ends_at: self.ends_at, cutoff_at: self.cutoff_at }
    }

    /// The slot as planning sees it, with what its supply says is left.
    pub(crate) fn made(&self, available: i64) -> Made {
        let (places, by_hand, withdrawn) = (self.places, self.by_hand, self.withdrawn.is_some());
        Made { slot: self.slot(), places, by_hand, taken: places - available, withdrawn }
    }
}

tally! {
    /// So many of a thing that the hold of an order took; it counts while that hold lives.
    pub(crate) struct HoldLine in HOLD_LINE = "inventory_hold_line", Move {
        key { order_id: OrderId, thing: String, }
        bucket: Bucket,
        store: StoreId,
        units: i64,
    }
}

tally! {
    /// A change of what is physically there.
    pub(crate) struct Movement in MOVEMENT = "inventory_movement", Move {
        key { store: StoreId, id: Id, }
        bucket: Bucket,
        sku: Sku,
        /// `counted`, `consumed` or `not-found`.
        reason: String,
        /// How many came, or went if negative.
        units: i64,
        /// How many were found, if they were counted.
        counted: Option<i64>,
        /// For which order they went.
        order_id: Option<OrderId>,
        /// Who counted.
        person: Option<PersonId>,
        at: Timestamp,
    }
}

/// The slots of a store that can be ordered, in their order: store, now, after, limit.
pub(crate) static SLOTS_OPEN: Read = Read {
    name: "inventory.slots-open",
    sql: "SELECT store, starts_at, bucket, ends_at, cutoff_at, places, by_hand, withdrawn FROM inventory_slot \
          WHERE store = $1 AND cutoff_at > $2 AND starts_at > $3 AND withdrawn IS NULL ORDER BY starts_at LIMIT $4",
    arguments: &[Kind::Id, Kind::Int, Kind::Int, Kind::Int],
    answer: SLOT_ANSWER,
};

const SLOT_ANSWER: &[Kind] = &[Kind::Id, Kind::Int, Kind::Int, Kind::Int, Kind::Int, Kind::Int, Kind::Int, Kind::Text];

/// The slots of a store that are not over, in their order, also those that were taken away: store, now, after, limit.
pub(crate) static SLOTS: Read = Read {
    name: "inventory.slots",
    sql: "SELECT store, starts_at, bucket, ends_at, cutoff_at, places, by_hand, withdrawn FROM inventory_slot \
          WHERE store = $1 AND ends_at > $2 AND starts_at > $3 ORDER BY starts_at LIMIT $4",
    arguments: &[Kind::Id, Kind::Int, Kind::Int, Kind::Int],
    answer: SLOT_ANSWER,
};

/// What people did with a slot, newest first: store, slot, before, limit.
pub(crate) static SLOT_MOVES: Read = Read {
    name: "inventory.slot-moves",
    sql: "SELECT store, id, bucket, starts_at, did, reason, places, person, role, at FROM inventory_slot_move \
          WHERE store = $1 AND starts_at = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
    arguments: &[Kind::Id, Kind::Int, Kind::Id, Kind::Int],
    answer: &[Kind::Id, Kind::Id, Kind::Int, Kind::Int, Kind::Text, Kind::Text, Kind::Int, Kind::Id, Kind::Text, Kind::Int],
};

/// Some slots whose orders are to be told: limit.
pub(crate) static TELLINGS: Read = Read {
    name: "inventory.tellings",
    sql: "SELECT store, starts_at, bucket, moved, told_to FROM inventory_telling ORDER BY store, starts_at LIMIT $1",
    arguments: &[Kind::Int],
    answer: &[Kind::Id, Kind::Int, Kind::Int, Kind::Id, Kind::Id],
};

/// The orders whose holds took of a thing, over or not: store, thing, after, limit.
pub(crate) static ORDERS_OF_THING: Read = Read {
    name: "inventory.orders-of-thing",
    sql: "SELECT order_id FROM inventory_hold_line WHERE store = $1 AND thing = $2 AND order_id > $3 ORDER BY order_id LIMIT $4",
    arguments: &[Kind::Id, Kind::Text, Kind::Id, Kind::Int],
    answer: &[Kind::Id],
};

/// The supply of a store's things within a range, in their order: store, after, before, limit.
pub(crate) static STOCK: Read = Read {
    name: "inventory.stock",
    sql: "SELECT store, thing, bucket, band, set_at, available, held FROM inventory_supply \
          WHERE store = $1 AND thing > $2 AND thing < $3 ORDER BY thing LIMIT $4",
    arguments: &[Kind::Id, Kind::Text, Kind::Text, Kind::Int],
    answer: &[Kind::Id, Kind::Text, Kind::Int, Kind::Text, Kind::Int, Kind::Int, Kind::Int],
};

/// The movements of a store, newest first: store, before, limit.
pub(crate) static MOVEMENTS: Read = Read {
    name: "inventory.movements",
    sql: "SELECT store, id, bucket, sku, reason, units, counted, order_id, person, at FROM inventory_movement \
          WHERE store = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
    arguments: &[Kind::Id, Kind::Id, Kind::Int],
    answer: &[Kind::Id, Kind::Id, Kind::Int, Kind::Text, Kind::Text, Kind::Int, Kind::Int, Kind::Id, Kind::Id, Kind::Int],
};

/// All holds by order: after, limit.
pub(crate) static HOLDS: Read = Read {
    name: "inventory.holds",
    sql: "SELECT order_id, bucket, state, doc_v, doc FROM inventory_hold WHERE order_id > $1 ORDER BY order_id LIMIT $2",
    arguments: &[Kind::Id, Kind::Int],
    answer: &[Kind::Id, Kind::Int, Kind::Text, Kind::Int, Kind::Text],
};

/// Supply beside what live holds took of it, by store and thing: store and thing after which, limit. One statement, so that
/// both sides are of one instant; what it adds up are the lines of live holds, not those of all time.
pub(crate) static SUPPLY_AGAINST_HOLDS: Read = Read {
    name: "inventory.supply-against-holds",
    sql: "WITH live AS ( \
              SELECT l.store AS store, l.thing AS thing, SUM(l.units) AS units \
              FROM inventory_hold h JOIN inventory_hold_line l ON l.order_id = h.order_id \
              WHERE h.state IN ('reserved', 'committed') GROUP BY l.store, l.thing) \
          SELECT s.store, s.thing, s.available, s.held, CAST(COALESCE(live.units, 0) AS BIGINT) \
          FROM inventory_supply s LEFT JOIN live ON live.store = s.store AND live.thing = s.thing \
          WHERE (s.store, s.thing) > ($1, $2) ORDER BY s.store, s.thing LIMIT $3",
    arguments: &[Kind::Id, Kind::Text, Kind::Int],
    answer: &[Kind::Id, Kind::Text, Kind::Int, Kind::Int, Kind::Int],
};

/// Lines of live holds on things of which there is no supply at all: limit.
pub(crate) static HELD_OF_NOTHING: Read = Read {
    name: "inventory.held-of-nothing",
    sql: "SELECT l.store, l.thing, l.order_id, l.units \
          FROM inventory_hold h JOIN inventory_hold_line l ON l.order_id = h.order_id \
          LEFT JOIN inventory_supply s ON s.store = l.store AND s.thing = l.thing \
          WHERE h.state IN ('reserved', 'committed') AND s.thing IS NULL ORDER BY l.order_id, l.thing LIMIT $1",
    arguments: &[Kind::Int],
    answer: &[Kind::Id, Kind::Text, Kind::Id, Kind::Int],
};

/// The keys of all slots: store and beginning after which, limit.
static SLOT_KEYS: Read = Read {
    name: "inventory.slot-keys",
    sql: "SELECT store, starts_at FROM inventory_slot WHERE (store, starts_at) > ($1, $2) ORDER BY store, starts_at LIMIT $3",
    arguments: &[Kind::Id, Kind::Int, Kind::Int],
    answer: &[Kind::Id, Kind::Int],
};

/// The keys of all supply of SKUs: store and thing after which, first and last of such things, limit.
static STOCK_KEYS: Read = Read {
    name: "inventory.stock-keys",
    sql: "SELECT store, thing FROM inventory_supply WHERE (store, thing) > ($1, $2) AND thing > $3 AND thing < $4 \
          ORDER BY store, thing LIMIT $5",
    arguments: &[Kind::Id, Kind::Text, Kind::Text, Kind::Text, Kind::Int],
    answer: &[Kind::Id, Kind::Text],
};

/// Up to `limit` keys of slots after `after`, in their order.
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

/// Up to `limit` keys of supply of SKUs after `after`, in their order.
pub(crate) async fn stock_keys(
    handle: &Handle,
    after: Option<(StoreId, String)>,
    limit: i64,
) -> Result<Vec<(StoreId, String)>, Fault> {
    let (store, thing) = after.map_or((Id::from_bytes([0; 16]), String::new()), |(store, thing)| (store.0, thing));
    let arguments = vec![store.into(), thing.into(), SKUS_BEGIN.into(), SKUS_END.into(), limit.into()];
    let rows = handle.read(&STOCK_KEYS, arguments).await?;
    let key = |row: &Row| Ok((StoreId(row.id(0)?), row.text(1)?.to_owned()));
    rows.iter().map(|row| key(row).map_err(|error: Error| Fault::internal(error.to_string()))).collect()
}

/// What is there of each SKU beside what its movements add up to, by store and thing: store and thing after which, limit. One
/// statement, as above. It adds up the whole ledger of each SKU, so a page is few of them.
pub(crate) static STOCK_AGAINST_LEDGER: Read = Read {
    name: "inventory.stock-against-ledger",
    sql: "SELECT s.store, s.thing, s.available + s.held, CAST(COALESCE(( \
              SELECT SUM(m.units) FROM inventory_movement m WHERE m.store = s.store AND m.sku = SUBSTR(s.thing, 5)), 0) AS BIGINT) \
          FROM inventory_supply s \
          WHERE (s.store, s.thing) > ($1, $2) AND s.thing >= 'sku:' AND s.thing < 'sku;' ORDER BY s.store, s.thing LIMIT $3",
    arguments: &[Kind::Id, Kind::Text, Kind::Int],
    answer: &[Kind::Id, Kind::Text, Kind::Int, Kind::Int],
};
