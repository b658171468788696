//! What inventory is asked (commands, partitioned by the store) and what it says: holds (by the order) and supply (by the store).
//! Leaves the rules of holding to inventory.

use kernel::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{OrderId, Place, Quantity, Sku, Slot, SlotKey, StoreId, events};

/// What a store has so many of: units of a SKU, or places of a slot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Thing {
    /// Units of a SKU.
    Sku(Sku),
    /// Places of a delivery slot.
    Slot(SlotKey),
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sku(sku) => write!(f, "sku:{sku}"),
            Self::Slot(slot) => write!(f, "slot:{slot}"),
        }
    }
}

/// Units wanted of one SKU; the same SKU may stand in several lines and counts for each.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}

/// What was short when a hold was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Short {
    /// Of what.
    pub thing: Thing,
    /// How many were wanted, over all lines.
    pub wanted: i64,
    /// How many were left.
    pub left: i64,
}

/// How much is left of a thing, in coarse steps: a hint, never a promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Band {
    /// Nothing.
    None,
    /// Less than ten.
    Few,
    /// Ten or more.
    Plenty,
}

impl Band {
    /// The band of `left`.
    #[must_use]
    pub fn of(left: i64) -> Self {
        match left {
            ..=0 => Self::None,
            1..10 => Self::Few,
            _ => Self::Plenty,
        }
    }
}

/// How many units of a SKU a hold is to keep.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// What.
    pub sku: Sku,
    /// How many are kept at most; 0 for none.
    pub units: i64,
    /// Whether the others can be sold again, or were not found and are written off.
    pub restock: bool,
}

fn to_store(store: StoreId, order: OrderId) -> Place {
    Place { bucket: store.bucket(), key: order.to_string() }
}

events! { "inventory.holds";
    /// Command: hold these lines and a place of this slot.
    HoldRequest = "hold.request.v1" on "inventory.commands" at |e| to_store(e.store, e.order) => {
        /// Whose hold.
        order: OrderId,
        /// Where.
        store: StoreId,
        /// Units.
        lines: Vec<Wanted>,
        /// The slot, of which one place is held.
        slot: SlotKey,
    }
    /// Command: the order is paid for; the hold no longer expires.
    HoldCommit = "hold.commit.v1" on "inventory.commands" at |e| to_store(e.store, e.order) => {
        /// Whose hold.
        order: OrderId,
        /// Where.
        store: StoreId,
    }
    /// Command: the order is given up; give back what is held, whether reserved or committed.
    HoldRelease = "hold.release.v1" on "inventory.commands" at |e| to_store(e.store, e.order) => {
        /// Whose hold.
        order: OrderId,
        /// Where.
        store: StoreId,
    }
    /// Command: fewer units were picked than are held: the hold keeps these, and loses the others. SKUs that are not named
    /// keep all theirs.
    HoldReduce = "hold.reduce.v1" on "inventory.commands" at |e| to_store(e.store, e.order) => {
        /// Whose hold.
        order: OrderId,
        /// Where.
        store: StoreId,
        /// What it keeps of the SKUs that are short.
        lines: Vec<Kept>,
    }
    /// Command: the goods were handed over.
    HoldConsume = "hold.consume.v1" on "inventory.commands" at |e| to_store(e.store, e.order) => {
        /// Whose hold.
        order: OrderId,
        /// Where.
        store: StoreId,
    }
    /// Everything is held until `expires_at`.
    HoldReserved = "hold.reserved.v1" at |e| Place::of(e.order) => {
        /// Whose hold.
        order: OrderId,
        /// Where.
        store: StoreId,
        /// Until when, unless committed.
        expires_at: Timestamp,
    }
    /// Nothing is held: something was short.
    HoldRejected = "hold.rejected.v1" at |e| Place::of(e.order) => {
        /// Whose hold.
        order: OrderId,
        /// Where.
        store: StoreId,
        /// What was short.
        short: Vec<Short>,
    }
    /// The hold no longer expires.
    HoldCommitted = "hold.committed.v1" at |e| Place::of(e.order) => {
        /// Whose hold.
        order: OrderId,
        /// Where.
        store: StoreId,
    }
    /// A commit came too late: the hold was over.
    HoldCommitRefused = "hold.commit-refused.v1" at |e| Place::of(e.order) => {
        /// Whose hold.
        order: OrderId,
        /// Where.
        store: StoreId,
    }
    /// What was held was given back as asked.
    HoldReleased = "hold.released.v1" at |e| Place::of(e.order) => {
        /// Whose hold.
        order: OrderId,
        /// Where.
        store: StoreId,
    }
    /// The hold ran out and what was held was given back.
    HoldExpired = "hold.expired.v1" at |e| Place::of(e.order) => {
        /// Whose hold.
        order: OrderId,
        /// Where.
        store: StoreId,
    }
    /// What was held has left the store for good.
    HoldConsumed = "hold.consumed.v1" at |e| Place::of(e.order) => {
        /// Whose hold.
        order: OrderId,
        /// Where.
        store: StoreId,
    }
    /// The store's staff took the slot of an order away: said to each order that holds a place of it.
    SlotWithdrawn = "slot.withdrawn.v1" at |e| Place::of(e.order) => {
        /// Whose slot.
        order: OrderId,
        /// Where.
        store: StoreId,
        /// The slot.
        slot: SlotKey,
        /// Why, in the words of whoever took it away.
        reason: String,
    }
    /// A slot of a store can no longer be ordered: its staff took it away.
    SlotClosed = "slot.closed.v1" on "inventory.supply" at |e| Place::of(e.store) => {
        /// Whose slot.
        store: StoreId,
        /// The slot.
        slot: SlotKey,
    }
    /// A slot of a store can be ordered.
    SlotOffered = "slot.offered.v1" on "inventory.supply" at |e| Place::of(e.store) => {
        /// Whose slot.
        store: StoreId,
        /// The slot.
        slot: Slot,
        /// How many places it has in all.
        places: i64,
    }
    /// How much is left of something fell into another band.
    SupplyChanged = "supply.changed.v1" on "inventory.supply" at |e| Place::of(e.store) => {
        /// Where.
        store: StoreId,
        /// Of what.
        thing: Thing,
        /// How much is left.
        band: Band,
    }
}
