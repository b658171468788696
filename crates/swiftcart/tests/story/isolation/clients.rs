//! Everybody around a shop, each on a thread of their own, doing their one thing again and again, one try at a time: whoever
//! signs in, looks around, orders, asks after an order, picks, delivers. Every try is noted.
//! Leaves what happens to the shop meanwhile to `isolation`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::tally::{Deed, Tally};
use crate::harness::{INTERNAL_KEY, Server, bearer, request};
use crate::till::{HOME, Till, fresh_key, logins_of, people_of, text};

/// The pause between two tries, and of those who cost more.
const PAUSE: Duration = Duration::from_millis(150);
const LONG_PAUSE: Duration = Duration::from_millis(600);

/// How many quoted carts a shopper has ready, made long before they are ordered.
const READY: usize = 6;

/// Until somebody is told to go home: the other end is dropped then.
pub(super) type Closing = Receiver<()>;

/// An order that the shop acknowledged.
#[derive(Clone)]
struct Order {
    id: String,
    capability: String,
    placed: Instant,
    /// Whose confirmation this will be.
    confirmation: Deed,
    confirmed: Option<Instant>,
    told: bool,
    state: String,
    pin: Value,
}

/// A cart with its quote, and the key under which it is ordered, however often that is tried.
struct Ready {
    quote: String,
    capability: String,
    key: String,
}

/// Somebody of the staff, who signs in again when their token has run out.
struct Staff<'a> {
    login: &'a Value,
    token: Option<String>,
}

/// Everybody, and what they know.
pub(super) struct Clients {
    pub(super) tally: Tally,
    gateway: String,
    /// Where messages are looked for, as a process of the shop.
    notifications: String,
    internal: String,
    store: String,
    sku: String,
    slot: String,
    admin: Value,
    shopper: Value,
    picker: Value,
    couriers: Vec<Value>,
    orders: Mutex<Vec<Order>>,
    /// How often the shop was opened and closed again: orders are placed while it is odd, and on each such day the shopper
    /// signs in once.
    days: AtomicUsize,
}

fn go_on(closing: &Closing, pause: Duration) -> bool {
    closing.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
}

fn signed_in(token: &Option<String>) -> String {
    token.as_deref().map(bearer).unwrap_or_default()
}

impl Clients {
    /// The people of one store, which has plenty of what is ordered.
    pub(super) fn of(gateway: &Server, notifications: &Server) -> Self {
        let till = Till::open(gateway);
        let (store, sku, slot) = (till.store.clone(), till.skus[0].clone(), till.slot.clone());
        let plenty = |path: String, what: Value| assert_eq!(till.as_manager("PUT", &path, &what).0, 200, "{path}");
        plenty(format!("/v1/admin/stores/{store}/stock/{sku}"), json!({ "on_hand": 100_000 }));
        plenty(format!("/v1/admin/stores/{store}/slots/{slot}/places"), json!({ "places": 100_000 }));
        let of = |people, role| people_of(gateway, &store, people, role);
        Self {
            tally: Tally::default(),
            gateway: gateway.address().to_owned(),
            notifications: notifications.address().to_owned(),
            internal: bearer(INTERNAL_KEY),
            admin: logins_of(gateway)["admin"].clone(),
            shopper: of("shoppers", "customer").remove(0),
            picker: of("staff", "picker").remove(0),
            couriers: of("couriers", "courier"),
            store,
            sku,
            slot,
            orders: Mutex::default(),
            days: AtomicUsize::new(0),
        }
    }

    /// What everybody does until they are told to go home.
    pub(super) fn work() -> [fn(&Self, &Closing); 10] {
        [
            Self::sign_in_again,
            |clients, closing| clients.look(closing, Deed::Browse, &format!("/v1/stores/{}/products?limit=20", clients.store)),
            |clients, closing| clients.look(closing, Deed::Reach, &format!("/v1/reach?lat={}&lon={}", HOME.0, HOME.1)),
            |clients, closing| clients.look(closing, Deed::SeeSlots, &format!("/v1/stores/{}/slots?limit=20", clients.store)),
            |clients, closing| clients.order(closing, Deed::OrderAsGuest, Deed::GuestConfirmed),
            |clients, closing| clients.order(closing, Deed::OrderAsShopper, Deed::ShopperConfirmed),
            Self::follow,
            Self::await_messages,
            Self::pick,
            Self::deliver,
        ]
    }

    /// From now on orders are placed.
    pub(super) fn open(&self) {
        assert!(self.days.fetch_add(1, Ordering::AcqRel).is_multiple_of(2), "it was closed");
    }

    /// From now on none is.
    pub(super) fn close(&self) {
        assert!(!self.days.fetch_add(1, Ordering::AcqRel).is_multiple_of(2), "it was open");
    }

    /// Whether every order that was placed is confirmed and its shopper told.
    pub(super) fn all_are_confirmed(&self) -> bool {
        self.orders().iter().all(|order| order.confirmed.is_some() && order.told)
    }

    /// Waits until every order is delivered, as long as they become fewer.
    pub(super) fn until_all_are_delivered(&self) {
        let left = || self.orders().iter().filter(|order| order.state != "delivered").count();
        let mut before = left();
        while before > 0 {
            self.tally.until(&format!("another of {before} orders is delivered"), || left() < before);
            before = left();
        }
    }

    /// How many orders of this kind were placed since `since` and confirmed by now.
    pub(super) fn confirmed(&self, confirmation: Deed, since: Instant) -> usize {
        let is_one = |order: &&Order| order.confirmation == confirmation && order.placed >= since && order.confirmed.is_some();
        self.orders().iter().filter(is_one).count()
    }

    /// Whether every service has heard all that was said.
    pub(super) fn nothing_is_behind(&self) -> bool {
        let asked = self.sign_in(&self.admin);
        let pending = asked.and_then(|token| self.ask(&bearer(&token), "GET", "/v1/admin/audit/pending", &Value::Null));
        let has_heard = |service: &Value| service["behind"].as_array().is_some_and(Vec::is_empty);
        pending.is_ok_and(|pending| pending["items"].as_array().is_some_and(|services| services.iter().all(has_heard)))
    }

    fn orders(&self) -> MutexGuard<'_, Vec<Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, id: &str, change: impl FnOnce(&mut Order)) {
        if let Some(order) = self.orders().iter_mut().find(|order| order.id == id) {
            change(order);
        }
    }

    /// One request; what it showed, if it went well.
    fn ask(&self, headers: &str, method: &str, path: &str, body: &Value) -> Result<Value, u16> {
        self.ask_under(&fresh_key(), headers, method, path, body)
    }

    fn ask_under(&self, key: &str, headers: &str, method: &str, path: &str, body: &Value) -> Result<Value, u16> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        match request(&self.gateway, method, path, &format!("{headers}Idempotency-Key: {key}\r\n"), &text) {
            Some((200..300, shown)) => Ok(shown),
            Some((status, _)) => Err(status),
            None => Err(0),
        }
    }

    /// The same as a deed, which is noted.
    fn attempt<T>(&self, deed: Deed, does: impl FnOnce() -> Result<T, u16>) -> Option<T> {
        let began = Instant::now();
        let done = does();
        self.tally.note(deed, began, done.is_ok());
        done.ok()
    }

    fn sign_in(&self, login: &Value) -> Result<String, u16> {
        let body = json!({ "email": login["email"], "password": login["password"] });
        Ok(text(&self.ask("", "POST", "/v1/sign-in", &body)?["token"]))
    }

    fn sign_in_again(&self, closing: &Closing) {
        while go_on(closing, LONG_PAUSE) {
            self.attempt(Deed::SignIn, || self.sign_in(&self.shopper));
        }
    }

    fn look(&self, closing: &Closing, deed: Deed, path: &str) {
        while go_on(closing, PAUSE) {
            self.attempt(deed, || self.ask("", "GET", path, &Value::Null));
        }
    }

    /// Orders what was quoted some carts ago, and has the next cart ready. Whoever was signed in and is told that their token is
    /// none any more leaves it out: the cart's capability is enough.
    fn order(&self, closing: &Closing, deed: Deed, confirmation: Deed) {
        let (mut today, mut token, mut ready) = (0, None, VecDeque::new());
        while go_on(closing, LONG_PAUSE) {
            let day = self.days.load(Ordering::Acquire);
            if day.is_multiple_of(2) {
                continue;
            }
            if day != today && deed == Deed::OrderAsShopper {
                token = self.sign_in(&self.shopper).ok();
                ready.clear();
            }
            today = day;
            while ready.len() < READY
                && let Some(cart) = self.prepare(&mut token)
            {
                ready.push_back(cart);
            }
            let Some(cart) = ready.pop_front() else { continue };
            match self.place((deed, confirmation), &mut token, &cart) {
                Some(order) => self.orders().push(order),
                None => ready.push_front(cart),
            }
        }
    }

    /// Asks as whoever was signed in; if the token is refused, without it.
    fn ask_as(&self, token: &mut Option<String>, headers: &str, key: &str, path: &str, body: &Value) -> Result<Value, u16> {
        let asked = self.ask_under(key, &(signed_in(token) + headers), "POST", path, body);
        if asked != Err(401) || token.take().is_none() {
            return asked;
        }
        self.ask_under(key, headers, "POST", path, body)
    }

    fn prepare(&self, token: &mut Option<String>) -> Option<Ready> {
        let address = json!({ "street": "675 Ponce De Leon Ave NE", "point": { "lat": HOME.0, "lon": HOME.1 } });
        let lines = [json!({ "sku": self.sku, "quantity": 1 })];
        let cart = json!({ "address": address, "store": self.store, "lines": lines });
        let cart = self.attempt(Deed::MakeCart, || self.ask_as(token, "", &fresh_key(), "/v1/carts", &cart))?;
        let capability = text(&cart["capability"]);
        let (headers, path) = (by(&capability), format!("/v1/carts/{}/quotes", text(&cart["id"])));
        let slot = json!({ "slot": self.slot });
        let quote = self.attempt(Deed::Quote, || self.ask_as(token, &headers, &fresh_key(), &path, &slot))?;
        Some(Ready { quote: text(&quote["quote"]), capability, key: fresh_key() })
    }

    fn place(&self, (deed, confirmation): (Deed, Deed), token: &mut Option<String>, cart: &Ready) -> Option<Order> {
        let contact = json!({ "name": "Ada", "email": "ada@shopper.example", "phone": "" });
        let body = json!({ "quote": cart.quote, "contact": contact, "payment_token": "tok_ok" });
        let placed = Instant::now();
        let order = self.attempt(deed, || self.ask_as(token, &by(&cart.capability), &cart.key, "/v1/orders", &body))?;
        let (id, state) = (text(&order["id"]), text(&order["state"]));
        let capability = cart.capability.clone();
        Some(Order { id, capability, placed, confirmation, confirmed: None, told: false, state, pin: Value::Null })
    }

    /// Asks after every order until it is delivered.
    fn follow(&self, closing: &Closing) {
        while go_on(closing, PAUSE) {
            let open: Vec<Order> = self.orders().iter().filter(|order| order.state != "delivered").cloned().collect();
            for order in open {
                let path = format!("/v1/orders/{}", order.id);
                let seen = self.attempt(Deed::SeeOrder, || self.ask(&by(&order.capability), "GET", &path, &Value::Null));
                let Some(seen) = seen else { break };
                let (state, pin) = (text(&seen["state"]), seen["delivery"]["pin"].clone());
                let is_promised = ["confirmed", "picking", "ready", "out_for_delivery", "delivered"].contains(&state.as_str());
                let is_news = is_promised && order.confirmed.is_none();
                if is_news {
                    self.tally.note(order.confirmation, order.placed, true);
                }
                self.update(&order.id, |order| {
                    order.confirmed = order.confirmed.or_else(|| is_news.then(Instant::now));
                    (order.state, order.pin) = (state, pin);
                });
            }
        }
    }

    /// Looks whether a message about each confirmed order is written.
    fn await_messages(&self, closing: &Closing) {
        while go_on(closing, PAUSE) {
            let waiting: Vec<Order> =
                self.orders().iter().filter(|order| order.confirmed.is_some() && !order.told).cloned().collect();
            for order in waiting {
                let path = format!("/v1/admin/messages?order={}", order.id);
                let Some((200, seen)) = request(&self.notifications, "GET", &path, &self.internal, "") else { break };
                let is_there = seen["items"].as_array().is_some_and(|messages| !messages.is_empty());
                if let Some(confirmed) = order.confirmed.filter(|_| is_there) {
                    self.tally.note(Deed::BeTold, confirmed, true);
                    self.update(&order.id, |order| order.told = true);
                }
            }
        }
    }

    /// One request of somebody of the staff.
    fn ask_as_staff(&self, staff: &mut Staff<'_>, method: &str, path: &str, body: &Value) -> Result<Value, u16> {
        if staff.token.is_none() {
            staff.token = Some(self.sign_in(staff.login)?);
        }
        let asked = self.ask(&signed_in(&staff.token), method, path, body);
        if asked != Err(401) {
            return asked;
        }
        staff.token = None;
        staff.token = Some(self.sign_in(staff.login)?);
        self.ask(&signed_in(&staff.token), method, path, body)
    }

    /// Clears the board of the store: each row a step further.
    fn pick(&self, closing: &Closing) {
        let mut picker = Staff { login: &self.picker, token: None };
        while go_on(closing, PAUSE) {
            for (state, step) in [("confirmed", "pick"), ("picking", "ready")] {
                let path = format!("/v1/stores/{}/orders?state={state}&limit=20", self.store);
                let mut ask = |method: &str, path: &str| self.ask_as_staff(&mut picker, method, path, &Value::Null);
                let Some(board) = self.attempt(Deed::Pick, || ask("GET", &path)) else { break };
                for row in board["items"].as_array().into_iter().flatten() {
                    let path = format!("/v1/orders/{}/{step}", text(&row["id"]));
                    if self.attempt(Deed::Pick, || ask("POST", &path)).is_none() {
                        break;
                    }
                }
            }
        }
    }

    /// Every courier in turn brings what they are at as far as it goes.
    fn deliver(&self, closing: &Closing) {
        let mut couriers: Vec<Staff<'_>> = self.couriers.iter().map(|login| Staff { login, token: None }).collect();
        while go_on(closing, PAUSE) {
            for courier in &mut couriers {
                let ask = || self.ask_as_staff(courier, "GET", "/v1/courier/work", &Value::Null);
                let Some(mut work) = self.attempt(Deed::Carry, ask) else { continue };
                let mut task = if work["offer"].is_null() { work["delivery"].take() } else { work["offer"].take() };
                while let Some((path, body)) = self.next_move(&task)
                    && let Some(then) = self.attempt(Deed::Carry, || self.ask_as_staff(courier, "POST", &path, &body))
                {
                    task = then;
                }
            }
        }
    }

    /// What a courier does next with their task, as far as it is known.
    fn next_move(&self, task: &Value) -> Option<(String, Value)> {
        const WAY: [&str; 5] = ["accept", "at-pickup", "picked-up", "at-dropoff", "deliver"];
        let moves = task["moves"].as_array()?;
        let step = WAY.into_iter().find(|step| moves.iter().any(|known| known == step))?;
        let order = text(&task["order"]);
        let path = format!("/v1/deliveries/{order}/{step}");
        if step != "deliver" {
            return Some((path, Value::Null));
        }
        let pin = self.orders().iter().find(|known| known.id == order).map(|order| order.pin.clone())?;
        (!pin.is_null()).then(|| (path, json!({ "pin": pin })))
    }
}

fn by(capability: &str) -> String {
    format!("Cart-Capability: {capability}\r\n")
}
