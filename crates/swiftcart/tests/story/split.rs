//! A shop whose roles have processes of their own, on one PostgreSQL and the outbox log, behind a gateway.
//! Leaves shops of one process, or of several identical ones, to `stories`.

use serde_json::Value;
use testkit::Engine;

use crate::harness::{Cluster, Server, Topology, baskets, bearer, migrate, said, swiftcart};

/// How often it is asked for what must come true.
const LOOKS_MAX: u32 = 100_000;

async fn cluster(copies: usize, settings: &str) -> (testkit::TestStore, Cluster) {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let cluster = Cluster::start(&Topology { database: &database.url, copies, settings });
    (database, cluster)
}

/// Asks until the answer is as it should be.
#[track_caller]
fn until(what: &str, server: &Server, path: &str, token: &str, is_so: impl Fn(u16, &Value) -> bool) -> Value {
    let mut last = None;
    for _ in 0..LOOKS_MAX {
        if let Some((status, body)) = server.request("GET", path, &bearer(token), "") {
            if is_so(status, &body) {
                return body;
            }
            last = Some((status, body));
        }
    }
    panic!("{what}: {last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_for_each_role_carries_an_order_to_the_doorstep() {
    let (_database, cluster) = cluster(1, "").await;
    let output = cluster.gateway.load(&[], &["replay", &baskets(), "--shoppers", "4"]);
    assert!(output.status.success(), "{}", said(&output));
    let (report, content) = cluster.gateway.audit();
    assert!(content, "{report:#}");
    cluster.nothing_was_found();
}
