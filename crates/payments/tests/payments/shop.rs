//! A shop of payments and the sandbox provider on a fresh database, with an `orders` that says what the test wants.
//! Leaves what is to be expected to the tests.

use std::future::Future;
use std::sync::Arc;

use contracts::orders::{OrderCancelling, OrderDelivered, OrderReserved};
use contracts::{Envelope, Event, OrderId, StoreId};
use engine::{Lane, Running, Service, Settings, TokioRuntime};
use kernel::{Bucket, Draw, Fault, Id, Money, Runtime, TraceContext};
use log::Wakes;
use payments::{Config, Provider, SandboxProvider};
use store::{Migration, OUTBOX_EVENTS, Value};
use testkit::{Engine, TestStore, fresh};
use web::{Call, Door, Grant, Json, Keyring, Limits, Person, Reply, Role, Router, SigningKey, StatusCode, TOKEN_TTL_MS};

/// How long a condition may take to come true.
const PATIENCE_MS: i64 = 30_000;

/// Payments and its neighbours.
pub(crate) struct Shop {
    pub(crate) settings: Settings,
    pub(crate) payments: Running,
    pub(crate) sandbox: Running,
    pub(crate) config: Config,
    orders: Running,
    router: Router,
    signing: SigningKey,
    /// Dropped last: the database goes with it.
    pub(crate) test_store: TestStore,
}

/// Settings for impatient tests.
pub(crate) fn quick() -> Config {
    let sandbox = payments::SandboxConfig { slow_ms: 30 };
    Config { worker_every_ms: 5, retry_first_ms: 2, retry_longest_ms: 20, sandbox, ..Config::default() }
}

/// All migrations that payments needs.
pub(crate) fn migrations(config: &Config) -> Vec<Migration> {
    [
        store::PLATFORM,
        engine::MIGRATIONS,
        payments::service(config, Arc::new(crate::providers::Nobody)).migrations,
        payments::sandbox(config).migrations,
    ]
    .concat()
}

impl Shop {
    /// A shop with the sandbox provider.
    pub(crate) async fn open(engine: Engine) -> Self {
        Self::open_with(engine, quick(), |sandbox| Arc::new(sandbox)).await
    }

    /// A shop with other settings and a provider around the sandbox's.
    pub(crate) async fn open_with(
        engine: Engine,
        config: Config,
        provider: impl Fn(SandboxProvider) -> Arc<dyn Provider>,
    ) -> Self {
        let test_store = fresh(engine).await;
        let store = test_store.store.clone();
        store.migrate(&migrations(&config)).await.unwrap();
        let settings = Settings { store, runtime: Arc::new(TokioRuntime::new()), wakes: Wakes::default() };
        let orders = engine::start(speaker("orders"), &settings).await.unwrap();
        let sandbox = engine::start(payments::sandbox(&config), &settings).await.unwrap();
        let provider = provider(SandboxProvider::new(sandbox.handle.clone(), &config));
        let payments = engine::start(payments::service(&config, provider), &settings).await.unwrap();

        let signing = SigningKey::generate().unwrap();
        let keyring = Keyring::new();
        keyring.insert(signing.public());
        let routes = payments::routes(payments.handle.clone(), &config)
            .merge(payments::sandbox_routes(sandbox.handle.clone()))
            .merge(payments::reconcile_routes(payments.handle.clone(), sandbox.handle.clone()));
        let router = Door::new(settings.runtime.clone(), keyring, Limits::default()).open(routes);
        Self { settings, payments, sandbox, config, orders, router, signing, test_store }
    }

    /// Payments once more: as another process of a shared database, as another worker where there is one process.
    pub(crate) async fn another(&self, provider: Arc<dyn Provider>) -> Running {
        let mut settings = self.settings.clone();
        if settings.store.shared() {
            settings.store = self.test_store.another().await;
            settings.wakes = Wakes::default();
        }
        engine::start(payments::service(&self.config, provider), &settings).await.unwrap()
    }

    /// The provider on this shop's books.
    pub(crate) fn provider(&self) -> SandboxProvider {
        SandboxProvider::new(self.sandbox.handle.clone(), &self.config)
    }

    /// A new order's id.
    pub(crate) fn order(&self) -> OrderId {
        let mut draw = self.settings.runtime.draw();
        let bucket = Bucket(u16::try_from(draw.below(64)).unwrap());
        OrderId(Id::new(self.settings.runtime.now(), bucket, &mut draw))
    }

    /// Orders says so.
    pub(crate) async fn say<E: Event + Clone>(&self, event: E) {
        let trace = TraceContext::start(&mut self.settings.runtime.draw());
        self.orders.handle.decide(Lane::Order, &trace, move |work| work.emit(&event)).await.unwrap();
    }

    pub(crate) async fn reserve(&self, order: OrderId, token: &str) {
        let pay_by = self.settings.runtime.now().plus_ms(600_000);
        self.say(OrderReserved { order, store: store_id(), amount: money(1000), payment_token: token.to_owned(), pay_by }).await;
    }

    pub(crate) async fn deliver(&self, order: OrderId, minor: i64) {
        self.say(OrderDelivered { order, amount: money(minor) }).await;
    }

    pub(crate) async fn cancel(&self, order: OrderId) {
        self.say(OrderCancelling { order, reason: "gave-up".to_owned() }).await;
    }

    /// Asks the API as a person with these grants, or as nobody.
    pub(crate) async fn get(&self, target: &str, grants: &[(Role, Option<StoreId>)]) -> Reply {
        let mut call = Call::get(target);
        if !grants.is_empty() {
            let now = self.settings.runtime.now();
            let grants = grants.iter().map(|(role, store)| Grant { role: *role, store: store.map(|store| store.0) }).collect();
            let person = Person { id: Id::new(now, Bucket(0), &mut Draw::seeded(1)), name: "Ada".to_owned(), grants };
            call = call.bearer(&self.signing.sign(&person, now, TOKEN_TTL_MS).unwrap());
        }
        call.send(&self.router).await.unwrap()
    }

    /// Asks the API as admin, which must be answered.
    pub(crate) async fn read(&self, target: &str) -> Json {
        let reply = self.get(target, &[(Role::Admin, None)]).await;
        assert_eq!(reply.status, StatusCode::OK, "{target}: {:?}", reply.body);
        reply.json().unwrap()
    }

    /// All items of a list, page by page.
    pub(crate) async fn list(&self, target: &str) -> Vec<Json> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.read(&format!("{target}?limit=7{after}")).await;
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next"].as_str() else { return items };
            after = format!("&after={next}");
        }
    }

    /// The payment of an order, once it is in `state` and nothing is to be asked for it.
    pub(crate) async fn settled(&self, order: OrderId, state: &str) -> Json {
        self.until(&format!("{order} is {state}"), || async {
            let found = self.get(&format!("/v1/admin/payments/{order}"), &[(Role::Admin, None)]).await;
            let payment: Json = found.json().ok()?;
            (payment["state"] == *state && !self.tasks_of(order).await).then_some(payment)
        })
        .await
    }

    async fn tasks_of(&self, order: OrderId) -> bool {
        let facts = self.list("/v1/admin/audit/payments/facts").await;
        facts.iter().any(|fact| fact["order"] == order.to_string() && fact["settled"] == false)
    }

    /// Waits until every one of `count` payments is settled.
    pub(crate) async fn all_settled(&self, count: usize) -> Vec<Json> {
        self.until("all are settled", || async {
            let facts = self.list("/v1/admin/audit/payments/facts").await;
            (facts.len() == count && facts.iter().all(|fact| fact["settled"] == true)).then_some(facts)
        })
        .await
    }

    /// The provider's own books of an order.
    pub(crate) async fn intents(&self, order: OrderId) -> Vec<Json> {
        let intents = self.list("/v1/admin/sandbox/intents").await;
        intents.into_iter().filter(|intent| intent["order"] == order.to_string()).collect()
    }

    /// What payments has said of an order, in order: the kinds of its events.
    pub(crate) async fn said(&self, order: OrderId) -> Vec<String> {
        let source = self.settings.store.head("payments", "none").await.unwrap().source;
        let topics = Value::Texts(vec!["payments.payments".to_owned()]);
        let rows =
            self.settings.store.read(&OUTBOX_EVENTS, vec![source.into(), 0_i64.into(), topics, 10_000_i64.into()]).await.unwrap();
        let events = rows.iter().map(|row| serde_json::from_str::<Envelope>(row.text(5).unwrap()).unwrap());
        events.filter(|event| event.subject == order.to_string()).map(|event| event.kind).collect()
    }

    /// Nothing is wrong in our tables, nor beside the provider's books.
    pub(crate) async fn assert_sound(&self) {
        for audit in ["breaches", "reconcile"] {
            let found = self.read(&format!("/v1/admin/audit/payments/{audit}")).await;
            assert_eq!(found["items"], web::json!([]), "{audit}");
        }
    }

    /// Waits until `condition` gives something.
    pub(crate) async fn until<T, F: Future<Output = Option<T>>>(&self, what: &str, mut condition: impl FnMut() -> F) -> T {
        let runtime: &Arc<dyn Runtime> = &self.settings.runtime;
        let give_up = runtime.now().plus_ms(PATIENCE_MS);
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            assert!(runtime.now() < give_up, "waited too long until {what}");
            runtime.sleep(3).await;
        }
    }
}

/// A service that only speaks.
fn speaker(name: &'static str) -> Service {
    Service { name, migrations: &[], tables: &[], reads: &[], subscriptions: Vec::new(), timers: Vec::new(), jobs: Vec::new() }
}

/// The store of all orders.
pub(crate) fn store_id() -> StoreId {
    StoreId(Id::new(kernel::Timestamp::from_millis(1), Bucket(7), &mut Draw::seeded(77)))
}

pub(crate) fn money(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

/// The fault of a reply, by its reason.
pub(crate) fn reason(reply: &Reply) -> Result<String, Fault> {
    let problem: Json = reply.json()?;
    Ok(problem["reason"].as_str().or(problem["type"].as_str()).unwrap_or_default().to_owned())
}
