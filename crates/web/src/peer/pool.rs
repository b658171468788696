//! Several addresses that stand for each other: which is asked next, for how long, and what is repeated elsewhere.
//! Repeated is what certainly was not sent, and what may be repeated without harm: reads, and requests with a key. All of it
//! within a budget, so that repeating never doubles the load on those who are slow because of it.
//! Leaves what is known of an address to `health`, and its connections to `wire`.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::http::{Method, Request, Response};
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use kernel::{Millis, Runtime, Timestamp};
use serde::Deserialize;

use super::health::{Health, Rank};
use super::wire::{Failed, Wire};
use super::{PeerFault, PeerStanding};
use crate::conditional::Prefer;
use crate::idempotency::IDEMPOTENCY_KEY;

/// How often one request is tried at most.
const TRIES_MAX: usize = 3;

/// How often an address is looked at, and how often one that is gone.
const LOOK_EVERY_MS: Millis = 500;
const LOOK_EVERY_GONE_MS: Millis = 100;

/// How long an address has to answer a look.
const LOOK_MS: Millis = 1000;

/// Where it is looked, and how much of the answer.
const LOOK_AT: &str = "/livez";
const LOOK_BYTES_MAX: usize = 1024;

/// What a repetition costs of the budget to which each request adds one: so one in five.
const REPEAT_COST: usize = 5;

/// How much of the budget is kept: so many repetitions may come at once.
const BUDGET_MAX: usize = 20 * REPEAT_COST;

/// How long a pool waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerLimits {
    /// How long one address has until its answer begins, beyond the wait that the request prefers, and from one part of the
    /// answer to the next.
    pub try_ms: Millis,
    /// How long all tries of one request may take, beyond that wait.
    pub deadline_ms: Millis,
}

/// The addresses of one service.
pub(super) struct Pool {
    addresses: Vec<Arc<Address>>,
    limits: PeerLimits,
    runtime: Arc<dyn Runtime>,
    /// Whose turn it is.
    turn: AtomicUsize,
    budget: AtomicUsize,
}

struct Address {
    wire: Wire,
    health: Mutex<Health>,
}

/// What one request has met so far at an address.
struct Tried {
    index: usize,
    /// Whether another try there may go better: the connection broke, as one does whose process was started again.
    again: bool,
}

impl Address {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    pub(super) fn new(wires: Vec<Wire>, limits: PeerLimits, runtime: Arc<dyn Runtime>) -> Self {
        let address = |wire| Arc::new(Address { wire, health: Mutex::default() });
        Self::of(wires.into_iter().map(address).collect(), limits, runtime)
    }

    fn of(addresses: Vec<Arc<Address>>, limits: PeerLimits, runtime: Arc<dyn Runtime>) -> Self {
        Self { addresses, limits, runtime, turn: AtomicUsize::new(0), budget: AtomicUsize::new(BUDGET_MAX) }
    }

    /// Each address as a pool of its own, which shares its connections and what is known of it.
    pub(super) fn each(&self) -> Vec<Self> {
        self.addresses.iter().map(|address| Self::of(vec![address.clone()], self.limits, self.runtime.clone())).collect()
    }

    pub(super) fn standing(&self) -> Vec<PeerStanding> {
        let standing = |address: &Arc<Address>| {
            let why = address.health().why_not();
            PeerStanding { address: address.wire.to_string(), well: why.is_none(), why }
        };
        self.addresses.iter().map(standing).collect()
    }

    /// Sends a request to whoever answers it, as often as that is safe.
    pub(super) async fn send(&self, request: &Request<Bytes>) -> Result<Response<Body>, PeerFault> {
        let is_read = request.method().is_safe();
        let may_repeat = is_read || request.headers().contains_key(IDEMPOTENCY_KEY);
        let wait_ms = Prefer::of(request.headers()).wait_ms.filter(|_| is_read).unwrap_or(0);
        let until = self.runtime.now().plus_ms(self.limits.deadline_ms + wait_ms);
        // Over the maximum it would only let more be repeated at once.
        let _ = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some((left + 1).min(BUDGET_MAX)));
        let mut fault = PeerFault::unsent("none of its addresses is well");
        let mut tried: Vec<Tried> = Vec::new();
        while tried.len() < TRIES_MAX {
            let now = self.runtime.now();
            let left_ms = until.since_ms(now);
            if left_ms <= 0 || !tried.is_empty() && !self.may_spend() {
                break;
            }
            let Some(index) = self.choose(&tried, now) else { break };
            let failed = match self.try_at(index, request, left_ms.min(self.limits.try_ms + wait_ms)).await {
                Ok(answer) => return Ok(answer.map(|body| self.bounded(body))),
                Err(failed) => failed,
            };
            tried.push(Tried { index, again: failed.again });
            let maybe_done = fault.maybe_done;
            fault = failed.what.fault(is_read);
            if fault.maybe_done && !may_repeat {
                break;
            }
            fault.maybe_done |= maybe_done;
        }
        Err(fault)
    }

    /// Takes the price of a repetition out of the budget, if it is there.
    fn may_spend(&self) -> bool {
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(REPEAT_COST)).is_ok()
    }

    /// The address to try now: of those not tried yet the next that is well, then one that is about to end, then one that is
    /// silent; then one that was tried and may go better.
    fn choose(&self, tried: &[Tried], now: Timestamp) -> Option<usize> {
        let count = self.addresses.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = || (0..count).map(|step| (first + step) % count);
        let fresh = |index: &usize| tried.iter().all(|tried| tried.index != *index);
        let may = |index: &usize| self.addresses[*index].health().lets_through(now);
        let of_rank = |rank| move |index: &usize| self.addresses[*index].health().rank() == rank;
        let ranks = [Rank::Well, Rank::Leaving, Rank::Silent];
        let first = ranks.into_iter().find_map(|rank| in_turn().filter(fresh).filter(of_rank(rank)).find(may));
        first.or_else(|| tried.iter().filter(|tried| tried.again).map(|tried| tried.index).find(may))
    }

    async fn try_at(&self, index: usize, request: &Request<Bytes>, within_ms: Millis) -> Result<Response<Incoming>, TryFailed> {
        let address = &self.addresses[index];
        let failed = match select(Box::pin(address.wire.send(request)), self.runtime.sleep(within_ms)).await {
            Either::Left((Ok(answer), _)) => {
                address.health().answered();
                return Ok(answer);
            }
            Either::Left((Err(what), _)) => TryFailed { again: what.reached, what },
            Either::Right(_) => {
                let why = format!("no answer within {within_ms} ms");
                TryFailed { what: Failed { why, reached: true }, again: false }
            }
        };
        address.health().failed(&failed.what.why, self.runtime.now());
        Err(failed)
    }

    /// The body of an answer, which fails if it stands still.
    fn bounded(&self, body: Incoming) -> Body {
        let (runtime, idle_ms) = (self.runtime.clone(), self.limits.try_ms);
        let parts = stream::unfold(Some(Body::new(body).into_data_stream()), move |parts| {
            let silence = runtime.sleep(idle_ms);
            async move {
                let mut parts = parts?;
                match select(parts.next(), silence).await {
                    Either::Left((Some(Ok(part)), _)) => Some((Ok(part), Some(parts))),
                    Either::Left((Some(Err(error)), _)) => Some((Err(io::Error::other(error)), None)),
                    Either::Left((None, _)) => None,
                    Either::Right(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
                }
            }
        });
        Body::from_stream(parts)
    }

    /// Asks an address whether it lives.
    async fn look(&self, address: &Address) {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = axum::http::Uri::from_static(LOOK_AT);
        let answer = async {
            let answer = address.wire.send(&request).await?;
            let body = Limited::new(answer.into_body(), LOOK_BYTES_MAX).collect().await;
            // Whatever is answered, somebody lives there.
            let leaving = body.is_ok_and(|body| serde_json::from_slice(&body.to_bytes()).is_ok_and(|Life { draining }| draining));
            Ok::<bool, Failed>(leaving)
        };
        let was_gone = address.health().is_gone();
        match select(Box::pin(answer), self.runtime.sleep(LOOK_MS)).await {
            Either::Left((Ok(leaving), _)) => address.health().seen(leaving),
            Either::Left((Err(failed), _)) => address.health().missed(&failed.why, failed.reached),
            Either::Right(_) => address.health().missed(&format!("no sign of life within {LOOK_MS} ms"), true),
        }
        let is_gone = address.health().is_gone();
        if was_gone != is_gone {
            tracing::info!(address = %address.wire, is_gone, "a peer is gone or there again");
        }
    }
}

/// What a process says of its life.
#[derive(Deserialize)]
struct Life {
    #[serde(default)]
    draining: bool,
}

/// A try that failed.
struct TryFailed {
    what: Failed,
    again: bool,
}

/// Looks at each address of `pool` for as long as somebody has it.
pub(super) fn look_after(pool: &Arc<Pool>) {
    for address in &pool.addresses {
        let (held, address, runtime) = (Arc::downgrade(pool), address.clone(), pool.runtime.clone());
        let looking = async move {
            while let Some(pool) = held.upgrade() {
                pool.look(&address).await;
                drop(pool);
                let is_gone = address.health().is_gone();
                runtime.sleep(if is_gone { LOOK_EVERY_GONE_MS } else { LOOK_EVERY_MS }).await;
            }
        };
        pool.runtime.spawn("look", Box::pin(looking));
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(|address| address.wire.to_string()).collect();
        f.write_str(&addresses.join(", "))
    }
}
