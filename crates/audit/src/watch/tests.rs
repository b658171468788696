//! The watch over a shop of plain lists behind a real door. Leaves the shop itself to the program's own tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use contracts::OrderId;
use contracts::audit::{Breach, Fact};
use kernel::{Bucket, Draw, Fault, Id, Runtime, Timestamp};
use testkit::TestRuntime;
use web::{
    Access, Answer, Door, Grant, Json, Keyring, Limits, Listing, Page, Peer, Person, Role, Routes, SigningKey, State, json,
};

use super::*;

/// What the services of a shop say.
#[derive(Default)]
struct Said {
    facts: BTreeMap<&'static str, BTreeMap<OrderId, Fact>>,
    breaches: Vec<Breach>,
    pending: Json,
    is_away: bool,
}

struct Shop {
    said: Arc<Mutex<Said>>,
    runtime: Arc<TestRuntime>,
    watch: Watch,
}

const OPENED_AT: Timestamp = Timestamp::from_millis(1_764_000_000_000);

const SERVICES: [&str; 4] = ["orders", "inventory", "payments", "delivery"];

fn facts(said: &Mutex<Said>, service: &str, page: &Page<OrderId>) -> Result<Answer, Fault> {
    let said = said.lock().unwrap();
    if said.is_away {
        return Err(Fault::unavailable("away", 1000));
    }
    let behind = |fact: &&Fact| page.after.is_none_or(|after| fact.order > after);
    let facts: Vec<Fact> = said.facts.get(service).into_iter().flat_map(BTreeMap::values).filter(behind).cloned().collect();
    Ok(Answer::ok(page.list(facts, |fact| fact.order)))
}

fn routes(said: Arc<Mutex<Said>>) -> Routes {
    let mut routes = Routes::new("shop");
    for service in SERVICES {
        let answer = move |State(said): State<Arc<Mutex<Said>>>, page: Page<OrderId>| async move { facts(&said, service, &page) };
        routes = routes.get(&format!("/v1/admin/audit/{service}/facts"), Access::admin(), answer);
    }
    for path in BREACHES.into_iter().chain([RECONCILE]) {
        let answer = move |State(said): State<Arc<Mutex<Said>>>| async move {
            let said = said.lock().unwrap();
            let items = if path == BREACHES[0] { said.breaches.clone() } else { Vec::new() };
            Ok(Answer::ok(Listing { items, next: None }))
        };
        routes = routes.get(path, Access::admin(), answer);
    }
    let pending = async |State(said): State<Arc<Mutex<Said>>>| Ok(Answer::ok(said.lock().unwrap().pending.clone()));
    routes.get("/v1/admin/audit/pending", Access::admin(), pending).with_state(said)
}

impl Shop {
    fn open() -> Self {
        let runtime = Arc::new(TestRuntime::standing(OPENED_AT));
        let said = Arc::new(Mutex::new(Said { pending: json!({ "items": [] }), ..Said::default() }));
        let (key, keyring) = (SigningKey::generate().unwrap(), Keyring::new());
        keyring.insert(key.public());
        let router = Door::new(runtime.clone(), keyring, Limits::default()).open(routes(said.clone()));
        let watch = Watch::new(runtime.clone(), Config::default());
        let grants = vec![Grant { role: Role::Admin, store: None }];
        let person = Person { id: Id::first_of(runtime.now()), name: "audit".to_owned(), grants };
        let clock = runtime.clone();
        watch.connect(Peer::local(router), Arc::new(move || key.sign(&person, clock.now(), 60_000)));
        Self { said, runtime, watch }
    }

    /// An order of `number` as `service` says it is.
    fn say(&self, number: u64, service: &'static str, state: &str) {
        let at = OPENED_AT.plus_ms(i64::try_from(number).unwrap() - 1000);
        let order = OrderId(Id::new(at, Bucket(1), &mut Draw::seeded(number)));
        let sums = [("total", 5), ("captured", 5)].map(|(name, sum)| (name.to_owned(), sum)).into();
        let fact = Fact { order, state: state.to_owned(), settled: true, sums };
        self.said.lock().unwrap().facts.entry(service).or_default().insert(order, fact);
    }

    fn say_pending(&self, pending: Json) {
        self.said.lock().unwrap().pending = pending;
    }

    /// Lets the watch look for so long.
    async fn pass_ms(&self, ms: Millis) -> Status {
        let until = self.runtime.now().plus_ms(ms);
        while self.runtime.now() < until {
            self.watch.step().await;
            self.runtime.advance(self.watch.step_every_ms());
        }
        self.watch.glance().status()
    }
}

fn rules(status: &Status) -> Vec<&str> {
    status.by_rule().into_keys().collect()
}

#[tokio::test]
async fn what_is_broken_counts_when_it_is_seen_again_and_until_it_has_ended() {
    let shop = Shop::open();
    shop.say(1, "orders", "cancelled");
    shop.say(1, "payments", "authorised");
    let status = shop.pass_ms(20_000).await;
    assert_eq!(rules(&status), ["cancelled-order-charges-nothing"]);
    assert_eq!((status.found, status.suspicions), (1, 0));
    shop.say(1, "payments", "voided");
    let status = shop.pass_ms(30_000).await;
    assert_eq!((rules(&status).len(), status.found, status.suspicions), (0, 1, 0));
    assert!(status.sweeps == 1 && status.sweep.is_some_and(|sweep| sweep.orders == 1), "{status:?}");
}

#[tokio::test]
async fn what_a_service_finds_is_passed_on() {
    let shop = Shop::open();
    let breach = Breach { rule: "total-equals-lines-and-fee".to_owned(), subject: "o".to_owned(), detail: "d".to_owned() };
    shop.said.lock().unwrap().breaches.push(breach);
    assert_eq!(rules(&shop.pass_ms(20_000).await), ["total-equals-lines-and-fee"]);
}

#[tokio::test]
async fn a_suspicion_waits_until_everybody_has_heard_what_had_been_said() {
    let shop = Shop::open();
    let behind =
        |seq: i64| json!({ "items": [{ "service": "payments", "behind": [{ "source": "orders", "seq": seq, "last": 9 }] }] });
    shop.say_pending(behind(3));
    shop.say(1, "orders", "cancelled");
    shop.say(1, "payments", "authorised");
    let status = shop.pass_ms(20_000).await;
    assert_eq!((rules(&status).len(), status.suspicions), (0, 1), "payments may not have heard of it: {status:?}");
    shop.say_pending(behind(9));
    shop.say(1, "payments", "voided");
    let status = shop.pass_ms(20_000).await;
    assert_eq!((status.found, status.suspicions), (0, 0), "it was never broken: {status:?}");
}

#[tokio::test]
async fn who_hears_nothing_any_more_is_a_breach() {
    let shop = Shop::open();
    for (seq, found) in [(3, 0), (5, 0), (7, 0), (7, 1)] {
        let last = seq + 2;
        shop.say_pending(
            json!({ "items": [{ "service": "payments", "behind": [{ "source": "orders", "seq": seq, "last": last }] }] }),
        );
        let status = shop.pass_ms(if found == 0 { 20_000 } else { 90_000 }).await;
        assert_eq!(rules(&status).len(), found, "{seq}: {status:?}");
    }
    assert_eq!(rules(&shop.watch.glance().status()), ["events-are-heard"]);
    shop.say_pending(json!({ "items": [] }));
    assert!(rules(&shop.pass_ms(30_000).await).is_empty());
}

#[tokio::test]
async fn pages_of_services_that_know_of_different_orders_are_joined_without_a_seam() {
    let shop = Shop::open();
    for number in 0..500 {
        // Delivery knows few of them, so that its pages reach farther than those of others.
        let cancelled = number % 7 != 0;
        shop.say(number, "orders", if cancelled { "cancelled" } else { "confirmed" });
        shop.say(number, "inventory", if cancelled { "released" } else { "committed" });
        shop.say(number, "payments", if cancelled { "voided" } else { "authorised" });
        if !cancelled {
            shop.say(number, "delivery", "created");
        }
    }
    let status = shop.pass_ms(60_000).await;
    assert_eq!((status.found, status.suspicions), (0, 0), "{status:?}");
    assert!(status.sweep.is_some_and(|sweep| sweep.orders == 500), "{status:?}");
    shop.say(302, "delivery", "to-dropoff");
    let status = shop.pass_ms(60_000).await;
    assert_eq!(rules(&status), ["cancelled-order-brings-nothing"]);
}

#[tokio::test]
async fn a_shop_that_is_busy_is_left_alone_and_looked_at_again() {
    let shop = Shop::open();
    shop.said.lock().unwrap().is_away = true;
    let status = shop.pass_ms(10_000).await;
    assert!(status.pages_failed > 0 && status.sweeps == 0, "{status:?}");
    shop.said.lock().unwrap().is_away = false;
    let status = shop.pass_ms(20_000).await;
    assert!(status.sweeps == 1, "{status:?}");
}

#[tokio::test]
async fn it_reads_no_more_pages_than_it_may() {
    let shop = Shop::open();
    let status = shop.pass_ms(10_000).await;
    assert!(status.pages <= 50, "{status:?}");
}
