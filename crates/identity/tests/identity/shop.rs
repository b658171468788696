//! A running identity with what it hears of delivery said by a stand-in, a clock that can be moved, and short ways to ask.
//! Leaves databases to `testkit`.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use contracts::delivery::{Fee, Hours, SlotTemplate, Store, StoreChanged};
use contracts::{Envelope, Event, Point, StoreId};
use engine::{Lane, Running, Service, Settings, TokioRuntime};
use identity::{Config, Secret};
use kernel::{BoxFuture, Bucket, Draw, Id, Millis, Runtime, Timestamp, TraceContext};
use log::Wakes;
use store::OUTBOX_EVENTS;
use testkit::{Engine, TestStore, fresh};
use web::{Call, Door, Json, Keyring, Limits, Method, Reply, Router, header, json};

/// How often a condition is looked at before it counts as never met: twenty seconds in all.
const LOOKS_MAX: u32 = 2000;
const LOOK_MS: Millis = 10;

/// The first admin.
pub(crate) const ADMIN: &str = "admin@example.org";

/// The password of everybody in these tests, unless they say otherwise.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The real world with a clock that can be moved forward.
#[derive(Default)]
pub(crate) struct MovedClock {
    world: TokioRuntime,
    ahead_ms: AtomicI64,
}

impl MovedClock {
    pub(crate) fn advance(&self, ms: Millis) {
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Runtime for MovedClock {
    fn now(&self) -> Timestamp {
        self.world.now().plus_ms(self.ahead_ms.load(Ordering::SeqCst))
    }

    fn draw(&self) -> Draw {
        self.world.draw()
    }

    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.world.spawn(name, task);
    }

    fn sleep(&self, ms: Millis) -> BoxFuture<'static, ()> {
        self.world.sleep(ms)
    }
}

/// A running identity.
pub(crate) struct Shop {
    pub(crate) database: TestStore,
    pub(crate) clock: Arc<MovedClock>,
    pub(crate) identity: Running,
    pub(crate) keyring: Keyring,
    pub(crate) router: Router,
    delivery: Running,
    keys_made: AtomicU64,
}

/// Few free attempts and quick sweeps, so that tests are short.
pub(crate) fn config() -> Config {
    Config { attempts_free_max: 4, attempts_swept_every_ms: 1000, ..Config::default() }
}

impl Shop {
    /// An identity on a fresh database of `engine`.
    pub(crate) async fn open(engine: Engine) -> Self {
        let database = fresh(engine).await;
        let service = identity::service(&config());
        let migrations = [store::PLATFORM, engine::MIGRATIONS, service.migrations].concat();
        database.store.migrate(&migrations).await.unwrap();

        let clock = Arc::new(MovedClock::default());
        let settings = Settings { store: database.store.clone(), runtime: clock.clone(), wakes: Wakes::default() };
        let identity = engine::start(service, &settings).await.unwrap();
        let delivery = engine::start(stand_in("delivery"), &settings).await.unwrap();
        let keyring = Keyring::new();
        let router = door(&clock, &keyring).open(identity::routes(identity.handle.clone(), &config()));
        Self { database, clock, identity, keyring, router, delivery, keys_made: AtomicU64::new(0) }
    }

    /// One more identity on the same database, as another process would run it, with its routes.
    pub(crate) async fn another(&self) -> (Running, Router) {
        let settings = Settings { store: self.database.store.clone(), runtime: self.clock.clone(), wakes: Wakes::default() };
        let running = engine::start(identity::service(&config()), &settings).await.unwrap();
        let router = door(&self.clock, &self.keyring).open(identity::routes(running.handle.clone(), &config()));
        (running, router)
    }

    /// The token of the first admin, who is made for it.
    pub(crate) async fn admin(&self) -> String {
        assert_eq!(identity::ensure_admin(&self.identity.handle, "Ada", ADMIN, Secret::new(PASSWORD)).await, Ok(true));
        self.token(ADMIN).await
    }

    /// The token of whoever has this address and [`PASSWORD`]; the door trusts it from now on.
    pub(crate) async fn token(&self, email: &str) -> String {
        self.keyring.insert(&identity::ensure_signing_key(&self.identity.handle).await.unwrap());
        let reply = self.sign_in(email, PASSWORD).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        body(&reply)["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Reply {
        self.send(Call::post("/v1/sign-in").json(&json!({ "email": email, "password": password }))).await
    }

    pub(crate) async fn sign_up(&self, key: &str, email: &str, password: &str) -> Reply {
        let who = json!({ "name": "Grace", "email": email, "password": password });
        self.send(Call::post("/v1/sign-up").key(key).json(&who)).await
    }

    /// Adds a person under a fresh key.
    pub(crate) async fn add(&self, token: &str, person: &Json) -> Reply {
        self.send(Call::post("/v1/admin/people").bearer(token).key(&self.fresh_key()).json(person)).await
    }

    /// Puts a person's profile under a fresh key, expecting `version`.
    pub(crate) async fn change(&self, token: &str, id: &Json, version: i64, profile: &Json) -> Reply {
        let path = format!("/v1/admin/people/{}", id.as_str().unwrap());
        let call = Call::new(Method::PUT, &path).bearer(token).key(&self.fresh_key());
        self.send(call.header(header::IF_MATCH, &format!("\"{version}\"")).json(profile)).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Reply {
        self.send(Call::get(path).bearer(token)).await
    }

    pub(crate) async fn send(&self, call: Call) -> Reply {
        call.send(&self.router).await.unwrap()
    }

    pub(crate) fn fresh_key(&self) -> String {
        format!("key-{}", self.keys_made.fetch_add(1, Ordering::Relaxed))
    }

    /// Lets delivery say that there is a store, and waits until roles may be in it.
    pub(crate) async fn know_store(&self, admin: &str, id: StoreId) {
        let event = StoreChanged { store: store(id) };
        let trace = TraceContext::start(&mut Draw::seeded(1));
        self.delivery.handle.decide(Lane::Rest, &trace, move |work| work.emit(&event)).await.unwrap();
        let manager = person(&format!("knows-{id}@example.org"), &json!([{ "role": "manager", "store": id }]));
        self.until("the store is known", || async { self.add(admin, &manager).await.status != 422 }).await;
    }

    /// Every event of type `E` that identity has said, in order.
    pub(crate) async fn said<E: Event>(&self) -> Vec<E> {
        self.payloads(E::TOPIC).await.iter().map(|text| serde_json::from_value(envelope(text).data).unwrap()).collect()
    }

    /// The payloads of a topic of identity, in order.
    pub(crate) async fn payloads(&self, topic: &str) -> Vec<String> {
        let source = self.database.store.head("identity", "nobody").await.unwrap().source;
        let topics = store::Value::Texts(vec![topic.to_owned()]);
        let arguments = vec![source.into(), 0_i64.into(), topics, 10_000_i64.into()];
        let rows = self.database.store.read(&OUTBOX_EVENTS, arguments).await.unwrap();
        rows.iter().map(|row| row.text(5).unwrap().to_owned()).collect()
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
        self.identity.shut_down().await;
        self.delivery.shut_down().await;
    }
}

fn door(clock: &Arc<MovedClock>, keyring: &Keyring) -> Door {
    Door::new(clock.clone(), keyring.clone(), Limits::default())
}

fn envelope(text: &str) -> Envelope {
    serde_json::from_str(text).unwrap()
}

/// A service that only says what it is told to.
fn stand_in(name: &'static str) -> Service {
    Service { name, migrations: &[], tables: &[], reads: &[], subscriptions: Vec::new(), timers: Vec::new(), jobs: Vec::new() }
}

pub(crate) fn some_id(seed: u64) -> Id {
    Id::new(Timestamp::from_millis(1_764_000_000_000), Bucket(3), &mut Draw::seeded(seed))
}

/// A person to be added, with [`PASSWORD`].
pub(crate) fn person(email: &str, grants: &Json) -> Json {
    json!({ "name": "Somebody", "email": email, "password": PASSWORD, "grants": grants })
}

pub(crate) fn body(reply: &Reply) -> Json {
    reply.json().unwrap()
}

/// The status and the reason of a refusal.
pub(crate) fn refusal(reply: &Reply) -> (u16, String) {
    let kind = body(reply)["type"].as_str().unwrap().to_owned();
    (reply.status.as_u16(), kind.rsplit_once('/').unwrap().1.to_owned())
}

/// The place of the first fault in the body.
pub(crate) fn pointer(reply: &Reply) -> String {
    body(reply)["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned()
}

fn store(id: StoreId) -> Store {
    Store {
        id,
        name: "Krog Street".to_owned(),
        street: "99 Krog St NE".to_owned(),
        point: Point { lat: 33.757, lon: -84.364 },
        time_zone: "America/New_York".to_owned(),
        currency: "USD".parse().unwrap(),
        hours: Hours::Always(true),
        zone: vec![(-84.4, 33.7), (-84.3, 33.7), (-84.3, 33.8), (-84.4, 33.7)],
        fee: Fee { base_minor: 299, per_km_minor: 50, free_from_minor: 5000, order_minimum_minor: 1000 },
        slots: SlotTemplate { length_minutes: 60, places: 10, cutoff_minutes: 30, days_ahead: 2 },
        tax_basis_points: [("food".to_owned(), 400)].into(),
        paused: false,
    }
}
