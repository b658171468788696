//! A running orders among speakers that say what the test lets them say, and short ways to shop and to ask.
//! Leaves the stage to `testkit` and what is to be expected to the tests.

use std::ops::Deref;
use std::sync::Arc;

use contracts::catalog::ListingChanged;
use contracts::delivery::{Fee, Store, StoreChanged};
use contracts::inventory::SlotOffered;
use contracts::{Envelope, Event, OrderId, Point, ProductId, Slot, SlotKey, StoreId};
use engine::Running;
use kernel::{Money, Runtime, Timestamp, TraceContext};
use orders::Config;
use testkit::{Engine, Stage, TestRuntime, body, migrated, ok, some_id};
use web::{Call, Json, Method, Reply, Role, RouteInfo, json};

/// The services that orders hears.
const OTHERS: [&str; 5] = ["catalog", "delivery", "identity", "inventory", "payments"];

/// Everything that orders says goes to one of these.
const TOPICS: [&str; 2] = ["orders.orders", "inventory.commands"];

/// Orders with one store on the corner, three listings and a slot.
pub(crate) struct Shop {
    pub(crate) orders: Arc<Running>,
    pub(crate) store: Store,
    pub(crate) slot: Slot,
    pub(crate) routes: Vec<RouteInfo>,
    config: Config,
    stage: Stage,
}

impl Deref for Shop {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
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
        let database = migrated(engine, &[orders::service(&config).migrations]).await;
        let mut stage = Stage::on(database, TestRuntime::flowing(), &OTHERS).await;
        let (orders, routes) = start(&mut stage, &config).await;
        let slot = slot_at(stage.now().plus_ms(2 * 3_600_000));
        let shop = Self { orders, store: corner(), slot, routes, config, stage };
        shop.hear(StoreChanged { store: shop.store.clone() }).await;
        for (sku, price_minor, tax_class) in [("MILK", 449, "grocery"), ("PEACH", 599, "grocery"), ("SOAP", 379, "standard")] {
            shop.hear(shop.listing(sku, price_minor, tax_class)).await;
        }
        shop.offer(shop.slot).await;
        shop
    }

    /// Stops orders, if it was not stopped before, and starts it again on the same database.
    pub(crate) async fn restart(mut self) -> Self {
        self.orders.shut_down().await;
        (self.orders, self.routes) = start(&mut self.stage, &self.config).await;
        self
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
        self.hear(SlotOffered { store: self.store.id, slot, places: 5 }).await;
    }

    /// Whoever says such events says `event`, and orders has heard it.
    pub(crate) async fn hear<E: Event>(&self, event: E) {
        self.is_said(event, TraceContext::start(&mut self.clock.draw())).await;
        self.heard().await;
    }

    /// Whoever says such events says `event` as part of the request `trace`.
    pub(crate) async fn is_said<E: Event>(&self, event: E, trace: TraceContext) {
        let (service, _) = E::TOPIC.split_once('.').unwrap();
        self.tell(service, vec![event], trace).await;
    }

    /// Waits until orders has heard all that was said so far.
    pub(crate) async fn heard(&self) {
        self.catch_up(&self.orders).await;
    }

    /// Everything that orders has said, in order.
    pub(crate) async fn said(&self) -> Vec<Envelope> {
        self.log_of("orders", &TOPICS).await
    }

    /// The kinds of what orders has said of an order, without their version.
    pub(crate) async fn said_of(&self, order: OrderId) -> Vec<String> {
        let said = self.said().await.into_iter().filter(|event| event.subject == order.to_string());
        said.map(|event| event.kind.strip_suffix(".v1").unwrap().to_owned()).collect()
    }

    /// A token of the person `seed` with a role, in one store or in all.
    pub(crate) fn token_of(&self, seed: u64, role: Role, store: Option<StoreId>) -> String {
        self.sign(some_id(seed), &[(role, store)])
    }

    pub(crate) fn customer(&self, seed: u64) -> String {
        self.token_of(seed, Role::Customer, None)
    }

    /// A picker of the store.
    pub(crate) fn picker(&self) -> String {
        self.token_of(40, Role::Picker, Some(self.store.id))
    }

    /// Makes a guest's cart with these lines.
    pub(crate) async fn cart(&self, lines: &[(&str, i64)]) -> Cart {
        let reply = self.send(Call::post("/v1/carts").key(&self.fresh_key()).json(&new_cart(lines))).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let view = body(&reply);
        Cart { id: text(&view["id"]), capability: text(&view["capability"]) }
    }

    pub(crate) fn quote_call(&self, cart: &Cart, slot: SlotKey) -> Call {
        cart.by(Call::post(&format!("{}/quotes", cart.path())).json(&json!({ "slot": slot })))
    }

    /// The quote of a cart in the slot of the shop.
    pub(crate) async fn quote(&self, cart: &Cart) -> Json {
        ok(&self.send(self.quote_call(cart, self.slot.starts_at)).await)
    }

    pub(crate) async fn change_lines(&self, cart: &Cart, lines: &[(&str, i64)]) -> Reply {
        let call = Call::new(Method::PUT, &format!("{}/lines", cart.path()));
        self.send(cart.by(call.key(&self.fresh_key()).json(&json!({ "lines": lines_of(lines) })))).await
    }

    /// Orders under a quote, with a fresh key.
    pub(crate) async fn order(&self, cart: &Cart, quote: &Json) -> Reply {
        self.send(cart.by(Call::post("/v1/orders").key(&self.fresh_key()).json(&new_order(quote)))).await
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
        ok(&self.send(cart.by(Call::get(&format!("/v1/orders/{order}")))).await)
    }

    pub(crate) async fn cancel(&self, cart: &Cart, order: OrderId) -> Reply {
        let call = Call::post(&format!("/v1/orders/{order}/cancel")).key(&self.fresh_key());
        self.send(cart.by(call.json(&json!({ "reason": "gave-up" })))).await
    }

    /// A manager of the store.
    pub(crate) fn manager(&self) -> String {
        self.token_of(41, Role::Manager, Some(self.store.id))
    }

    /// A dispatcher of the store.
    pub(crate) fn dispatcher(&self) -> String {
        self.token_of(42, Role::Dispatcher, Some(self.store.id))
    }

    /// Somebody with a token asks something of an order, as `shorts`.
    pub(crate) async fn ask(&self, order: OrderId, step: &str, token: &str, wish: &Json) -> Reply {
        let call = Call::post(&format!("/v1/orders/{order}/{step}"));
        self.send(call.bearer(token).key(&self.fresh_key()).json(wish)).await
    }

    /// A move of the people of the store, as `pick`.
    pub(crate) async fn move_order(&self, order: OrderId, step: &str, token: &str) -> Reply {
        self.send(Call::post(&format!("/v1/orders/{order}/{step}")).bearer(token).key(&self.fresh_key())).await
    }

    /// Fails if orders finds anything wrong with its own tables; then ends everything.
    pub(crate) async fn close(&self) {
        self.assert_sound("orders").await;
        self.stage.close().await;
    }
}

/// Orders, running and behind the door, with the list of its routes.
async fn start(stage: &mut Stage, config: &Config) -> (Arc<Running>, Vec<RouteInfo>) {
    let orders = stage.play(orders::service(config)).await;
    let seal = orders::ensure_seal(&orders.handle).await.unwrap();
    let routes = orders::routes(orders.handle.clone(), config, seal);
    let infos = routes.list();
    stage.open(routes);
    (orders, infos)
}

/// An hour from `starts_at` that can be ordered until it begins.
pub(crate) fn slot_at(starts_at: Timestamp) -> Slot {
    Slot { starts_at: SlotKey(starts_at), ends_at: starts_at.plus_ms(3_600_000), cutoff_at: starts_at }
}

/// The store on the corner, and how far it reaches.
pub(crate) fn corner() -> Store {
    Store {
        name: "Ponce Corner".to_owned(),
        street: "650 North Ave NE".to_owned(),
        point: Point { lat: 33.7718, lon: -84.3657 },
        zone: vec![(-84.40, 33.74), (-84.32, 33.74), (-84.32, 33.80), (-84.40, 33.80), (-84.40, 33.74)],
        fee: Fee { base_minor: 299, per_km_minor: 60, free_from_minor: 5000, order_minimum_minor: 1000 },
        tax_basis_points: [("grocery".to_owned(), 490), ("standard".to_owned(), 890)].into(),
        ..testkit::store(1)
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

pub(crate) fn text(value: &Json) -> String {
    value.as_str().unwrap().to_owned()
}
