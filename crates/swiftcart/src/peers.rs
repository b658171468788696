//! Where the services of a shop answer: behind a router of this process, or at the addresses that the settings name.
//! Leaves how an address is tried to `web`, and what is asked to whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use kernel::{Fault, Millis, Runtime};
use serde::Deserialize;
use web::{IDEMPOTENCY_KEY, InternalKey, Json, Peer, PeerAsk, PeerLimits, PeerStanding, Problem, Router};

use crate::roles::{Roles, SERVICES, part_of};
use crate::settings::Settings;

/// The addresses of the services that are elsewhere.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Config {
    /// How long one process has until its answer begins, before another one is tried.
    pub(crate) try_timeout_ms: Millis,
    #[serde(flatten)]
    addresses: BTreeMap<String, Vec<String>>,
}

impl Config {
    /// Everything that is wrong with these settings.
    pub(crate) fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if !(10..=600_000).contains(&self.try_timeout_ms) {
            wrong.push("peers.try_timeout_ms must be from 10 to 600000".to_owned());
        }
        for (service, addresses) in &self.addresses {
            let faults = addresses.iter().filter_map(|address| Peer::remote(address).err());
            wrong.extend(faults.map(|error| format!("peers.{service}: {error}")));
        }
        wrong
    }

    /// Where `service` answers.
    pub(crate) fn of(&self, service: &str) -> &[String] {
        self.addresses.get(part_of(service)).map_or(&[], Vec::as_slice)
    }
}

/// All services of the shop as whom to ask. Copies share it.
#[derive(Clone)]
pub(crate) struct Peers {
    peers: Arc<BTreeMap<&'static str, Peer>>,
    /// Those that are not in this process.
    away: Vec<&'static str>,
    key: InternalKey,
}

impl Peers {
    /// Those of `roles` behind `here`, and the others where the settings say. `also` is what rides with them.
    pub(crate) fn new(
        roles: &Roles,
        also: &[&'static str],
        here: &Router,
        settings: &Settings,
        key: &InternalKey,
        runtime: &Arc<dyn Runtime>,
    ) -> anyhow::Result<Self> {
        let config = &settings.peers;
        let limits = PeerLimits { try_ms: config.try_timeout_ms, deadline_ms: settings.server.deadline_ms };
        let mut peers = BTreeMap::new();
        for service in SERVICES.into_iter().chain(also.iter().copied()) {
            let peer = if roles.serve(service) {
                Peer::local(here.clone())
            } else if let Some(peer) = peers.get(part_of(service)) {
                Peer::clone(peer)
            } else {
                Peer::pool(config.of(service), limits, runtime.clone()).with_context(|| format!("peers.{service}"))?
            };
            peers.insert(service, peer);
        }
        let away = peers.keys().copied().filter(|service| !roles.serve(service)).collect();
        Ok(Self { peers: Arc::new(peers), away, key: key.clone() })
    }

    /// Their names, in order.
    pub(crate) fn services(&self) -> impl Iterator<Item = &'static str> {
        self.peers.keys().copied()
    }

    /// Those that are not in this process.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = (&'static str, &Peer)> {
        self.away.iter().filter_map(|service| self.peer(service))
    }

    /// The one of that name.
    pub(crate) fn peer(&self, service: &str) -> Option<(&'static str, &Peer)> {
        self.peers.get_key_value(service).map(|(name, peer)| (*name, peer))
    }

    /// How the addresses of each service that is elsewhere stand.
    pub(crate) fn standing(&self) -> BTreeMap<&'static str, Vec<PeerStanding>> {
        let standing = self.peers.iter().map(|(service, peer)| (*service, peer.standing()));
        standing.filter(|(_, standing)| !standing.is_empty()).collect()
    }

    /// What `service` answers at `path`, as one process of the shop asks another.
    pub(crate) async fn get(&self, service: &'static str, peer: &Peer, path: String) -> Result<Json, Fault> {
        self.ask(service, peer, PeerAsk { method: "GET", path, headers: Vec::new(), body: Vec::new() }).await
    }

    /// What `service` answers to `body`, sent once under `key`.
    pub(crate) async fn post(
        &self,
        service: &'static str,
        peer: &Peer,
        path: String,
        key: &str,
        body: Option<&Json>,
    ) -> Result<Json, Fault> {
        let kind = body.map(|_| ("content-type", "application/json".to_owned()));
        let headers = [(IDEMPOTENCY_KEY, key.to_owned())].into_iter().chain(kind).collect();
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        self.ask(service, peer, PeerAsk { method: "POST", path, headers, body }).await
    }

    async fn ask(&self, service: &'static str, peer: &Peer, mut ask: PeerAsk) -> Result<Json, Fault> {
        ask.headers.push(("authorization", format!("Bearer {}", self.key.token())));
        let what = format!("{} {}", ask.method, ask.path);
        let answer = peer.ask(ask).await.map_err(|fault| gateway::unanswered(service, &what, &fault))?;
        if (200..300).contains(&answer.status) {
            return serde_json::from_slice(&answer.body)
                .map_err(|error| Fault::internal(format!("{what} of {service}: {error}")));
        }
        let odd = || Fault::internal(format!("{what} of {service} was answered with {}", answer.status));
        Err(Problem::fault(answer.status, &answer.body).unwrap_or_else(odd))
    }
}
