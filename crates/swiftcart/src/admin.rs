//! The routes of the program itself: whether this process lives, and whether it is ready; what an operator sees of each service
//! and does to it. What one service can tell stands in its own process, on routes that other processes of the shop ask; what an
//! operator asks of all stands at the gateway, which asks each.
//! Leaves everything about the shop to the services.

mod audit;
mod dead_letters;
mod log;
mod resync;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::audit::Glance;
use engine::Running;
use futures_util::future::join_all;
use kernel::{Fault, FaultKind};
use serde_json::Map;
use web::{Access, Answer, IdempotencyKey, Json, RouteInfo, Routes, State, json};

use crate::peers::Peers;
use crate::tables::Copying;

/// How a process goes towards its end. Copies share it.
#[derive(Clone, Default)]
pub(crate) struct Life(Arc<AtomicBool>);

impl Life {
    /// From now on this process says that it is about to end.
    pub(crate) fn drain(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_draining(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// One service of this process, to its operators.
#[derive(Clone)]
struct Own {
    running: Arc<Running>,
    copying: Arc<Copying>,
    audit: Option<Glance>,
}

impl Own {
    fn name(&self) -> &'static str {
        self.running.handle.service()
    }
}

/// The whole shop, wherever its services are.
#[derive(Clone)]
struct Whole {
    peers: Peers,
    copying: Arc<Copying>,
}

impl Whole {
    async fn get(&self, service: &'static str, what: &str) -> Result<Json, Fault> {
        let (service, peer) = self.peers.peer(service).ok_or_else(|| Fault::not_found("service"))?;
        self.peers.get(service, peer, format!("/internal/{service}/{what}")).await
    }

    async fn post(&self, service: &'static str, what: &str, key: &IdempotencyKey, body: &Json) -> Result<Json, Fault> {
        let (service, peer) = self.peers.peer(service).ok_or_else(|| Fault::not_found("service"))?;
        self.peers.post(service, peer, format!("/internal/{service}/{what}"), key.as_str(), Some(body)).await
    }
}

/// This process.
#[derive(Clone)]
struct Process {
    life: Life,
    running: Vec<Arc<Running>>,
    peers: Option<Peers>,
}

/// What one service tells its operators and the other processes of the shop; `audit` is what the watch beside it has seen.
pub(crate) fn of_service(running: Arc<Running>, copying: Arc<Copying>, audit: Option<Glance>) -> Routes {
    let service = running.handle.service();
    public(service).merge(internal(service)).with_state(Own { running, copying, audit })
}

/// Those of its routes that the gateway carries to it.
pub(crate) fn table(service: &'static str) -> Vec<RouteInfo> {
    public(service).list()
}

fn public(service: &'static str) -> Routes<Own> {
    dead_letters::of_service(service)
}

fn internal(service: &'static str) -> Routes<Own> {
    let routes = Routes::new(service).get(&format!("/internal/{service}/token-keys"), Access::admin(), token_keys);
    let routes = routes.merge(audit::internal(service)).merge(dead_letters::internal(service));
    routes.merge(log::internal(service)).merge(resync::internal(service))
}

/// What operators ask of all services.
pub(crate) fn of_whole(peers: Peers, copying: Arc<Copying>) -> Routes {
    let routes = audit::routes().merge(dead_letters::routes()).merge(log::routes()).merge(resync::routes());
    routes.with_state(Whole { peers, copying })
}

/// Whether this process, whose `running` services those are, lives and is ready; a gateway also tells how its peers stand.
pub(crate) fn of_process(life: Life, running: Vec<Arc<Running>>, peers: Option<Peers>) -> Routes {
    Routes::new("swiftcart").get("/livez", Access::anyone(), live).get("/readyz", Access::anyone(), ready).with_state(Process {
        life,
        running,
        peers,
    })
}

/// The process answers; `draining` if it is about to end.
async fn live(State(process): State<Process>) -> Result<Answer, Fault> {
    Ok(Answer::ok(json!({ "live": true, "draining": process.life.is_draining() })))
}

/// Every service of this process reaches its database, and the process is not about to end; otherwise 503 with the reasons. A
/// subscription that has stopped, or a peer that does not answer, is told and takes nobody out of service: it stops its own
/// work only.
async fn ready(State(process): State<Process>) -> Result<Answer, Fault> {
    let heads = join_all(process.running.iter().map(|running| running.events_said())).await;
    let (mut services, mut broken) = (Map::new(), Vec::new());
    for (running, head) in process.running.iter().zip(heads) {
        let name = running.handle.service();
        let word = match head {
            Ok(_) => "ready".to_owned(),
            Err(fault) => {
                broken.push(name);
                // The cause may name a database and its user; it is in the log.
                tracing::warn!(service = name, %fault, "not ready");
                "its database does not answer".to_owned()
            }
        };
        services.insert(name.to_owned(), word.into());
    }
    let stopped: Vec<_> = process.running.iter().flat_map(|running| running.stopped()).collect();
    let peers = process.peers.as_ref().map(Peers::standing).unwrap_or_default();
    let why = if process.life.is_draining() {
        Some("draining: this process is about to end".to_owned())
    } else {
        (!broken.is_empty()).then(|| format!("the database does not answer {}", broken.join(", ")))
    };
    let parts = json!({ "services": services, "stopped": stopped, "peers": peers });
    match why {
        None => Ok(Answer::ok(with(parts, "ready", true.into()))),
        Some(why) => {
            let mut fault = Fault::new(FaultKind::Unavailable, "not-ready", why);
            fault.more = members(with(parts, "ready", false.into()));
            Err(fault)
        }
    }
}

fn with(mut object: Json, name: &str, value: Json) -> Json {
    object[name] = value;
    object
}

fn members(object: Json) -> Map<String, Json> {
    if let Json::Object(members) = object { members } else { Map::new() }
}

/// The public keys of tokens that this service knows, for a process that has no service to learn them.
async fn token_keys(State(own): State<Own>) -> Result<Answer, Fault> {
    Ok(Answer::ok(engine::TokenKeys::of(&own.running.handle).await?))
}

#[cfg(test)]
mod tests {
    use web::{Call, Reply, StatusCode};

    use super::*;
    use crate::compose;
    use crate::settings::Settings;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_process_that_is_about_to_end_lives_and_is_not_ready() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::defaults().unwrap();
        settings.server.data = directory.path().to_owned();
        let shop = compose::start(&settings).await.unwrap();
        let ask = async |path: &str| -> Reply { Call::get(path).send(&shop.router).await.unwrap() };
        let ready = ask("/readyz").await;
        assert_eq!(ready.status, StatusCode::OK);
        let told: Json = ready.json().unwrap();
        assert_eq!((&told["services"]["orders"], &told["stopped"]), (&json!("ready"), &json!([])), "{told}");
        assert_eq!(ask("/livez").await.json::<Json>().unwrap(), json!({ "live": true, "draining": false }));
        shop.life.drain();
        let ready = ask("/readyz").await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        let told: Json = ready.json().unwrap();
        assert!(told["detail"].as_str().is_some_and(|detail| detail.starts_with("draining")), "{told}");
        assert_eq!(told["services"]["orders"], "ready");
        assert_eq!(ask("/livez").await.json::<Json>().unwrap(), json!({ "live": true, "draining": true }));
        shop.shut_down().await;
    }
}
