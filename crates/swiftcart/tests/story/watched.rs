//! A shop as those who run it see it: one order followed by its trace through every service, the provider and the log; and
//! metrics, each of which is described and none of which a stranger can make more of.
//! Leaves what is counted to the crates that count it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use testkit::{Engine, Raw};

use crate::harness::{Server, free_address, migrate};
use crate::till::{Placed, Till};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// How often something that must come is looked for.
const LOOKS_MAX: u32 = 20_000;

/// A shop that tells of every request, as machines read it.
fn open(data: &std::path::Path, arguments: &[&str]) -> Server {
    let environment = [("SWIFTCART__SERVER__LOG", "warn,web=debug"), ("SWIFTCART__SERVER__LOG_FORMAT", "json")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let server = Server::try_start(free_address(), data, arguments, &environment);
    assert!(server.is_open(), "the server ended before it was open");
    server
}

/// The services whose door was asked within the trace, by the routes of which the log tells.
fn asked(server: &Server) -> BTreeSet<(String, String)> {
    let lines = server.told(&[TRACE, "a request was answered"]);
    let line = |line: &String| {
        let line: Value = serde_json::from_str(line).expect("a line is one object");
        assert_eq!((&line["trace_id"], &line["level"]), (&TRACE.into(), &"DEBUG".into()), "{line}");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&line["service"]), text(&line["fields"]["route"]))
    };
    lines.iter().map(line).collect()
}

async fn an_order_is_followed_by_its_trace(server: &Server, database: &str) {
    let till = Till::open(server);
    let quote = till.quote([1, 0]);
    let traceparent = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
    let (status, placed) = till.try_place_with(&traceparent, &quote, "tok_ok");
    assert_eq!(status, 201, "{placed}");
    let order = Placed::of(&placed, &quote);
    till.until_state(&order, "confirmed");

    let raw = Raw::open(database).await;
    let of_order = format!("SELECT payload FROM store_outbox WHERE payload LIKE '%{}%'", order.id);
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    let enough = ["delivery.created.v1", "hold.committed.v1", "order.confirmed.v1", "order.placed.v1", "payment.authorised.v1"];
    for _ in 0..LOOKS_MAX {
        if enough.iter().all(|kind| said.contains_key(*kind)) {
            break;
        }
        for payload in raw.texts(&of_order).await {
            let event: Value = serde_json::from_str(&payload).expect("an envelope");
            let text = |name: &str| event[name].as_str().expect("a text").to_owned();
            said.insert(text("type"), text("traceparent"));
        }
    }
    assert!(enough.iter().all(|kind| said.contains_key(*kind)), "{said:#?}");
    for (kind, traceparent) in &said {
        assert!(traceparent.contains(TRACE), "{kind} is of another trace: {traceparent}");
    }
    // What a service says belongs to its own part of the trace.
    let spans: BTreeSet<&str> = said.values().map(|traceparent| &traceparent[36..52]).collect();
    assert!(spans.len() >= 4, "{said:#?}");

    let to_provider = ("sandbox".to_owned(), "/sandbox/v1/intents".to_owned());
    let from_provider = ("payments".to_owned(), "/v1/webhooks/sandbox".to_owned());
    let ours = ("orders".to_owned(), "/v1/orders".to_owned());
    for _ in 0..LOOKS_MAX {
        if asked(server).len() >= 3 {
            break;
        }
        std::thread::yield_now();
    }
    let asked = asked(server);
    assert!([to_provider, from_provider, ours].iter().all(|route| asked.contains(route)), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_followed_by_its_trace_on_sqlite() {
    let data = tempfile::tempdir().expect("a directory");
    let server = open(data.path(), &[]);
    let database = std::fs::read_dir(data.path()).expect("a directory").filter_map(Result::ok).map(|entry| entry.path());
    let database = database.into_iter().find(|path| path.extension().is_some_and(|end| end == "db")).expect("a database");
    an_order_is_followed_by_its_trace(&server, &format!("sqlite:{}", database.display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_followed_by_its_trace_on_postgresql() {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let data = tempfile::tempdir().expect("a directory");
    let server = open(data.path(), &["--database", &database.url]);
    an_order_is_followed_by_its_trace(&server, &database.url).await;
}

/// The names of the families in `text`, each with its kind and what it is.
fn families(text: &str) -> BTreeMap<String, (String, String)> {
    let mut families: BTreeMap<String, (String, String)> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => families.entry(name.to_owned()).or_default().1 = help.to_owned(),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => families.entry(name.to_owned()).or_default().0 = kind.to_owned(),
            _ => {}
        }
    }
    families
}

/// Rows of a table as `| name | kind | help | …`.
fn described() -> BTreeMap<String, (String, String)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `swiftcart_"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        (cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), cells[3].to_owned()))
    };
    rows.map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_described_and_no_stranger_makes_one() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    let token = server.admin_token();
    let till = Till::open(&server);
    till.until_state(&till.place([1, 0], "tok_ok"), "confirmed");
    let told = families(&server.text("/metrics", &token));
    assert_eq!(told, described(), "docs/metrics.md and /metrics differ");

    let series = || {
        let text = server.text("/metrics", &token);
        text.lines().filter(|line| line.starts_with("swiftcart_http")).count()
    };
    let flood = |round: usize| {
        let (found, lost, odd) = (format!("/v1/orders/{round}"), format!("/nowhere/{round}"), format!("M{round}"));
        for (method, path) in [("GET", found.as_str()), ("GET", &lost), (&odd, "/v1/orders")] {
            server.request(method, path, &format!("x-request-id: r{round}\r\n"), "").expect("an answer");
        }
    };
    flood(0);
    let before = (series(), series());
    (1..200).for_each(flood);
    assert_eq!(series(), before.1);
}
