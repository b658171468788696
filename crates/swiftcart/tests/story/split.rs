//! A shop whose roles have processes of their own behind a gateway: on the outboxes of one PostgreSQL, and over Kafka, on one
//! PostgreSQL or on one for each role.
//! Leaves shops of one process, or of several identical ones, to `stories`.

use testkit::Engine;

use crate::harness::{Cluster, ROLES, Topology, baskets, migrate, said};

/// A shop of so many processes of each role that carries a few orders to the doorstep; if they are `apart`, each role has a
/// database of its own.
async fn carries_orders(copies: usize, kafka: Option<&str>, apart: bool) {
    let mut databases = vec![testkit::fresh(Engine::Postgres).await];
    for _ in ROLES.iter().filter(|_| apart) {
        databases.push(testkit::fresh(Engine::Postgres).await);
    }
    databases.iter().for_each(|database| migrate(&database.url));
    let own: Vec<_> = ROLES.into_iter().zip(databases[1..].iter().map(|database| database.url.clone())).collect();
    let cluster = Cluster::start(&Topology { database: &databases[0].url, apart: &own, copies, kafka, settings: "" });
    let output = cluster.gateway.load(&[], &["replay", &baskets(), "--shoppers", "4"]);
    assert!(output.status.success(), "{}", said(&output));
    let (report, content) = cluster.gateway.audit();
    assert!(content, "{report:#}");
    cluster.nothing_was_found();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_for_each_role_on_one_database() {
    carries_orders(1, None, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_for_each_role_with_a_database_of_its_own_over_kafka() {
    carries_orders(1, Some(&testkit::kafka()), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_for_each_role_over_kafka() {
    carries_orders(2, Some(&testkit::kafka()), false).await;
}
