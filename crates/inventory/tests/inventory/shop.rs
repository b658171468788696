//! A running inventory under a clock that stands until it is moved, with speakers for what it hears, and short ways to stock, to
//! hold and to look. Leaves the stage to `testkit`.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use contracts::delivery::{Store, StoreChanged};
use contracts::inventory::{HoldCommit, HoldConsume, HoldReduce, HoldRelease, HoldRequest, Kept, Wanted};
use contracts::{OrderId, Quantity, SlotKey, StoreId};
use engine::{Running, Service};
use kernel::{Runtime, Timestamp, TraceContext};
use testkit::{Engine, Stage, TestRuntime, items, migrated, ok, some_id};
use web::{Call, Json, Reply, json};

/// A running inventory.
pub(crate) struct Shop {
    stage: Stage,
    inventory: Arc<Running>,
}

impl Deref for Shop {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl Shop {
    /// An inventory on a fresh database of `engine`, on 24 November 2026 at noon in New York.
    pub(crate) async fn open(engine: Engine) -> Self {
        let database = migrated(engine, &[service().migrations]).await;
        let clock = TestRuntime::standing(at("2026-11-24T12:00:00-05:00"));
        Self::on(Stage::on(database, clock, &["orders", "delivery"]).await).await
    }

    /// One more inventory on the same database, as another process would have it.
    pub(crate) async fn another(&self) -> Self {
        Self::on(self.stage.another().await).await
    }

    async fn on(mut stage: Stage) -> Self {
        let inventory = stage.play(service()).await;
        stage.open(inventory::routes(inventory.handle.clone(), &inventory::Config::default()));
        Self { stage, inventory }
    }

    /// Lets delivery say `store`, and waits until inventory has made its slots.
    pub(crate) async fn know(&self, store: &Store) {
        self.hear(store).await;
        let path = format!("/v1/stores/{}/slots", store.id);
        let made = async || {
            let reply = self.get(&path).await;
            reply.status == 200 && !items(&reply).is_empty()
        };
        self.until("the store has slots", made).await;
    }

    /// Lets delivery say `store`.
    pub(crate) async fn hear(&self, store: &Store) {
        self.say("delivery", StoreChanged { store: store.clone() }).await;
    }

    /// Lets orders ask for holds, all in one batch.
    pub(crate) async fn request(&self, requests: Vec<HoldRequest>) {
        self.tell("orders", requests, TraceContext::start(&mut self.clock.draw())).await;
    }

    pub(crate) async fn commit(&self, store: StoreId, order: OrderId) {
        self.say("orders", HoldCommit { order, store }).await;
    }

    pub(crate) async fn release(&self, store: StoreId, order: OrderId) {
        self.say("orders", HoldRelease { order, store }).await;
    }

    pub(crate) async fn consume(&self, store: StoreId, order: OrderId) {
        self.say("orders", HoldConsume { order, store }).await;
    }

    /// Lets orders say what a hold keeps of each SKU: how many, and whether the others go back to the shelf.
    pub(crate) async fn reduce(&self, store: StoreId, order: OrderId, lines: &[(&str, i64, bool)]) {
        let kept =
            |(sku, units, restock): &(&str, i64, bool)| Kept { sku: sku.parse().unwrap(), units: *units, restock: *restock };
        self.say("orders", HoldReduce { order, store, lines: lines.iter().map(kept).collect() }).await;
    }

    /// Takes a slot away, or gives it back, as an admin.
    pub(crate) async fn move_slot(&self, store: StoreId, slot: SlotKey, did: &str, reason: &str) -> Reply {
        let call = Call::post(&slot_path(store, slot, did)).bearer(&self.admin()).key(&self.fresh_key());
        self.send(call.json(&json!({ "reason": reason }))).await
    }

    /// All slots of a store that are not over, as its people see them.
    pub(crate) async fn all_slots(&self, store: StoreId) -> Vec<Json> {
        self.list(&format!("/v1/admin/stores/{store}/slots"), 100, Some(&self.admin())).await
    }

    /// The movements of a store: of which SKU, why, how many.
    pub(crate) async fn movements(&self, store: StoreId) -> Vec<(String, String, i64)> {
        let moved = self.list(&format!("/v1/admin/stores/{store}/movements"), 100, Some(&self.admin())).await;
        let text = |moved: &Json, name: &str| moved[name].as_str().unwrap().to_owned();
        let mut moved: Vec<_> =
            moved.iter().map(|moved| (text(moved, "sku"), text(moved, "reason"), moved["units"].as_i64().unwrap())).collect();
        moved.sort_unstable();
        moved
    }

    /// How many holds have a timer that will end them.
    pub(crate) async fn expiries(&self) -> i64 {
        self.inventory.pending().await.unwrap().timers.get("hold-expiry").copied().unwrap_or_default()
    }

    /// Puts `value` to `path` under a fresh key, as an admin.
    pub(crate) async fn put_as_admin(&self, path: &str, value: &Json) -> Reply {
        self.put(path, &self.admin(), value).await
    }

    /// Counts `on_hand` of a SKU.
    pub(crate) async fn stock(&self, store: StoreId, sku: &str, on_hand: i64) {
        ok(&self.put_as_admin(&stock_path(store, sku), &json!({ "on_hand": on_hand })).await);
    }

    /// What is available and what is held of a SKU.
    pub(crate) async fn level(&self, store: StoreId, sku: &str) -> (i64, i64) {
        let items = self.list(&format!("/v1/stores/{store}/stock"), 100, Some(&self.admin())).await;
        let found = items.iter().find(|item| item["sku"] == sku).unwrap();
        (found["available"].as_i64().unwrap(), found["held"].as_i64().unwrap())
    }

    /// How many places of a slot are left.
    pub(crate) async fn left(&self, store: StoreId, slot: SlotKey) -> i64 {
        let slots = self.slots(store).await;
        slots.iter().find(|item| item["starts_at"] == json!(slot)).unwrap()["left"].as_i64().unwrap()
    }

    /// The first hundred open slots of a store.
    pub(crate) async fn slots(&self, store: StoreId) -> Vec<Json> {
        items(&self.get(&format!("/v1/stores/{store}/slots?limit=100")).await)
    }

    /// The first open slot.
    pub(crate) async fn slot(&self, store: StoreId) -> SlotKey {
        serde_json::from_value(self.slots(store).await[0]["starts_at"].clone()).unwrap()
    }

    /// The state of each order's hold, with its units and whether it is settled.
    pub(crate) async fn facts(&self) -> BTreeMap<OrderId, (String, i64, bool)> {
        let fact = |fact: &Json| {
            let order = serde_json::from_value(fact["order"].clone()).unwrap();
            let state = fact["state"].as_str().unwrap().to_owned();
            (order, (state, fact["sums"]["units"].as_i64().unwrap(), fact["settled"].as_bool().unwrap()))
        };
        let facts = self.list("/v1/admin/audit/inventory/facts", 100, Some(&self.admin())).await;
        facts.iter().map(fact).collect()
    }

    /// Waits until the hold of `order` is in `state`.
    pub(crate) async fn until_state(&self, order: OrderId, state: &str) {
        let met = async || self.facts().await.get(&order).is_some_and(|(found, ..)| found == state);
        self.until(&format!("the hold is {state}"), met).await;
    }

    /// Waits until inventory has applied everything that was said so far.
    pub(crate) async fn settle(&self) {
        self.catch_up(&self.inventory).await;
    }

    /// Everything that inventory has said on a topic, in order: kind and event.
    pub(crate) async fn said(&self, topic: &'static str) -> Vec<(String, Json)> {
        self.log_of("inventory", &[topic]).await.into_iter().map(|envelope| (envelope.kind, envelope.data)).collect()
    }

    /// The kinds of what inventory has said of an order.
    pub(crate) async fn said_of(&self, order: OrderId) -> Vec<String> {
        let said = self.said("inventory.holds").await;
        said.into_iter().filter(|(_, event)| event["order"] == json!(order)).map(|(kind, _)| kind).collect()
    }
}

/// Inventory as data.
pub(crate) fn service() -> Service {
    inventory::service(&inventory::Config::default())
}

pub(crate) fn order(seed: u64) -> OrderId {
    OrderId(some_id(1_000_000 + seed))
}

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// A request for units of SKUs and a place of a slot.
pub(crate) fn request(store: StoreId, order: OrderId, lines: &[(&str, i64)], slot: SlotKey) -> HoldRequest {
    let line =
        |(sku, quantity): &(&str, i64)| Wanted { sku: sku.parse().unwrap(), quantity: Quantity::try_from(*quantity).unwrap() };
    HoldRequest { order, store, lines: lines.iter().map(line).collect(), slot }
}

pub(crate) fn stock_path(store: StoreId, sku: &str) -> String {
    format!("/v1/admin/stores/{store}/stock/{sku}")
}

pub(crate) fn places_path(store: StoreId, slot: SlotKey) -> String {
    slot_path(store, slot, "places")
}

pub(crate) fn slot_path(store: StoreId, slot: SlotKey, did: &str) -> String {
    format!("/v1/admin/stores/{store}/slots/{slot}/{did}")
}
