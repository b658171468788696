//! The settings of orders, each with its unit and its bounds.
//! Leaves reading files and the environment to the program.

use kernel::{Buckets, Millis};
use serde::Deserialize;

use crate::domain::order::Patience;

/// How many lines a cart may have.
pub const CART_LINES_MAX: usize = 200;
/// How long names and addresses may be, in characters.
pub const TEXT_CHARS_MAX: usize = 200;

/// The settings.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The buckets of the shop, which are set for all of it.
    #[serde(skip)]
    pub buckets: Buckets,
    /// How long a quote binds prices and fees.
    pub quote_ttl_ms: Millis,
    /// How long an order may wait for stock and money before it is given up.
    pub decide_within_ms: Millis,
    /// How long before the hold runs out the money must be authorised.
    pub pay_margin_ms: Millis,
    /// How long after the end of its slot, or after it last came a step further, an order that was not handed over ends.
    pub late_after_ms: Millis,
    /// How long there is to decide whether a failed delivery is tried again, before the goods are brought back.
    pub failed_decide_ms: Millis,
    /// How long an order that ends waits for what others give back before it asks them again.
    pub ask_again_ms: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            buckets: Buckets::DEFAULT,
            quote_ttl_ms: 15 * 60_000,
            decide_within_ms: 15 * 60_000,
            pay_margin_ms: 60_000,
            late_after_ms: 12 * 3_600_000,
            failed_decide_ms: 2 * 3_600_000,
            ask_again_ms: 5 * 60_000,
        }
    }
}

impl Config {
    /// What is wrong, a sentence each.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let up_to_a_day = [
            ("quote_ttl_ms", self.quote_ttl_ms),
            ("decide_within_ms", self.decide_within_ms),
            ("failed_decide_ms", self.failed_decide_ms),
            ("ask_again_ms", self.ask_again_ms),
        ];
        for (name, value) in up_to_a_day {
            if !(1000..=24 * 3_600_000).contains(&value) {
                wrong.push(format!("orders.{name} must be from 1000 (a second) to 86400000 (a day)"));
            }
        }
        if !(0..=600_000).contains(&self.pay_margin_ms) {
            wrong.push("orders.pay_margin_ms must be from 0 to 600000".to_owned());
        }
        if !(60_000..=48 * 3_600_000).contains(&self.late_after_ms) {
            wrong.push("orders.late_after_ms must be from 60000 (a minute) to 172800000 (two days)".to_owned());
        }
        wrong
    }

    /// How long an order waits for what.
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            promise_ms: self.decide_within_ms,
            delivery_ms: self.late_after_ms,
            decision_ms: self.failed_decide_ms,
            answer_ms: self.ask_again_ms,
        }
    }
}
