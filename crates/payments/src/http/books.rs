//! The comparison of all payments with the provider's books, page by page, by asking the provider.
//! Leaves what counts as a difference to `domain::audit`, and what is done about it to the sweep.

use std::collections::BTreeMap;

use contracts::OrderId;
use contracts::audit::Breach;
use futures_util::{StreamExt, stream};
use kernel::{BoxFuture, Fault};
use serde::{Deserialize, Serialize};
use web::{Answer, Listing, Page, State};

use super::{Desk, loaded};
use crate::domain::audit::{against, missing};
use crate::domain::outcome::Truth;
use crate::domain::payment::{Attempt, Payment};
use crate::jobs::provider::Silence;
use crate::jobs::within;
use crate::service::sweep::order_of;
use crate::store::{PAYMENTS_SETTLED, order_first, settled_payment};

/// How often the provider is asked the same, if it does not answer.
const TRIES_MAX: usize = 5;
/// How many questions are with the provider at once.
const AT_ONCE_MAX: usize = 16;

/// How far the comparison has come: first through the provider's intents by their last changes, then through our payments.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Place {
    Theirs(i64),
    Ours(OrderId),
}

/// Where settled payments and the provider's books differ: `intent-theirs-only`, `intent-amounts-differ`, `intent-ours-only`.
/// The two are read one after the other, so a difference counts if it stays.
pub(super) async fn reconcile(State(desk): State<Desk>, page: Page<Place>) -> Result<Answer, Fault> {
    let listing = match page.after {
        None => desk.theirs(0, page.limit).await?,
        Some(Place::Theirs(after)) => desk.theirs(after, page.limit).await?,
        Some(Place::Ours(after)) => desk.ours(after, &page).await?,
    };
    Ok(Answer::ok(listing))
}

impl Desk {
    /// What the provider has and we have not, or have otherwise.
    async fn theirs(&self, after: i64, limit: usize) -> Result<Listing<Breach>, Fault> {
        let truths = self.patiently(|| self.provider.changes(after, limit)).await?;
        let orders: Vec<OrderId> = truths.iter().filter_map(order_of).collect();
        let payments = self.handle.load::<Payment>(&orders).await?.into_iter();
        let payments: BTreeMap<OrderId, Payment> = payments.map(|payment| (payment.order, payment)).collect();
        let compared = |truth: &Truth| {
            let payment = order_of(truth).and_then(|order| payments.get(&order));
            against(truth, payment.map(|payment| (payment, !payment.waits_for_provider())))
        };
        let next = match truths.last() {
            Some(last) if truths.len() == limit => Place::Theirs(last.changed),
            _ => Place::Ours(order_first()),
        };
        Ok(Listing::up_to(truths.iter().filter_map(compared).collect(), &next))
    }

    /// What we have and the provider does not know.
    async fn ours(&self, after: OrderId, page: &Page<Place>) -> Result<Listing<Breach>, Fault> {
        let rows = self.handle.read(&PAYMENTS_SETTLED, vec![after.0.into(), page.rows_wanted().into()]).await?;
        let Listing { items, next } = page.list(loaded(&rows, settled_payment)?, |(payment, _)| Place::Ours(payment.order));
        let mut asked: Vec<BoxFuture<'_, Result<Option<Breach>, Fault>>> = Vec::new();
        for (payment, _) in items.iter().filter(|(payment, _)| !payment.waits_for_provider()) {
            asked.extend(payment.attempts.iter().map(|attempt| self.compared(payment.order, attempt)));
        }
        let found: Vec<_> = stream::iter(asked).buffered(AT_ONCE_MAX).collect().await;
        let found: Result<Vec<Option<Breach>>, Fault> = found.into_iter().collect();
        Ok(Listing { items: found?.into_iter().flatten().collect(), next })
    }

    fn compared<'a>(&'a self, order: OrderId, attempt: &'a Attempt) -> BoxFuture<'a, Result<Option<Breach>, Fault>> {
        Box::pin(async move {
            let Some(intent) = &attempt.intent else { return Ok(None) };
            let truth = self.patiently(|| self.provider.truth(intent)).await?;
            Ok(truth.is_none().then(|| missing(order, attempt, intent)))
        })
    }

    async fn patiently<'a, T>(&self, ask: impl Fn() -> BoxFuture<'a, Result<T, Silence>>) -> Result<T, Fault> {
        let mut cause = String::new();
        for _ in 0..TRIES_MAX {
            match within(&self.handle, self.call_timeout_ms, ask()).await {
                Ok(answer) => return Ok(answer),
                Err(Silence(silence)) => cause = silence,
            }
        }
        Err(Fault::unavailable(format!("the provider does not answer: {cause}"), 1000))
    }
}
