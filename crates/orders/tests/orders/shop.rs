//! A running orders among stand-ins that say what the test lets them say, and short ways to shop and to ask.
//! Leaves databases to `testkit` and what is to be expected to the tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use contracts::catalog::ListingChanged;
use contracts::delivery::{Fee, Hours, SlotTemplate, Store, StoreChanged};
use contracts::inventory::SlotOffered;
use contracts::{Envelope, Event, OrderId, Point, ProductId, Slot, SlotKey, StoreId};
use engine::{Lane, Running, Service, Settings, TokioRuntime};
use kernel::{Bucket, Draw, Id, Millis, Money, Timestamp, TraceContext};
use log::{Outbox, Wakes};
use orders::Config;
use testkit::{Engine, TestStore, fresh};
use web::{
    Call, Door, Grant, Json, Keyring, Limits, Method, Person, Reply, Role, RouteInfo, Router, SigningKey, TOKEN_TTL_MS, json,
};

/// How long a condition may take to come true.
const PATIENCE_MS: Millis = 20_000;
const LOOK_MS: Millis = 3;

/// The services that orders hears.
const OTHERS: [&str; 5] = ["catalog", "delivery", "identity", "inventory", "payments"];

/// Everything that orders says goes to one of these.
const TOPICS: [&str; 2] = ["orders.orders", "inventory.commands"];

/// Orders with one store on the corner, three listings and a slot.
pub(crate) struct Shop {
    pub(crate) orders: Running,
    pub(crate) store: Store,
    pub(crate) slot: Slot,
    pub(crate) routes: Vec<RouteInfo>,
    config: Config,
    settings: Settings,
    others: BTreeMap<&'static str, Running>,
    keyring: Keyring,
    signing: SigningKey,
    router: Router,
    made: AtomicU64,
    /// Dropped last: the database goes with it.
    database: TestStore,
}

/// A guest's cart.
pub(crate) struct Cart {
    pub(crate) id: String,
    pub(crate) capability: String,
}

impl Cart {
    pub(crate) fn path(&self) -> String {
        format!("/v1/carts/{}", self.id)
    }

    /// The call, made by whoever bears the cart.
    pub(crate) fn by(&self, call: Call) -> Call {
        call.capability(&self.capability)
    }
}

impl Shop {
    pub(crate) async fn open(engine: Engine) -> Self {
        Self::open_with(engine, Config::default()).await
    }

    pub(crate) async fn open_with(engine: Engine, config: Config) -> Self {
        let database = fresh(engine).await;
        let migrations = [store::PLATFORM, engine::MIGRATIONS, orders::service(&config).migrations].concat();
        database.store.migrate(&migrations).await.unwrap();
        let runtime = Arc::new(TokioRuntime::new());
        let settings = Settings { store: database.store.clone(), runtime, wakes: Wakes::default() };
        let mut others = BTreeMap::new();
        for name in OTHERS {
            others.insert(name, engine::start(stand_in(name), &settings).await.unwrap());
        }
        let (signing, keyring) = (SigningKey::generate().unwrap(), Keyring::new());
        keyring.insert(signing.public());
        let (orders, router, routes) = start(&config, &settings, &keyring).await;
        let slot = slot_at(settings.runtime.now().plus_ms(2 * 3_600_000));
        let made = AtomicU64::new(1);
        let store = corner();
        let shop = Self { orders, store, slot, routes, config, settings, others, keyring, signing, router, made, database };
        shop.say(StoreChanged { store: shop.store.clone() }).await;
        for (sku, price_minor, tax_class) in [("MILK", 449, "grocery"), ("PEACH", 599, "grocery"), ("SOAP", 379, "standard")] {
            shop.say(shop.listing(sku, price_minor, tax_class)).await;
        }
        shop.offer(shop.slot).await;
        shop
    }

    /// Stops orders, if it was not stopped before, and starts it again on the same database.
    pub(crate) async fn restart(self) -> Self {
        self.orders.shut_down().await;
        let (orders, router, routes) = start(&self.config, &self.settings, &self.keyring).await;
        Self { orders, router, routes, ..self }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.settings.runtime.now()
    }

    pub(crate) fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.store.currency)
    }

    /// What the store lists of a SKU.
    pub(crate) fn listing(&self, sku: &str, price_minor: i64, tax_class: &str) -> ListingChanged {
        ListingChanged {
            product: ProductId(some_id(9)),
            store: self.store.id,
            sku: sku.parse().unwrap(),
            name: format!("{sku}, one"),
            price: self.money(price_minor),
            tax_class: tax_class.to_owned(),
            listed: true,
        }
    }

    /// Inventory offers a slot of the store.
    pub(crate) async fn offer(&self, slot: Slot) {
        self.say(SlotOffered { store: self.store.id, slot, places: 5 }).await;
    }

    /// Whoever says such events says `event`, and orders has heard it.
    pub(crate) async fn say<E: Event + Clone>(&self, event: E) {
        self.tell(event, TraceContext::start(&mut self.settings.runtime.draw())).await;
        self.heard().await;
    }

    /// Whoever says such events says `event` as part of the request `trace`.
    pub(crate) async fn tell<E: Event + Clone>(&self, event: E, trace: TraceContext) {
        let service = E::TOPIC.split('.').next().unwrap();
        self.others[service].handle.decide(Lane::Rest, &trace, move |work| work.emit(&event)).await.unwrap();
    }

    /// Waits until orders has heard all that was said so far.
    pub(crate) async fn heard(&self) {
        self.until("orders has heard everything", async || {
            let pending = self.orders.pending().await.unwrap();
            assert_eq!(pending.parked, 0, "an event was parked");
            pending.behind.is_empty()
        })
        .await;
    }

    /// Everything that orders has said, in order.
    pub(crate) async fn said(&self) -> Vec<Envelope> {
        let source = self.database.store.head("orders", "nobody").await.unwrap().source;
        let events = Outbox::new(self.database.store.clone(), source).read(0, &TOPICS).await.unwrap();
        events.iter().map(|event| event.envelope().unwrap()).collect()
    }

    /// The kinds of what orders has said of an order, without their version.
    pub(crate) async fn said_of(&self, order: OrderId) -> Vec<String> {
        let said = self.said().await.into_iter().filter(|event| event.subject == order.to_string());
        said.map(|event| event.kind.strip_suffix(".v1").unwrap().to_owned()).collect()
    }

    /// A fresh idempotency key.
    pub(crate) fn key(&self) -> String {
        format!("key-of-this-test-{}", self.made.fetch_add(1, Ordering::Relaxed))
    }

    /// A token of the person `seed` with a role, in one store or in all.
    pub(crate) fn token(&self, seed: u64, role: Role, store: Option<StoreId>) -> String {
        self.token_from(self.now(), seed, role, store)
    }

    /// The same, signed at another time.
    pub(crate) fn token_from(&self, at: Timestamp, seed: u64, role: Role, store: Option<StoreId>) -> String {
        let grants = vec![Grant { role, store: store.map(|store| store.0) }];
        let person = Person { id: some_id(seed), name: "Ada".to_owned(), grants };
        self.signing.sign(&person, at, TOKEN_TTL_MS).unwrap()
    }

    pub(crate) fn customer(&self, seed: u64) -> String {
        self.token(seed, Role::Customer, None)
    }

    /// A picker of the store.
    pub(crate) fn picker(&self) -> String {
        self.token(40, Role::Picker, Some(self.store.id))
    }

    pub(crate) fn admin(&self) -> String {
        self.token(41, Role::Admin, None)
    }

    pub(crate) async fn send(&self, call: Call) -> Reply {
        call.send(&self.router).await.unwrap()
    }

    /// Makes a guest's cart with these lines.
    pub(crate) async fn cart(&self, lines: &[(&str, i64)]) -> Cart {
        let reply = self.send(Call::post("/v1/carts").key(&self.key()).json(&new_cart(lines))).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let view = body(&reply);
        Cart { id: text(&view["id"]), capability: text(&view["capability"]) }
    }

    pub(crate) fn quote_call(&self, cart: &Cart, slot: SlotKey) -> Call {
        cart.by(Call::post(&format!("{}/quotes", cart.path())).json(&json!({ "slot": slot })))
    }

    /// The quote of a cart in the slot of the shop.
    pub(crate) async fn quote(&self, cart: &Cart) -> Json {
        let reply = self.send(self.quote_call(cart, self.slot.starts_at)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        body(&reply)
    }

    pub(crate) async fn change_lines(&self, cart: &Cart, lines: &[(&str, i64)]) -> Reply {
        let call = Call::new(Method::PUT, &format!("{}/lines", cart.path()));
        self.send(cart.by(call.key(&self.key()).json(&json!({ "lines": lines_of(lines) })))).await
    }

    /// Orders under a quote, with a fresh key.
    pub(crate) async fn order(&self, cart: &Cart, quote: &Json) -> Reply {
        self.send(cart.by(Call::post("/v1/orders").key(&self.key()).json(&new_order(quote)))).await
    }

    /// A cart with these lines, ordered.
    pub(crate) async fn placed(&self, lines: &[(&str, i64)]) -> (Cart, OrderId) {
        let cart = self.cart(lines).await;
        let reply = self.order(&cart, &self.quote(&cart).await).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        (cart, serde_json::from_value(body(&reply)["id"].clone()).unwrap())
    }

    /// The order as whoever bears its cart sees it.
    pub(crate) async fn view(&self, cart: &Cart, order: OrderId) -> Json {
        let reply = self.send(cart.by(Call::get(&format!("/v1/orders/{order}")))).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        body(&reply)
    }

    pub(crate) async fn cancel(&self, cart: &Cart, order: OrderId) -> Reply {
        let call = Call::post(&format!("/v1/orders/{order}/cancel")).key(&self.key());
        self.send(cart.by(call.json(&json!({ "reason": "gave-up" })))).await
    }

    /// A move of the people of the store, as `pick`.
    pub(crate) async fn move_order(&self, order: OrderId, step: &str, token: &str) -> Reply {
        self.send(Call::post(&format!("/v1/orders/{order}/{step}")).bearer(token).key(&self.key())).await
    }

    /// Reads `path` as an admin.
    pub(crate) async fn read(&self, path: &str) -> Json {
        let reply = self.send(Call::get(path).bearer(&self.admin())).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        body(&reply)
    }

    /// Waits until `met`, and fails if that does not come.
    pub(crate) async fn until(&self, what: &str, met: impl AsyncFn() -> bool) {
        let patience = self.now().plus_ms(PATIENCE_MS);
        while !met().await {
            assert!(self.now() < patience, "it never came that {what}");
            self.settings.runtime.sleep(LOOK_MS).await;
        }
    }

    /// Fails if orders finds anything wrong with its own tables; then ends everything, so that the database can go.
    pub(crate) async fn close(self) {
        assert_eq!(self.read("/v1/admin/audit/orders/breaches").await["items"], json!([]));
        assert_eq!(self.orders.pending().await.unwrap().parked, 0, "an event was parked");
        self.orders.shut_down().await;
        for other in self.others.values() {
            other.shut_down().await;
        }
    }
}

/// Orders, running and behind a door.
async fn start(config: &Config, settings: &Settings, keyring: &Keyring) -> (Running, Router, Vec<RouteInfo>) {
    let orders = engine::start(orders::service(config), settings).await.unwrap();
    let seal = orders::ensure_seal(&orders.handle).await.unwrap();
    let routes = orders::routes(orders.handle.clone(), config, seal);
    let infos = routes.list();
    let router = Door::new(settings.runtime.clone(), keyring.clone(), Limits::default()).open(routes);
    (orders, router, infos)
}

/// A service that only says what it is told to.
fn stand_in(name: &'static str) -> Service {
    Service { name, migrations: &[], tables: &[], reads: &[], subscriptions: Vec::new(), timers: Vec::new(), jobs: Vec::new() }
}

pub(crate) fn some_id(seed: u64) -> Id {
    Id::new(Timestamp::from_millis(1_764_000_000_000), Bucket(3), &mut Draw::seeded(seed))
}

/// An hour from `starts_at` that can be ordered until it begins.
pub(crate) fn slot_at(starts_at: Timestamp) -> Slot {
    Slot { starts_at: SlotKey(starts_at), ends_at: starts_at.plus_ms(3_600_000), cutoff_at: starts_at }
}

/// The store on the corner, and how far it reaches.
pub(crate) fn corner() -> Store {
    Store {
        id: StoreId(some_id(1)),
        name: "Ponce Corner".to_owned(),
        street: "650 North Ave NE".to_owned(),
        point: Point { lat: 33.7718, lon: -84.3657 },
        time_zone: "America/New_York".to_owned(),
        currency: "USD".parse().unwrap(),
        hours: Hours::Always(true),
        zone: vec![(-84.40, 33.74), (-84.32, 33.74), (-84.32, 33.80), (-84.40, 33.80), (-84.40, 33.74)],
        fee: Fee { base_minor: 299, per_km_minor: 60, free_from_minor: 5000, order_minimum_minor: 1000 },
        slots: SlotTemplate { length_minutes: 60, places: 5, cutoff_minutes: 60, days_ahead: 2 },
        tax_basis_points: [("grocery".to_owned(), 490), ("standard".to_owned(), 890)].into(),
        paused: false,
    }
}

pub(crate) fn address() -> Json {
    json!({ "street": "675 Ponce De Leon Ave NE", "note": "Gate 2", "point": { "lat": 33.7725, "lon": -84.3659 } })
}

pub(crate) fn contact() -> Json {
    json!({ "name": "Josephine Baker", "email": "josephine@example.com", "phone": "+1 404 555 0134" })
}

pub(crate) fn lines_of(lines: &[(&str, i64)]) -> Json {
    lines.iter().map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity })).collect()
}

pub(crate) fn new_cart(lines: &[(&str, i64)]) -> Json {
    json!({ "address": address(), "lines": lines_of(lines) })
}

/// An order under the quote of this view.
pub(crate) fn new_order(quote: &Json) -> Json {
    json!({ "quote": quote["quote"], "contact": contact(), "payment_token": "tok_visa" })
}

pub(crate) fn body(reply: &Reply) -> Json {
    reply.json().unwrap()
}

pub(crate) fn text(value: &Json) -> String {
    value.as_str().unwrap().to_owned()
}

/// Status, reason and first field of a problem, which must have the form of one.
pub(crate) fn brief(reply: &Reply) -> (u16, String, String) {
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:?}");
    let members = body(reply);
    assert!(members["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{members}");
    let reason = members["type"].as_str().unwrap().strip_prefix(web::PROBLEM_TYPE_BASE).unwrap().to_owned();
    let error = &members["errors"][0];
    let field = error["pointer"].as_str().or(error["parameter"].as_str()).unwrap_or("-");
    (reply.status.as_u16(), reason, field.to_owned())
}

pub(crate) fn is(status: u16, reason: &str, field: &str) -> (u16, String, String) {
    (status, reason.to_owned(), field.to_owned())
}
