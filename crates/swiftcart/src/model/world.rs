//! A small shop in a model: one store with little stock and few places, its people, and every service of the program under
//! its real routes. Nothing happens in it but what a test does.
//! Leaves what people ask for to `people`, and what must hold to `promises`.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::catalog::ListingChanged;
use contracts::identity::CourierChanged;
use contracts::{OrderId, PersonId, StoreId};
use engine::{Model, TimerSet};
use kernel::{Bucket, Draw, Id, Millis, Money, Timestamp};
use web::{
    Call, Door, Grant, Json, Keyring, Limits, Method, Person, Reply, Role, RouteInfo, Router, Routes, Seal, SigningKey, json,
};

use super::bank::Bank;
use super::net::Net;
use crate::settings::Settings;
use crate::tables;

/// A Tuesday at noon in Atlanta.
const NOON: Timestamp = Timestamp::from_millis(1_764_090_000_000);
/// What is sold, and how many of each there are.
pub(super) const STOCK: [(&str, i64); 3] = [("OAT-MILK", 3), ("RYE-BREAD", 5), ("PLUMS", 8)];
/// Longer than any test.
const TOKEN_MS: Millis = 400 * 24 * 3_600_000;
/// The timer that every store always has.
const STANDING: &str = "make-slots";

/// A cart that somebody has made.
#[derive(Clone, Debug)]
pub(super) struct Cart {
    pub(super) id: String,
    pub(super) capability: String,
    /// The quote that it was last given.
    pub(super) quote: Option<String>,
    /// Whether it became an order.
    pub(super) ordered: bool,
}

/// An order that was placed, in the order in which they were.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) id: String,
    pub(super) capability: String,
}

/// Everybody who works in the shop, each with a token.
pub(super) struct People {
    pub(super) admin: String,
    pub(super) manager: String,
    pub(super) picker: String,
    pub(super) dispatcher: String,
    pub(super) couriers: Vec<(PersonId, String)>,
}

/// The shop.
pub(super) struct World {
    pub(super) model: Model,
    pub(super) net: Net,
    pub(super) bank: Arc<Bank>,
    pub(super) routes: Vec<RouteInfo>,
    pub(super) people: People,
    pub(super) store: StoreId,
    pub(super) slots: Vec<String>,
    pub(super) carts: Vec<Cart>,
    pub(super) orders: Vec<Placed>,
    router: Router,
    keys: u64,
    /// What had been written when the promises were last looked at.
    pub(super) checked: u64,
}

/// An id that is the same in every world.
fn fixed(number: u64) -> Id {
    Id::new(NOON, Bucket(7), &mut Draw::seeded(number))
}

impl World {
    /// A shop that is open, in which nobody has done anything.
    pub(super) fn open(seed: u64) -> Self {
        let settings = Settings::defaults().expect("the defaults are right");
        let bank = Arc::new(Bank::default());
        let services = services(&settings, &bank);
        let migrations = tables::migrations(&services);
        let model = Model::new(services, &migrations, NOON, seed).expect("a model of all services");
        let (key, keyring) = (SigningKey::generate().expect("the system gives a key"), Keyring::new());
        keyring.insert(key.public());
        let routes = routes(&model, &settings, &bank);
        let list = routes.list();
        let router = Door::new(model.runtime(), keyring, Limits::default()).open(routes);
        let people = People::hired(&key);
        let store = StoreId(fixed(0));
        let (net, slots, carts, orders) = (Net::default(), Vec::new(), Vec::new(), Vec::new());
        let mut world = Self { model, net, bank, routes: list, people, store, slots, carts, orders, router, keys: 0, checked: 0 };
        world.furnish();
        world
    }

    fn furnish(&mut self) {
        let admin = self.people.admin.clone();
        let call = self.keyed(Call::post("/v1/admin/stores")).bearer(&admin).json(&store_plan(2));
        let made: Json = self.ask(call).json().expect("a store");
        self.store = made["id"].as_str().expect("an id").parse().expect("an id");
        self.quiesce();
        for (sku, on_hand) in STOCK {
            let path = format!("/v1/admin/stores/{}/stock/{sku}", self.store);
            let call = self.keyed(Call::new(Method::PUT, &path)).bearer(&admin).json(&json!({ "on_hand": on_hand }));
            assert_eq!(self.ask(call).status, 200, "stock is counted");
            let listed = ListingChanged {
                product: contracts::ProductId(fixed(1)),
                store: self.store,
                sku: sku.parse().expect("a SKU"),
                name: sku.to_lowercase(),
                price: Money { minor: 499, currency: "USD".parse().expect("dollars are a currency") },
                tax_class: "food".to_owned(),
                listed: true,
            };
            self.model.say("catalog", listed).expect("catalog says it");
        }
        for (index, (courier, _)) in self.people.couriers.clone().into_iter().enumerate() {
            let (name, vehicle) = (format!("Courier {index}"), "cargo-bike".to_owned());
            let hired = CourierChanged { courier, name, store: self.store, vehicle, active: true };
            self.model.say("identity", hired).expect("identity says it");
        }
        self.quiesce();
        let slots: Json = self.ask(Call::get(&format!("/v1/stores/{}/slots?limit=6", self.store))).json().expect("slots");
        // Some hours ahead, so that they are still open when time has passed.
        let starts = slots["items"].as_array().expect("a list").iter().skip(4);
        self.slots = starts.map(|slot| slot["starts_at"].as_str().expect("a time").to_owned()).collect();
        assert!(!self.slots.is_empty(), "the shop has no slots: {slots}");
    }

    /// Sends a request and waits for its answer; what was said is on its way then.
    pub(super) fn ask(&mut self, call: Call) -> Reply {
        let reply = self.model.run(call.send(&self.router)).expect("a call reaches the router");
        self.net.look(&mut self.model);
        reply
    }

    /// `call` under a key that was never used.
    pub(super) fn keyed(&mut self, call: Call) -> Call {
        let key = self.fresh_key();
        call.key(&key)
    }

    /// A key that was never used; the same for the same history.
    pub(super) fn fresh_key(&mut self) -> String {
        self.keys += 1;
        format!("key-of-a-test-{:08}", self.keys)
    }

    /// What an admin reads at `path`, whole.
    pub(super) fn list(&mut self, path: &str) -> Vec<Json> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let call = Call::get(&format!("{path}{after}")).bearer(&self.people.admin);
            let reply = self.ask(call);
            let page: Json = reply.json().expect("a page");
            let items = page["items"].as_array();
            all.extend(items.unwrap_or_else(|| panic!("{path}: no page: {page}")).iter().cloned());
            let Some(next) = page["next"].as_str() else { return all };
            after = format!("?after={next}");
        }
    }

    /// A column of text of all rows of a table.
    pub(super) fn column(&self, table: &str, name: &str) -> Vec<String> {
        let table = self.table(table);
        let at = table.index_of(name).unwrap_or_else(|| panic!("{} has no column {name}", table.name));
        self.model.rows(table).iter().map(|row| row.text(at).expect("text").to_owned()).collect()
    }

    fn table(&self, name: &str) -> &'static store::Table {
        self.model.tables().find(|table| table.name == name).unwrap_or_else(|| panic!("there is no table {name}"))
    }

    /// The documents of a table, as they are stored.
    pub(super) fn documents(&self, table: &str) -> Vec<Json> {
        let table = self.table(table);
        let at = table.index_of("doc").expect("a document");
        let rows = self.model.rows(table);
        rows.iter().map(|row| serde_json::from_str(row.text(at).expect("text")).expect("JSON")).collect()
    }

    /// The document of `order` in a table whose documents name it as `name`.
    pub(super) fn document(&self, table: &str, name: &str, order: &str) -> Option<Json> {
        self.documents(table).into_iter().find(|document| document[name] == order)
    }

    /// The order's own document.
    pub(super) fn order(&self, order: &str) -> Json {
        self.document("orders_order", "id", order).unwrap_or_default()
    }

    /// The document of its delivery; nothing if there is none.
    pub(super) fn delivery(&self, order: &str) -> Json {
        self.document("delivery_delivery", "order", order).unwrap_or_default()
    }

    /// All rows of all tables but idempotency keys, to be compared.
    pub(super) fn everything(&self) -> BTreeMap<&'static str, Vec<store::Row>> {
        let tables = self.model.tables().filter(|table| table.name != "engine_key");
        tables.map(|table| (table.name, self.model.rows(table))).collect()
    }

    /// The timers that stand for something that waits; those of the days go on for ever.
    pub(super) fn timers(&self) -> Vec<TimerSet> {
        self.model.timers().into_iter().filter(|timer| timer.kind != STANDING || timer.due_at <= self.model.now()).collect()
    }

    /// The timers that are due.
    pub(super) fn due(&self) -> Vec<TimerSet> {
        let now = self.model.now();
        self.model.timers().into_iter().filter(|timer| timer.due_at <= now).collect()
    }

    /// Fires a timer; it may not fail.
    pub(super) fn fire(&mut self, timer: &TimerSet) {
        let fired = self.model.fire(timer);
        assert!(fired.is_ok(), "{timer:?} cannot fire: {fired:?}");
        self.net.look(&mut self.model);
    }

    /// Runs a job; it may not fail.
    pub(super) fn run_job(&mut self, job: (&str, &str)) {
        let run = self.model.run_job(job);
        assert!(run.is_ok(), "{job:?} fails: {run:?}");
        self.net.look(&mut self.model);
    }

    /// Lets a call to the outside end.
    pub(super) fn let_go(&mut self, index: usize) {
        self.model.let_go(index);
        self.net.look(&mut self.model);
    }

    /// Lets everything be heard, every job run, every call end and every timer that is due fire, in the plainest order, until
    /// nothing is left to do at this moment.
    pub(super) fn quiesce(&mut self) {
        self.settle_by(&mut |_, _| 0, false);
    }

    /// The same in the order that `choose` makes of so many possibilities; `twice` lets each event be heard twice.
    pub(super) fn settle_by(&mut self, choose: &mut dyn FnMut(usize, &Self) -> usize, twice: bool) {
        self.net.look(&mut self.model);
        loop {
            self.drain(choose, twice);
            // Timers fire after what was said is heard, in the order in which they fell due: a race with time is another history.
            let Some(timer) = self.due().into_iter().next() else { return };
            self.fire(&timer);
        }
    }

    fn drain(&mut self, choose: &mut dyn FnMut(usize, &Self) -> usize, twice: bool) {
        loop {
            let (waiting, held) = (self.net.waiting(), self.model.held().count());
            let count = waiting.len() + held;
            if count == 0 {
                let before = self.model.rows_written();
                for job in self.model.jobs() {
                    self.run_job(job);
                }
                if self.model.rows_written() == before && self.model.held().count() == 0 {
                    return;
                }
                continue;
            }
            let chosen = choose(count, self);
            match waiting.get(chosen) {
                Some(name) => self.net.hear(&mut self.model, name, twice),
                None => self.let_go(chosen - waiting.len()),
            }
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, ms: Millis) {
        self.model.pass(ms);
        self.net.look(&mut self.model);
    }

    /// The order of this id as the audit names it.
    pub(super) fn order_id(&self, index: usize) -> OrderId {
        self.orders[index].id.parse().expect("an order's id")
    }
}

impl People {
    fn hired(key: &SigningKey) -> Self {
        let token = |number: u64, role: Role| {
            let person = Person { id: fixed(number), name: "Ada".to_owned(), grants: vec![Grant { role, store: None }] };
            key.sign(&person, NOON, TOKEN_MS).expect("a sound key signs")
        };
        Self {
            admin: token(10, Role::Admin),
            manager: token(11, Role::Manager),
            picker: token(12, Role::Picker),
            dispatcher: token(13, Role::Dispatcher),
            couriers: (20..22).map(|number| (PersonId(fixed(number)), token(number, Role::Courier))).collect(),
        }
    }
}

/// The services of the program, with the test's own provider behind payments instead of the sandbox.
fn services(settings: &Settings, bank: &Arc<Bank>) -> Vec<engine::Service> {
    let services = tables::services(settings, &tables::Parts::default()).into_iter();
    let with_bank = |service: engine::Service| match service.name {
        "payments" => payments::service(&settings.payments, bank.clone()),
        _ => service,
    };
    services.filter(|service| service.name != tables::SANDBOX).map(with_bank).collect()
}

fn routes(model: &Model, settings: &Settings, bank: &Arc<Bank>) -> Routes {
    identity::routes(model.handle("identity"), &settings.identity)
        .merge(delivery::routes(model.handle("delivery"), &settings.delivery))
        .merge(catalog::routes(model.handle("catalog"), &settings.catalog))
        .merge(inventory::routes(model.handle("inventory"), &settings.inventory))
        .merge(orders::routes(model.handle("orders"), &settings.orders, Seal::from_bytes([7; 32])))
        .merge(payments::routes(model.handle("payments"), &settings.payments, bank.clone()))
        .merge(notifications::routes(model.handle("notifications"), &settings.notifications))
}

/// A store that never closes and has so many places in each hour.
pub(super) fn store_plan(places: i64) -> Json {
    json!({
        "name": "Krog Street", "street": "99 Krog St NE", "lat": 33.757, "lon": -84.364, "time_zone": "America/New_York",
        "currency": "USD", "hours": { "always": true },
        "zone": [[-84.4, 33.7], [-84.3, 33.7], [-84.3, 33.8], [-84.4, 33.7]],
        "fee": { "base_minor": 299, "per_km_minor": 50, "free_from_minor": 5000, "order_minimum_minor": 100 },
        "slots": { "length_minutes": 60, "places": places, "cutoff_minutes": 15, "days_ahead": 1 },
        "tax_basis_points": { "food": 400 },
    })
}
