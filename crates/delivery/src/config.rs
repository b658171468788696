//! The settings of delivery, each with its unit and its bounds.
//! Leaves reading files and the environment to the program.

use kernel::{Buckets, Millis};
use serde::Deserialize;

use crate::domain::assignment::OfferRules;
use crate::domain::delivery::PinRules;
use crate::domain::turn::Deadlines;

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
    /// How long a courier who accepted may take for each step until the goods are fetched, before another is asked.
    pub pickup_ttl_ms: Millis,
    /// How long a courier who has the goods may take for each step to the door, before the delivery has failed.
    pub dropoff_ttl_ms: Millis,
    /// How long a courier may take to bring goods back, before they are shown as overdue; and again each time that long.
    pub return_ttl_ms: Millis,
    /// How long after the end of its slot, or after it lost its courier, a delivery waits for one before it has failed.
    pub no_courier_after_ms: Millis,
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
            pickup_ttl_ms: 1_800_000,
            dropoff_ttl_ms: 3_600_000,
            return_ttl_ms: 3_600_000,
            no_courier_after_ms: 1_800_000,
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
            ("pickup_ttl_ms", self.pickup_ttl_ms, 60_000, 86_400_000),
            ("dropoff_ttl_ms", self.dropoff_ttl_ms, 60_000, 86_400_000),
            ("return_ttl_ms", self.return_ttl_ms, 60_000, 86_400_000),
            ("no_courier_after_ms", self.no_courier_after_ms, 0, 86_400_000),
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

    pub(crate) fn offer_rules(&self) -> OfferRules {
        OfferRules { ttl_ms: self.offer_ttl_ms, kept_max: self.offers_kept_max }
    }

    pub(crate) fn pin_rules(&self) -> PinRules {
        PinRules { tries_max: self.pin_tries_max, lock_ms: self.pin_lock_ms }
    }

    pub(crate) fn deadlines(&self) -> Deadlines {
        Deadlines {
            pickup_ttl_ms: self.pickup_ttl_ms,
            dropoff_ttl_ms: self.dropoff_ttl_ms,
            return_ttl_ms: self.return_ttl_ms,
            no_courier_after_ms: self.no_courier_after_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_every_wrong_setting_is_named() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
        let wrong = Config {
            offer_ttl_ms: 0,
            pin_tries_max: 0,
            pickup_ttl_ms: 0,
            dropoff_ttl_ms: 0,
            return_ttl_ms: 0,
            no_courier_after_ms: -1,
            ..Config::default()
        };
        assert_eq!(wrong.validate().len(), 6);
    }
}
