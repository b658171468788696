//! The settings of notifications, each with its unit and its bounds.
//! Leaves reading files and the environment to the program, and the settings of a mailer to that mailer.

use kernel::Millis;
use serde::Deserialize;

/// The settings.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often it is looked whether something is due again; what was just written is sent at once.
    pub look_ms: Millis,
    /// How many messages are taken up, and their outcomes written, in one go.
    pub batch_max: usize,
    /// How many messages are with the mailer at once.
    pub sends_at_once_max: usize,
    /// How long the mailer has for one message.
    pub send_timeout_ms: Millis,
    /// After how many tries a message is given up.
    pub tries_max: i64,
    /// How long to wait after the first failure; each further one doubles it.
    pub again_first_ms: Millis,
    /// The longest wait between two tries.
    pub again_max_ms: Millis,
    /// From what age on a message that still waits is a breach.
    pub queued_max_ms: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            look_ms: 1000,
            batch_max: 64,
            sends_at_once_max: 16,
            send_timeout_ms: 30_000,
            tries_max: 8,
            again_first_ms: 30_000,
            again_max_ms: 3_600_000,
            queued_max_ms: 2 * 3_600_000,
        }
    }
}

impl Config {
    /// What is wrong, a sentence each.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let counts = [("batch_max", self.batch_max, 1000), ("sends_at_once_max", self.sends_at_once_max, 256)];
        let counts = counts.into_iter().filter(|(_, value, max)| !(1..=*max).contains(value));
        let mut wrong: Vec<String> =
            counts.map(|(name, _, max)| format!("notifications.{name} must be from 1 to {max}")).collect();
        let spans = [
            ("look_ms", self.look_ms, 10, 60_000),
            ("send_timeout_ms", self.send_timeout_ms, 100, 300_000),
            ("tries_max", self.tries_max, 1, 100),
            ("again_first_ms", self.again_first_ms, 1, 3_600_000),
            ("again_max_ms", self.again_max_ms, self.again_first_ms, 24 * 3_600_000),
            ("queued_max_ms", self.queued_max_ms, 1000, 7 * 24 * 3_600_000),
        ];
        let spans = spans.into_iter().filter(|(_, value, min, max)| !(min..=max).contains(&value));
        wrong.extend(spans.map(|(name, _, min, max)| format!("notifications.{name} must be from {min} to {max}")));
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_what_is_not_is_named() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
        let wrong = Config { batch_max: 0, tries_max: 0, again_max_ms: 1, ..Config::default() };
        assert_eq!(wrong.validate().len(), 3);
    }
}
