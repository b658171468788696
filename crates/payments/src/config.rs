//! The settings of payments, each with its unit and its bounds.
//! Leaves reading files and the environment to the program.

use kernel::Millis;
use serde::Deserialize;

/// The settings.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often the worker looks for questions that are due; for those of its own process it looks on every commit.
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
    /// How often, at the latest, the provider's books are gone through.
    pub reconcile_every_ms: Millis,
    /// How long a webhook that was heard is remembered.
    pub webhook_kept_ms: Millis,
    /// How often webhooks that need not be remembered any more are forgotten.
    pub webhook_sweep_ms: Millis,
    /// Who moves the money.
    pub provider: ProviderConfig,
}

/// The settings of the provider.
#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// Where it is, as http://127.0.0.1:4242; empty for the sandbox provider in this process.
    pub url: String,
    /// What shows it that we may ask; empty for the key that the one in this process has made.
    pub key: String,
    /// What it signs its webhooks with; empty for the secret that the one in this process has made.
    pub webhook_secret: String,
}

impl std::fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderConfig").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            worker_every_ms: 100,
            calls_max: 64,
            call_timeout_ms: 10_000,
            retry_first_ms: 200,
            retry_longest_ms: 60_000,
            look_after_tries: 3,
            resend_within_ms: 20 * 3_600_000,
            reconcile_every_ms: 30_000,
            webhook_kept_ms: 7 * 24 * 3_600_000,
            webhook_sweep_ms: 60_000,
            provider: ProviderConfig::default(),
        }
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
            ("reconcile_every_ms", self.reconcile_every_ms, 1, 3_600_000),
            // A webhook is taken for as long as its signature counts, which is five minutes.
            ("webhook_kept_ms", self.webhook_kept_ms, 10 * 60_000, 366 * 24 * 3_600_000),
            ("webhook_sweep_ms", self.webhook_sweep_ms, 1, 3_600_000),
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
        wrong.extend(self.provider.validate());
        wrong
    }
}

impl ProviderConfig {
    /// Whether the sandbox provider of this process is meant.
    #[must_use]
    pub fn built_in(&self) -> bool {
        self.url.is_empty()
    }

    fn validate(&self) -> Option<String> {
        let Self { url, key, webhook_secret } = self;
        if !self.built_in() && (key.is_empty() || webhook_secret.is_empty()) {
            return Some(
                "payments.provider.key and payments.provider.webhook_secret must be set where payments.provider.url is"
                    .to_owned(),
            );
        }
        web::Peer::remote(url).err().filter(|_| !self.built_in()).map(|error| format!("payments.provider.url: {error}"))
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
        let provider = |url: &str, key: &str| ProviderConfig { url: url.into(), key: key.into(), webhook_secret: "s".into() };
        let wrong = |provider| Config { provider, ..Config::default() }.validate().len();
        assert_eq!((wrong(provider("http://127.0.0.1:4242", "k")), wrong(provider("", ""))), (0, 0));
        assert_eq!((wrong(provider("http://127.0.0.1:4242", "")), wrong(provider("ftp://shop", "k"))), (1, 1));
    }
}
