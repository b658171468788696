//! The settings of payments, each with its unit and its bounds.
//! Leaves reading files and the environment to the program.

use kernel::Millis;
use serde::Deserialize;

/// The settings.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often the worker looks for questions that are due again; for new ones it looks on every commit.
    pub worker_every_ms: Millis,
    /// Questions to the provider under way at once.
    pub calls_max: usize,
    /// After how long without an answer a question counts as unknown.
    pub call_timeout_ms: Millis,
    /// The first pause before an unknown is asked again; it doubles each time.
    pub retry_first_ms: Millis,
    /// The longest such pause.
    pub retry_longest_ms: Millis,
    /// After how many unknowns the provider is first asked what became of the question: some store a failure and repeat it.
    pub look_after_tries: i64,
    /// For how long a question may be sent again; providers forget their keys, and then it would be a new one.
    pub resend_within_ms: Millis,
    /// The built-in provider.
    pub sandbox: SandboxConfig,
}

/// The settings of the sandbox provider.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxConfig {
    /// How long the token `tok_slow` takes.
    pub slow_ms: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            worker_every_ms: 1000,
            calls_max: 64,
            call_timeout_ms: 10_000,
            retry_first_ms: 200,
            retry_longest_ms: 60_000,
            look_after_tries: 3,
            resend_within_ms: 20 * 3_600_000,
            sandbox: SandboxConfig::default(),
        }
    }
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self { slow_ms: 2000 }
    }
}

impl Config {
    /// What is wrong, a sentence each.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let spans = [
            ("worker_every_ms", self.worker_every_ms, 1, 60_000),
            ("call_timeout_ms", self.call_timeout_ms, 10, 120_000),
            ("retry_first_ms", self.retry_first_ms, 1, 60_000),
            ("retry_longest_ms", self.retry_longest_ms, 1, 3_600_000),
            ("look_after_tries", self.look_after_tries, 1, 100),
            ("resend_within_ms", self.resend_within_ms, 1000, 24 * 3_600_000),
            ("sandbox.slow_ms", self.sandbox.slow_ms, 0, 600_000),
        ];
        for (name, value, least, most) in spans {
            if !(least..=most).contains(&value) {
                wrong.push(format!("payments.{name} must be from {least} to {most}"));
            }
        }
        if !(1..=1024).contains(&self.calls_max) {
            wrong.push("payments.calls_max must be from 1 to 1024".to_owned());
        }
        if self.retry_first_ms > self.retry_longest_ms {
            wrong.push("payments.retry_first_ms must not be more than payments.retry_longest_ms".to_owned());
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_every_fault_is_named_at_once() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
        let wrong = Config { calls_max: 0, worker_every_ms: 0, retry_first_ms: 100, retry_longest_ms: 10, ..Config::default() };
        assert_eq!(wrong.validate().len(), 3);
    }
}
