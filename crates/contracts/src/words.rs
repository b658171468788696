//! The words in events and views that cannot be built wrong: ids by kind, SKU, quantity, slot, point, address.
//! Leaves what they mean for an order to the services.

use std::fmt;
use std::str::FromStr;

use kernel::{Timestamp, typed_id};
use serde::{Deserialize, Serialize};

typed_id! {
    /// A cart; its bucket is inherited by its order, payment and messages.
    CartId;
    /// An order; also the key of its hold, its payment and its delivery.
    OrderId;
    /// A store; its bucket is where its supply lives.
    StoreId;
    /// A product.
    ProductId;
    /// A customer, a courier or one of the staff.
    PersonId;
    /// A refund of an order; its bucket is the order's.
    RefundId;
}

/// A text is not of the form that its type wants; the message says which form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WordError(pub &'static str);

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for WordError {}

/// What is sold and stocked: 1 to 64 of the characters `A-Z 0-9 - _ .`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sku(String);

impl Sku {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Sku {
    type Error = WordError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.'));
        if fits { Ok(Self(text)) } else { Err(WordError("not a SKU: expected 1 to 64 of A-Z, 0-9, '-', '_' and '.'")) }
    }
}

impl FromStr for Sku {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl From<Sku> for String {
    fn from(sku: Sku) -> Self {
        sku.0
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many units: 1 to [`Quantity::MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Quantity(i64);

impl Quantity {
    /// The most units that one line may have.
    pub const MAX: i64 = 999;

    /// The number of units.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = WordError;

    fn try_from(count: i64) -> Result<Self, Self::Error> {
        if (1..=Self::MAX).contains(&count) {
            Ok(Self(count))
        } else {
            Err(WordError("not a quantity: expected a whole number from 1 to 999"))
        }
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

/// When a delivery slot begins; with its store it names the slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotKey(pub Timestamp);

impl fmt::Display for SlotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A span of time in which a store delivers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Slot {
    /// When it begins; also its name.
    pub starts_at: SlotKey,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Until when an order may take it.
    pub cutoff_at: Timestamp,
}

/// A place on earth in degrees (WGS 84).
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Degrees north, -90 to 90.
    pub lat: f64,
    /// Degrees east, -180 to 180.
    pub lon: f64,
}

impl Point {
    /// Whether it lies on earth.
    #[must_use]
    pub fn on_earth(self) -> bool {
        (-90.0..=90.0).contains(&self.lat) && (-180.0..=180.0).contains(&self.lon)
    }

    /// Metres along the great circle (haversine, mean radius 6,371,008.8 m).
    #[must_use]
    pub fn metres_to(self, other: Self) -> f64 {
        let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
        let h =
            half(other.lat - self.lat) + self.lat.to_radians().cos() * other.lat.to_radians().cos() * half(other.lon - self.lon);
        2.0 * 6_371_008.8 * h.sqrt().min(1.0).asin()
    }
}

/// Where a shopper wants the goods.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Address {
    /// Street and number, as a courier reads it.
    pub street: String,
    /// Floor, door, what to know; may be empty.
    #[serde(default)]
    pub note: String,
    /// Where that is.
    pub point: Point,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_cannot_be_built_wrong() {
        assert!(Sku::try_from("milk".to_owned()).is_err());
        assert!(Sku::try_from(String::new()).is_err());
        assert!(serde_json::from_str::<Quantity>("0").is_err());
        assert!(serde_json::from_str::<Quantity>("1000").is_err());
        assert_eq!(serde_json::from_str::<Quantity>("999").map(Quantity::get).ok(), Some(999));
    }

    #[test]
    fn a_degree_of_latitude_is_111_km() {
        let metres = Point { lat: 33.0, lon: -84.0 }.metres_to(Point { lat: 34.0, lon: -84.0 });
        assert!((metres - 111_195.0).abs() < 10.0, "{metres}");
    }
}
