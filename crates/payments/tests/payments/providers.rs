//! Providers that misbehave around the sandbox's: one that is never there, one that is asked twice, one that waits at a gate.
//! Leaves books to the sandbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use contracts::OrderId;
use kernel::{BoxFuture, Money};
use payments::{Outcome, Provider, SandboxProvider};
use tokio::sync::Semaphore;

/// A provider whose line is dead.
pub(crate) struct Nobody;

impl Provider for Nobody {
    fn authorise<'a>(&'a self, _: &'a str, _: OrderId, _: Money, _: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::unknown("the line is dead") })
    }

    fn capture<'a>(&'a self, _: &'a str, _: &'a str, _: Money) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::unknown("the line is dead") })
    }

    fn void<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::unknown("the line is dead") })
    }

    fn find<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::unknown("the line is dead") })
    }
}

/// A line on which every question arrives twice at once.
pub(crate) struct Doubled(pub(crate) SandboxProvider);

impl Provider for Doubled {
    fn authorise<'a>(&'a self, key: &'a str, order: OrderId, amount: Money, token: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let twice = [self.0.authorise(key, order, amount, token), self.0.authorise(key, order, amount, token)];
            agreed(futures_util::future::join_all(twice).await)
        })
    }

    fn capture<'a>(&'a self, key: &'a str, intent: &'a str, amount: Money) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let twice = [self.0.capture(key, intent, amount), self.0.capture(key, intent, amount)];
            agreed(futures_util::future::join_all(twice).await)
        })
    }

    fn void<'a>(&'a self, key: &'a str, intent: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(
            async move { agreed(futures_util::future::join_all([self.0.void(key, intent), self.0.void(key, intent)]).await) },
        )
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Outcome> {
        self.0.find(key)
    }
}

fn agreed(mut outcomes: Vec<Outcome>) -> Outcome {
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "one key, two answers: {outcomes:?}");
    outcomes.swap_remove(0)
}

/// Where authorisations wait until the test lets them through.
pub(crate) struct Gate {
    /// How many have come.
    pub(crate) arrived: AtomicU32,
    /// One permit lets one through.
    pub(crate) open: Semaphore,
}

impl Gate {
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self { arrived: AtomicU32::new(0), open: Semaphore::new(0) })
    }

    pub(crate) fn arrived(&self) -> u32 {
        self.arrived.load(Ordering::SeqCst)
    }
}

/// The sandbox behind a gate.
pub(crate) struct Gated(pub(crate) SandboxProvider, pub(crate) Arc<Gate>);

impl Provider for Gated {
    fn authorise<'a>(&'a self, key: &'a str, order: OrderId, amount: Money, token: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            self.1.arrived.fetch_add(1, Ordering::SeqCst);
            self.1.open.acquire().await.expect("the gate is never closed for good").forget();
            self.0.authorise(key, order, amount, token).await
        })
    }

    fn capture<'a>(&'a self, key: &'a str, intent: &'a str, amount: Money) -> BoxFuture<'a, Outcome> {
        self.0.capture(key, intent, amount)
    }

    fn void<'a>(&'a self, key: &'a str, intent: &'a str) -> BoxFuture<'a, Outcome> {
        self.0.void(key, intent)
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Outcome> {
        self.0.find(key)
    }
}
