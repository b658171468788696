//! Everybody around one order of a living shop, by hand and one step at a time: its shopper, the picker and the manager of its
//! store, the couriers. Reads what money, stock and slot are.
//! Leaves which steps are taken to the stories.

use serde_json::{Value, json};

use crate::harness::{Server, request, send_form};

/// How often something that must come is looked for; each look asks the server.
const LOOKS_MAX: u32 = 20_000;

/// Where the shopper lives: the zone of one store of the sample shop.
pub(crate) const HOME: (f64, f64) = (33.7725, -84.3655);

/// A store with what belongs to it.
#[derive(Clone)]
pub(crate) struct Till {
    address: String,
    pub(crate) store: String,
    pub(crate) skus: [String; 2],
    pub(crate) slot: String,
    manager: String,
    picker: String,
    couriers: Vec<String>,
}

/// An order and its shopper's capability.
pub(crate) struct Placed {
    pub(crate) id: String,
    capability: String,
}

impl Placed {
    /// The order that `view` shows, placed under `quote`.
    pub(crate) fn of(view: &Value, quote: &(String, String)) -> Self {
        Self { id: text(&view["id"]), capability: quote.1.clone() }
    }
}

/// What money, stock and slot are at an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Level {
    /// Units that can be sold of the two SKUs.
    pub(crate) available: [i64; 2],
    /// Units that are held of them.
    pub(crate) held: [i64; 2],
    /// Places of the slot that can be ordered.
    pub(crate) places: i64,
}

/// What the shop answers.
pub(crate) type Answer = (u16, Value);

impl Till {
    /// The store that delivers home, with its people signed in and its couriers at work.
    pub(crate) fn open(server: &Server) -> Self {
        let (lat, lon) = HOME;
        let (_, reach) = server.request("GET", &format!("/v1/reach?lat={lat}&lon={lon}"), "", "").expect("an answer");
        let store = text(&reach["stores"][0]["store"]);
        let of = |people: &str, role: &str| -> Vec<String> {
            people_of(server, &store, people, role).iter().map(|login| sign_in(server, login)).collect()
        };
        let (manager, picker) = (of("staff", "manager").remove(0), of("staff", "picker").remove(0));
        let couriers = of("couriers", "courier");
        let mut till = Self {
            address: server.address().to_owned(),
            store,
            skus: [String::new(), String::new()],
            slot: String::new(),
            manager,
            picker,
            couriers,
        };
        let stock = till.as_manager("GET", &format!("/v1/stores/{}/stock?limit=2", till.store), &Value::Null).1;
        till.skus = [0, 1].map(|index: usize| text(&stock["items"][index]["sku"]));
        for sku in &till.skus {
            let path = format!("/v1/admin/stores/{}/stock/{sku}", till.store);
            assert_eq!(till.as_manager("PUT", &path, &json!({ "on_hand": 50 })).0, 200);
        }
        let slots = server.request("GET", &format!("/v1/stores/{}/slots?limit=100", till.store), "", "").expect("an answer").1;
        // A late one, so that no cut-off comes meanwhile.
        till.slot = text(&slots["items"].as_array().and_then(|slots| slots.last()).expect("a slot")["starts_at"]);
        for courier in &till.couriers {
            let on = till.send(courier, "PUT", "/v1/courier/shift", &json!({ "on": true }));
            assert_eq!(on.0, 200, "{on:?}");
        }
        till
    }

    /// The same people at another process.
    pub(crate) fn through(&self, server: &Server) -> Self {
        Self { address: server.address().to_owned(), ..self.clone() }
    }

    /// One request as whoever `headers` say, under a fresh key.
    fn ask(&self, headers: &str, method: &str, path: &str, body: &Value) -> Answer {
        let key = format!("Idempotency-Key: {}\r\n", fresh_key());
        let text = if body.is_null() { String::new() } else { body.to_string() };
        request(&self.address, method, path, &format!("{headers}{key}"), &text).expect("an answer")
    }

    fn send(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        self.ask(&format!("Authorization: Bearer {token}\r\n"), method, path, body)
    }

    pub(crate) fn as_manager(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(&self.manager, method, path, body)
    }

    pub(crate) fn as_picker(&self, order: &Placed, step: &str, body: &Value) -> Answer {
        self.send(&self.picker, "POST", &format!("/v1/orders/{}/{step}", order.id), body)
    }

    pub(crate) fn as_shopper(&self, order: &Placed, step: &str, body: &Value) -> Answer {
        let headers = format!("Cart-Capability: {}\r\n", order.capability);
        self.ask(&headers, "POST", &format!("/v1/orders/{}/{step}", order.id), body)
    }

    /// One move of the courier who has the order, whoever that is.
    pub(crate) fn as_courier(&self, order: &Placed, step: &str, body: &Value) -> Answer {
        self.until(&format!("a courier who may {step}"), || {
            self.couriers.iter().find_map(|courier| {
                let (_, work) = self.send(courier, "GET", "/v1/courier/work", &Value::Null);
                let task = if work["offer"].is_null() { &work["delivery"] } else { &work["offer"] };
                let may = task["moves"].as_array().is_some_and(|moves| moves.iter().any(|known| known == step));
                let path = courier_path(order, step);
                (may && task["order"] == order.id.as_str()).then(|| self.send(courier, "POST", &path, body))
            })
        })
    }

    /// One move of the courier who has the order, once, whatever the answer.
    pub(crate) fn as_courier_of(&self, order: &Placed, step: &str, body: &Value) -> Answer {
        let path = courier_path(order, step);
        let answers = self.couriers.iter().map(|courier| self.send(courier, "POST", &path, body));
        answers.into_iter().find(|answer| answer.0 != 404).expect("a courier has it")
    }

    /// Waits until the order is offered to a courier.
    pub(crate) fn until_offered(&self, order: &Placed) {
        self.until("an offer", || {
            self.couriers.iter().find(|courier| {
                let (_, work) = self.send(courier, "GET", "/v1/courier/work", &Value::Null);
                work["offer"]["order"] == order.id.as_str()
            })
        });
    }

    /// Waits until an offer of the order has lapsed, as the store's board shows it.
    pub(crate) fn until_lapsed(&self, order: &Placed) {
        self.until("a lapsed offer", || {
            let (_, delivery) = self.as_manager("GET", &format!("/v1/deliveries/{}", order.id), &Value::Null);
            let offers = delivery["offers"].as_array().cloned().unwrap_or_default();
            offers.iter().any(|offer| offer["outcome"] == "timed-out").then_some(())
        });
    }

    /// Waits until an order would be refused for `reason`.
    pub(crate) fn until_refused(&self, reason: &str) {
        self.until(reason, || {
            let (status, problem) = self.try_quote([1, 0]);
            (status == 409 && text(&problem["type"]).ends_with(reason)).then_some(())
        });
    }

    /// Waits until the store takes orders again.
    pub(crate) fn until_open(&self) {
        self.until("an open store", || (self.try_quote([1, 0]).0 == 200).then_some(()));
    }

    /// The same move of every courier at once, each in a thread of its own.
    pub(crate) fn as_all_couriers(&self, order: &Placed, step: &str) -> Vec<Answer> {
        let path = courier_path(order, step);
        std::thread::scope(|scope| {
            let asking: Vec<_> =
                self.couriers.iter().map(|courier| scope.spawn(|| self.send(courier, "POST", &path, &Value::Null))).collect();
            asking.into_iter().map(|asking| asking.join().expect("an answer")).collect()
        })
    }

    /// Fills in the page that the order's shopper is sent to.
    pub(crate) fn answer_bank(&self, order: &Placed, answer: &str) {
        let shown = self.wait(order, |order| order["payment"]["url"].is_string());
        let url = text(&shown["payment"]["url"]);
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned())).unwrap_or(url);
        let sent = send_form(&self.address, &path, &format!("answer={answer}")).expect("an answer");
        assert!(sent.0 < 400, "{sent:?}");
    }

    /// A quote for `quantity` units of each SKU, and the cart's capability.
    pub(crate) fn quote(&self, quantity: [i64; 2]) -> (String, String) {
        let (status, mut quote) = self.try_quote(quantity);
        assert_eq!(status, 200, "{quote:?}");
        (text(&quote["quote"]), text(&quote["capability"].take()))
    }

    fn try_quote(&self, quantity: [i64; 2]) -> Answer {
        let lines: Vec<Value> = self
            .skus
            .iter()
            .zip(quantity)
            .filter(|(_, units)| *units > 0)
            .map(|(sku, units)| json!({ "sku": sku, "quantity": units }))
            .collect();
        let address = json!({ "street": "675 Ponce De Leon Ave NE", "point": { "lat": HOME.0, "lon": HOME.1 } });
        let cart = self.ask("", "POST", "/v1/carts", &json!({ "address": address, "store": self.store, "lines": lines }));
        assert_eq!(cart.0, 201, "{cart:?}");
        let capability = text(&cart.1["capability"]);
        let path = format!("/v1/carts/{}/quotes", text(&cart.1["id"]));
        let mut quote = self.ask(&format!("Cart-Capability: {capability}\r\n"), "POST", &path, &json!({ "slot": self.slot }));
        quote.1["capability"] = capability.into();
        quote
    }

    /// Orders under a quote.
    pub(crate) fn try_place(&self, quote: &(String, String), token: &str) -> Answer {
        self.try_place_with("", quote, token)
    }

    /// The same with more headers.
    pub(crate) fn try_place_with(&self, headers: &str, (quote, capability): &(String, String), token: &str) -> Answer {
        let contact = json!({ "name": "Ada", "email": "ada@shopper.example", "phone": "" });
        let body = json!({ "quote": quote, "contact": contact, "payment_token": token });
        self.ask(&format!("Cart-Capability: {capability}\r\n{headers}"), "POST", "/v1/orders", &body)
    }

    /// Orders `quantity` units of each SKU.
    pub(crate) fn place(&self, quantity: [i64; 2], token: &str) -> Placed {
        let quote = self.quote(quantity);
        let placed = self.try_place(&quote, token);
        assert_eq!(placed.0, 201, "{placed:?}");
        Placed { id: text(&placed.1["id"]), capability: quote.1 }
    }

    /// The order as its shopper sees it.
    pub(crate) fn see(&self, order: &Placed) -> Value {
        let headers = format!("Cart-Capability: {}\r\n", order.capability);
        let (status, seen) = request(&self.address, "GET", &format!("/v1/orders/{}", order.id), &headers, "").expect("an answer");
        assert_eq!(status, 200, "{seen}");
        seen
    }

    /// Waits until the order is as `wanted`, and shows it.
    pub(crate) fn wait(&self, order: &Placed, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..LOOKS_MAX {
            last = self.see(order);
            if wanted(&last) {
                return last;
            }
            std::thread::yield_now();
        }
        panic!("what was waited for never came; the order is {last:#}")
    }

    /// Waits until the order is in `state`.
    pub(crate) fn until_state(&self, order: &Placed, state: &str) -> Value {
        self.wait(order, |order| order["state"] == state)
    }

    fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        for _ in 0..LOOKS_MAX {
            if let Some(found) = look() {
                return found;
            }
            std::thread::yield_now();
        }
        panic!("{what} never came")
    }

    /// Takes an order that was placed, and is at any point of the good way, on to `state`.
    pub(crate) fn bring_to(&self, order: &Placed, state: &str) {
        let steps: [(&str, &dyn Fn() -> Answer); 4] = [
            ("picking", &|| self.as_picker(order, "pick", &Value::Null)),
            ("ready", &|| self.as_picker(order, "ready", &Value::Null)),
            ("out_for_delivery", &|| self.ride(order)),
            ("delivered", &|| self.hand_over(order)),
        ];
        let way = ["confirmed", "picking", "ready", "out_for_delivery", "delivered"];
        let place = |order: &Value| way.iter().position(|state| order["state"] == *state);
        let mut at = place(&self.wait(order, |order| place(order).is_some())).expect("it was waited for");
        while way[at] != state {
            let (next, go) = steps[at];
            let went = go();
            assert!(went.0 < 300, "to {next}: {went:?}");
            self.until_state(order, next);
            at += 1;
        }
    }

    /// Takes an order that a courier has taken to the doorstep.
    pub(crate) fn bring_on(&self, order: &Placed) {
        self.as_courier(order, "at-pickup", &Value::Null);
        self.as_courier(order, "picked-up", &Value::Null);
        assert!(self.hand_over(order).0 < 300);
        self.until_state(order, "delivered");
    }

    /// A courier takes it and picks it up.
    fn ride(&self, order: &Placed) -> Answer {
        self.as_courier(order, "accept", &Value::Null);
        self.as_courier(order, "at-pickup", &Value::Null);
        self.as_courier(order, "picked-up", &Value::Null)
    }

    /// The courier is at the door and hears the PIN.
    pub(crate) fn hand_over(&self, order: &Placed) -> Answer {
        self.as_courier(order, "at-dropoff", &Value::Null);
        let pin = text(&self.see(order)["delivery"]["pin"]);
        self.as_courier(order, "deliver", &json!({ "pin": pin }))
    }

    /// Nobody opens.
    pub(crate) fn fail(&self, order: &Placed) {
        self.as_courier(order, "at-dropoff", &Value::Null);
        let failed = self.as_courier(order, "fail", &json!({ "reason": "nobody-home", "note": "" }));
        assert!(failed.0 < 300, "{failed:?}");
        self.until_state(order, "delivery_failed");
    }

    /// What the manager does with an order.
    pub(crate) fn manage(&self, order: &Placed, step: &str, body: &Value) -> Answer {
        self.as_manager("POST", &format!("/v1/orders/{}/{step}", order.id), body)
    }

    /// What stock and slot are now.
    pub(crate) fn level(&self) -> Level {
        let stock = self.as_manager("GET", &format!("/v1/stores/{}/stock?limit=2", self.store), &Value::Null).1;
        let number = |index: usize, field: &str| stock["items"][index][field].as_i64().expect("a number");
        let slots = self.as_manager("GET", &format!("/v1/admin/stores/{}/slots?limit=100", self.store), &Value::Null).1;
        let slots = slots["items"].as_array().cloned().unwrap_or_default();
        let slot = slots.iter().find(|slot| slot["starts_at"] == self.slot.as_str()).expect("the slot is there");
        Level {
            available: [0, 1].map(|index| number(index, "available")),
            held: [0, 1].map(|index| number(index, "held")),
            places: slot["left"].as_i64().expect("a number"),
        }
    }

    /// Waits until stock and slot are as `wanted`.
    pub(crate) fn until_level(&self, wanted: Level, what: &str) -> Level {
        let mut last = self.level();
        for _ in 0..LOOKS_MAX / 20 {
            if last == wanted {
                return last;
            }
            last = self.level();
        }
        panic!("{what}: stock and slot are {last:?}, not {wanted:?}")
    }

    /// The payment of an order once nothing is asked of the provider any more.
    pub(crate) fn money(&self, order: &Placed, state: &str) -> Value {
        let mut last = Value::Null;
        for _ in 0..LOOKS_MAX {
            last = self.as_manager("GET", &format!("/v1/admin/payments/{}", order.id), &Value::Null).1;
            if last["state"] == state || (state == "none" && last["state"].is_null()) {
                return last;
            }
        }
        panic!("the payment never became {state}; it is {last:#}")
    }
}

/// Where a courier makes a move; those that staff make too have a route of their own.
fn courier_path(order: &Placed, step: &str) -> String {
    let whose = if matches!(step, "drop" | "fail" | "return" | "returned") { "courier/deliveries" } else { "deliveries" };
    format!("/v1/{whose}/{}/{step}", order.id)
}

/// Everybody's logins.
pub(crate) fn logins_of(server: &Server) -> Value {
    serde_json::from_slice(&std::fs::read(server.logins()).expect("logins")).expect("logins are JSON")
}

/// The logins of those among `people` who have `role` in `store`, or everywhere.
pub(crate) fn people_of(server: &Server, store: &str, people: &str, role: &str) -> Vec<Value> {
    let works_here = |login: &Value| {
        let roles = login["roles"].as_array().cloned().unwrap_or_default();
        roles.iter().any(|held| held["role"] == role && (held["store"].is_null() || held["store"] == store))
    };
    let people = logins_of(server)[people].as_array().cloned().unwrap_or_default();
    people.into_iter().filter(works_here).collect()
}

fn sign_in(server: &Server, login: &Value) -> String {
    let body = json!({ "email": login["email"], "password": login["password"] }).to_string();
    let (status, answer) = server.request("POST", "/v1/sign-in", "", &body).expect("sign-in is answered");
    assert_eq!(status, 200, "{answer}");
    text(&answer["token"])
}

/// A key that nobody has used.
pub(crate) fn fresh_key() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static KEYS: AtomicU64 = AtomicU64::new(0);
    format!("key-of-the-stories-{}-{}", std::process::id(), KEYS.fetch_add(1, Ordering::Relaxed))
}

/// The text that stands there.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
