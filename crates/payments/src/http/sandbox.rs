//! The routes of the sandbox provider's books, and of the comparison of payments with them.
//! Leaves payments alone to `http`, and what counts as a difference to `domain::audit`.

use std::collections::{BTreeMap, BTreeSet};

use contracts::OrderId;
use contracts::audit::Breach;
use engine::{Entity, Handle};
use kernel::{Fault, Money, Timestamp};
use serde::Serialize;
use web::{Access, Answer, Listing, Page, Routes, State};

use super::loaded;
use crate::domain::audit::differences;
use crate::domain::payment::Payment;
use crate::domain::sandbox::{Intent, IntentState};
use crate::store::sandbox::{INTENTS, INTENTS_OF_ORDERS, ORDERS, order_of};
use crate::store::{PAYMENTS_SETTLED, order_first, settled_payment};

/// How many intents of one page of orders are compared at most; more than one for an order is a breach already.
const INTENTS_COMPARED_MAX: i64 = 10_000;

/// The routes of the books, on the handle of the sandbox's service.
#[must_use]
pub fn sandbox_routes(sandbox: Handle) -> Routes {
    Routes::new("sandbox").get("/v1/admin/sandbox/intents", Access::admin(), list_intents).with_state(sandbox)
}

/// The route of the comparison, on the handles of payments and of the sandbox's service.
#[must_use]
pub fn reconcile_routes(payments: Handle, sandbox: Handle) -> Routes {
    Routes::new("payments")
        .get("/v1/admin/audit/payments/reconcile", Access::admin(), reconcile)
        .with_state(Books { payments, sandbox })
}

#[derive(Clone)]
struct Books {
    payments: Handle,
    sandbox: Handle,
}

/// An intent as it is shown.
#[derive(Serialize)]
struct IntentView {
    id: String,
    order: OrderId,
    state: IntentState,
    authorised: Money,
    captured_minor: i64,
    voided_minor: i64,
    created_at: Timestamp,
}

impl From<Intent> for IntentView {
    fn from(intent: Intent) -> Self {
        let Intent { id, order, state, authorised, captured_minor, voided_minor, created_at } = intent;
        Self { id, order, state, authorised, captured_minor, voided_minor, created_at }
    }
}

/// The provider's own books, in order of the intents' ids.
async fn list_intents(State(sandbox): State<Handle>, page: Page<String>) -> Result<Answer, Fault> {
    let after = page.after.clone().unwrap_or_default();
    let rows = sandbox.read(&INTENTS, vec![after.into(), page.rows_wanted().into()]).await?;
    let listing = page.list(loaded(&rows, Intent::from_row)?, |intent| intent.id.clone());
    Ok(Answer::ok(listing.map(IntentView::from)))
}

/// Where settled payments and the provider's books differ, page by page of orders: `intent-theirs-only`,
/// `intent-ours-only`, `intent-amounts-differ`. The two are read one after the other, so a difference counts if it stays.
async fn reconcile(State(books): State<Books>, page: Page<OrderId>) -> Result<Answer, Fault> {
    let after = page.after.unwrap_or_else(order_first);
    let ours = books.payments.read(&PAYMENTS_SETTLED, vec![after.0.into(), page.rows_wanted().into()]).await?;
    let ours: BTreeMap<OrderId, (Payment, bool)> =
        loaded(&ours, settled_payment)?.into_iter().map(|found| (found.0.order, found)).collect();
    let theirs = books.sandbox.read(&ORDERS, vec![after.0.into(), page.rows_wanted().into()]).await?;
    // Each list alone reaches as far as a page does, so the orders of both together have no gap up to there.
    let mut orders: BTreeSet<OrderId> = loaded(&theirs, order_of)?.into_iter().collect();
    orders.extend(ours.keys());
    let orders: Vec<OrderId> = orders.into_iter().take(page.limit + 1).collect();
    let intents = books.intents(after, orders.last().copied()).await?;

    let Listing { items, next } = page.list(orders, |order| *order);
    let compared = items.into_iter().flat_map(|order| {
        let theirs: &[Intent] = intents.get(&order).map_or(&[], Vec::as_slice);
        match ours.get(&order) {
            Some((_, false)) => Vec::new(),
            found => differences(order, found.map(|(payment, _)| payment), theirs),
        }
    });
    Ok(Answer::ok(Listing::<Breach> { items: compared.collect(), next }))
}

impl Books {
    /// The intents of the orders behind `after` up to `last`, by order.
    async fn intents(&self, after: OrderId, last: Option<OrderId>) -> Result<BTreeMap<OrderId, Vec<Intent>>, Fault> {
        let mut by_order = BTreeMap::<OrderId, Vec<Intent>>::new();
        let Some(last) = last else { return Ok(by_order) };
        let arguments = vec![after.0.into(), last.0.into(), INTENTS_COMPARED_MAX.into()];
        let rows = self.sandbox.read(&INTENTS_OF_ORDERS, arguments).await?;
        for intent in loaded(&rows, Intent::from_row)? {
            by_order.entry(intent.order).or_default().push(intent);
        }
        Ok(by_order)
    }
}
