//! The settings of inventory, each with its unit and its bounds.
//! Leaves reading files and the environment to the program.

use kernel::Millis;
use serde::Deserialize;

/// How many SKUs one question about supply may name.
pub(crate) const SKUS_ASKED_MAX: usize = 50;
/// How many rows of supply the audit reads at once: short, since an old snapshot holds up the clean-up of hot rows.
pub(crate) const AUDIT_ROWS: i64 = 500;
/// How many SKUs the audit reads at once with their whole ledger.
pub(crate) const AUDIT_LEDGERS: i64 = 50;
/// The longest reason that people may give, in characters.
pub(crate) const REASON_CHARS_MAX: usize = 200;
/// How often it is looked whether orders are to be told that their slot was withdrawn.
pub(crate) const TELL_EVERY_MS: Millis = 250;
/// How many orders are told at once.
pub(crate) const TOLD_AT_ONCE: i64 = 200;
/// How many times so many in one run, so that it ends soon when the service is to stop or another process takes over.
pub(crate) const TELLS_MAX: usize = 50;
/// How many breaches one answer names; whoever mends them asks again.
pub(crate) const BREACHES_MAX: usize = 100;

/// The settings.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a hold lives that is not committed.
    pub hold_ttl_ms: Millis,
    /// The most units of one SKU that a store may have.
    pub on_hand_max: i64,
    /// The most places that a slot may have.
    pub places_max: i64,
    /// The most slots that a store may have ahead.
    pub slots_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { hold_ttl_ms: 600_000, on_hand_max: 1_000_000_000, places_max: 100_000, slots_max: 1000 }
    }
}

impl Config {
    /// What is wrong, a sentence each.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if !(1000..=24 * 3_600_000).contains(&self.hold_ttl_ms) {
            wrong.push("inventory.hold_ttl_ms must be from 1000 (a second) to 86400000 (a day)".to_owned());
        }
        if !(1..=1_000_000_000).contains(&self.on_hand_max) {
            wrong.push("inventory.on_hand_max must be from 1 to 1000000000".to_owned());
        }
        if !(1..=1_000_000).contains(&self.places_max) {
            wrong.push("inventory.places_max must be from 1 to 1000000".to_owned());
        }
        if !(1..=5000).contains(&self.slots_max) {
            wrong.push("inventory.slots_max must be from 1 to 5000".to_owned());
        }
        wrong
    }
}
