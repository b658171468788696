//! What an audit found, for people and for machines.
//! Leaves exit codes to the command line.

use std::fmt;

use contracts::audit::Breach;
use serde::Serialize;

use crate::pending::InFlight;

/// How many lines of each kind people are shown; machines get all.
const SHOWN_MAX: usize = 50;

/// What an audit found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// How many orders were looked at.
    pub orders: usize,
    /// Whether nothing was allowed to be in flight.
    pub quiescent: bool,
    /// Every rule that was found broken twice.
    pub breaches: Vec<Breach>,
    /// What had not come to rest: orders, and with `quiescent` timers, parked inputs and unheard events.
    pub in_flight: Vec<InFlight>,
}

impl Report {
    /// Whether the shop stands the audit.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.breaches.is_empty() && (!self.quiescent || self.in_flight.is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (orders, breaches, in_flight) = (self.orders, self.breaches.len(), self.in_flight.len());
        let verdict = if self.is_clean() { "sound" } else { "NOT sound" };
        write!(f, "audit: {orders} orders, {breaches} breaches, {in_flight} in flight: {verdict}")?;
        for breach in self.breaches.iter().take(SHOWN_MAX) {
            write!(f, "\n  breach {} at {}: {}", breach.rule, breach.subject, breach.detail)?;
        }
        let shown = if self.quiescent { SHOWN_MAX } else { 0 };
        for waiting in self.in_flight.iter().take(shown) {
            write!(f, "\n  in flight {}: {}", waiting.subject, waiting.what)?;
        }
        let hidden = breaches.saturating_sub(SHOWN_MAX) + if self.quiescent { in_flight.saturating_sub(SHOWN_MAX) } else { 0 };
        if hidden > 0 {
            write!(f, "\n  … and {hidden} more (all of them with --json)")?;
        }
        Ok(())
    }
}
