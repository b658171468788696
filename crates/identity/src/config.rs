//! Every limit and time of identity, by name and with its unit.
//! Leaves where the settings come from to the composition.

use kernel::{Buckets, Millis};
use serde::Deserialize;

use crate::domain::Throttle;

/// The settings of identity.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The buckets of the shop, which are set for all of it.
    #[serde(skip)]
    pub buckets: Buckets,
    /// How long a token lives. Who is deactivated or loses a role keeps it for as long as that.
    pub token_ttl_ms: Millis,
    /// How many passwords are hashed at the same time: each takes a core and 19 MiB for its time.
    pub hashes_max: usize,
    /// How many more requests may wait for their turn to hash; beyond that they are told to come back.
    pub hashes_waiting_max: usize,
    /// From how many attempts on an address without a success each further one locks it for a while.
    pub attempts_free_max: i64,
    /// How long the first lock lasts; each further one lasts twice as long as the one before.
    pub attempts_lock_first_ms: Millis,
    /// The longest lock, and so the longest that a stranger's guessing keeps an owner waiting at a time.
    pub attempts_lock_max_ms: Millis,
    /// How long after the last attempt all of an address are forgotten.
    pub attempts_forgotten_after_ms: Millis,
    /// How often forgotten attempts are swept away.
    pub attempts_swept_every_ms: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            buckets: Buckets::DEFAULT,
            token_ttl_ms: web::TOKEN_TTL_MS,
            hashes_max: 2,
            hashes_waiting_max: 64,
            attempts_free_max: 10,
            attempts_lock_first_ms: 1000,
            attempts_lock_max_ms: 60_000,
            attempts_forgotten_after_ms: 3_600_000,
            attempts_swept_every_ms: 60_000,
        }
    }
}

impl Config {
    /// Everything that is wrong, each with what would be right; nothing if it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |holds: bool, rule: &str| {
            if !holds {
                wrong.push(format!("identity.{rule}"));
            }
        };
        check((1000..=86_400_000).contains(&self.token_ttl_ms), "token_ttl_ms must be from 1000 to 86400000");
        check((1..=64).contains(&self.hashes_max), "hashes_max must be from 1 to 64");
        check(self.hashes_waiting_max <= 1024, "hashes_waiting_max must be at most 1024");
        check((1..=1000).contains(&self.attempts_free_max), "attempts_free_max must be from 1 to 1000");
        check((1..=60_000).contains(&self.attempts_lock_first_ms), "attempts_lock_first_ms must be from 1 to 60000");
        check(
            (self.attempts_lock_first_ms..=3_600_000).contains(&self.attempts_lock_max_ms),
            "attempts_lock_max_ms must be from attempts_lock_first_ms to 3600000",
        );
        check(
            (self.attempts_lock_max_ms..=86_400_000).contains(&self.attempts_forgotten_after_ms),
            "attempts_forgotten_after_ms must be from attempts_lock_max_ms to 86400000",
        );
        check((1000..=3_600_000).contains(&self.attempts_swept_every_ms), "attempts_swept_every_ms must be from 1000 to 3600000");
        wrong
    }

    pub(crate) fn throttle(&self) -> Throttle {
        Throttle {
            free_max: self.attempts_free_max,
            lock_first_ms: self.attempts_lock_first_ms,
            lock_max_ms: self.attempts_lock_max_ms,
            forgotten_after_ms: self.attempts_forgotten_after_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_and_every_wrong_setting_is_named() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
        let wrong = Config {
            token_ttl_ms: 0,
            hashes_max: 0,
            hashes_waiting_max: 1025,
            attempts_free_max: 0,
            attempts_lock_first_ms: 0,
            attempts_lock_max_ms: -1,
            attempts_forgotten_after_ms: -2,
            attempts_swept_every_ms: 0,
            ..Config::default()
        };
        assert_eq!(wrong.validate().len(), 8);
        assert!(serde_json::from_str::<Config>(r#"{"token_ttl_secs": 1}"#).is_err());
    }
}
