//! What the services have before them, and what the audit's watch has seen: of one service in its process, of all at the gateway.
//! Leaves looking and judging to `audit`.

use engine::{Pending, Stands};
use futures_util::future::join_all;
use kernel::Fault;
use web::{Access, Answer, Json, Peer, Routes, State, json};

use super::{Own, Whole};
use crate::auditor;
use crate::peers::Peers;

pub(super) fn internal(service: &'static str) -> Routes<Own> {
    Routes::new(service).get(&format!("/internal/{service}/pending"), Access::admin(), pending_of_service).get(
        &format!("/internal/{service}/watch"),
        Access::admin(),
        watch_of_process,
    )
}

pub(super) fn routes() -> Routes<Whole> {
    Routes::new("swiftcart").get("/v1/admin/audit/pending", Access::admin(), pending).get(
        "/v1/admin/audit/watch",
        Access::admin(),
        watch,
    )
}

async fn pending_of_service(State(own): State<Own>) -> Result<Answer, Fault> {
    Ok(Answer::ok(own.running.pending().await?))
}

/// What the audit of this process has seen: the breaches that stand, each since when, and how far it has looked.
async fn watch_of_process(State(own): State<Own>) -> Result<Answer, Fault> {
    let audit = own.audit.ok_or_else(|| Fault::not_found("watch"))?;
    Ok(Answer::ok(audit.status()))
}

/// What each service has before it; of one that does not answer, that.
async fn pending(State(whole): State<Whole>) -> Result<Answer, Fault> {
    let items = whole.peers.services().map(|service| pending_of(&whole.peers, service));
    Ok(Answer::ok(json!({ "items": compared(join_all(items).await)? })))
}

/// The items with what each has not heard of the others; of who does not answer nobody knows.
fn compared(items: Vec<Json>) -> Result<Vec<Json>, Fault> {
    let is_silent = |item: &Json| item.get("unreachable").is_some();
    let (silent, told): (Vec<Json>, Vec<Json>) = items.into_iter().partition(is_silent);
    let odd = |error: serde_json::Error| Fault::internal(format!("what a service has before it: {error}"));
    let mut told = told.into_iter().map(serde_json::from_value).collect::<Result<Vec<Pending>, _>>().map_err(odd)?;
    engine::compare(&mut told);
    let mut items = silent;
    for mut pending in told {
        // Where each stands has been compared, and says nothing more to anybody.
        pending.stands = Stands::default();
        items.push(serde_json::to_value(pending).map_err(odd)?);
    }
    Ok(items)
}

/// What `service` has before it. Its rows are the same in all of its processes; what has stopped is each one's own.
async fn pending_of(peers: &Peers, service: &'static str) -> Json {
    let told = of_each(peers, service, "pending").await;
    let stopped: Vec<Json> = told.iter().flatten().filter_map(|item| item["stopped"].as_array()).flatten().cloned().collect();
    let mut silent = None;
    for told in told {
        match told {
            Ok(mut item) => {
                item["stopped"] = stopped.into();
                return item;
            }
            Err(fault) => silent = Some(fault.detail),
        }
    }
    json!({ "service": service, "unreachable": silent })
}

/// What the watch has seen, told by the process that looked last: of several one watches.
async fn watch(State(whole): State<Whole>) -> Result<Answer, Fault> {
    let (mut newest, mut fault) = (None, None);
    for told in of_each(&whole.peers, auditor::BESIDE, "watch").await {
        match told {
            Ok(status) => {
                let looked_at = status["looked_at"].as_str().map(str::to_owned);
                newest = newest.max(Some((looked_at, status.to_string())));
            }
            Err(told) => fault = Some(told),
        }
    }
    match (newest, fault) {
        (Some((_, status)), _) => Ok(Answer::bytes("application/json", status)),
        (None, Some(fault)) => Err(fault),
        (None, None) => Err(Fault::not_found("watch")),
    }
}

/// What each process of `service` answers at `what`.
async fn of_each(peers: &Peers, service: &'static str, what: &str) -> Vec<Result<Json, Fault>> {
    let each = peers.peer(service).map(|(_, peer)| peer.each()).unwrap_or_default();
    let get = |peer: Peer| async move { peers.get(service, &peer, format!("/internal/{service}/{what}")).await };
    join_all(each.into_iter().map(get)).await
}
