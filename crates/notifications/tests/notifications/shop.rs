//! Running notifications with the others said by speakers, a mailer that does as it is told, and short ways to ask.
//! Leaves the stage to `testkit`.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use contracts::delivery::{DeliveryAssigned, DeliveryPickedUp};
use contracts::orders::{Contact, OrderConfirmed, OrderDelivered, OrderPlaced};
use contracts::{Address, CartId, Event, OrderId, PersonId, Point, Slot, SlotKey, StoreId};
use kernel::{BoxFuture, Money};
use notifications::{Config, Mail, Mailer, Outcome};
use testkit::{Engine, Stage, TestRuntime, migrated, some_id, some_time};
use web::{Json, Reply};

/// A database with all tables, on which shops are opened, one after the other or beside each other.
pub(crate) struct Ground(Stage);

impl Ground {
    pub(crate) async fn fresh(engine: Engine) -> Self {
        let migrations = notifications::service(&quick(), Obedient::sending()).migrations;
        Self(
            Stage::on(
                migrated(engine, &[migrations]).await,
                TestRuntime::flowing(),
                &["orders", "payments", "delivery", "inventory"],
            )
            .await,
        )
    }

    /// A shop on it, as one process.
    pub(crate) async fn open(&self, config: Config, mailer: Arc<dyn Mailer>) -> Shop {
        let mut stage = self.0.another().await;
        let notifications = stage.play(notifications::service(&config, mailer)).await;
        stage.open(notifications::routes(notifications.handle.clone(), &config));
        Shop(stage)
    }

    /// The same with a mailer that is content with everything.
    pub(crate) async fn open_content(&self) -> Shop {
        self.open(quick(), Obedient::sending()).await
    }
}

impl Deref for Ground {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.0
    }
}

/// Settings under which nothing takes long.
pub(crate) fn quick() -> Config {
    Config { look_ms: 20, again_first_ms: 2, again_max_ms: 4, send_timeout_ms: 50, ..Config::default() }
}

/// Running notifications.
pub(crate) struct Shop(Stage);

impl Deref for Shop {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.0
    }
}

impl Shop {
    /// Lets orders say something.
    pub(crate) async fn orders_say<E: Event>(&self, event: E) {
        self.say("orders", event).await;
    }

    /// Lets delivery say something.
    pub(crate) async fn delivery_says<E: Event>(&self, event: E) {
        self.say("delivery", event).await;
    }

    /// Everything that an order is told on its good way, from `placed` on.
    pub(crate) async fn deliver(&self, order: OrderId, customer: Option<PersonId>) {
        self.orders_say(placed(order, customer)).await;
        self.orders_say(confirmed(order)).await;
        self.delivery_says(assigned(order)).await;
        self.delivery_says(DeliveryPickedUp { attempt: 1, order, at: some_time() }).await;
        self.orders_say(OrderDelivered { order, amount: total() }).await;
    }

    /// Reads `path` as an admin.
    pub(crate) async fn get_as_admin(&self, path: &str) -> Reply {
        self.get_as(path, &self.admin()).await
    }

    /// The messages of an order, newest first.
    pub(crate) async fn messages(&self, order: OrderId) -> Vec<Json> {
        self.list(&format!("/v1/admin/messages?order={order}"), 100, Some(&self.admin())).await
    }

    /// Waits until an order has `count` messages and each is in `state`.
    pub(crate) async fn until_messages(&self, order: OrderId, count: usize, state: &str) {
        let all = async || {
            let messages = self.messages(order).await;
            messages.len() == count && messages.iter().all(|message| message["state"] == state)
        };
        self.until(&format!("{count} messages are {state}"), all).await;
    }

    /// Waits until the row that says how an order is reached, or what waits for that, is there.
    pub(crate) async fn until_contact(&self, order: OrderId) {
        let contacts = notifications::service(&quick(), Obedient::sending()).tables[0];
        let there = async || !self.database.store.load(contacts, vec![vec![order.0.into()]]).await.unwrap().is_empty();
        self.until("something is known of the order", there).await;
    }
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

pub(crate) fn order(seed: u64) -> OrderId {
    OrderId(some_id(seed))
}

fn total() -> Money {
    dollars(2317)
}

pub(crate) fn dollars(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

fn slot() -> Slot {
    Slot { starts_at: SlotKey(some_time()), ends_at: some_time().plus_ms(3_600_000), cutoff_at: some_time() }
}

fn contact() -> Contact {
    Contact { name: "Ada".to_owned(), email: "ada@example.com".to_owned(), phone: String::new() }
}

pub(crate) fn placed(order: OrderId, customer: Option<PersonId>) -> OrderPlaced {
    let (cart, store) = (CartId(order.0), StoreId(some_id(2)));
    let (contact, slot, total) = (contact(), slot(), total());
    OrderPlaced { order, cart, store, customer, contact, lines: Vec::new(), slot, total, placed_at: some_time() }
}

pub(crate) fn confirmed(order: OrderId) -> OrderConfirmed {
    let address = Address { street: "99 Krog St NE".to_owned(), note: String::new(), point: Point { lat: 33.7, lon: -84.3 } };
    OrderConfirmed { order, store: StoreId(some_id(2)), contact: contact(), address, slot: slot() }
}

pub(crate) fn assigned(order: OrderId) -> DeliveryAssigned {
    DeliveryAssigned { order, courier: PersonId(some_id(8)), courier_name: "Grace".to_owned() }
}

/// The templates of messages, sorted.
pub(crate) fn templates(messages: &[Json]) -> Vec<&str> {
    let mut templates: Vec<&str> = messages.iter().map(|message| message["template"].as_str().unwrap()).collect();
    templates.sort_unstable();
    templates
}
