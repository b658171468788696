//! The routes of payments: payments for managers and admins, facts and breaches for the audit.
//! Leaves the provider's own books to its part `sandbox`. Nothing here changes anything.

pub(crate) mod sandbox;

use contracts::audit::Breach;
use contracts::{OrderId, StoreId};
use engine::{Entity, Handle};
use kernel::{Fault, Money, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Error, Row};
use web::{Access, Answer, Caller, Page, Path, Query, Role, Routes, State, json};

use crate::config::Config;
use crate::domain::audit::breaches;
use crate::domain::outcome::Outcome;
use crate::domain::payment::{Attempt, Payment, PaymentState};
use crate::store::{
    PAYMENTS_AUDITED, PAYMENTS_IN_STATE, PAYMENTS_LATEST, PAYMENTS_SETTLED, audited, fact, order_first, order_last,
    settled_payment,
};

/// How many payments one read of the audit brings.
const AUDIT_PAGE_ROWS: i64 = 500;
/// How many breaches are told at most; more would tell nothing more.
const BREACHES_MAX: usize = 100;

/// The routes, all of which read.
#[must_use]
pub fn routes(handle: Handle, _: &Config) -> Routes {
    Routes::new("payments")
        .get("/v1/admin/payments", Access::admin(), list_payments)
        .get("/v1/admin/payments/{order}", Access::role(Role::Manager), show_payment)
        .get("/v1/admin/audit/payments/facts", Access::admin(), list_facts)
        .get("/v1/admin/audit/payments/breaches", Access::admin(), list_breaches)
        .with_state(handle)
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
    intent: Option<&'a str>,
    authorised_minor: i64,
    captured_minor: i64,
    voided_minor: i64,
    reason: Option<&'a str>,
    attempts: Vec<AttemptView<'a>>,
    created_at: Timestamp,
    changed_at: Timestamp,
}

/// A question to the provider as it is shown.
#[derive(Serialize)]
struct AttemptView<'a> {
    operation: &'static str,
    number: i64,
    amount: Money,
    asked_at: Option<Timestamp>,
    word: Option<&'a Outcome>,
}

impl<'a> PaymentView<'a> {
    fn of(payment: &'a Payment) -> Self {
        Self {
            order: payment.order,
            store: payment.store(),
            state: payment.state,
            wish: payment.wish.as_str(),
            amount: payment.amount(),
            intent: payment.intent.as_deref(),
            authorised_minor: payment.authorised_minor,
            captured_minor: payment.captured_minor,
            voided_minor: payment.voided_minor,
            reason: payment.reason.as_deref(),
            attempts: payment.attempts.iter().map(AttemptView::of).collect(),
            created_at: payment.created_at,
            changed_at: payment.changed_at,
        }
    }
}

impl<'a> AttemptView<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        Self {
            operation: attempt.operation.as_str(),
            number: attempt.number,
            amount: attempt.amount,
            asked_at: attempt.asked_at,
            word: attempt.word.as_ref(),
        }
    }
}

/// The payment of an order; a manager sees those of their stores.
async fn show_payment(State(handle): State<Handle>, caller: Caller, Path(order): Path<OrderId>) -> Result<Answer, Fault> {
    let found = handle.find::<Payment>(&order).await?;
    let (payment, version) = found.ok_or_else(|| Fault::not_found("payment"))?;
    let theirs = payment.store().map_or_else(|| caller.has(Role::Admin), |store| caller.may(Role::Manager, store.0));
    if !theirs {
        return Err(Fault::not_found("payment"));
    }
    Ok(Answer::ok(PaymentView::of(&payment)).etag(version))
}

/// Payments, those of the latest orders first.
async fn list_payments(State(handle): State<Handle>, Query(filter): Query<Filter>, page: Page<OrderId>) -> Result<Answer, Fault> {
    let before = page.after.unwrap_or_else(order_last);
    let rows = match filter.state {
        None => handle.read(&PAYMENTS_LATEST, vec![before.0.into(), page.rows_wanted().into()]).await?,
        Some(state) => {
            handle.read(&PAYMENTS_IN_STATE, vec![state.as_str().into(), before.0.into(), page.rows_wanted().into()]).await?
        }
    };
    let payments = loaded(&rows, Payment::from_row)?;
    let listing = page.list(payments.iter().collect(), |payment| payment.order);
    Ok(Answer::ok(listing.map(PaymentView::of)))
}

/// What payments tells the audit of each order: the state, and the sums `authorised`, `captured` and `voided`; settled if
/// nothing is to be asked of the provider.
async fn list_facts(State(handle): State<Handle>, page: Page<OrderId>) -> Result<Answer, Fault> {
    let after = page.after.unwrap_or_else(order_first);
    let rows = handle.read(&PAYMENTS_SETTLED, vec![after.0.into(), page.rows_wanted().into()]).await?;
    let payments = loaded(&rows, settled_payment)?;
    Ok(Answer::ok(page.list(payments.iter().map(fact).collect(), |fact| fact.order)))
}

/// Which of the rules of `domain::audit` do not hold at this instant: `captured-within-authorised`, `captured-or-voided`,
/// `refunded-within-captured`, `ledger-equals-documents`, `wanted-is-asked`. Read in short pages.
async fn list_breaches(State(handle): State<Handle>) -> Result<Answer, Fault> {
    let (mut after, mut found) = (order_first(), Vec::<Breach>::new());
    while found.len() < BREACHES_MAX {
        let rows = handle.read(&PAYMENTS_AUDITED, vec![after.0.into(), AUDIT_PAGE_ROWS.into()]).await?;
        let page = loaded(&rows, audited)?;
        let Some(last) = page.last() else { break };
        after = last.order;
        found.extend(page.iter().flat_map(breaches));
    }
    found.truncate(BREACHES_MAX);
    Ok(Answer::ok(json!({ "items": found })))
}

/// What the rows hold, or the defect that one holds something else.
fn loaded<T>(rows: &[Row], from: impl Fn(&Row) -> Result<T, Error>) -> Result<Vec<T>, Fault> {
    rows.iter().map(|row| from(row).map_err(|error| Fault::internal(error.to_string()))).collect()
}
