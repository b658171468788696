//! What the audit asks: the state of each delivery, and the rules that do not hold in delivery's own tables.
//! Leaves joining them with what other services know to the audit.

use std::collections::BTreeMap;

use contracts::OrderId;
use contracts::audit::{Breach, Fact};
use kernel::Fault;
use web::{Access, Answer, Page, Routes, State, json};

use super::App;
use crate::store;
use crate::store::SERVICE;

/// How many rows of each rule are told.
const BREACHES_MAX: i64 = 100;

pub(super) fn routes() -> Routes<App> {
    Routes::new(SERVICE).get("/v1/admin/audit/delivery/facts", Access::admin(), facts).get(
        "/v1/admin/audit/delivery/breaches",
        Access::admin(),
        breaches,
    )
}

/// The state of each delivery; it is settled when delivered or cancelled, or returned for good.
async fn facts(State(app): State<App>, page: Page<OrderId>) -> Result<Answer, Fault> {
    let listing = store::facts(&app.handle, &page).await?;
    Ok(Answer::ok(listing.map(|(order, state, settled)| Fact { order, state, settled, sums: BTreeMap::new() })))
}

/// The rules that hold at every instant: at most one offer of a delivery is accepted, and somebody brings it then; a courier
/// holds at most one delivery; the courier that a delivery names and the delivery that a courier names are each other's; goods
/// are with somebody. Each is one bounded read of one moment.
async fn breaches(State(app): State<App>) -> Result<Answer, Fault> {
    let found = store::breaches(&app.handle, BREACHES_MAX).await?;
    let breach = |(rule, id, detail): (&str, kernel::Id, &str)| Breach {
        rule: rule.to_owned(),
        subject: id.to_string(),
        detail: detail.to_owned(),
    };
    let items: Vec<Breach> = found.into_iter().map(breach).collect();
    Ok(Answer::ok(json!({ "items": items })))
}
