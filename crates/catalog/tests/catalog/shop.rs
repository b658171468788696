//! A running catalog with what it hears of others said by speakers, and short ways to fill it and to hear what it says.
//! Leaves the stage to `testkit`.

use std::ops::Deref;

use contracts::catalog::ListingChanged;
use contracts::delivery::{Store, StoreChanged};
use contracts::inventory::{Band, SupplyChanged, Thing};
use contracts::{Sku, StoreId};
use testkit::{Engine, Stage, TestRuntime, body, items, migrated};
use web::{Call, Json, Method, Reply, json};

/// A running catalog.
pub(crate) struct Shop(Stage);

impl Deref for Shop {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.0
    }
}

impl Shop {
    /// A catalog on a fresh database of `engine`.
    pub(crate) async fn open(engine: Engine) -> Self {
        let config = catalog::Config::default();
        let service = catalog::service(&config);
        let database = migrated(engine, &[service.migrations]).await;
        let mut stage = Stage::on(database, TestRuntime::flowing(), &["delivery", "inventory"]).await;
        let catalog = stage.play(service).await;
        stage.open(catalog::routes(catalog.handle.clone(), &config));
        Self(stage)
    }

    /// The same with `store` known and the category `dairy`.
    pub(crate) async fn with_store(self, store: &Store) -> Self {
        self.know(store).await;
        assert_eq!(self.put("/v1/admin/categories/dairy", &self.admin(), &json!({"name": "Dairy"})).await.status, 201);
        self
    }

    /// Lets delivery say `store`, and waits until catalog has heard it.
    pub(crate) async fn know(&self, store: &Store) {
        self.say("delivery", StoreChanged { store: store.clone() }).await;
        let path = format!("/v1/stores/{}/products", store.id);
        self.until("the store is known", async || self.get(&path).await.status == 200).await;
    }

    /// Lets inventory say how much is left, and waits until shoppers see it.
    pub(crate) async fn supply(&self, store: StoreId, sku: &str, band: Band, word: &str) {
        let thing = Thing::Sku(sku.parse().unwrap());
        self.say("inventory", SupplyChanged { store, thing, band }).await;
        let path = format!("/v1/stores/{store}/products/{sku}");
        self.until("the band is shown", async || body(&self.get(&path).await)["availability"] == word).await;
    }

    /// Puts `value` to `path` under a key.
    pub(crate) async fn put_under(&self, key: &str, path: &str, token: &str, value: &Json) -> Reply {
        self.send(Call::new(Method::PUT, path).bearer(token).key(key).json(value)).await
    }

    /// Everything that catalog has said, in order.
    pub(crate) async fn said(&self) -> Vec<ListingChanged> {
        self.events_of("catalog").await
    }
}

/// A body for a product of the category `dairy`, listed in `stores`.
pub(crate) fn product(name: &str, detail: &str, price_minor: i64, stores: &[StoreId]) -> Json {
    let stores: Vec<Json> = stores.iter().map(|store| json!({"store": store, "listed": true})).collect();
    json!({
        "name": name, "detail": detail, "category": "dairy", "price_minor": price_minor, "tax_class": "food", "stores": stores,
    })
}

/// The SKUs of a listing, in its order.
pub(crate) fn skus(reply: &Reply) -> Vec<String> {
    skus_of(&items(reply))
}

/// The SKUs of items, in their order.
pub(crate) fn skus_of(items: &[Json]) -> Vec<String> {
    items.iter().map(|item| item["sku"].as_str().unwrap().to_owned()).collect()
}

/// What is told of one listing, in short.
pub(crate) fn brief(said: &[ListingChanged]) -> Vec<(Sku, i64, bool)> {
    said.iter().map(|event| (event.sku.clone(), event.price.minor, event.listed)).collect()
}
