//! A shop whose roles have processes of their own behind a gateway: on the outboxes of one PostgreSQL, and over Kafka.
//! Leaves shops of one process, or of several identical ones, to `stories`.

use testkit::Engine;

use crate::harness::{Cluster, Topology, baskets, migrate, said};

/// A shop of so many processes of each role that carries a few orders to the doorstep.
async fn carries_orders(copies: usize, kafka: Option<&str>) {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let cluster = Cluster::start(&Topology { database: &database.url, copies, kafka, settings: "" });
    let output = cluster.gateway.load(&[], &["replay", &baskets(), "--shoppers", "4"]);
    assert!(output.status.success(), "{}", said(&output));
    let (report, content) = cluster.gateway.audit();
    assert!(content, "{report:#}");
    cluster.nothing_was_found();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_for_each_role_on_one_database() {
    carries_orders(1, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_for_each_role_over_kafka() {
    carries_orders(1, Some(&testkit::kafka())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_for_each_role_over_kafka() {
    carries_orders(2, Some(&testkit::kafka())).await;
}
