//! A running inventory under a clock that the test moves, with stand-ins for what it hears, and short ways to ask and to hear.
//! Leaves databases to `testkit`.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use contracts::delivery::{Fee, Hours, SlotTemplate, Store, StoreChanged};
use contracts::inventory::{HoldCommit, HoldConsume, HoldRelease, HoldRequest, Wanted};
use contracts::{Envelope, Event, OrderId, Point, Quantity, SlotKey, StoreId};
use engine::{Handle, Lane, Running, Service, Settings, TokioRuntime};
use kernel::{BoxFuture, Bucket, Draw, Id, Millis, Runtime, Timestamp, TraceContext};
use log::Wakes;
use store::OUTBOX_EVENTS;
use testkit::{Engine, TestStore, fresh};
use web::{Call, Door, Grant, Json, Keyring, Limits, Method, Person, Reply, Role, Router, SigningKey, TOKEN_TTL_MS, json};

/// How often a condition is looked at before it counts as never met: twenty seconds in all.
const LOOKS_MAX: u32 = 2000;
const LOOK_MS: Millis = 10;

/// The real world, but its clock stands until it is moved.
#[derive(Debug)]
struct MovedClock {
    real: TokioRuntime,
    now_ms: AtomicI64,
}

impl Runtime for MovedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms.load(Ordering::SeqCst))
    }

    fn draw(&self) -> Draw {
        self.real.draw()
    }

    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.real.spawn(name, task);
    }

    fn sleep(&self, ms: Millis) -> BoxFuture<'static, ()> {
        self.real.sleep(ms)
    }
}

/// A running inventory.
pub(crate) struct Shop {
    pub(crate) database: TestStore,
    settings: Settings,
    clock: Arc<MovedClock>,
    key: SigningKey,
    door: Door,
    router: Router,
    keys_made: AtomicU64,
    inventory: Running,
    orders: Running,
    delivery: Running,
}

impl Shop {
    /// An inventory on a fresh database of `engine`, on 24 November 2026 at noon in New York.
    pub(crate) async fn open(engine: Engine) -> Self {
        let database = fresh(engine).await;
        let migrations = [store::PLATFORM, engine::MIGRATIONS, service().migrations].concat();
        database.store.migrate(&migrations).await.unwrap();
        let noon = AtomicI64::new(at("2026-11-24T12:00:00-05:00").as_millis());
        let clock = Arc::new(MovedClock { real: TokioRuntime::new(), now_ms: noon });
        let settings = Settings { store: database.store.clone(), runtime: clock.clone(), wakes: Wakes::default() };
        let inventory = engine::start(service(), &settings).await.unwrap();
        let orders = engine::start(stand_in("orders"), &settings).await.unwrap();
        let delivery = engine::start(stand_in("delivery"), &settings).await.unwrap();

        let (key, keyring) = (SigningKey::generate().unwrap(), Keyring::new());
        keyring.insert(key.public());
        let door = Door::new(clock.clone(), keyring, Limits::default());
        let router = door.open(inventory::routes(inventory.handle.clone(), &inventory::Config::default()));
        let keys_made = AtomicU64::new(0);
        Self { database, settings, clock, key, door, router, keys_made, inventory, orders, delivery }
    }

    /// One more inventory on the same database, as another process would have it, and its router.
    pub(crate) async fn another(&self) -> (Running, Router) {
        let settings = Settings { store: self.database.another().await, wakes: Wakes::default(), ..self.settings.clone() };
        let running = engine::start(service(), &settings).await.unwrap();
        let router = self.door.open(inventory::routes(running.handle.clone(), &inventory::Config::default()));
        (running, router)
    }

    /// Lets delivery say `store`, and waits until inventory has made its slots.
    pub(crate) async fn know(&self, store: &Store) {
        self.hear(store).await;
        let path = format!("/v1/stores/{}/slots", store.id);
        let made = || async {
            let reply = self.get(&path).await;
            reply.status == 200 && !items(&reply).is_empty()
        };
        self.until("the store has slots", made).await;
    }

    /// Lets delivery say `store`.
    pub(crate) async fn hear(&self, store: &Store) {
        say(&self.delivery.handle, StoreChanged { store: store.clone() }).await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn advance(&self, ms: Millis) {
        self.clock.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Lets orders ask for holds, all in one batch.
    pub(crate) async fn request(&self, requests: Vec<HoldRequest>) {
        let trace = TraceContext::start(&mut Draw::seeded(1));
        let ask = move |work: &mut engine::Work<'_>| requests.iter().try_for_each(|request| work.emit(request));
        self.orders.handle.decide(Lane::Rest, &trace, ask).await.unwrap();
    }

    pub(crate) async fn commit(&self, store: StoreId, order: OrderId) {
        say(&self.orders.handle, HoldCommit { order, store }).await;
    }

    pub(crate) async fn release(&self, store: StoreId, order: OrderId) {
        say(&self.orders.handle, HoldRelease { order, store }).await;
    }

    pub(crate) async fn consume(&self, store: StoreId, order: OrderId) {
        say(&self.orders.handle, HoldConsume { order, store }).await;
    }

    /// A token of somebody with `role`, in one store or in all.
    pub(crate) fn token(&self, role: Role, store: Option<StoreId>) -> String {
        let grants = vec![Grant { role, store: store.map(|store| store.0) }];
        let person = Person { id: some_id(7), name: "Ada".to_owned(), grants };
        self.key.sign(&person, self.now(), TOKEN_TTL_MS).unwrap()
    }

    pub(crate) fn admin(&self) -> String {
        self.token(Role::Admin, None)
    }

    /// Reads `path` as anyone.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Call::get(path)).await
    }

    /// Reads `path` with a token.
    pub(crate) async fn get_as(&self, path: &str, token: &str) -> Reply {
        self.send(Call::get(path).bearer(token)).await
    }

    /// Puts `value` to `path` under a fresh key, as an admin.
    pub(crate) async fn put(&self, path: &str, value: &Json) -> Reply {
        self.put_call(path, value).send(&self.router).await.unwrap()
    }

    /// A call that puts `value` to `path` under a fresh key, as an admin.
    pub(crate) fn put_call(&self, path: &str, value: &Json) -> Call {
        let key = format!("key-{}", self.keys_made.fetch_add(1, Ordering::Relaxed));
        Call::new(Method::PUT, path).bearer(&self.admin()).key(&key).json(value)
    }

    /// Sends any request.
    pub(crate) async fn send(&self, call: Call) -> Reply {
        call.send(&self.router).await.unwrap()
    }

    /// Counts `on_hand` of a SKU.
    pub(crate) async fn stock(&self, store: StoreId, sku: &str, on_hand: i64) {
        let reply = self.put(&stock_path(store, sku), &json!({ "on_hand": on_hand })).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// What is available and what is held of a SKU.
    pub(crate) async fn level(&self, store: StoreId, sku: &str) -> (i64, i64) {
        let reply = self.get_as(&format!("/v1/stores/{store}/stock?limit=100"), &self.admin()).await;
        let items = items(&reply);
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
        let (mut facts, mut after) = (BTreeMap::new(), String::new());
        loop {
            let path = format!("/v1/admin/audit/inventory/facts?limit=100{after}");
            let reply = self.get_as(&path, &self.admin()).await;
            for fact in items(&reply) {
                let order = serde_json::from_value(fact["order"].clone()).unwrap();
                let state = fact["state"].as_str().unwrap().to_owned();
                facts.insert(order, (state, fact["sums"]["units"].as_i64().unwrap(), fact["settled"].as_bool().unwrap()));
            }
            match body(&reply)["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return facts,
            }
        }
    }

    /// Waits until the hold of `order` is in `state`.
    pub(crate) async fn until_state(&self, order: OrderId, state: &str) {
        let met = || async { self.facts().await.get(&order).is_some_and(|(found, ..)| found == state) };
        self.until(&format!("the hold is {state}"), met).await;
    }

    /// Waits until inventory has applied everything that orders has said so far.
    pub(crate) async fn settle(&self) {
        let met = || async {
            let pending = self.inventory.pending().await.unwrap();
            assert_eq!(pending.parked, 0, "an event was parked");
            pending.behind.is_empty()
        };
        self.until("inventory has heard everything", met).await;
    }

    /// Fails if inventory finds anything wrong with its own tables.
    pub(crate) async fn sound(&self) {
        let reply = self.get_as("/v1/admin/audit/inventory/breaches", &self.admin()).await;
        assert_eq!(items(&reply), Vec::<Json>::new());
    }

    /// Everything that inventory has said on a topic, in order: kind and event.
    pub(crate) async fn said(&self, topic: &str) -> Vec<(String, Json)> {
        let source = self.database.store.head("inventory", "nobody").await.unwrap().source;
        let topics = store::Value::Texts(vec![topic.to_owned()]);
        let arguments = vec![source.into(), 0_i64.into(), topics, 10_000_i64.into()];
        let rows = self.database.store.read(&OUTBOX_EVENTS, arguments).await.unwrap();
        let event = |row: &store::Row| {
            let envelope: Envelope = serde_json::from_str(row.text(5).unwrap()).unwrap();
            (envelope.kind, envelope.data)
        };
        rows.iter().map(event).collect()
    }

    /// The kinds of what inventory has said of an order.
    pub(crate) async fn said_of(&self, order: OrderId) -> Vec<String> {
        let said = self.said("inventory.holds").await;
        said.into_iter().filter(|(_, event)| event["order"] == json!(order)).map(|(kind, _)| kind).collect()
    }

    /// Waits until `met`, and fails if that never comes.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, met: impl Fn() -> F) {
        for _ in 0..LOOKS_MAX {
            if met().await {
                return;
            }
            self.clock.sleep(LOOK_MS).await;
        }
        panic!("it never came that {what}");
    }

    /// Ends everything, so that the database can go.
    pub(crate) async fn close(self) {
        let Self { inventory, orders, delivery, .. } = self;
        for running in [inventory, orders, delivery] {
            running.shut_down().await;
        }
    }
}

/// Inventory as data.
pub(crate) fn service() -> Service {
    inventory::service(&inventory::Config::default())
}

/// A service that only says what it is told to.
fn stand_in(name: &'static str) -> Service {
    Service { name, migrations: &[], tables: &[], reads: &[], subscriptions: Vec::new(), timers: Vec::new(), jobs: Vec::new() }
}

async fn say<E: Event + Clone>(handle: &Handle, event: E) {
    let trace = TraceContext::start(&mut Draw::seeded(1));
    handle.decide(Lane::Rest, &trace, move |work| work.emit(&event)).await.unwrap();
}

pub(crate) fn some_id(seed: u64) -> Id {
    Id::new(Timestamp::from_millis(1_764_000_000_000), Bucket(3), &mut Draw::seeded(seed))
}

pub(crate) fn order(seed: u64) -> OrderId {
    OrderId(some_id(1_000_000 + seed))
}

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// A store that never closes, with ten places in each hour of two days.
pub(crate) fn store(seed: u64) -> Store {
    Store {
        id: StoreId(some_id(seed)),
        name: "Krog Street".to_owned(),
        street: "99 Krog St NE".to_owned(),
        point: Point { lat: 33.757, lon: -84.364 },
        time_zone: "America/New_York".to_owned(),
        currency: "USD".parse().unwrap(),
        hours: Hours::Always(true),
        zone: vec![(-84.4, 33.7), (-84.3, 33.7), (-84.3, 33.8), (-84.4, 33.7)],
        fee: Fee { base_minor: 299, per_km_minor: 50, free_from_minor: 5000, order_minimum_minor: 1000 },
        slots: SlotTemplate { length_minutes: 60, places: 10, cutoff_minutes: 15, days_ahead: 2 },
        tax_basis_points: BTreeMap::new(),
        paused: false,
    }
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
    format!("/v1/admin/stores/{store}/slots/{slot}/places")
}

pub(crate) fn body(reply: &Reply) -> Json {
    reply.json().unwrap()
}

/// The items of a page.
pub(crate) fn items(reply: &Reply) -> Vec<Json> {
    assert_eq!(reply.status, 200, "{reply:?}");
    body(reply)["items"].as_array().unwrap().clone()
}

/// Status, reason and first field of a problem.
pub(crate) fn brief(reply: &Reply) -> (u16, String, String) {
    let members = body(reply);
    let reason = members["type"].as_str().unwrap().strip_prefix(web::PROBLEM_TYPE_BASE).unwrap().to_owned();
    let error = &members["errors"][0];
    let field = error["pointer"].as_str().or(error["parameter"].as_str()).unwrap_or("-");
    (reply.status.as_u16(), reason, field.to_owned())
}
