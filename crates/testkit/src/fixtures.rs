//! Ids, a moment and a store that are the same in all tests.
//! Leaves what is particular to a service to its own tests.

use contracts::delivery::{Fee, Hours, SlotTemplate, Store};
use contracts::{Point, StoreId};
use kernel::{Bucket, Draw, Id, Timestamp};

/// A moment in November 2025.
#[must_use]
pub fn some_time() -> Timestamp {
    Timestamp::from_millis(1_764_000_000_000)
}

/// An id of that moment; another for each `seed`.
#[must_use]
pub fn some_id(seed: u64) -> Id {
    Id::new(some_time(), Bucket(3), &mut Draw::seeded(seed))
}

/// A store that never closes, sells in dollars, has ten places in each hour of two days, and knows the taxes `food` and
/// `household`; another for each `seed`.
#[must_use]
pub fn store(seed: u64) -> Store {
    Store {
        id: StoreId(some_id(seed)),
        name: "Krog Street".to_owned(),
        street: "99 Krog St NE".to_owned(),
        point: Point { lat: 33.757, lon: -84.364 },
        time_zone: "America/New_York".to_owned(),
        currency: "USD".parse().expect("dollars are a currency"),
        hours: Hours::Always(true),
        zone: vec![(-84.4, 33.7), (-84.3, 33.7), (-84.3, 33.8), (-84.4, 33.7)],
        fee: Fee { base_minor: 299, per_km_minor: 50, free_from_minor: 5000, order_minimum_minor: 1000 },
        slots: SlotTemplate { length_minutes: 60, places: 10, cutoff_minutes: 15, days_ahead: 2 },
        tax_basis_points: [("food".to_owned(), 400), ("household".to_owned(), 890)].into(),
        paused: false,
    }
}
