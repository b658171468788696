//! What each service tells the audit: its facts about an order, and the breaches that it finds in its own tables.
//! Leaves joining the facts of all services to the audit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::OrderId;

/// What one service knows of one order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fact {
    /// Which order.
    pub order: OrderId,
    /// The state of the service's machine for it, in kebab-case.
    pub state: String,
    /// Whether the service will do nothing more for it by itself: no timer, no task.
    pub settled: bool,
    /// Sums in minor units or units, as `total`, `authorised`, `captured`.
    #[serde(default)]
    pub sums: BTreeMap<String, i64>,
}

/// A rule that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Breach {
    /// The rule, as `held-equals-live-holds`.
    pub rule: String,
    /// Whose it is, as an order's or a row's key.
    pub subject: String,
    /// What was found and what should be.
    pub detail: String,
}
