//! The line to the provider where it is other than it should be: dead, one on which everything arrives twice, one with a gate.
//! Leaves books, and faults on the provider's side, to the sandbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join;
use kernel::{BoxFuture, Fault, Money, Timestamp};
use payments::{Ask, Charge, Nudge, Outcome, Provider, SandboxProvider, Silence, Truth};
use tokio::sync::Semaphore;

/// What the line does.
#[derive(Clone)]
pub(crate) enum Line {
    /// Nobody answers.
    Dead,
    /// Every question arrives twice at once.
    Twice(SandboxProvider),
    /// Authorisations wait until the test lets them through.
    Gated(SandboxProvider, Arc<Gate>),
    /// The money of every authorisation gets another name than the provider's.
    Misnamed(SandboxProvider),
}

/// Where authorisations wait.
pub(crate) struct Gate {
    /// How many have come.
    arrived: AtomicU32,
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

    async fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        self.open.acquire().await.expect("the gate is never closed for good").forget();
    }
}

impl Line {
    fn end(&self) -> Result<&SandboxProvider, Silence> {
        match self {
            Self::Dead => Err(Silence("the line is dead".to_owned())),
            Self::Twice(end) | Self::Gated(end, _) | Self::Misnamed(end) => Ok(end),
        }
    }

    async fn carry<'a>(&'a self, ask: impl Fn(&'a SandboxProvider) -> BoxFuture<'a, Outcome>) -> Outcome {
        match (self, self.end()) {
            (_, Err(Silence(cause))) => Outcome::unknown(cause),
            (Self::Twice(_), Ok(end)) => {
                let (one, two) = join(ask(end), ask(end)).await;
                assert_eq!(one, two, "one key, two answers");
                one
            }
            (_, Ok(end)) => ask(end).await,
        }
    }
}

impl Provider for Line {
    fn authorise<'a>(&'a self, ask: Ask<'a>, charge: &'a Charge) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if let Self::Gated(_, gate) = self {
                gate.pass().await;
            }
            match (self, self.carry(|end| end.authorise(ask, charge)).await) {
                (Self::Misnamed(_), Outcome::Done { intent }) => Outcome::Done { intent: format!("{intent}-other") },
                (_, outcome) => outcome,
            }
        })
    }

    fn capture<'a>(&'a self, ask: Ask<'a>, intent: &'a str, amount: Money) -> BoxFuture<'a, Outcome> {
        Box::pin(self.carry(move |end| end.capture(ask, intent, amount)))
    }

    fn void<'a>(&'a self, ask: Ask<'a>, intent: &'a str) -> BoxFuture<'a, Outcome> {
        Box::pin(self.carry(move |end| end.void(ask, intent)))
    }

    fn refund<'a>(&'a self, ask: Ask<'a>, intent: &'a str, amount: Money) -> BoxFuture<'a, Outcome> {
        Box::pin(self.carry(move |end| end.refund(ask, intent, amount)))
    }

    fn find<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<Option<Outcome>, Silence>> {
        Box::pin(async move { self.end()?.find(ask).await })
    }

    fn truth<'a>(&'a self, intent: &'a str) -> BoxFuture<'a, Result<Option<Truth>, Silence>> {
        Box::pin(async move { self.end()?.truth(intent).await })
    }

    fn changes<'a>(&'a self, after: i64, limit: usize) -> BoxFuture<'a, Result<Vec<Truth>, Silence>> {
        Box::pin(async move { self.end()?.changes(after, limit).await })
    }

    fn verify(&self, signature: &str, body: &[u8], now: Timestamp) -> Result<Nudge, Fault> {
        self.end().map_err(|Silence(cause)| Fault::unavailable(cause, 1000))?.verify(signature, body, now)
    }
}
