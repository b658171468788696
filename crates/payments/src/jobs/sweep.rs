//! The sweep: reads what changed in the provider's books, looks again at what differed, and asks for whatever of ours may be
//! held there; so that whatever was lost on the way, an answer or a webhook, is learned. In pages of bounded size; how far it
//! has come is kept. And the sweep of webhooks that were heard long ago.
//! Leaves what is learned, and what counts as a difference, to `service::sweep`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contracts::OrderId;
use engine::{Entity, Handle, Lane, Work};
use kernel::{Fault, Millis, TraceContext, fail_point};

use super::provider::{Provider, Silence};
use super::within;
use crate::config::Config;
use crate::domain::outcome::Truth;
use crate::domain::payment::Payment;
use crate::service::sweep::{absent, forget_webhooks as forget, mark, matters, order_of, take_in};
use crate::store::{DIFFERENCES_OLDEST, Difference, Mark, PAYMENTS_ALIVE, WEBHOOKS_OLD, order_first, webhook_key};

/// How many intents one page of changes has.
const CHANGES_PAGE: usize = 100;
/// How many pages of changes one run reads at most.
const CHANGES_PAGES_MAX: usize = 50;
/// How many truths are taken in at once.
const TAKEN_AT_ONCE: usize = 20;
/// How many differences, and how many payments that are alive, one run asks about at most.
const ASKED_MAX: i64 = 50;
/// How many webhooks are forgotten at once.
const FORGOTTEN_AT_ONCE: i64 = 500;

/// How far the provider's changes were read.
const MARK_CHANGES: &str = "changes";
/// How far our payments were gone through.
const MARK_ALIVE: &str = "alive";

/// Goes through the provider's books and ours.
#[derive(Clone)]
pub(crate) struct Sweep {
    provider: Arc<dyn Provider>,
    call_timeout_ms: Millis,
}

impl Sweep {
    pub(crate) fn new(config: &Config, provider: Arc<dyn Provider>) -> Self {
        Self { provider, call_timeout_ms: config.call_timeout_ms }
    }

    /// One round; where the provider does not answer, the next round goes on.
    pub(crate) async fn run(&self, handle: &Handle) -> Result<(), Fault> {
        let begun = handle.runtime().now();
        let parts = [self.changes(handle).await?, self.differences(handle, begun).await?, self.alive(handle).await?];
        if let Some(Silence(cause)) = parts.into_iter().find_map(Result::err) {
            tracing::warn!(cause, "the provider's books could not be gone through; it goes on next time");
        }
        Ok(())
    }

    /// What changed at the provider since the last round.
    async fn changes(&self, handle: &Handle) -> Result<Result<(), Silence>, Fault> {
        let mut after: i64 = position(handle, MARK_CHANGES).await?.and_then(|position| position.parse().ok()).unwrap_or(0);
        for _ in 0..CHANGES_PAGES_MAX {
            let truths = match within(handle, self.call_timeout_ms, self.provider.changes(after, CHANGES_PAGE)).await {
                Ok(truths) => truths,
                Err(silence) => return Ok(Err(silence)),
            };
            let Some(last) = truths.last() else { break };
            after = last.changed;
            let more = truths.len() == CHANGES_PAGE;
            self.take_in(handle, truths).await?;
            // What was learned is durable; if this is not, it is read again, and is no news then.
            fail_point("payments.swept");
            remember(handle, MARK_CHANGES, after.to_string()).await?;
            if !more {
                break;
            }
        }
        Ok(Ok(()))
    }

    /// What differed and was not looked at since this round has begun.
    async fn differences(&self, handle: &Handle, begun: kernel::Timestamp) -> Result<Result<(), Silence>, Fault> {
        let rows = handle.read(&DIFFERENCES_OLDEST, vec![begun.into(), ASKED_MAX.into()]).await?;
        for row in rows {
            let difference = Difference::from_row(&row).map_err(|error| Fault::internal(error.to_string()))?;
            let order = difference.reference.parse().ok().map(OrderId);
            if let Err(silence) = self.ask(handle, &difference.intent, order).await? {
                return Ok(Err(silence));
            }
        }
        Ok(Ok(()))
    }

    /// Some of our payments for which the provider may hold something; the next round goes on with others.
    async fn alive(&self, handle: &Handle) -> Result<Result<(), Silence>, Fault> {
        let parse = |position: String| position.parse().ok().map(OrderId);
        let after = position(handle, MARK_ALIVE).await?.and_then(parse).unwrap_or_else(order_first);
        let rows = handle.read(&PAYMENTS_ALIVE, vec![after.0.into(), ASKED_MAX.into()]).await?;
        let mut last = order_first();
        for row in &rows {
            let payment = Payment::from_row(row).map_err(|error| Fault::internal(error.to_string()))?;
            for intent in payment.attempts.iter().filter_map(|attempt| attempt.intent.as_ref()) {
                if let Err(silence) = self.ask(handle, intent, Some(payment.order)).await? {
                    return Ok(Err(silence));
                }
            }
            last = payment.order;
        }
        let end = i64::try_from(rows.len()).is_ok_and(|count| count < ASKED_MAX);
        let next = if end { order_first() } else { last };
        if next != after {
            remember(handle, MARK_ALIVE, next.to_string()).await?;
        }
        Ok(Ok(()))
    }

    async fn ask(&self, handle: &Handle, intent: &str, order: Option<OrderId>) -> Result<Result<(), Silence>, Fault> {
        match within(handle, self.call_timeout_ms, self.provider.truth(intent)).await {
            Ok(Some(truth)) => self.take_in(handle, vec![truth]).await?,
            Ok(None) => {
                let intent = intent.to_owned();
                decide(handle, move |work| absent(work, &intent, order)).await?;
            }
            Err(silence) => return Ok(Err(silence)),
        }
        Ok(Ok(()))
    }

    /// Takes in what of these truths is not known already.
    async fn take_in(&self, handle: &Handle, truths: Vec<Truth>) -> Result<(), Fault> {
        let (now, trace) = (handle.runtime().now(), TraceContext::start(&mut handle.runtime().draw()));
        let orders: BTreeSet<OrderId> = truths.iter().filter_map(order_of).collect();
        let payments = handle.load::<Payment>(&orders.into_iter().collect::<Vec<_>>()).await?;
        let payments: BTreeMap<OrderId, Payment> = payments.into_iter().map(|payment| (payment.order, payment)).collect();
        let intents: Vec<(String,)> = truths.iter().map(|truth| (truth.intent.clone(),)).collect();
        let noted: BTreeSet<String> = handle.load::<Difference>(&intents).await?.into_iter().map(|it| it.intent).collect();
        let news = |truth: &Truth| {
            let payment = order_of(truth).and_then(|order| payments.get(&order));
            matters(truth, payment, noted.contains(&truth.intent), now, &trace)
        };
        let truths: Vec<Truth> = truths.into_iter().filter(news).collect();
        for some in truths.chunks(TAKEN_AT_ONCE) {
            let some = some.to_vec();
            decide(handle, move |work| take_in(work, &some)).await?;
        }
        Ok(())
    }
}

/// Forgets webhooks that were heard more than `kept_ms` ago.
pub(crate) async fn forget_webhooks(handle: &Handle, kept_ms: Millis) -> Result<(), Fault> {
    loop {
        let until = handle.runtime().now().plus_ms(-kept_ms);
        let rows = handle.read(&WEBHOOKS_OLD, vec![until.into(), FORGOTTEN_AT_ONCE.into()]).await?;
        let keys: Result<Vec<(String,)>, store::Error> = rows.iter().map(webhook_key).collect();
        let keys = keys.map_err(|error| Fault::internal(error.to_string()))?;
        let more = i64::try_from(keys.len()) == Ok(FORGOTTEN_AT_ONCE);
        if !keys.is_empty() {
            decide(handle, move |work| forget(work, &keys)).await?;
        }
        if !more {
            return Ok(());
        }
    }
}

async fn position(handle: &Handle, name: &str) -> Result<Option<String>, Fault> {
    Ok(handle.find::<Mark>(&(name.to_owned(),)).await?.map(|(mark, _)| mark.position))
}

async fn remember(handle: &Handle, name: &'static str, position: String) -> Result<(), Fault> {
    decide(handle, move |work| mark(work, name, &position)).await
}

async fn decide(
    handle: &Handle,
    decide: impl Fn(&mut Work<'_>) -> Result<(), engine::Stop> + Send + Sync + 'static,
) -> Result<(), Fault> {
    handle.decide(Lane::Rest, &TraceContext::start(&mut handle.runtime().draw()), decide).await
}
