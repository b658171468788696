//! A running delivery between orders and identity as speakers, and short ways to ride, to hand out and to look.
//! Leaves the stage to `testkit`.

use std::ops::Deref;
use std::sync::Arc;

use contracts::delivery::DeliveryCreated;
use contracts::identity::CourierChanged;
use contracts::orders::{Contact, OrderConfirmed, OrderReady};
use contracts::{Address, Envelope, Event, OrderId, PersonId, Point, Slot, SlotKey, StoreId};
use delivery::Config;
use engine::Running;
use kernel::Timestamp;
use testkit::{Engine, Stage, TestRuntime, TestStore, body, migrated, ok, problem};
use web::{Call, Json, Method, Reply, Role, header, json};

/// A running delivery.
pub(crate) struct Shop {
    stage: Stage,
    delivery: Arc<Running>,
}

impl Deref for Shop {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

/// A person with a token.
pub(crate) struct Someone {
    pub(crate) id: PersonId,
    pub(crate) token: String,
}

impl Shop {
    pub(crate) async fn open(engine: Engine) -> Self {
        Self::open_with(engine, Config::default()).await
    }

    pub(crate) async fn open_with(engine: Engine, config: Config) -> Self {
        Self::on(migrated(engine, &[delivery::service(&config).migrations]).await, config).await
    }

    /// Delivery on a database that has its tables.
    pub(crate) async fn on(database: TestStore, config: Config) -> Self {
        let mut stage = Stage::on(database, TestRuntime::flowing(), &["orders", "identity"]).await;
        let delivery = stage.play(delivery::service(&config)).await;
        stage.open(delivery::routes(delivery.handle.clone(), &config));
        Self { stage, delivery }
    }

    /// Waits until everything that was said to delivery is heard.
    pub(crate) async fn heard(&self) {
        self.stage.catch_up(&self.delivery).await;
    }

    pub(crate) fn someone(&self, role: Role, store: Option<StoreId>) -> Someone {
        let id = self.new_id();
        Someone { id: PersonId(id), token: self.sign(id, &[(role, store)]) }
    }

    /// A courier of `store` on shift.
    pub(crate) async fn courier(&self, store: StoreId) -> Someone {
        let courier = self.someone(Role::Courier, Some(store));
        self.hear_of(&courier, store, true).await;
        self.until_work(&courier, |work| work["on_shift"] == false).await;
        let shift = self.put_as("/v1/courier/shift", &courier, &json!({ "on": true })).await;
        assert_eq!(ok(&shift)["on_shift"], true);
        courier
    }

    pub(crate) async fn hear_of(&self, courier: &Someone, store: StoreId, active: bool) {
        let (courier, vehicle) = (courier.id, "cargo-bike".to_owned());
        self.say("identity", CourierChanged { courier, name: "Rosa".to_owned(), store, vehicle, active }).await;
    }

    pub(crate) async fn confirm(&self, store: StoreId) -> OrderId {
        let order = OrderId(self.new_id());
        self.say("orders", confirmed(order, store)).await;
        order
    }

    /// An order that waits for a courier.
    pub(crate) async fn ready(&self, store: StoreId) -> OrderId {
        let order = self.confirm(store).await;
        self.say("orders", OrderReady { order, store }).await;
        order
    }

    pub(crate) async fn open_store(&self) -> StoreId {
        let admin = self.someone(Role::Admin, None);
        let reply = self.send_as(Call::post("/v1/admin/stores").json(&plan()), &admin).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        body(&reply)["id"].as_str().unwrap().parse().unwrap()
    }

    /// Sends any request as somebody, under a fresh key.
    pub(crate) async fn send_as(&self, call: Call, who: &Someone) -> Reply {
        self.send(call.bearer(&who.token).key(&self.fresh_key())).await
    }

    pub(crate) async fn put_as(&self, path: &str, who: &Someone, body: &Json) -> Reply {
        self.send_as(Call::new(Method::PUT, path).json(body), who).await
    }

    pub(crate) async fn step(&self, order: OrderId, step: &str, who: &Someone) -> Reply {
        self.send_as(Call::post(&format!("/v1/deliveries/{order}/{step}")), who).await
    }

    /// Posts `value` to a courier's own way of a delivery.
    pub(crate) async fn tell(&self, order: OrderId, step: &str, who: &Someone, value: &Json) -> Reply {
        self.send_as(Call::post(&format!("/v1/courier/deliveries/{order}/{step}")).json(value), who).await
    }

    /// The same with nothing to add.
    pub(crate) async fn own_step(&self, order: OrderId, step: &str, who: &Someone) -> Reply {
        self.send_as(Call::post(&format!("/v1/courier/deliveries/{order}/{step}")), who).await
    }

    /// Posts `value` as staff.
    pub(crate) async fn order_to(&self, order: OrderId, step: &str, who: &Someone, value: &Json) -> Reply {
        self.send_as(Call::post(&format!("/v1/deliveries/{order}/{step}")).json(value), who).await
    }

    /// A delivery that `courier` has accepted and moved up to `last`, with `courier` the only one who is free.
    pub(crate) async fn up_to(&self, last: &str, store: StoreId, courier: &Someone) -> OrderId {
        let order = self.ready(store).await;
        self.bring(order, "accept", last, courier).await;
        order
    }

    /// Moves a delivery from `first` to `last`, both included, as soon as it is offered to `courier`.
    pub(crate) async fn bring(&self, order: OrderId, first: &str, last: &str, courier: &Someone) {
        if first == "accept" {
            self.until_offered(order, courier).await;
        }
        let steps = ["accept", "at-pickup", "picked-up", "at-dropoff"];
        for step in steps.iter().skip_while(|step| **step != first) {
            ok(&self.step(order, step, courier).await);
            if *step == last {
                break;
            }
        }
    }

    pub(crate) async fn deliver(&self, order: OrderId, pin: &str, who: &Someone) -> Reply {
        self.send_as(Call::post(&format!("/v1/deliveries/{order}/deliver")).json(&json!({ "pin": pin })), who).await
    }

    /// The courier's work, once it is as `holds` says; waits by the API's own long poll.
    pub(crate) async fn until_work(&self, courier: &Someone, holds: impl Fn(&Json) -> bool) -> Json {
        let mut seen = String::new();
        self.until_some("the courier's work is as expected", async || {
            let mut call = Call::get("/v1/courier/work").bearer(&courier.token);
            if !seen.is_empty() {
                call = call.header(header::IF_NONE_MATCH, &seen).header("prefer".parse().unwrap(), "wait=2");
            }
            let reply = self.send(call).await;
            if reply.status != 200 {
                return None;
            }
            reply.header("etag").unwrap().clone_into(&mut seen);
            Some(body(&reply)).filter(&holds)
        })
        .await
    }

    pub(crate) async fn until_offered(&self, order: OrderId, courier: &Someone) -> Json {
        let offered = self.until_work(courier, |work| work["offer"]["order"] == order.to_string()).await;
        offered["offer"].clone()
    }

    /// The delivery, once it is in `state`.
    pub(crate) async fn until_state(&self, order: OrderId, state: &str) -> Json {
        let path = format!("/v1/deliveries/{order}");
        self.until_some(&format!("the delivery is {state}"), async || {
            let reply = self.get_as(&path, &self.admin()).await;
            (reply.status == 200).then(|| body(&reply)).filter(|delivery| delivery["state"] == state)
        })
        .await
    }

    /// What delivery has said so far.
    pub(crate) async fn said(&self) -> Vec<Envelope> {
        self.log_of("delivery", &["delivery.deliveries", "delivery.stores"]).await
    }

    pub(crate) async fn said_of(&self, order: OrderId) -> Vec<String> {
        let said = self.said().await.into_iter().filter(|event| event.subject == order.to_string());
        said.map(|event| event.kind).collect()
    }

    /// The last event of its kind that delivery has said of `order`.
    pub(crate) async fn last_of<E: Event>(&self, order: OrderId) -> E {
        let said = self.said().await.into_iter().rev();
        let last = said.into_iter().find(|event| event.kind == E::KIND && event.subject == order.to_string());
        serde_json::from_value(last.unwrap_or_else(|| panic!("{} of {order} was never said", E::KIND)).data).unwrap()
    }

    /// What the audit is told of `order`: its state, and whether it is settled.
    pub(crate) async fn fact(&self, order: OrderId) -> (String, bool) {
        let facts = self.list("/v1/admin/audit/delivery/facts", 10, Some(&self.admin())).await;
        let fact = facts.iter().find(|fact| fact["order"] == order.to_string()).unwrap();
        (fact["state"].as_str().unwrap().to_owned(), fact["settled"].as_bool().unwrap())
    }

    /// How many timers delivery has set.
    pub(crate) async fn timers(&self) -> i64 {
        self.delivery.pending().await.unwrap().timers.values().sum()
    }

    pub(crate) async fn pin(&self, order: OrderId) -> String {
        self.until_state(order, "unassigned").await;
        self.pin_of(order).await
    }

    pub(crate) async fn pin_of(&self, order: OrderId) -> String {
        let said = self.said().await;
        let created = said.into_iter().find(|event| event.kind == DeliveryCreated::KIND && event.subject == order.to_string());
        created.unwrap().data["pin"].as_str().unwrap().to_owned()
    }

    /// Fails if delivery finds anything wrong with its own tables; then ends everything.
    pub(crate) async fn close(&self) {
        self.assert_sound("delivery").await;
        self.stage.close().await;
    }
}

pub(crate) fn plan() -> Json {
    json!({
        "name": "SwiftCart Krog Street", "street": "99 Krog St NE", "lat": 33.757, "lon": -84.364,
        "time_zone": "America/New_York", "currency": "USD", "hours": { "always": true },
        "zone": [[-84.39, 33.74], [-84.34, 33.74], [-84.34, 33.77], [-84.39, 33.77], [-84.39, 33.74]],
        "fee": { "base_minor": 299, "per_km_minor": 60, "free_from_minor": 3500, "order_minimum_minor": 200 },
        "slots": { "length_minutes": 60, "places": 120, "cutoff_minutes": 15, "days_ahead": 4 },
        "tax_basis_points": { "grocery": 490, "standard": 890 },
    })
}

pub(crate) fn confirmed(order: OrderId, store: StoreId) -> OrderConfirmed {
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
pub(crate) fn refused(reply: &Reply, status: u16, reason: &str) -> Json {
    let (found, why, members) = problem(reply);
    assert_eq!((found, why.as_str()), (status, reason), "{members}");
    members
}
