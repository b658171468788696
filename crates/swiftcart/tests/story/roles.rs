//! Roles as processes of their own: who dies or freezes takes only its own routes along, who is told to stop is not missed, and
//! all of them are operated at the gateway. Leaves the way of an order through them to `split`.

use serde_json::Value;
use testkit::Engine;

use crate::harness::{Cluster, Server, Topology, baskets, bearer, migrate, request, said};
use crate::operating::{COPIES, plant_letter, well};

/// How often it is asked for what must come true.
const LOOKS_MAX: u32 = 100_000;

async fn cluster(copies: usize, settings: &str) -> (testkit::TestStore, Cluster) {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let cluster = Cluster::start(&Topology { database: &database.url, apart: &[], copies, kafka: None, settings });
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

/// A read of each of three services, and of whom it is.
const READS: [(&str, &str); 3] =
    [("catalog", "/v1/categories"), ("orders", "/v1/reach?lat=33.78&lon=-84.38"), ("identity", "/v1/me")];

/// Whether `service` is said not to answer.
fn is_away(service: &str) -> impl Fn(u16, &Value) -> bool {
    move |status, body| {
        let reason = body["type"].as_str().unwrap_or_default();
        status == 503 && reason.ends_with("/peer-unavailable") && body["service"] == service
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_dead_or_frozen_takes_only_its_own_routes_along() {
    let (_database, mut cluster) = cluster(1, "try_timeout_ms = 1000\n").await;
    let token = cluster.gateway.admin_token();
    for (service, path) in READS {
        for blow in ["KILL", "STOP"] {
            if blow == "KILL" {
                cluster.one(service, 0).kill();
            } else {
                cluster.one(service, 0).signal("STOP");
            }
            until("it is away", &cluster.gateway, path, &token, is_away(service));
            for (_, other) in READS.into_iter().filter(|(other, _)| *other != service) {
                let (status, body) = cluster.gateway.request("GET", other, &bearer(&token), "").expect("an answer");
                assert_eq!(status, 200, "{other} while {service} is away: {body}");
            }
            let is_told = |status: u16, ready: &Value| status == 200 && ready["peers"][service][0]["well"] == false;
            until("the gateway is ready and tells who is not", &cluster.gateway, "/readyz", &token, is_told);
            let is_told = |_: u16, pending: &Value| {
                let items = pending["items"].as_array().into_iter().flatten();
                items.filter(|item| item["unreachable"].is_string()).all(|item| item["service"] == service)
            };
            let pending = until("what is pending", &cluster.gateway, "/v1/admin/audit/pending", &token, is_told);
            assert!(pending.to_string().contains("unreachable"), "{pending:#}");
            if blow == "KILL" {
                assert!(cluster.one(service, 0).restart_with(&[]), "it opens again");
            } else {
                cluster.one(service, 0).signal("CONT");
            }
            until("it is there again", &cluster.gateway, path, &token, |status, _| status == 200);
        }
    }
    let output = cluster.gateway.load(&[], &["replay", &baskets(), "--shoppers", "4", "--limit", "5"]);
    assert!(output.status.success(), "{}", said(&output));
    cluster.nothing_was_found();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_stop_is_not_missed() {
    let (_database, mut cluster) = cluster(2, "").await;
    let token = cluster.gateway.admin_token();
    let gateway = cluster.gateway.address().to_owned();
    for (service, path) in READS {
        let leaving = cluster.one(service, 1);
        std::thread::scope(|scope| {
            let stopped = scope.spawn(|| leaving.stop());
            while !stopped.is_finished() {
                let (status, body) = request(&gateway, "GET", path, &bearer(&token), "").expect("an answer");
                assert_eq!(status, 200, "{path}: {body}");
            }
            assert!(stopped.join().expect("it ends").success());
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_of_many_processes_is_operated_at_its_gateway() {
    let (database, cluster) = cluster(2, "").await;
    let (gateway, token) = (&cluster.gateway, cluster.gateway.admin_token());
    for (consumer, from) in COPIES {
        let told = well(gateway, &["resync", consumer, "--from", from]);
        assert!(told.contains(&format!("{consumer} has heard all of it")), "{told}");
    }
    let letter = plant_letter(gateway, &database.url).await;
    assert!(well(gateway, &["dead-letters", "show", &letter]).contains("\"payload\": {}"));
    let told = well(gateway, &["dead-letters", "drop", &letter, "--reason", "it was planted"]);
    assert!(told.contains("0 still parked"), "{told}");
    let key = "Idempotency-Key: resume-1\r\n";
    for (path, expected) in [("orders/catalog", 200), ("orders/notifications", 404), ("orders/nobody", 404)] {
        let path = format!("/v1/admin/subscriptions/{path}/resume");
        let (status, body) = gateway.request("POST", &path, &format!("{}{key}", bearer(&token)), "").expect("an answer");
        assert_eq!(status, expected, "{path}: {body}");
    }
    let (status, refused) =
        gateway.request("GET", "/v1/admin/audit/pending", &bearer("the-key-of-this-cluster"), "").expect("it");
    assert_eq!(status, 401, "the key of the shop's processes opens nothing from outside: {refused}");
    let (status, hidden) = gateway.request("GET", "/internal/orders/pending", &bearer(&token), "").expect("an answer");
    assert_eq!(status, 404, "{hidden}");
    let (report, content) = gateway.audit();
    assert!(content, "{report:#}");
}
