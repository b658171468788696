//! The settings of delivery, each with its unit and its bounds.
//! Leaves reading files and the environment to the program.

use kernel::{Buckets, Millis};
use serde::Deserialize;

/// The settings.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The buckets of the shop, which are set for all of it.
    #[serde(skip)]
    pub buckets: Buckets,
    /// How long a courier has to accept or decline an offer.
    pub offer_ttl_ms: Millis,
    /// How long a courier who declined a delivery, or let its offer lapse, is passed over for it if anybody else is free.
    pub reoffer_after_ms: Millis,
    /// How often, at the latest, it is looked whether a delivery waits while a courier is free.
    pub dispatch_every_ms: Millis,
    /// How many deliveries, and how many couriers, of one store are matched at a time.
    pub dispatch_pairs_max: i64,
    /// How many offers of one delivery are remembered.
    pub offers_kept_max: usize,
    /// After how many wrong PINs a delivery takes none for a while.
    pub pin_tries_max: i64,
    /// How long that while is.
    pub pin_lock_ms: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            buckets: Buckets::DEFAULT,
            offer_ttl_ms: 30_000,
            reoffer_after_ms: 120_000,
            dispatch_every_ms: 1000,
            dispatch_pairs_max: 64,
            offers_kept_max: 50,
            pin_tries_max: 5,
            pin_lock_ms: 60_000,
        }
    }
}

impl Config {
    /// What is wrong, a sentence each.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let offers_kept_max = i64::try_from(self.offers_kept_max).unwrap_or(i64::MAX);
        let bounds = [
            ("offer_ttl_ms", self.offer_ttl_ms, 1000, 3_600_000),
            ("reoffer_after_ms", self.reoffer_after_ms, 0, 86_400_000),
            ("dispatch_every_ms", self.dispatch_every_ms, 50, 60_000),
            ("dispatch_pairs_max", self.dispatch_pairs_max, 1, 512),
            ("offers_kept_max", offers_kept_max, 1, 1000),
            ("pin_tries_max", self.pin_tries_max, 1, 20),
            ("pin_lock_ms", self.pin_lock_ms, 1000, 86_400_000),
        ];
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                wrong.push(format!("delivery.{name} must be from {least} to {most}"));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_every_wrong_setting_is_named() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
        let wrong = Config { offer_ttl_ms: 0, pin_tries_max: 0, ..Config::default() };
        assert_eq!(wrong.validate().len(), 2);
    }
}
