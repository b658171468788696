//! The built-in provider: carries questions to the service that keeps its books, as one would over a network.
//! Leaves the books and their rules to that service.

use std::sync::{Arc, OnceLock};

use contracts::OrderId;
use engine::{Handle, Lane, Stop, Work};
use kernel::{BoxFuture, Millis, Money, TraceContext};

use crate::config::Config;
use crate::domain::outcome::Outcome;
use crate::domain::sandbox::{Demand, TOKEN_SLOW};
use crate::jobs::provider::Provider;
use crate::service;
use crate::store::sandbox::StoredDemand;

/// The provider on the handle of the service [`sandbox`](crate::sandbox).
///
/// Tokens: `tok_ok` succeeds; `tok_decline` and `tok_insufficient` are declined; `tok_timeout_after` takes effect and loses
/// the first answer; `tok_timeout_before` loses the first demand; `tok_slow` takes its time; all others are declined as
/// `unknown-token`.
#[derive(Clone)]
pub struct SandboxProvider {
    /// Set once the books are open; until then whatever is asked stays unknown and is asked again.
    handle: Arc<OnceLock<Handle>>,
    slow_ms: Millis,
}

impl SandboxProvider {
    /// The provider whose books are kept behind `handle`.
    #[must_use]
    pub fn new(handle: Handle, config: &Config) -> Self {
        let provider = Self::unconnected(config);
        provider.connect(handle);
        provider
    }

    /// The provider before its books are open, so that all services can be made before any is started.
    #[must_use]
    pub fn unconnected(config: &Config) -> Self {
        Self { handle: Arc::default(), slow_ms: config.sandbox.slow_ms }
    }

    /// Keeps its books behind `handle` from now on; the first call counts.
    pub fn connect(&self, handle: Handle) {
        let _ = self.handle.set(handle);
    }

    async fn demand(&self, key: &str, demand: Demand) -> Outcome {
        let Some(handle) = self.handle.get() else { return Outcome::unknown("the books are not open yet") };
        let (trace, key) = (TraceContext::start(&mut handle.runtime().draw()), key.to_owned());
        let decide = move |work: &mut Work<'_>| service::sandbox::demand(work, &key, &demand);
        // Whether it was done or not is as open here as when a connection breaks.
        handle.decide(Lane::Money, &trace, decide).await.unwrap_or_else(|fault| Outcome::unknown(fault.to_string()))
    }

    async fn look(&self, key: &str) -> Outcome {
        let Some(handle) = self.handle.get() else { return Outcome::unknown("the books are not open yet") };
        let found = match handle.find::<StoredDemand>(&(key.to_owned(),)).await {
            Ok(found) => found,
            Err(fault) => return Outcome::unknown(fault.to_string()),
        };
        match found.map(|(stored, _)| service::sandbox::outcome_of(&stored)) {
            Some(Ok(Some(outcome))) => outcome,
            Some(Err(Stop::Broken(cause))) => Outcome::unknown(cause),
            _ => Outcome::unknown("no question of that key was done"),
        }
    }
}

impl Provider for SandboxProvider {
    fn authorise<'a>(&'a self, key: &'a str, order: OrderId, amount: Money, token: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if let Some(handle) = self.handle.get().filter(|_| token == TOKEN_SLOW) {
                handle.runtime().sleep(self.slow_ms).await;
            }
            self.demand(key, Demand::Authorise { order, amount, token: token.to_owned() }).await
        })
    }

    fn capture<'a>(&'a self, key: &'a str, intent: &'a str, amount: Money) -> BoxFuture<'a, Outcome> {
        Box::pin(self.demand(key, Demand::Capture { intent: intent.to_owned(), amount }))
    }

    fn void<'a>(&'a self, key: &'a str, intent: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(self.demand(key, Demand::Void { intent: intent.to_owned() }))
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(key))
    }
}
