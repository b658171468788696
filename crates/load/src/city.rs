//! What a run knows of the shop before it begins: stores, their zones, what they list, and what each item's name means there.
//! Leaves the rule of names to `names`.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{Point, Sku, StoreId};
use kernel::Draw;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::baskets::Basket;
use crate::client::{Ask, Client, encoded};
use crate::error::LoadError;
use crate::names::{Listed, choose};

/// How many items a page has.
pub(crate) const PAGE_LIMIT: usize = 100;

/// How many points are tried until one lies in a zone.
const POINTS_TRIED_MAX: usize = 100_000;

/// The most units of one line; the fewest is 1.
const UNITS_MAX: u64 = 3;

/// A page of a list.
#[derive(Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// A store as everyone sees it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StoreView {
    pub(crate) id: StoreId,
    pub(crate) zone: Vec<(f64, f64)>,
}

/// All stores, and what each item's name means in each of them.
pub(crate) struct City {
    stores: Vec<StoreView>,
    meanings: BTreeMap<StoreId, BTreeMap<String, Sku>>,
}

impl City {
    /// Looks around in the shop, and asks every store for every name in `baskets`.
    pub(crate) async fn explore(client: &Client, baskets: &[Basket]) -> Result<Self, LoadError> {
        let stores: Vec<StoreView> = list(client, "/v1/stores").await?;
        let names: BTreeSet<&String> = baskets.iter().flatten().collect();
        let mut meanings = BTreeMap::new();
        for store in &stores {
            meanings.insert(store.id, meanings_in(client, store.id, &names).await?);
        }
        let city = Self { stores, meanings };
        if city.meanings.values().all(BTreeMap::is_empty) && !names.is_empty() {
            return Err(LoadError::Options("no store of this shop lists anything".to_owned()));
        }
        Ok(city)
    }

    /// An address by chance: a point of the box around all zones, drawn again until it lies in one of them.
    pub(crate) fn address(&self, draw: &mut Draw) -> Result<Value, LoadError> {
        let zones: Vec<&StoreView> = self.stores.iter().collect();
        address_in(&zones, draw)
    }

    /// The lines of a basket in a store: one for each name, 1 to 3 units by chance.
    pub(crate) fn lines(&self, store: StoreId, basket: &Basket, draw: &mut Draw) -> Vec<Value> {
        let meanings = self.meanings.get(&store);
        let line = |name: &String| {
            // Drawn for every name, so that what one store does not list leaves the rest of the basket as it is elsewhere.
            let quantity = draw.below(UNITS_MAX) + 1;
            let sku = meanings?.get(name)?;
            Some(json!({ "sku": sku, "quantity": quantity }))
        };
        basket.iter().filter_map(line).collect()
    }
}

/// An address by chance in one of `stores`' zones.
pub(crate) fn address_in(stores: &[&StoreView], draw: &mut Draw) -> Result<Value, LoadError> {
    let corners: Vec<(f64, f64)> = stores.iter().flat_map(|store| store.zone.iter().copied()).collect();
    let (west, east) = extent(corners.iter().map(|corner| corner.0));
    let (south, north) = extent(corners.iter().map(|corner| corner.1));
    for _ in 0..POINTS_TRIED_MAX {
        let point = Point { lon: between(west, east, draw), lat: between(south, north, draw) };
        if stores.iter().any(|store| contains(&store.zone, point)) {
            let street = format!("{} Eastside Trail NE", draw.below(1999) + 1);
            return Ok(json!({ "street": street, "note": "", "point": point }));
        }
    }
    Err(LoadError::Options("no store of this shop delivers anywhere: their zones hold no point".to_owned()))
}

fn extent(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| (low.min(number), high.max(number)))
}

/// To a millionth of the way, which is centimetres.
#[allow(clippy::cast_precision_loss, reason = "below a million")]
fn between(low: f64, high: f64, draw: &mut Draw) -> f64 {
    let degrees = low + (high - low) * (draw.below(1_000_000) as f64 / 1_000_000.0);
    (degrees * 1e6).round() / 1e6
}

/// Whether `point` lies in the ring of `[lon, lat]` (even-odd rule).
fn contains(ring: &[(f64, f64)], point: Point) -> bool {
    let crossed = ring.windows(2).filter(|edge| {
        let ((x1, y1), (x2, y2)) = (edge[0], edge[1]);
        (y1 > point.lat) != (y2 > point.lat) && point.lon < (x2 - x1) * (point.lat - y1) / (y2 - y1) + x1
    });
    crossed.count() % 2 == 1
}

async fn meanings_in(client: &Client, store: StoreId, names: &BTreeSet<&String>) -> Result<BTreeMap<String, Sku>, LoadError> {
    let path = format!("/v1/stores/{store}/products");
    let all: Vec<Listed> = list(client, &path).await?;
    let mut meanings = BTreeMap::new();
    for name in names {
        let reply = client.send(&Ask::get(format!("{path}?q={}&limit={PAGE_LIMIT}", encoded(name)))).await?;
        // A name that the search refuses, as one of punctuation only, has found nothing.
        let found = if matches!(reply.status, 400 | 422) { Vec::new() } else { reply.expect::<Page<Listed>>()?.items };
        if let Some(listed) = choose(name, &found, &all) {
            meanings.insert((*name).clone(), listed.sku.clone());
        }
    }
    Ok(meanings)
}

/// Every item of a list.
pub(crate) async fn list<T: DeserializeOwned>(client: &Client, path: &str) -> Result<Vec<T>, LoadError> {
    let mut items = Vec::new();
    let mut after = String::new();
    loop {
        let page: Page<T> = client.send(&Ask::get(format!("{path}?limit={PAGE_LIMIT}{after}"))).await?.expect()?;
        items.extend(page.items);
        let Some(next) = page.next else { return Ok(items) };
        after = format!("&after={next}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Bucket, Id, Timestamp};

    fn city() -> City {
        let store = |seed: u64, zone: Vec<(f64, f64)>| {
            let id = StoreId(Id::new(Timestamp::from_millis(1), Bucket(1), &mut Draw::seeded(seed)));
            StoreView { id, zone }
        };
        // A triangle and a square far from it.
        let stores = vec![
            store(1, vec![(-84.4, 33.7), (-84.3, 33.7), (-84.4, 33.8), (-84.4, 33.7)]),
            store(2, vec![(-84.1, 33.9), (-84.0, 33.9), (-84.0, 34.0), (-84.1, 34.0), (-84.1, 33.9)]),
        ];
        let milk = [("milk".to_owned(), "MILK".parse().expect("a SKU"))];
        let meanings = stores.iter().map(|store| (store.id, milk.clone().into())).collect();
        City { stores, meanings }
    }

    #[test]
    fn addresses_lie_in_zones_and_repeat_with_the_seed() {
        let city = city();
        for seed in 0..200 {
            let address = city.address(&mut Draw::seeded(seed)).expect("zones");
            let point: Point = serde_json::from_value(address["point"].clone()).expect("a point");
            assert!(city.stores.iter().any(|store| contains(&store.zone, point)), "{point:?}");
            assert_eq!(address, city.address(&mut Draw::seeded(seed)).expect("zones"));
        }
        let one = address_in(&[&city.stores[1]], &mut Draw::seeded(1)).expect("a zone");
        assert!(one["point"]["lat"].as_f64().expect("a latitude") >= 33.9);
    }

    #[test]
    fn lines_have_one_to_three_units_and_repeat_with_the_seed() {
        let (city, basket) = (city(), vec!["milk".to_owned(), "nothing".to_owned(), "milk".to_owned()]);
        let lines = |seed| city.lines(city.stores[0].id, &basket, &mut Draw::seeded(seed));
        for seed in 0..50 {
            assert_eq!(lines(seed).len(), 2);
            assert!(lines(seed).iter().all(|line| (1..=3).contains(&line["quantity"].as_i64().expect("a number"))));
            assert_eq!(lines(seed), lines(seed));
        }
    }
}
