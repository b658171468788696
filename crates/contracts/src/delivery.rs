//! What delivery says: stores with their zones, hours, fees and slots, and the way of each delivery.
//! Leaves offers and routes to delivery.

use std::collections::BTreeMap;

use kernel::{Currency, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{OrderId, PersonId, Place, Point, StoreId, events, first, is_first};

/// When a store is open, in its own time zone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hours {
    /// Around the clock.
    Always(bool),
    /// By day of the week (`mon` … `sun`): spans of local time as `["07:00", "23:00"]`; a day that is missing is closed.
    Weekly(BTreeMap<String, Vec<(String, String)>>),
}

/// What delivery from a store costs, in minor units of its currency.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fee {
    /// For every delivery.
    pub base_minor: i64,
    /// For each kilometre begun between store and door.
    pub per_km_minor: i64,
    /// Goods of this worth are delivered free.
    pub free_from_minor: i64,
    /// Below this worth of goods there is no delivery.
    pub order_minimum_minor: i64,
}

/// From what inventory makes the slots of the coming days.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotTemplate {
    /// How long a slot is; slots begin on multiples of it from local midnight.
    pub length_minutes: i64,
    /// How many orders fit into one.
    pub places: i64,
    /// How long before its end a slot closes for new orders.
    pub cutoff_minutes: i64,
    /// For how many days ahead, today included: 1 to 5.
    pub days_ahead: i64,
}

/// A shop or micro-fulfilment centre and how far it reaches.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Store {
    /// Its id; its bucket is where its supply lives.
    pub id: StoreId,
    /// As shoppers know it.
    pub name: String,
    /// Where it is, for people.
    pub street: String,
    /// Where it is.
    pub point: Point,
    /// An IANA time zone, as `America/New_York`.
    pub time_zone: String,
    /// What it sells in.
    pub currency: Currency,
    /// When it is open.
    pub hours: Hours,
    /// The polygon it delivers to: a closed ring of `[lon, lat]`.
    pub zone: Vec<(f64, f64)>,
    /// What delivery costs.
    pub fee: Fee,
    /// Its slots.
    pub slots: SlotTemplate,
    /// Tax by tax class, added to prices, in basis points.
    pub tax_basis_points: BTreeMap<String, i64>,
    /// Whether it takes no orders for now.
    pub paused: bool,
}

impl Store {
    /// Whether `point` lies in the zone (even-odd rule; a point on the edge may fall on either side).
    #[must_use]
    pub fn reaches(&self, point: Point) -> bool {
        let mut inside = false;
        for edge in self.zone.windows(2) {
            let ((x1, y1), (x2, y2)) = (edge[0], edge[1]);
            let crosses = (y1 > point.lat) != (y2 > point.lat);
            if crosses && point.lon < (x2 - x1) * (point.lat - y1) / (y2 - y1) + x1 {
                inside = !inside;
            }
        }
        inside
    }
}

/// How the goods were handed over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The shopper said the order's PIN.
    Pin,
}

/// Why a delivery failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureReason {
    /// Nobody opened.
    NobodyHome,
    /// Whoever opened did not want it.
    Refused,
    /// There is no such door.
    WrongAddress,
    /// The door could not be reached.
    NoAccess,
    /// The goods did not survive the way.
    Damaged,
    /// The courier cannot go on.
    CourierDroppedOut,
    /// Nothing was heard of the courier for too long.
    CourierSilent,
    /// No courier took it in time.
    NoCourier,
}

impl FailureReason {
    /// As it is sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NobodyHome => "nobody-home",
            Self::Refused => "refused",
            Self::WrongAddress => "wrong-address",
            Self::NoAccess => "no-access",
            Self::Damaged => "damaged",
            Self::CourierDroppedOut => "courier-dropped-out",
            Self::CourierSilent => "courier-silent",
            Self::NoCourier => "no-courier",
        }
    }
}

events! { "delivery.deliveries";
    /// A store is new or has changed: all of it.
    StoreChanged = "store.changed.v1" on "delivery.stores" at |e| Place::of(e.store.id) => {
        /// The store as it is now.
        store: Store,
    }
    /// There will be a delivery; the shopper tells the courier its PIN.
    DeliveryCreated = "delivery.created.v1" at |e| Place::of(e.order) => {
        /// Whose delivery.
        order: OrderId,
        /// Four digits.
        pin: String,
    }
    /// A courier accepted.
    DeliveryAssigned = "delivery.assigned.v1" at |e| Place::of(e.order) => {
        /// Whose delivery.
        order: OrderId,
        /// Who brings it.
        courier: PersonId,
        /// For the shopper.
        courier_name: String,
    }
    /// The courier who was to bring it no longer is; another will be asked.
    DeliveryUnassigned = "delivery.unassigned.v1" at |e| Place::of(e.order) => {
        /// Whose delivery.
        order: OrderId,
        /// Why, as `courier-dropped-out`.
        reason: String,
    }
    /// The courier has the goods.
    DeliveryPickedUp = "delivery.picked-up.v1" at |e| Place::of(e.order) => {
        /// Whose delivery.
        order: OrderId,
        /// When.
        at: Timestamp,
        /// The how-manieth try to deliver.
        #[serde(default = "first", skip_serializing_if = "is_first")]
        attempt: i64,
    }
    /// The courier is at the door.
    DeliveryArrived = "delivery.arrived.v1" at |e| Place::of(e.order) => {
        /// Whose delivery.
        order: OrderId,
        /// When.
        at: Timestamp,
        /// The how-manieth try to deliver.
        #[serde(default = "first", skip_serializing_if = "is_first")]
        attempt: i64,
    }
    /// The goods were handed over.
    DeliveryDelivered = "delivery.delivered.v1" at |e| Place::of(e.order) => {
        /// Whose delivery.
        order: OrderId,
        /// How that was proved.
        proof: Proof,
        /// When.
        at: Timestamp,
        /// The how-manieth try to deliver.
        #[serde(default = "first", skip_serializing_if = "is_first")]
        attempt: i64,
    }
    /// It could not be handed over. The goods are with the courier, or still in the store.
    DeliveryFailed = "delivery.failed.v1" at |e| Place::of(e.order) => {
        /// Whose delivery.
        order: OrderId,
        /// Why.
        reason: FailureReason,
        /// What the courier or dispatcher adds; may be empty.
        #[serde(default)]
        note: String,
        /// When.
        at: Timestamp,
        /// The how-manieth try to deliver.
        attempt: i64,
    }
    /// The goods are back in the store.
    DeliveryReturned = "delivery.returned.v1" at |e| Place::of(e.order) => {
        /// Whose delivery.
        order: OrderId,
        /// When.
        at: Timestamp,
    }
    /// There is nothing to deliver any more; also said where there was no delivery yet.
    DeliveryWithdrawn = "delivery.withdrawn.v1" at |e| Place::of(e.order) => {
        /// Whose delivery.
        order: OrderId,
    }
}
