//! Running notifications with orders and delivery said by stand-ins, a mailer that does as it is told, and short ways to ask.
//! Leaves databases to `testkit`.

use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;

use contracts::delivery::{DeliveryAssigned, DeliveryPickedUp};
use contracts::orders::{Contact, OrderConfirmed, OrderDelivered, OrderPlaced};
use contracts::{Address, CartId, Event, OrderId, PersonId, Point, Slot, SlotKey, StoreId};
use engine::{Lane, Running, Service, Settings, TokioRuntime};
use kernel::{BoxFuture, Bucket, Draw, Id, Money, Runtime, Timestamp, TraceContext};
use log::Wakes;
use notifications::{Config, Mail, Mailer, Outcome};
use store::Store;
use testkit::{Engine, TestStore, fresh};
use web::{Call, Door, Grant, Json, Keyring, Limits, Person, Reply, Role, Router, SigningKey, TOKEN_TTL_MS};

/// How often a condition is looked at before it counts as never met: ten seconds in all.
const LOOKS_MAX: u32 = 1000;
const LOOK_MS: i64 = 10;

/// A database with all tables, on which shops are opened, one after the other or beside each other.
pub(crate) struct Ground {
    pub(crate) database: TestStore,
}

impl Ground {
    pub(crate) async fn fresh(engine: Engine) -> Self {
        let database = fresh(engine).await;
        let service = notifications::service(&quick(), Obedient::sending());
        let migrations = [store::PLATFORM, engine::MIGRATIONS, service.migrations].concat();
        database.store.migrate(&migrations).await.unwrap();
        Self { database }
    }

    /// A shop on it, as one process.
    pub(crate) async fn open(&self, config: Config, mailer: Arc<dyn Mailer>) -> Shop {
        Shop::open(self.database.store.clone(), config, mailer).await
    }

    /// The same with a mailer that is content with everything.
    pub(crate) async fn open_content(&self) -> Shop {
        self.open(quick(), Obedient::sending()).await
    }
}

/// Settings under which nothing takes long.
pub(crate) fn quick() -> Config {
    Config { look_ms: 20, again_first_ms: 2, again_max_ms: 4, send_timeout_ms: 50, ..Config::default() }
}

/// Running notifications.
pub(crate) struct Shop {
    runtime: Arc<TokioRuntime>,
    store: Store,
    key: SigningKey,
    router: Router,
    notifications: Running,
    orders: Running,
    delivery: Running,
}

impl Shop {
    pub(crate) async fn open(store: Store, config: Config, mailer: Arc<dyn Mailer>) -> Self {
        let runtime = Arc::new(TokioRuntime::new());
        let settings = Settings { store: store.clone(), runtime: runtime.clone(), wakes: Wakes::default() };
        let notifications = engine::start(notifications::service(&config, mailer), &settings).await.unwrap();
        let orders = engine::start(stand_in("orders"), &settings).await.unwrap();
        let delivery = engine::start(stand_in("delivery"), &settings).await.unwrap();

        let (key, keyring) = (SigningKey::generate().unwrap(), Keyring::new());
        keyring.insert(key.public());
        let door = Door::new(runtime.clone(), keyring, Limits::default());
        let router = door.open(notifications::routes(notifications.handle.clone(), &config));
        Self { runtime, store, key, router, notifications, orders, delivery }
    }

    /// Lets orders say something.
    pub(crate) async fn orders_say<E: Event + Clone>(&self, event: E) {
        say(&self.orders, event).await;
    }

    /// Lets delivery say something.
    pub(crate) async fn delivery_says<E: Event + Clone>(&self, event: E) {
        say(&self.delivery, event).await;
    }

    /// Everything that an order is told on its good way, from `placed` on.
    pub(crate) async fn deliver(&self, order: OrderId, customer: Option<PersonId>) {
        self.orders_say(placed(order, customer)).await;
        self.orders_say(confirmed(order)).await;
        self.delivery_says(assigned(order)).await;
        self.delivery_says(DeliveryPickedUp { order, at: now() }).await;
        self.orders_say(OrderDelivered { order, amount: total() }).await;
    }

    pub(crate) fn token(&self, role: Role, id: Id) -> String {
        let person = Person { id, name: "Ada".to_owned(), grants: vec![Grant { role, store: None }] };
        self.key.sign(&person, self.runtime.now(), TOKEN_TTL_MS).unwrap()
    }

    /// Reads `path` as an admin.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.get_as(path, &self.token(Role::Admin, some_id(1))).await
    }

    pub(crate) async fn get_as(&self, path: &str, token: &str) -> Reply {
        Call::get(path).bearer(token).send(&self.router).await.unwrap()
    }

    pub(crate) async fn get_as_nobody(&self, path: &str) -> Reply {
        Call::get(path).send(&self.router).await.unwrap()
    }

    /// The messages of an order, newest first.
    pub(crate) async fn messages(&self, order: OrderId) -> Vec<Json> {
        items(&self.get(&format!("/v1/admin/messages?order={order}&limit=100")).await)
    }

    /// Waits until an order has `count` messages and each is in `state`.
    pub(crate) async fn until_messages(&self, order: OrderId, count: usize, state: &str) {
        let all = || async {
            let messages = self.messages(order).await;
            messages.len() == count && messages.iter().all(|message| message["state"] == state)
        };
        self.until(&format!("{count} messages are {state}"), all).await;
    }

    /// Waits until the row that says how an order is reached, or what waits for that, is there.
    pub(crate) async fn until_contact(&self, order: OrderId) {
        let contacts = notifications::service(&quick(), Obedient::sending()).tables[0];
        let there = || async { !self.store.load(contacts, vec![vec![order.0.into()]]).await.unwrap().is_empty() };
        self.until("something is known of the order", there).await;
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

    /// Ends everything; no event may have been parked.
    pub(crate) async fn close(self) {
        let parked = engine::READS.iter().find(|read| read.name == "engine.parked-count").unwrap();
        let rows = self.store.read(parked, vec!["notifications".into()]).await.unwrap();
        assert_eq!(rows[0].int(0), Ok(0));
        for running in [self.notifications, self.orders, self.delivery] {
            running.shut_down().await;
        }
    }
}

/// A service that only says what it is told to.
fn stand_in(name: &'static str) -> Service {
    Service { name, migrations: &[], tables: &[], reads: &[], subscriptions: Vec::new(), timers: Vec::new(), jobs: Vec::new() }
}

async fn say<E: Event + Clone>(running: &Running, event: E) {
    let trace = TraceContext::start(&mut Draw::seeded(1));
    running.handle.decide(Lane::Rest, &trace, move |work| work.emit(&event)).await.unwrap();
}

/// What a mailer does at one try.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Come(Outcome),
    Panic,
    NeverAnswer,
}

/// A mailer that does as it is told, in turn and then the last for ever, and keeps what it was given.
pub(crate) struct Obedient {
    acts: Mutex<Vec<Act>>,
    pub(crate) had: Mutex<Vec<Mail>>,
}

impl Obedient {
    pub(crate) fn told(acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        let mut acts: Vec<Act> = acts.into_iter().collect();
        acts.reverse();
        Arc::new(Self { acts: Mutex::new(acts), had: Mutex::default() })
    }

    pub(crate) fn sending() -> Arc<Self> {
        Self::told([Act::Come(Outcome::Sent)])
    }

    pub(crate) fn had(&self) -> Vec<Mail> {
        self.had.lock().unwrap().clone()
    }
}

impl Mailer for Obedient {
    fn name(&self) -> &'static str {
        "obedient"
    }

    fn send(&self, mail: Mail) -> BoxFuture<'_, Outcome> {
        self.had.lock().unwrap().push(mail);
        let act = {
            let mut acts = self.acts.lock().unwrap();
            if acts.len() > 1 { acts.pop() } else { acts.first().cloned() }
        };
        match act.unwrap() {
            Act::Come(outcome) => Box::pin(std::future::ready(outcome)),
            Act::Panic => panic!("as told"),
            Act::NeverAnswer => Box::pin(std::future::pending()),
        }
    }
}

pub(crate) fn failing(again: bool) -> Act {
    Act::Come(Outcome::Failed { again, cause: "mailbox full".to_owned() })
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(1_764_000_000_000)
}

pub(crate) fn some_id(seed: u64) -> Id {
    Id::new(now(), Bucket(3), &mut Draw::seeded(seed))
}

pub(crate) fn order(seed: u64) -> OrderId {
    OrderId(some_id(seed))
}

fn total() -> Money {
    Money::new(2317, "USD".parse().unwrap())
}

fn slot() -> Slot {
    Slot { starts_at: SlotKey(now()), ends_at: now().plus_ms(3_600_000), cutoff_at: now() }
}

fn contact() -> Contact {
    Contact { name: "Ada".to_owned(), email: "ada@example.com".to_owned(), phone: String::new() }
}

pub(crate) fn placed(order: OrderId, customer: Option<PersonId>) -> OrderPlaced {
    let (cart, store) = (CartId(order.0), StoreId(some_id(2)));
    let (contact, slot, total) = (contact(), slot(), total());
    OrderPlaced { order, cart, store, customer, contact, lines: Vec::new(), slot, total, placed_at: now() }
}

pub(crate) fn confirmed(order: OrderId) -> OrderConfirmed {
    let address = Address { street: "99 Krog St NE".to_owned(), note: String::new(), point: Point { lat: 33.7, lon: -84.3 } };
    OrderConfirmed { order, store: StoreId(some_id(2)), contact: contact(), address, slot: slot() }
}

pub(crate) fn assigned(order: OrderId) -> DeliveryAssigned {
    DeliveryAssigned { order, courier: PersonId(some_id(8)), courier_name: "Grace".to_owned() }
}

pub(crate) fn body(reply: &Reply) -> Json {
    reply.json().unwrap()
}

pub(crate) fn items(reply: &Reply) -> Vec<Json> {
    assert_eq!(reply.status, 200, "{reply:?}");
    body(reply)["items"].as_array().unwrap().clone()
}

/// The templates of messages, sorted.
pub(crate) fn templates(messages: &[Json]) -> Vec<&str> {
    let mut templates: Vec<&str> = messages.iter().map(|message| message["template"].as_str().unwrap()).collect();
    templates.sort_unstable();
    templates
}
