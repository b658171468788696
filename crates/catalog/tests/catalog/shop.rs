//! A running catalog with what it hears of others said by stand-ins, and short ways to ask it and to hear what it says.
//! Leaves databases to `testkit`.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use contracts::catalog::ListingChanged;
use contracts::delivery::{Fee, Hours, SlotTemplate, Store, StoreChanged};
use contracts::inventory::{Band, SupplyChanged, Thing};
use contracts::{Envelope, Event, Point, Sku, StoreId};
use engine::{Handle, Lane, Running, Service, Settings, TokioRuntime};
use kernel::{Bucket, Draw, Id, Runtime, Timestamp, TraceContext};
use log::Wakes;
use store::OUTBOX_EVENTS;
use testkit::{Engine, TestStore, fresh};
use web::{Call, Door, Grant, Json, Keyring, Limits, Method, Person, Reply, Role, Router, SigningKey, TOKEN_TTL_MS, json};

/// How often a condition is looked at before it counts as never met: ten seconds in all.
const LOOKS_MAX: u32 = 1000;
const LOOK_MS: i64 = 10;

/// A running catalog.
pub(crate) struct Shop {
    pub(crate) database: TestStore,
    runtime: Arc<TokioRuntime>,
    key: SigningKey,
    router: Router,
    keys_made: AtomicU64,
    catalog: Running,
    delivery: Running,
    inventory: Running,
}

impl Shop {
    /// A catalog on a fresh database of `engine`.
    pub(crate) async fn open(engine: Engine) -> Self {
        let database = fresh(engine).await;
        let config = catalog::Config::default();
        let service = catalog::service(&config);
        let migrations = [store::PLATFORM, engine::MIGRATIONS, service.migrations].concat();
        database.store.migrate(&migrations).await.unwrap();

        let runtime = Arc::new(TokioRuntime::new());
        let settings = Settings { store: database.store.clone(), runtime: runtime.clone(), wakes: Wakes::default() };
        let catalog = engine::start(service, &settings).await.unwrap();
        let delivery = engine::start(stand_in("delivery"), &settings).await.unwrap();
        let inventory = engine::start(stand_in("inventory"), &settings).await.unwrap();

        let (key, keyring) = (SigningKey::generate().unwrap(), Keyring::new());
        keyring.insert(key.public());
        let door = Door::new(runtime.clone(), keyring, Limits::default());
        let router = door.open(catalog::routes(catalog.handle.clone(), &config));
        Self { database, runtime, key, router, keys_made: AtomicU64::new(0), catalog, delivery, inventory }
    }

    /// The same with `store` known and the category `dairy`.
    pub(crate) async fn with_store(self, store: &Store) -> Self {
        self.know(store).await;
        let admin = self.admin();
        assert_eq!(self.put("/v1/admin/categories/dairy", &admin, &json!({"name": "Dairy"})).await.status, 201);
        self
    }

    /// Lets delivery say `store`, and waits until catalog has heard it.
    pub(crate) async fn know(&self, store: &Store) {
        let event = StoreChanged { store: store.clone() };
        say(&self.delivery.handle, event).await;
        let path = format!("/v1/stores/{}/products", store.id);
        self.until("the store is known", || async { self.get(&path).await.status == 200 }).await;
    }

    /// Lets inventory say how much is left, and waits until shoppers see it.
    pub(crate) async fn supply(&self, store: StoreId, sku: &str, band: Band, word: &str) {
        let thing = Thing::Sku(sku.parse().unwrap());
        say(&self.inventory.handle, SupplyChanged { store, thing, band }).await;
        let path = format!("/v1/stores/{store}/products/{sku}");
        self.until("the band is shown", || async { body(&self.get(&path).await)["availability"] == word }).await;
    }

    /// A token of somebody with `role`, in one store or in all.
    pub(crate) fn token(&self, role: Role, store: Option<StoreId>) -> String {
        let grants = vec![Grant { role, store: store.map(|store| store.0) }];
        let person = Person { id: some_id(7), name: "Ada".to_owned(), grants };
        self.key.sign(&person, self.runtime.now(), TOKEN_TTL_MS).unwrap()
    }

    pub(crate) fn admin(&self) -> String {
        self.token(Role::Admin, None)
    }

    /// Reads `path` as anyone.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        Call::get(path).send(&self.router).await.unwrap()
    }

    /// Reads `path` with a token.
    pub(crate) async fn get_as(&self, path: &str, token: &str) -> Reply {
        Call::get(path).bearer(token).send(&self.router).await.unwrap()
    }

    /// Puts `value` to `path` under a fresh key.
    pub(crate) async fn put(&self, path: &str, token: &str, value: &Json) -> Reply {
        let key = format!("key-{}", self.keys_made.fetch_add(1, Ordering::Relaxed));
        self.put_under(&key, path, token, value).await
    }

    /// Puts `value` to `path` under a key.
    pub(crate) async fn put_under(&self, key: &str, path: &str, token: &str, value: &Json) -> Reply {
        Call::new(Method::PUT, path).bearer(token).key(key).json(value).send(&self.router).await.unwrap()
    }

    /// Sends any request.
    pub(crate) async fn send(&self, call: Call) -> Reply {
        call.send(&self.router).await.unwrap()
    }

    /// Everything that catalog has said, in order.
    pub(crate) async fn said(&self) -> Vec<ListingChanged> {
        let source = self.database.store.head("catalog", "nobody").await.unwrap().source;
        let topics = store::Value::Texts(vec![ListingChanged::TOPIC.to_owned()]);
        let arguments = vec![source.into(), 0_i64.into(), topics, 10_000_i64.into()];
        let rows = self.database.store.read(&OUTBOX_EVENTS, arguments).await.unwrap();
        let event = |row: &store::Row| {
            let envelope: Envelope = serde_json::from_str(row.text(5).unwrap()).unwrap();
            serde_json::from_value(envelope.data).unwrap()
        };
        rows.iter().map(event).collect()
    }

    /// Waits until `met`, and fails if that never comes.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, met: impl Fn() -> F) {
        for _ in 0..LOOKS_MAX {
            if met().await {
                return;
            }
            self.runtime.sleep(LOOK_MS).await;
        }
        panic!("it never came that {what}");
    }

    /// Ends everything, so that the database can go.
    pub(crate) async fn close(self) {
        let Self { catalog, delivery, inventory, .. } = self;
        for running in [catalog, delivery, inventory] {
            running.shut_down().await;
        }
    }
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

/// A store that sells in dollars and knows the taxes `food` and `household`.
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
        slots: SlotTemplate { length_minutes: 60, places: 10, cutoff_minutes: 30, days_ahead: 2 },
        tax_basis_points: [("food".to_owned(), 400), ("household".to_owned(), 890)].into(),
        paused: false,
    }
}

/// A body for a product of the category `dairy`, listed in `stores`.
pub(crate) fn product(name: &str, detail: &str, price_minor: i64, stores: &[StoreId]) -> Json {
    let stores: Vec<Json> = stores.iter().map(|store| json!({"store": store, "listed": true})).collect();
    json!({
        "name": name, "detail": detail, "category": "dairy", "price_minor": price_minor, "tax_class": "food", "stores": stores,
    })
}

pub(crate) fn body(reply: &Reply) -> Json {
    reply.json().unwrap()
}

/// The SKUs of a listing, in its order.
pub(crate) fn skus(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{reply:?}");
    body(reply)["items"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap().to_owned()).collect()
}

/// What is told of one listing, in short.
pub(crate) fn brief(said: &[ListingChanged]) -> Vec<(Sku, i64, bool)> {
    said.iter().map(|event| (event.sku.clone(), event.price.minor, event.listed)).collect()
}
