//! One breach of every rule that is audited, planted behind the program's back into a shop that has lived a little: the watch
//! and `swiftcart audit` must each name that rule and no other, and nothing before and after.
//! Leaves the statements themselves to `plants`.

use std::collections::BTreeSet;
use std::sync::Arc;

use kernel::Runtime;
use serde_json::{Value, json};
use testkit::{Engine, Raw, TestRuntime, on_both};

use crate::harness::{Server, baskets, bearer, migrate, said};
use crate::plants::{PLANTS, Scene};

/// How often the watch is asked before what is waited for counts as never coming, and the pause between two times.
const LOOKS_MAX: u32 = 3000;
const LOOK_MS: i64 = 20;

/// How many baskets the shop has lived through.
const BASKETS: &str = "6";

/// A watch that looks at everything all the time.
const EAGER: [(&str, &str); 6] = [
    ("SWIFTCART__AUDIT__PAGE_PAUSE_MS", "1"),
    ("SWIFTCART__AUDIT__SHARE_MAX_PERCENT", "100"),
    ("SWIFTCART__AUDIT__INSTANTS_EVERY_MS", "50"),
    ("SWIFTCART__AUDIT__SWEEP_EVERY_MS", "50"),
    ("SWIFTCART__AUDIT__HEARD_WITHIN_MS", "500"),
    // Payments' own sweep heals what it finds.
    ("SWIFTCART__PAYMENTS__RECONCILE_EVERY_MS", "3600000"),
];

on_both! { every_planted_breach_is_found_and_nothing_else }

#[test]
fn every_rule_has_its_plant() {
    let planted: BTreeSet<&str> = PLANTS.iter().map(|(rule, _)| *rule).collect();
    let rules: BTreeSet<&str> = audit::RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(planted, rules);
    assert!(planted.len() == PLANTS.len() && planted.len() >= 20);
}

async fn every_planted_breach_is_found_and_nothing_else(engine: Engine) {
    let directory = tempfile::tempdir().expect("a directory");
    let database = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(testkit::fresh(engine).await),
    };
    let mut arguments = Vec::new();
    if let Some(database) = &database {
        migrate(&database.url);
        arguments = vec!["--database", database.url.as_str()];
    }
    let file = format!("sqlite:{}", directory.path().join("swiftcart.db").display());
    let url = database.as_ref().map_or(file, |database| database.url.clone());

    let mut server = Server::start(directory.path(), &arguments);
    let scene = live_a_little(&server, Raw::open(&url).await).await;
    assert!(server.restart_with(&EAGER), "it opens again");
    let shop = Watched { token: server.admin_token(), server };
    assert_eq!(shop.until_looked_through().await, BTreeSet::new(), "a sound shop");
    assert_eq!(shop.audit().await, BTreeSet::new(), "a sound shop");

    scene.keep().await;
    for (rule, plant) in PLANTS {
        scene.raw.run(&plant(&scene)).await;
        let only = BTreeSet::from([(*rule).to_owned()]);
        assert_eq!(shop.until_found(rule).await, only, "the watch on {rule}");
        assert!(shop.measured(rule) > 0, "the metrics on {rule}");
        assert_eq!(shop.audit().await, only, "the audit on {rule}");
        scene.restore().await;
        shop.until_sound(rule).await;
        shop.until_told(rule).await;
    }
    assert_eq!(shop.until_looked_through().await, BTreeSet::new(), "a shop in which all was put right");
}

/// Orders that were delivered, cancelled and rejected, and one that is promised and that nobody picks.
async fn live_a_little(server: &Server, raw: Raw) -> Scene {
    for what in [&["replay", &baskets(), "--shoppers", "4", "--limit", BASKETS][..], &["rush", "--buyers", "3", "--units", "1"]] {
        let output = server.load(&[], what);
        assert!(output.status.success(), "{}", said(&output));
    }
    let promised = place_an_order(server).await;
    let token = server.admin_token();
    let facts = |service: &str| -> Vec<Value> {
        let page = ask(server, &token, &format!("/v1/admin/audit/{service}/facts?limit=100")).expect("facts").1;
        page["items"].as_array().expect("items").clone()
    };
    let orders = facts("orders");
    // Of those that were cancelled, one of which the money had been authorised.
    let paid: BTreeSet<String> = facts("payments")
        .iter()
        .filter(|fact| fact["sums"]["authorised"].as_i64() > Some(0))
        .map(|fact| fact["order"].as_str().expect("an id").to_owned())
        .collect();
    let of = |state: &str| {
        let mut ids = orders.iter().filter(|fact| fact["state"] == state).map(|fact| fact["order"].as_str().expect("an id"));
        ids.find(|id| paid.contains(*id)).unwrap_or_else(|| panic!("no order is {state}: {orders:?}")).to_owned()
    };
    Scene { raw, delivered: of("delivered"), cancelled: of("cancelled"), promised }
}

/// Places an order and waits until it is promised.
async fn place_an_order(server: &Server) -> String {
    let get = |path: &str, headers: &str| server.request("GET", path, headers, "").expect("an answer").1;
    let stores = get("/v1/stores", "");
    let store = &stores["items"][0];
    let id = store["id"].as_str().expect("an id");
    let zone: Vec<(f64, f64)> = serde_json::from_value(store["zone"].clone()).expect("a zone");
    let corners = f64::from(u32::try_from(zone.len()).expect("few corners"));
    let (lon, lat) = zone.iter().fold((0.0, 0.0), |sum, corner| (sum.0 + corner.0 / corners, sum.1 + corner.1 / corners));
    let products = get(&format!("/v1/stores/{id}/products?limit=100"), "");
    let slots = get(&format!("/v1/stores/{id}/slots?limit=100"), "");
    let slot =
        slots["items"].as_array().expect("slots").iter().find(|slot| slot["left"].as_i64() > Some(0)).expect("a free slot");
    let lines: Vec<Value> = products["items"]
        .as_array()
        .expect("products")
        .iter()
        .rev()
        .take(4)
        .map(|product| json!({ "sku": product["sku"], "quantity": 5 }))
        .collect();
    let address = json!({ "street": "1 Eastside Trail NE", "note": "", "point": { "lat": lat, "lon": lon } });
    let post = |path: &str, key: &str, capability: &str, body: &Value| {
        let headers = format!("Idempotency-Key: planted-{key}-0123456789\r\nCart-Capability: {capability}\r\n");
        let (status, answer) = server.request("POST", path, &headers, &body.to_string()).expect("an answer");
        assert!((200..300).contains(&status), "{path}: {answer}");
        answer
    };
    let cart = post("/v1/carts", "cart", "", &json!({ "address": address, "store": id, "lines": lines }));
    let capability = cart["capability"].as_str().expect("a capability");
    let quotes = format!("/v1/carts/{}/quotes", cart["id"].as_str().expect("an id"));
    let quote = post(&quotes, "quote", capability, &json!({ "slot": slot["starts_at"] }));
    let contact = json!({ "name": "Pat", "email": "pat@swiftcart.example", "phone": "" });
    let wanted = json!({ "quote": quote["quote"], "contact": contact, "payment_token": "tok_ok" });
    let order = post("/v1/orders", "order", capability, &wanted)["id"].as_str().expect("an id").to_owned();
    let (path, headers) = (format!("/v1/orders/{order}"), format!("Cart-Capability: {capability}\r\n"));
    let clock = TestRuntime::flowing();
    for _ in 0..LOOKS_MAX {
        if get(&path, &headers)["state"] == "confirmed" {
            return order;
        }
        clock.sleep(LOOK_MS).await;
    }
    panic!("the order is never promised: {}", get(&path, &headers));
}

fn ask(server: &Server, token: &str, path: &str) -> Option<(u16, Value)> {
    server.request("GET", path, &bearer(token), "")
}

/// A shop with an eager watch.
struct Watched {
    server: Server,
    token: String,
}

impl Watched {
    fn watch(&self) -> Value {
        self.server.watch(&self.token)
    }

    fn rules(watch: &Value) -> BTreeSet<String> {
        let breaches = watch["breaches"].as_array().expect("breaches");
        breaches.iter().map(|breach| breach["rule"].as_str().expect("a rule").to_owned()).collect()
    }

    async fn until(&self, what: &str, met: impl Fn(&Value) -> bool) -> Value {
        let clock = TestRuntime::flowing();
        for _ in 0..LOOKS_MAX {
            let watch = self.watch();
            if met(&watch) {
                return watch;
            }
            clock.sleep(LOOK_MS).await;
        }
        panic!("it never came that {what}: {:#}", self.watch());
    }

    /// What stands broken once everything was looked through twice and nothing is only suspected.
    async fn until_looked_through(&self) -> BTreeSet<String> {
        let sweeps = self.watch()["sweeps"].as_u64();
        let met = |watch: &Value| watch["sweeps"].as_u64() >= sweeps.map(|sweeps| sweeps + 2) && watch["suspicions"] == 0;
        Self::rules(&self.until("everything was looked through", met).await)
    }

    async fn until_found(&self, rule: &str) -> BTreeSet<String> {
        self.until(&format!("{rule} is found"), |watch| Self::rules(watch).contains(rule)).await;
        self.until_looked_through().await
    }

    async fn until_sound(&self, rule: &str) {
        self.until(&format!("{rule} holds again"), |watch| Self::rules(watch).is_empty() && watch["suspicions"] == 0).await;
    }

    /// How many breaches of `rule` the metrics tell.
    fn measured(&self, rule: &str) -> i64 {
        let text = self.server.text("/metrics", &self.token);
        let sample = format!("swiftcart_audit_breaches{{rule=\"{rule}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&sample)).unwrap_or_else(|| panic!("{rule} in {text}"));
        value.parse().expect("a number")
    }

    /// Waits until the log has told of each breach of `rule` once that it is there, and once that it is over.
    async fn until_told(&self, rule: &str) {
        let told = |what: &str| {
            let lines = self.server.told(&[what, &format!("\"{rule}\"")]);
            let subject =
                |line: &String| line.split_once("subject").and_then(|(_, rest)| rest.split('"').nth(1).map(str::to_owned));
            let mut subjects: Vec<String> = lines.iter().filter_map(subject).collect();
            subjects.sort();
            subjects
        };
        let both = || (told("an invariant is broken"), told("an invariant holds again"));
        self.until(&format!("the log tells the end of {rule}"), |_| both().1.len() >= both().0.len()).await;
        let (began, ended) = both();
        let once: BTreeSet<&String> = began.iter().collect();
        assert!(!began.is_empty() && began == ended && once.len() == began.len(), "the log on {rule}: {began:?} {ended:?}");
    }

    /// The rules that `swiftcart audit` finds broken.
    async fn audit(&self) -> BTreeSet<String> {
        let options = audit::Options { url: self.server.url(), token: self.token.clone(), quiescent: false };
        let report = audit::run(Arc::new(TestRuntime::flowing()), options).await.expect("an audit");
        report.breaches.into_iter().map(|breach| breach.rule).collect()
    }
}
