//! What whoever runs a shop does to it while it lives: copies are rebuilt, events that nobody can handle are seen and ended.
//! Leaves the shop's own way to `stories`.

use std::process::Output;

use testkit::{Engine, admin};

use crate::harness::{Server, migrate, said, swiftcart};

/// Every copy that there is.
pub(super) const COPIES: [(&str, &str); 12] = [
    ("identity", "identity"),
    ("identity", "delivery"),
    ("delivery", "identity"),
    ("catalog", "identity"),
    ("catalog", "delivery"),
    ("catalog", "inventory"),
    ("inventory", "identity"),
    ("inventory", "delivery"),
    ("orders", "identity"),
    ("orders", "delivery"),
    ("orders", "catalog"),
    ("orders", "inventory"),
];

fn run(server: &Server, arguments: &[&str]) -> Output {
    let mut command = swiftcart();
    command.args(arguments).args(["--url", &server.url(), "--logins"]).arg(server.logins());
    command.output().expect("it runs")
}

/// Runs a command of whoever operates the shop, which must go well.
#[track_caller]
pub(super) fn well(server: &Server, arguments: &[&str]) -> String {
    let output = run(server, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_rebuilt_while_the_shop_runs() {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &["--database", &database.url]);
    let sql = admin(&database.url).await;
    let count = async |of: &str| sql.query_one(&format!("SELECT count(*) FROM {of}"), &[]).await.expect(of).get::<_, i64>(0);
    let (listings, slots) = (count("orders_listing WHERE listed = 1").await, count("orders_slot").await);
    assert!(listings > 20 && slots > 20, "the copies are made: {listings} {slots}");
    // Behind the program's back: most of two copies is lost, and one listing at its owner, of which the copy knows nothing.
    for havoc in [
        "DELETE FROM catalog_listing WHERE sku = (SELECT min(sku) FROM catalog_listing)",
        "DELETE FROM orders_listing WHERE sku > (SELECT min(sku) FROM orders_listing)",
        "UPDATE orders_listing SET price_minor = 1",
        "DELETE FROM orders_slot",
        "UPDATE catalog_supply SET band = 'none'",
    ] {
        sql.batch_execute(havoc).await.expect(havoc);
    }
    for (consumer, from) in COPIES {
        let told = well(&server, &["resync", consumer, "--from", from]);
        assert!(told.contains(&format!("{consumer} has heard all of it")), "{told}");
    }
    let gone = count("(SELECT DISTINCT store FROM orders_listing) AS stores").await;
    assert_eq!(count("orders_listing WHERE listed = 1").await, listings - gone, "all but the listings of one product");
    assert_eq!(count("orders_listing WHERE price_minor = 1 AND listed = 1").await, 0, "what is listed has its price again");
    assert_eq!(count("orders_slot").await, slots);
    assert!(count("catalog_supply WHERE band <> 'none'").await > 20);
    let refused = said(&run(&server, &["resync", "orders", "--from", "payments"]));
    for part in ["`orders` keeps no copy of what `payments` owns", "orders from catalog", "delivery from identity"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    let (report, content) = server.audit();
    assert!(content, "{report:#}");
}

/// Plants an event that is none in the log of catalog, and waits until orders has parked it; its name as a dead letter.
pub(super) async fn plant_letter(server: &Server, database: &str) -> String {
    let plant = "WITH head AS (UPDATE store_head SET seq = seq + 1 WHERE service = 'catalog' RETURNING seq, source) \
                 INSERT INTO store_outbox (source, seq, topic, partition, key, kind, payload) \
                 SELECT source, seq, 'catalog.products', 0, 'odd', 'listing.changed.v1', '{}' FROM head";
    admin(database).await.batch_execute(plant).await.expect("it is planted");
    loop {
        let told = well(server, &["dead-letters", "list", "--service", "orders"]);
        if let Some(line) = told.lines().find(|line| line.contains("listing.changed.v1")) {
            return line.split("  ").next().expect("its name").to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_can_handle_is_seen_and_dropped() {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &["--database", &database.url]);
    assert!(well(&server, &["dead-letters", "list"]).contains("No event is parked"));
    let letter = plant_letter(&server, &database.url).await;
    assert!(letter.starts_with("orders/catalog-"), "{letter}");
    assert!(well(&server, &["dead-letters", "show", &letter]).contains("\"payload\": {}"));
    let failed = run(&server, &["dead-letters", "retry", &letter]);
    assert!(!failed.status.success() && said(&failed).contains("1 still parked"), "{}", said(&failed));
    assert!(!server.audit().1, "it is not at rest");
    let nameless = run(&server, &["dead-letters", "drop", &letter, "--reason", " "]);
    assert!(said(&nameless).contains("say why"), "{}", said(&nameless));
    let told = well(&server, &["dead-letters", "drop", &letter, "--reason", "it was planted"]);
    assert!(told.contains("0 still parked"), "{told}");
    assert!(well(&server, &["dead-letters", "list"]).contains("No event is parked"));
    let wrong = said(&run(&server, &["dead-letters", "retry", "orders"]));
    assert!(wrong.contains("service/source/seq"), "{wrong}");
    let (report, content) = server.audit();
    assert!(content, "{report:#}");
}
