//! The settings of orders, each with its unit and its bounds.
//! Leaves reading files and the environment to the program.

use kernel::{Buckets, Millis};
use serde::Deserialize;

/// How many lines a cart may have.
pub const CART_LINES_MAX: usize = 200;
/// How long names and addresses may be, in characters.
pub const TEXT_CHARS_MAX: usize = 200;

/// The settings.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Buckets of the installation: a power of two of at most 1024, never changed after its birth.
    #[serde(skip)]
    pub buckets: u16,
    /// How long a quote binds prices and fees.
    pub quote_ttl_ms: Millis,
    /// How long an order may wait for stock and money before it is given up.
    pub decide_within_ms: Millis,
    /// How long before the hold runs out the money must be authorised.
    pub pay_margin_ms: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self { buckets: Buckets::DEFAULT.count(), quote_ttl_ms: 15 * 60_000, decide_within_ms: 15 * 60_000, pay_margin_ms: 60_000 }
    }
}

impl Config {
    /// What is wrong, a sentence each.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if Buckets::new(self.buckets).is_none() {
            wrong.push("orders.buckets must be a power of two of at most 1024".to_owned());
        }
        for (name, value) in [("quote_ttl_ms", self.quote_ttl_ms), ("decide_within_ms", self.decide_within_ms)] {
            if !(1000..=24 * 3_600_000).contains(&value) {
                wrong.push(format!("orders.{name} must be from 1000 (a second) to 86400000 (a day)"));
            }
        }
        if !(0..=600_000).contains(&self.pay_margin_ms) {
            wrong.push("orders.pay_margin_ms must be from 0 to 600000".to_owned());
        }
        wrong
    }

    /// The buckets; the default if the number is none, which [`Config::validate`] reports.
    #[must_use]
    pub fn buckets(&self) -> Buckets {
        Buckets::new(self.buckets).unwrap_or(Buckets::DEFAULT)
    }
}
