//! The settings of the sandbox provider, each with its unit and its bounds.
//! Leaves reading files and the environment to the program, and the faults to whoever plays them.

use kernel::Millis;
use serde::Deserialize;

/// The settings.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where shoppers reach the provider's pages, as http://127.0.0.1:4242; empty for the address of the shop itself.
    pub public_url: String,
    /// How long the token `tok_slow` takes.
    pub slow_ms: Millis,
    /// How long a connection whose answer is lost stays open without a word.
    pub silence_ms: Millis,
    /// How long the money of the token `tok_expire` is held.
    pub expire_after_ms: Millis,
    /// How long after it was taken the money of the token `tok_dispute` is disputed.
    pub dispute_after_ms: Millis,
    /// For how long after the time to pay a shopper may still do what they were asked to do.
    pub action_grace_ms: Millis,
    /// How often, at the latest, it is looked whether a webhook is due.
    pub webhook_look_ms: Millis,
    /// How long the receiver of a webhook has to answer.
    pub webhook_timeout_ms: Millis,
    /// After how many tries a webhook is given up.
    pub webhook_tries_max: i64,
    /// How long to wait after the first failure; each further one doubles it.
    pub webhook_again_first_ms: Millis,
    /// The longest wait between two tries.
    pub webhook_again_max_ms: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: String::new(),
            slow_ms: 2000,
            silence_ms: 20_000,
            expire_after_ms: 1000,
            dispute_after_ms: 1000,
            action_grace_ms: 600_000,
            webhook_look_ms: 1000,
            webhook_timeout_ms: 10_000,
            webhook_tries_max: 12,
            webhook_again_first_ms: 500,
            webhook_again_max_ms: 60_000,
        }
    }
}

impl Config {
    /// What is wrong, a sentence each.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let day = 24 * 3_600_000;
        let spans = [
            ("slow_ms", self.slow_ms, 0, 600_000),
            ("silence_ms", self.silence_ms, 0, 600_000),
            ("expire_after_ms", self.expire_after_ms, 0, day),
            ("dispute_after_ms", self.dispute_after_ms, 0, day),
            ("action_grace_ms", self.action_grace_ms, 0, day),
            ("webhook_look_ms", self.webhook_look_ms, 1, 60_000),
            ("webhook_timeout_ms", self.webhook_timeout_ms, 10, 120_000),
            ("webhook_tries_max", self.webhook_tries_max, 1, 100),
            ("webhook_again_first_ms", self.webhook_again_first_ms, 1, 3_600_000),
            ("webhook_again_max_ms", self.webhook_again_max_ms, self.webhook_again_first_ms, day),
        ];
        let spans = spans.into_iter().filter(|(_, value, min, max)| !(min..=max).contains(&value));
        let mut wrong: Vec<String> =
            spans.map(|(name, _, min, max)| format!("sandbox.{name} must be from {min} to {max}")).collect();
        let plain = self.public_url.bytes().all(|byte| byte.is_ascii_graphic());
        let address = self.public_url.starts_with("http://") || self.public_url.starts_with("https://");
        if !(self.public_url.is_empty() || plain && address && !self.public_url.ends_with('/')) {
            wrong.push("sandbox.public_url must begin with http:// or https://, have no / at its end, or be empty".to_owned());
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_what_is_not_is_named() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
        let wrong = Config { slow_ms: -1, webhook_again_max_ms: 1, public_url: "shop".to_owned(), ..Config::default() };
        assert_eq!(wrong.validate().len(), 3);
    }
}
