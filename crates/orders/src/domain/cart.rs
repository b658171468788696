//! A cart: bound to an address and the store that reaches it, open until it is ordered.
//! Leaves prices to `pricing`.

use contracts::delivery::Store;
use contracts::{Address, CartId, OrderId, PersonId, Point, Quantity, Sku, StoreId};
use kernel::{Fault, Timestamp};
use serde::{Deserialize, Serialize};

/// What is wanted of one SKU.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CartLine {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}

/// A cart.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Cart {
    /// Its id.
    pub id: CartId,
    /// Whose it is, if they were signed in.
    pub owner: Option<PersonId>,
    /// The store that reaches the address.
    pub store: StoreId,
    /// Where the goods are wanted.
    pub address: Address,
    /// What is wanted; the same SKU may stand in several lines.
    pub lines: Vec<CartLine>,
    /// What became of it.
    pub ordered: Option<OrderId>,
    /// When it was made.
    pub made_at: Timestamp,
}

impl Cart {
    /// The cart with other lines.
    ///
    /// # Errors
    /// `cart-ordered` once it was ordered.
    pub fn with_lines(&self, lines: Vec<CartLine>) -> Result<Self, Fault> {
        self.open()?;
        Ok(Self { lines, ..self.clone() })
    }

    /// Refuses a cart that was ordered.
    ///
    /// # Errors
    /// `cart-ordered`, with the order's id.
    pub fn open(&self) -> Result<(), Fault> {
        match self.ordered {
            Some(order) => {
                let detail = "this cart was ordered already; make a new cart for another order";
                Err(Fault::conflict("cart-ordered", detail).with("order", order.to_string()))
            }
            None => Ok(()),
        }
    }
}

/// A store that reaches an address, and how far it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Reach<'a> {
    /// The store.
    pub store: &'a Store,
    /// Metres from store to door, as the crow flies.
    pub metres: f64,
}

/// The stores that reach `point`, those that take orders first, then by distance.
#[must_use]
pub fn reach(stores: &[Store], point: Point) -> Vec<Reach<'_>> {
    let mut reach: Vec<Reach<'_>> = stores
        .iter()
        .filter(|store| store.reaches(point))
        .map(|store| Reach { store, metres: store.point.metres_to(point) })
        .collect();
    reach.sort_by(|a, b| a.store.paused.cmp(&b.store.paused).then(a.metres.total_cmp(&b.metres)));
    reach
}
