//! Delivery as a running service on both engines: in by HTTP and by others' events, out by HTTP and its own events.
//! Leaves the machine itself to the tests of `domain`, and races between deciders to those of `service`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use contracts::delivery::{DeliveryCreated, StoreChanged};
use contracts::identity::CourierChanged;
use contracts::orders::{Contact, OrderCancelling, OrderConfirmed, OrderReady};
use contracts::{Address, Envelope, Event, OrderId, PersonId, Point, Slot, SlotKey, StoreId};
use delivery::Config;
use engine::{Lane, Running, Settings, TokioRuntime};
use kernel::{Bucket, Id, Runtime, Timestamp, TraceContext};
use log::{Outbox, Wakes};
use store::Value;
use testkit::{Engine, TestStore, fresh};
use tokio::join;
use web::{
    Call, Door, Grant, Json, Keyring, Limits, Method, Person, Reply, Role, Router, SigningKey, TOKEN_TTL_MS, header, json,
};

/// How long a condition is waited for.
const PATIENCE_MS: i64 = 20_000;

/// Delivery between two services that only say what the tests let them say.
struct Shop {
    test: TestStore,
    runtime: Arc<dyn Runtime>,
    delivery: Running,
    orders: Running,
    identity: Running,
    router: Router,
    signing: SigningKey,
}

/// A person with a token.
struct Someone {
    id: PersonId,
    token: String,
}

impl Shop {
    async fn start(engine: Engine, config: Config) -> Self {
        let test = fresh(engine).await;
        let service = delivery::service(&config);
        let migrations = [store::PLATFORM, engine::MIGRATIONS, service.migrations].concat();
        test.store.migrate(&migrations).await.unwrap();
        let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::new());
        let settings = Settings { store: test.store.clone(), runtime: runtime.clone(), wakes: Wakes::default() };
        let delivery = engine::start(service, &settings).await.unwrap();
        let orders = engine::start(mouthpiece("orders"), &settings).await.unwrap();
        let identity = engine::start(mouthpiece("identity"), &settings).await.unwrap();
        let (keyring, signing) = (Keyring::new(), SigningKey::generate().unwrap());
        keyring.insert(signing.public());
        let routes = delivery::routes(delivery.handle.clone(), &config);
        let router = Door::new(runtime.clone(), keyring, Limits::default()).open(routes);
        Self { test, runtime, delivery, orders, identity, router, signing }
    }

    fn id(&self) -> Id {
        Id::new(self.runtime.now(), Bucket(9), &mut self.runtime.draw())
    }

    fn someone(&self, role: Role, store: Option<StoreId>) -> Someone {
        let id = self.id();
        let grants = vec![Grant { role, store: store.map(|store| store.0) }];
        let person = Person { id, name: "Someone".to_owned(), grants };
        let token = self.signing.sign(&person, self.runtime.now(), TOKEN_TTL_MS).unwrap();
        Someone { id: PersonId(id), token }
    }

    /// A courier of `store` on shift.
    async fn courier(&self, store: StoreId) -> Someone {
        let courier = self.someone(Role::Courier, Some(store));
        self.hear_of(&courier, store, true).await;
        self.until(&courier, |work| work["on_shift"] == false).await;
        let shift = self.put("/v1/courier/shift", &courier, &json!({ "on": true })).await;
        assert_eq!(ok(&shift)["on_shift"], true);
        courier
    }

    async fn hear_of(&self, courier: &Someone, store: StoreId, active: bool) {
        let (courier, vehicle) = (courier.id, "cargo-bike".to_owned());
        self.say(&self.identity, CourierChanged { courier, name: "Rosa".to_owned(), store, vehicle, active }).await;
    }

    async fn say<E: Event>(&self, service: &Running, event: E) {
        let trace = TraceContext::start(&mut self.runtime.draw());
        service.handle.decide(Lane::Saga, &trace, move |work| work.emit(&event)).await.unwrap();
    }

    async fn confirm(&self, store: StoreId) -> OrderId {
        let order = OrderId(self.id());
        self.say(&self.orders, confirmed(order, store)).await;
        order
    }

    /// An order that waits for a courier.
    async fn ready(&self, store: StoreId) -> OrderId {
        let order = self.confirm(store).await;
        self.say(&self.orders, OrderReady { order, store }).await;
        order
    }

    async fn open_store(&self) -> StoreId {
        let admin = self.someone(Role::Admin, None);
        let reply = self.send(Call::post("/v1/admin/stores").json(&plan()), &admin).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json::<Json>().unwrap()["id"].as_str().unwrap().parse().unwrap()
    }

    async fn send(&self, call: Call, who: &Someone) -> Reply {
        call.bearer(&who.token).key(&self.id().to_string()).send(&self.router).await.unwrap()
    }

    async fn get(&self, path: &str, who: &Someone) -> Reply {
        Call::get(path).bearer(&who.token).send(&self.router).await.unwrap()
    }

    async fn put(&self, path: &str, who: &Someone, body: &Json) -> Reply {
        self.send(Call::new(Method::PUT, path).json(body), who).await
    }

    async fn step(&self, order: OrderId, step: &str, who: &Someone) -> Reply {
        self.send(Call::post(&format!("/v1/deliveries/{order}/{step}")), who).await
    }

    async fn deliver(&self, order: OrderId, pin: &str, who: &Someone) -> Reply {
        self.send(Call::post(&format!("/v1/deliveries/{order}/deliver")).json(&json!({ "pin": pin })), who).await
    }

    /// The courier's work, once it is as `holds` says; waits by the API's own long poll.
    async fn until(&self, courier: &Someone, holds: impl Fn(&Json) -> bool) -> Json {
        let give_up = self.runtime.now().plus_ms(PATIENCE_MS);
        let mut seen = String::new();
        loop {
            let mut call = Call::get("/v1/courier/work").bearer(&courier.token);
            if !seen.is_empty() {
                call = call.header(header::IF_NONE_MATCH, &seen).header("prefer".parse().unwrap(), "wait=2");
            }
            let reply = call.send(&self.router).await.unwrap();
            if reply.status == 200 {
                let work = reply.json::<Json>().unwrap();
                if holds(&work) {
                    return work;
                }
                seen = reply.header("etag").unwrap().to_owned();
            }
            assert!(self.runtime.now() < give_up, "the courier's work never came to be as expected: {reply:?}");
            if reply.status == 404 {
                self.runtime.sleep(10).await;
            }
        }
    }

    async fn until_offered(&self, order: OrderId, courier: &Someone) -> Json {
        let offered = self.until(courier, |work| work["offer"]["order"] == order.to_string()).await;
        offered["offer"].clone()
    }

    /// The delivery, once it is in `state`.
    async fn until_state(&self, order: OrderId, state: &str) -> Json {
        let admin = self.someone(Role::Admin, None);
        let give_up = self.runtime.now().plus_ms(PATIENCE_MS);
        loop {
            let reply = self.get(&format!("/v1/deliveries/{order}"), &admin).await;
            if reply.status == 200 && reply.json::<Json>().unwrap()["state"] == state {
                return reply.json().unwrap();
            }
            assert!(self.runtime.now() < give_up, "the delivery never came to be {state}: {reply:?}");
            self.runtime.sleep(10).await;
        }
    }

    /// What delivery has said so far.
    async fn said(&self) -> Vec<Envelope> {
        let source = self.test.store.head("delivery", "unused").await.unwrap().source;
        let events = Outbox::new(self.test.store.clone(), source).read(0, &["delivery.deliveries", "delivery.stores"]).await;
        events.unwrap().iter().map(|event| event.envelope().unwrap()).collect()
    }

    async fn said_of(&self, order: OrderId) -> Vec<String> {
        let said = self.said().await.into_iter().filter(|event| event.subject == order.to_string());
        said.map(|event| event.kind).collect()
    }

    async fn pin(&self, order: OrderId) -> String {
        self.until_state(order, "unassigned").await;
        self.pin_of(order).await
    }

    async fn pin_of(&self, order: OrderId) -> String {
        let said = self.said().await;
        let created = said.into_iter().find(|event| event.kind == DeliveryCreated::KIND && event.subject == order.to_string());
        created.unwrap().data["pin"].as_str().unwrap().to_owned()
    }

    async fn end(self) {
        let admin = self.someone(Role::Admin, None);
        let breaches = self.get("/v1/admin/audit/delivery/breaches", &admin).await;
        assert_eq!(ok(&breaches), json!({ "items": [] }));
        for running in [self.delivery, self.orders, self.identity] {
            running.shut_down().await;
        }
        drop(self.test);
    }
}

fn mouthpiece(name: &'static str) -> engine::Service {
    engine::Service {
        name,
        migrations: &[],
        tables: &[],
        reads: &[],
        subscriptions: Vec::new(),
        timers: Vec::new(),
        jobs: Vec::new(),
    }
}

fn plan() -> Json {
    json!({
        "name": "SwiftCart Krog Street", "street": "99 Krog St NE", "lat": 33.757, "lon": -84.364,
        "time_zone": "America/New_York", "currency": "USD", "hours": { "always": true },
        "zone": [[-84.39, 33.74], [-84.34, 33.74], [-84.34, 33.77], [-84.39, 33.77], [-84.39, 33.74]],
        "fee": { "base_minor": 299, "per_km_minor": 60, "free_from_minor": 3500, "order_minimum_minor": 200 },
        "slots": { "length_minutes": 60, "places": 120, "cutoff_minutes": 15, "days_ahead": 4 },
        "tax_basis_points": { "grocery": 490, "standard": 890 },
    })
}

fn confirmed(order: OrderId, store: StoreId) -> OrderConfirmed {
    let at = Timestamp::from_millis(1_800_000_000_000);
    OrderConfirmed {
        order,
        store,
        contact: Contact { name: "Ada".to_owned(), email: "ada@example.test".to_owned(), phone: "+1 404".to_owned() },
        address: Address {
            street: "680 Dallas St NE".to_owned(),
            note: "ring twice".to_owned(),
            point: Point { lat: 33.7686, lon: -84.3657 },
        },
        slot: Slot { starts_at: SlotKey(at), ends_at: at.plus_ms(3_600_000), cutoff_at: at },
    }
}

#[track_caller]
fn ok(reply: &Reply) -> Json {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json().unwrap()
}

#[track_caller]
fn refused(reply: &Reply, status: u16, reason: &str) -> Json {
    assert_eq!(reply.status, status, "{reply:?}");
    let problem = reply.json::<Json>().unwrap();
    assert!(problem["type"].as_str().unwrap().ends_with(&format!("/{reason}")), "{problem}");
    problem
}

async fn an_order_goes_from_the_store_to_the_door(engine: Engine) {
    let shop = Shop::start(engine, Config::default()).await;
    let store = shop.open_store().await;
    let (courier, picker) = (shop.courier(store).await, shop.someone(Role::Picker, Some(store)));
    let order = shop.ready(store).await;
    let offer = shop.until_offered(order, &courier).await;
    assert_eq!(offer["address"]["street"], "680 Dallas St NE");
    assert_eq!(offer["pickup"]["street"], "99 Krog St NE");
    assert_eq!((&offer["contact"], &offer["moves"]), (&Json::Null, &json!(["accept", "decline"])));
    for (step, state) in
        [("accept", "to-pickup"), ("at-pickup", "at-pickup"), ("picked-up", "to-dropoff"), ("at-dropoff", "at-dropoff")]
    {
        let moved = ok(&shop.step(order, step, &courier).await);
        assert_eq!((&moved["state"], &moved["contact"]["name"]), (&json!(state), &json!("Ada")), "{step}");
        let work = shop.until(&courier, |work| work["delivery"]["state"] == state).await;
        assert_eq!(work["offer"], Json::Null);
    }
    let pin = shop.pin_of(order).await;
    assert!(pin.len() == 4 && pin.bytes().all(|digit| digit.is_ascii_digit()), "{pin}");
    assert_eq!(ok(&shop.deliver(order, &pin, &courier).await)["state"], "delivered");
    let idle = shop.until(&courier, |work| work["delivery"] == Json::Null).await;
    assert_eq!((&idle["offer"], &idle["on_shift"]), (&Json::Null, &json!(true)));

    let seen = ok(&shop.get(&format!("/v1/deliveries/{order}"), &picker).await);
    let passed: Vec<&str> = seen["history"].as_array().unwrap().iter().map(|step| step["state"].as_str().unwrap()).collect();
    let whole = "created unassigned offered assigned to-pickup at-pickup picked-up to-dropoff at-dropoff delivered";
    assert_eq!(passed, whole.split(' ').collect::<Vec<_>>());
    assert_eq!((&seen["courier"]["name"], &seen["offers"][0]["outcome"]), (&json!("Rosa"), &json!("accepted")));
    assert!(!seen.to_string().contains(&format!("\"{pin}\"")), "the PIN is for the shopper alone");
    let said = ["created", "assigned", "picked-up", "arrived", "delivered"].map(|what| format!("delivery.{what}.v1"));
    assert_eq!(shop.said_of(order).await, said);
    let facts = ok(&shop.get("/v1/admin/audit/delivery/facts", &shop.someone(Role::Admin, None)).await);
    assert_eq!(facts["items"], json!([{ "order": order, "state": "delivered", "settled": true, "sums": {} }]));
    shop.end().await;
}

async fn two_couriers_cannot_both_get_one_delivery(engine: Engine) {
    let shop = Shop::start(engine, Config::default()).await;
    let store = shop.open_store().await;
    let (one, other) = (shop.courier(store).await, shop.courier(store).await);
    for _ in 0..3 {
        let order = shop.ready(store).await;
        shop.until_state(order, "offered").await;
        let tries = join!(
            shop.step(order, "accept", &one),
            shop.step(order, "accept", &other),
            shop.step(order, "accept", &one),
            shop.step(order, "accept", &other),
        );
        let mut statuses = [tries.0, tries.1, tries.2, tries.3].map(|reply| reply.status.as_u16());
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 404, 404, 409], "one has it, once; the other does not know of it");
        shop.say(&shop.orders, OrderCancelling { order, reason: "test".to_owned() }).await;
        shop.until_state(order, "cancelled").await;
    }
    shop.end().await;
}

async fn a_declined_delivery_goes_to_another(engine: Engine) {
    let shop = Shop::start(engine, Config::default()).await;
    let store = shop.open_store().await;
    let one = shop.courier(store).await;
    let order = shop.ready(store).await;
    shop.until_offered(order, &one).await;
    let other = shop.courier(store).await;
    assert_eq!(ok(&shop.step(order, "decline", &one).await)["order"], order.to_string());
    shop.until_offered(order, &other).await;
    let problem = refused(&shop.step(order, "accept", &one).await, 409, "offer-over");
    assert_eq!((&problem["state"], &problem["legal_moves"]), (&json!("offered"), &json!([])));
    // Whoever goes off shift declines; then nobody else is free but the first.
    ok(&shop.put("/v1/courier/shift", &other, &json!({ "on": false })).await);
    shop.until_offered(order, &one).await;
    ok(&shop.step(order, "accept", &one).await);
    let seen = shop.until_state(order, "to-pickup").await;
    let outcomes: Vec<&Json> = seen["offers"].as_array().unwrap().iter().map(|offer| &offer["outcome"]).collect();
    assert_eq!(outcomes, ["declined", "declined", "accepted"]);
    shop.end().await;
}

async fn an_offer_that_nobody_answers_goes_on(engine: Engine) {
    let shop = Shop::start(engine, Config { offer_ttl_ms: 300, ..Config::default() }).await;
    let store = shop.open_store().await;
    let (one, other) = (shop.courier(store).await, shop.courier(store).await);
    let order = shop.ready(store).await;
    join!(shop.until_offered(order, &one), shop.until_offered(order, &other));
    let seen = shop.until_state(order, "offered").await;
    assert_eq!(seen["offers"][0]["outcome"], "timed-out");
    // Whoever rides no longer loses the offer, and gets no other.
    join!(shop.hear_of(&one, store, false), shop.hear_of(&other, store, false));
    shop.until(&one, |work| work["on_shift"] == false && work["offer"] == Json::Null).await;
    shop.until(&other, |work| work["on_shift"] == false && work["offer"] == Json::Null).await;
    shop.until_state(order, "unassigned").await;
    refused(&shop.put("/v1/courier/shift", &one, &json!({ "on": true })).await, 403, "forbidden");
    shop.end().await;
}

async fn a_cancelled_order_frees_its_courier(engine: Engine) {
    let shop = Shop::start(engine, Config::default()).await;
    let store = shop.open_store().await;
    let courier = shop.courier(store).await;
    let order = shop.ready(store).await;
    shop.until_offered(order, &courier).await;
    ok(&shop.step(order, "accept", &courier).await);
    shop.say(&shop.orders, OrderCancelling { order, reason: "gave-up".to_owned() }).await;
    shop.until(&courier, |work| work["delivery"] == Json::Null).await;
    let problem = refused(&shop.step(order, "at-pickup", &courier).await, 409, "illegal-move");
    assert_eq!((&problem["state"], &problem["legal_moves"]), (&json!("cancelled"), &json!([])));
    assert_eq!(shop.said_of(order).await.last().unwrap(), "delivery.withdrawn.v1");
    // He is free for the next; and an order that was cancelled before it was confirmed never becomes a delivery.
    let early = OrderId(shop.id());
    shop.say(&shop.orders, OrderCancelling { order: early, reason: "gave-up".to_owned() }).await;
    shop.say(&shop.orders, confirmed(early, store)).await;
    shop.say(&shop.orders, OrderReady { order: early, store }).await;
    let next = shop.ready(store).await;
    shop.until_offered(next, &courier).await;
    assert_eq!(shop.said_of(early).await, ["delivery.withdrawn.v1"]);
    shop.until_state(early, "cancelled").await;
    shop.end().await;
}

async fn wrong_pins_are_counted_and_lock(engine: Engine) {
    let shop = Shop::start(engine, Config::default()).await;
    let store = shop.open_store().await;
    let (courier, dispatcher) = (shop.courier(store).await, shop.someone(Role::Dispatcher, Some(store)));
    let order = shop.ready(store).await;
    shop.until_offered(order, &courier).await;
    for step in ["accept", "at-pickup", "picked-up", "at-dropoff"] {
        ok(&shop.step(order, step, &courier).await);
    }
    let pin = shop.pin_of(order).await;
    let wrong = if pin == "0000" { "1111" } else { "0000" };
    let problem = refused(&shop.deliver(order, "12", &courier).await, 422, "invalid-field");
    assert_eq!(problem["errors"][0]["pointer"], "/pin");
    // The same request many times under its key counts once.
    let body = json!({ "pin": wrong });
    let repeated = || Call::post(&format!("/v1/deliveries/{order}/deliver")).json(&body).bearer(&courier.token).key("same");
    for _ in 0..9 {
        refused(&repeated().send(&shop.router).await.unwrap(), 422, "invalid-field");
    }
    for _ in 0..4 {
        let problem = refused(&shop.deliver(order, wrong, &courier).await, 422, "invalid-field");
        assert_eq!(problem["errors"][0]["pointer"], "/pin");
    }
    let locked = shop.deliver(order, &pin, &courier).await;
    refused(&locked, 429, "pin-locked");
    assert!(locked.header("retry-after").is_some());
    refused(&shop.step(order, "unlock-pin", &courier).await, 403, "forbidden");
    let stranger = shop.someone(Role::Dispatcher, Some(StoreId(shop.id())));
    refused(&shop.step(order, "unlock-pin", &stranger).await, 404, "not-found");
    assert_eq!(ok(&shop.step(order, "unlock-pin", &dispatcher).await)["pin_locked_until"], Json::Null);
    assert_eq!(ok(&shop.deliver(order, &pin, &courier).await)["state"], "delivered");
    shop.end().await;
}

async fn stores_are_opened_described_and_paused(engine: Engine) {
    let shop = Shop::start(engine, Config::default()).await;
    let store = shop.open_store().await;
    let manager = shop.someone(Role::Manager, Some(store));
    let path = format!("/v1/admin/stores/{store}");
    let read = Call::get(&format!("/v1/stores/{store}")).send(&shop.router).await.unwrap();
    assert_eq!((read.header("etag"), &ok(&read)["name"]), (Some("\"1\""), &json!("SwiftCart Krog Street")));
    let mut changed = plan();
    changed["name"] = json!("Krog");
    let put = |etag: &str| Call::new(Method::PUT, &path).json(&changed).header(header::IF_MATCH, etag);
    refused(&shop.send(Call::new(Method::PUT, &path).json(&changed), &manager).await, 428, "precondition-required");
    refused(&shop.send(put("\"7\""), &manager).await, 412, "stale");
    let elsewhere = shop.someone(Role::Manager, Some(StoreId(shop.id())));
    refused(&shop.send(put("\"1\""), &elsewhere).await, 403, "forbidden");
    let reply = shop.send(put("\"1\""), &manager).await;
    assert_eq!((reply.header("etag"), &ok(&reply)["name"]), (Some("\"2\""), &json!("Krog")));
    let paused = shop.put(&format!("{path}/pause"), &manager, &json!({ "paused": true })).await;
    assert_eq!((paused.header("etag"), &ok(&paused)["paused"]), (Some("\"3\""), &json!(true)));
    ok(&shop.put(&format!("{path}/pause"), &manager, &json!({ "paused": true })).await);
    let said: Vec<_> = shop.said().await.into_iter().filter(|event| event.kind == StoreChanged::KIND).collect();
    assert_eq!(said.len(), 3, "what is no news is not said");
    let last: StoreChanged = serde_json::from_value(said[2].data.clone()).unwrap();
    assert_eq!((last.store.name.as_str(), last.store.paused), ("Krog", true));
    assert!(last.store.reaches(Point { lat: 33.757, lon: -84.364 }));

    let second = shop.open_store().await;
    let first = ok(&Call::get("/v1/stores?limit=1").send(&shop.router).await.unwrap());
    let next = format!("/v1/stores?limit=1&after={}", first["next"].as_str().unwrap());
    let rest = ok(&Call::get(&next).send(&shop.router).await.unwrap());
    let mut listed = [&first, &rest].map(|page| page["items"][0]["id"].as_str().unwrap().to_owned());
    let mut opened = [store, second].map(|id| id.to_string());
    listed.sort_unstable();
    opened.sort_unstable();
    assert_eq!((listed, &rest["next"]), (opened, &Json::Null));
    shop.end().await;
}

async fn staff_see_the_deliveries_of_their_store(engine: Engine) {
    let shop = Shop::start(engine, Config::default()).await;
    let (store, elsewhere) = (shop.open_store().await, shop.open_store().await);
    let mut orders = Vec::new();
    for _ in 0..3 {
        let order = shop.confirm(store).await;
        shop.until_state(order, "created").await;
        orders.push(order.to_string());
    }
    let order: OrderId = orders[1].parse().unwrap();
    shop.say(&shop.orders, OrderReady { order, store }).await;
    shop.pin(order).await;
    let picker = shop.someone(Role::Picker, Some(store));
    let ids = |page: &Json| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["order"].as_str().unwrap().to_owned()).collect()
    };
    let first = ok(&shop.get(&format!("/v1/stores/{store}/deliveries?limit=2"), &picker).await);
    let next = first["next"].as_str().unwrap();
    let rest = ok(&shop.get(&format!("/v1/stores/{store}/deliveries?limit=2&after={next}"), &picker).await);
    let newest_first: Vec<String> = orders.iter().rev().cloned().collect();
    assert_eq!([ids(&first), ids(&rest)].concat(), newest_first);
    let waiting = ok(&shop.get(&format!("/v1/stores/{store}/deliveries?state=unassigned"), &picker).await);
    assert_eq!(ids(&waiting), [orders[1].clone()]);
    let reply = shop.get(&format!("/v1/stores/{store}/deliveries?state=lost"), &picker).await;
    refused(&reply, 400, "invalid-field");
    refused(&shop.get(&format!("/v1/stores/{elsewhere}/deliveries"), &picker).await, 403, "forbidden");
    let stranger = shop.someone(Role::Picker, Some(elsewhere));
    refused(&shop.get(&format!("/v1/deliveries/{order}"), &stranger).await, 404, "not-found");
    shop.end().await;
}

async fn what_is_wrong_is_refused_with_its_reason(engine: Engine) {
    let shop = Shop::start(engine, Config::default()).await;
    let store = shop.open_store().await;
    let (admin, courier) = (shop.someone(Role::Admin, None), shop.courier(store).await);
    let order = OrderId(shop.id());
    let with = |field: &str, value: Json| {
        let mut plan = plan();
        plan[field] = value;
        Call::post("/v1/admin/stores").json(&plan)
    };
    let post = |path: &str| Call::post(path);
    let step = |step: &str| format!("/v1/deliveries/{order}/{step}");
    let cases = [
        (with("zone", json!([[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]])), &admin, 422, "invalid-field", "/zone"),
        (with("time_zone", json!("Mars/Olympus")), &admin, 422, "invalid-field", "/time_zone"),
        (with("currency", json!("usd")), &admin, 422, "invalid-field", "/currency"),
        (with("colour", json!("red")), &admin, 422, "invalid-field", "/colour"),
        (with("slots", json!({ "length_minutes": 60 })), &admin, 422, "invalid-field", "/slots/places"),
        (with("lat", json!("north")), &admin, 422, "invalid-field", "/lat"),
        (with("name", json!("x")), &courier, 403, "forbidden", ""),
        (post("/v1/admin/stores").bytes("application/json", "{"), &admin, 400, "invalid-json", ""),
        (Call::new(Method::PUT, "/v1/courier/shift").json(&json!({ "on": "yes" })), &courier, 422, "invalid-field", "/on"),
        (Call::new(Method::PUT, "/v1/courier/shift").json(&json!({ "on": true })), &admin, 404, "not-found", ""),
        (post(&step("accept")), &courier, 404, "not-found", ""),
        (post(&step("accept")).bytes("application/json", "{}"), &courier, 400, "unexpected-body", ""),
        (post(&step("deliver")).json(&json!({ "pin": 1234 })), &courier, 422, "invalid-field", "/pin"),
        (post("/v1/deliveries/no-id/accept"), &courier, 404, "not-found", ""),
        (Call::get(&format!("/v1/deliveries/{order}")), &admin, 404, "not-found", ""),
        (Call::get(&format!("/v1/stores/{order}")), &admin, 404, "not-found", ""),
    ];
    for (call, who, status, reason, pointer) in cases {
        let told = format!("{call:?}");
        let problem = refused(&shop.send(call, who).await, status, reason);
        if !pointer.is_empty() {
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{told}");
        }
    }
    let keyless = post(&step("accept")).bearer(&courier.token).send(&shop.router).await.unwrap();
    refused(&keyless, 400, "idempotency-key-missing");
    let nobody = Call::get("/v1/courier/work").send(&shop.router).await.unwrap();
    refused(&nobody, 401, "unauthenticated");
    shop.end().await;
}

/// Every read is understood by the engine, and every table has the columns that are said of it.
async fn tables_and_reads_fit_the_database(engine: Engine) {
    let shop = Shop::start(engine, Config::default()).await;
    let service = delivery::service(&Config::default());
    for read in service.reads {
        shop.test.store.prepare(read).await.unwrap();
    }
    for table in service.tables {
        let mut there = shop.test.store.columns(table).await.unwrap();
        let mut said: Vec<String> = table.all().map(|column| column.name.to_owned()).collect();
        there.sort_unstable();
        said.sort_unstable();
        assert_eq!(there, said, "{}", table.name);
    }
    let rows = shop.test.store.read(service.reads[0], vec![Id::from_bytes([0; 16]).into(), Value::Int(1)]).await;
    assert_eq!(rows, Ok(Vec::new()));
    shop.end().await;
}

macro_rules! on_both_engines {
    ($($test:ident)+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(testkit::Engine::Sqlite).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(testkit::Engine::Postgres).await;
            })+
        }
    };
}

on_both_engines! {
    an_order_goes_from_the_store_to_the_door
    two_couriers_cannot_both_get_one_delivery
    a_declined_delivery_goes_to_another
    an_offer_that_nobody_answers_goes_on
    a_cancelled_order_frees_its_courier
    wrong_pins_are_counted_and_lock
    stores_are_opened_described_and_paused
    staff_see_the_deliveries_of_their_store
    what_is_wrong_is_refused_with_its_reason
    tables_and_reads_fit_the_database
}
