//! The routes of payments: payments for managers and admins, facts, breaches and differences for the audit, and the provider's
//! webhooks. Leaves the comparison with the provider's books to its part `books`. Only a webhook changes anything: it makes
//! the worker ask for the truth.

mod books;

use std::sync::Arc;

use contracts::audit::Breach;
use contracts::{OrderId, RefundId, StoreId};
use engine::{Entity, Handle, Lane, Work};
use kernel::{Fault, Millis, Money, Timestamp, TraceContext};
use serde::{Deserialize, Serialize};
use store::{Error, Row};
use web::{Access, Answer, Caller, Headers, Listing, Page, Path, Query, RawBody, Role, RouteInfo, Routes, State, json};

use crate::config::Config;
use crate::domain::audit::breaches;
use crate::domain::outcome::{Dispute, Outcome};
use crate::domain::payment::{Asked, Attempt, AttemptState, Payment, PaymentState, Refund, RefundState};
use crate::jobs::provider::Provider;
use crate::jobs::sandbox::SIGNATURE_HEADER;
use crate::service;
use crate::store::{
    DIFFERENCE_COUNTS_FROM, DIFFERENCES, Difference, PAYMENTS_AUDITED, PAYMENTS_IN_STATE, PAYMENTS_LATEST, PAYMENTS_SETTLED,
    audited, fact, order_first, order_last, settled_payment,
};

/// How many breaches are told at most; more would tell nothing more.
const BREACHES_MAX: usize = 100;

/// The routes; `provider` is whose webhooks are heard, and whose books are compared with ours.
#[must_use]
pub fn routes(handle: Handle, config: &Config, provider: Arc<dyn Provider>) -> Routes {
    all().with_state(Desk { handle, provider, call_timeout_ms: config.call_timeout_ms })
}

/// What the routes are, and for whom: for a gateway that has them served elsewhere.
#[must_use]
pub fn table() -> Vec<RouteInfo> {
    all().list()
}

fn all() -> Routes<Desk> {
    Routes::new("payments")
        .get("/v1/admin/payments", Access::admin(), list_payments)
        .get("/v1/admin/payments/differences", Access::admin(), list_differences)
        .get("/v1/admin/payments/{order}", Access::role(Role::Manager), show_payment)
        .get("/v1/admin/audit/payments/facts", Access::admin(), list_facts)
        .get("/v1/admin/audit/payments/breaches", Access::admin(), list_breaches)
        .get("/v1/admin/audit/payments/reconcile", Access::admin(), books::reconcile)
        .post("/v1/webhooks/sandbox", Access::key_holder(SIGNATURE_HEADER), hear)
}

/// Where callers are received.
#[derive(Clone)]
struct Desk {
    handle: Handle,
    provider: Arc<dyn Provider>,
    call_timeout_ms: Millis,
}

/// Filters of the list of payments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    state: Option<PaymentState>,
}

/// A payment as it is shown; the token of the means of payment is not.
#[derive(Serialize)]
struct PaymentView<'a> {
    order: OrderId,
    store: Option<StoreId>,
    state: PaymentState,
    /// `hold`, `capture` or `void`.
    wish: &'static str,
    amount: Option<Money>,
    /// Of the attempt that counts, as the sums are.
    intent: Option<&'a str>,
    authorised_minor: i64,
    captured_minor: i64,
    voided_minor: i64,
    refunded_minor: i64,
    reason: Option<&'a str>,
    dispute: Option<Dispute>,
    attempts: Vec<AttemptView<'a>>,
    refunds: Vec<RefundView<'a>>,
    questions: Vec<QuestionView<'a>>,
    created_at: Timestamp,
    changed_at: Timestamp,
}

/// A means of payment as it is shown.
#[derive(Serialize)]
struct AttemptView<'a> {
    number: i64,
    state: AttemptState,
    amount: Money,
    pay_by: Timestamp,
    intent: Option<&'a str>,
    action_url: Option<&'a str>,
    authorised_minor: i64,
    captured_minor: i64,
    voided_minor: i64,
    reason: Option<&'a str>,
}

/// A refund as it is shown.
#[derive(Serialize)]
struct RefundView<'a> {
    refund: RefundId,
    state: RefundState,
    amount: Money,
    reason: &'a str,
    refused: Option<&'a str>,
}

/// A question to the provider as it is shown.
#[derive(Serialize)]
struct QuestionView<'a> {
    operation: &'static str,
    number: i64,
    attempt: i64,
    amount: Money,
    asked_at: Option<Timestamp>,
    word: Option<&'a Outcome>,
}

/// A difference as it is shown.
#[derive(Serialize)]
struct DifferenceView {
    rule: String,
    intent: String,
    /// What the intent is for: an order, if it is one of ours.
    reference: String,
    detail: String,
    seen: i64,
    since: Timestamp,
    looked_at: Timestamp,
}

impl<'a> PaymentView<'a> {
    fn of(payment: &'a Payment) -> Self {
        let counting = payment.counting();
        Self {
            order: payment.order,
            store: payment.store,
            state: payment.state(),
            wish: payment.wish.as_str(),
            amount: payment.amount(),
            intent: counting.and_then(|attempt| attempt.intent.as_deref()),
            authorised_minor: payment.authorised_minor(),
            captured_minor: payment.captured_minor(),
            voided_minor: payment.voided_minor(),
            refunded_minor: payment.refunded_minor(),
            reason: counting.and_then(|attempt| attempt.reason.as_deref()),
            dispute: payment.dispute,
            attempts: payment.attempts.iter().map(AttemptView::of).collect(),
            refunds: payment.refunds.iter().map(RefundView::of).collect(),
            questions: payment.asked.iter().map(QuestionView::of).collect(),
            created_at: payment.created_at,
            changed_at: payment.changed_at,
        }
    }
}

impl<'a> AttemptView<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        Self {
            number: attempt.number,
            state: attempt.state,
            amount: attempt.amount,
            pay_by: attempt.pay_by,
            intent: attempt.intent.as_deref(),
            action_url: attempt.url.as_deref(),
            authorised_minor: attempt.authorised_minor,
            captured_minor: attempt.captured_minor,
            voided_minor: attempt.voided_minor,
            reason: attempt.reason.as_deref(),
        }
    }
}

impl<'a> RefundView<'a> {
    fn of(refund: &'a Refund) -> Self {
        let Refund { id, amount, reason, state, refused, .. } = refund;
        Self { refund: *id, state: *state, amount: *amount, reason, refused: refused.as_deref() }
    }
}

impl<'a> QuestionView<'a> {
    fn of(asked: &'a Asked) -> Self {
        Self {
            operation: asked.operation.as_str(),
            number: asked.number,
            attempt: asked.attempt,
            amount: asked.amount,
            asked_at: asked.asked_at,
            word: asked.word.as_ref(),
        }
    }
}

impl From<Difference> for DifferenceView {
    fn from(difference: Difference) -> Self {
        let Difference { intent, rule, reference, detail, seen, since, looked_at, .. } = difference;
        Self { rule, intent, reference, detail, seen, since, looked_at }
    }
}

/// The payment of an order; a manager sees those of their stores.
async fn show_payment(State(desk): State<Desk>, caller: Caller, Path(order): Path<OrderId>) -> Result<Answer, Fault> {
    let found = desk.handle.find::<Payment>(&order).await?;
    let (payment, version) = found.ok_or_else(|| Fault::not_found("payment"))?;
    let theirs = payment.store.map_or_else(|| caller.has(Role::Admin), |store| caller.may(Role::Manager, store.0));
    if !theirs {
        return Err(Fault::not_found("payment"));
    }
    Ok(Answer::ok(PaymentView::of(&payment)).etag(version))
}

/// Payments, those of the latest orders first.
async fn list_payments(State(desk): State<Desk>, Query(filter): Query<Filter>, page: Page<OrderId>) -> Result<Answer, Fault> {
    let before = page.after.unwrap_or_else(order_last);
    let (before, rows_wanted) = (before.0.into(), page.rows_wanted().into());
    let rows = match filter.state {
        None => desk.handle.read(&PAYMENTS_LATEST, vec![before, rows_wanted]).await?,
        Some(state) => desk.handle.read(&PAYMENTS_IN_STATE, vec![state.as_str().into(), before, rows_wanted]).await?,
    };
    let payments = loaded(&rows, Payment::from_row)?;
    let listing = page.list(payments.iter().collect(), |payment| payment.order);
    Ok(Answer::ok(listing.map(PaymentView::of)))
}

/// How the provider's books differ from ours, as the sweep has found at least twice, in order of the intents' names.
async fn list_differences(State(desk): State<Desk>, page: Page<String>) -> Result<Answer, Fault> {
    let after = page.after.clone().unwrap_or_default();
    let rows =
        desk.handle.read(&DIFFERENCES, vec![DIFFERENCE_COUNTS_FROM.into(), after.into(), page.rows_wanted().into()]).await?;
    let listing = page.list(loaded(&rows, Difference::from_row)?, |difference| difference.intent.clone());
    Ok(Answer::ok(listing.map(DifferenceView::from)))
}

/// What payments tells the audit of each order: the state, and the sums `authorised`, `captured`, `voided` and `refunded`;
/// settled if nothing is to be asked of the provider, nor waited for from the shopper.
async fn list_facts(State(desk): State<Desk>, page: Page<OrderId>) -> Result<Answer, Fault> {
    let after = page.after.unwrap_or_else(order_first);
    let rows = desk.handle.read(&PAYMENTS_SETTLED, vec![after.0.into(), page.rows_wanted().into()]).await?;
    let payments = loaded(&rows, settled_payment)?;
    Ok(Answer::ok(page.list(payments.iter().map(fact).collect(), |fact| fact.order)))
}

/// Which of the rules of `domain::audit` do not hold at this instant, and what the sweep knows to differ from the provider's
/// books, page by page of payments.
async fn list_breaches(State(desk): State<Desk>, page: Page<OrderId>) -> Result<Answer, Fault> {
    // What differs from the provider's books stands in a short table of its own: it comes with the first page.
    let mut found = if page.after.is_none() { desk.differences().await? } else { Vec::new() };
    let trace = TraceContext::start(&mut desk.handle.runtime().draw());
    let first: [store::Value; 2] = [page.after.unwrap_or_else(order_first).0.into(), page.rows_wanted().into()];
    let rows = desk.handle.read(&PAYMENTS_AUDITED, [first.clone(), first].concat()).await?;
    let read = loaded(&rows, audited)?;
    found.extend(read.iter().flat_map(|audited| breaches(audited, &trace)));
    Ok(Answer::ok(match read.last() {
        Some(last) => Listing::up_to(found, &last.payment.order),
        None => Listing { items: found, next: None },
    }))
}

/// The provider says that something has changed. Nothing is believed but that it was the provider who said it.
async fn hear(
    State(desk): State<Desk>,
    caller: Caller,
    Headers(headers): Headers,
    RawBody(body): RawBody,
) -> Result<Answer, Fault> {
    let signature = headers.get(SIGNATURE_HEADER).and_then(|signature| signature.to_str().ok()).unwrap_or_default();
    let nudge = desk.provider.verify(signature, &body, desk.handle.runtime().now())?;
    desk.handle.decide(Lane::Money, &caller.trace, move |work: &mut Work<'_>| service::nudge(work, &nudge)).await?;
    Ok(Answer::ok(json!({})))
}

impl Desk {
    async fn differences(&self) -> Result<Vec<Breach>, Fault> {
        let most = i64::try_from(BREACHES_MAX).unwrap_or(i64::MAX);
        let rows = self.handle.read(&DIFFERENCES, vec![DIFFERENCE_COUNTS_FROM.into(), "".into(), most.into()]).await?;
        let breach = |Difference { rule, reference, detail, .. }| Breach { rule, subject: reference, detail };
        Ok(loaded(&rows, Difference::from_row)?.into_iter().map(breach).collect())
    }
}

/// What the rows hold, or the defect that one holds something else.
fn loaded<T>(rows: &[Row], from: impl Fn(&Row) -> Result<T, Error>) -> Result<Vec<T>, Fault> {
    rows.iter().map(|row| from(row).map_err(|error| Fault::internal(error.to_string()))).collect()
}
