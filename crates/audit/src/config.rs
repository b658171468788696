//! The settings of the watch: whether it runs, and what it may cost.

use kernel::Millis;
use serde::Deserialize;

/// The settings.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether the shop is watched while it is served.
    pub watch: bool,
    /// The shortest rest between two pages.
    pub page_pause_ms: Millis,
    /// The largest share of the time that is spent reading: after a slow page the rest is longer.
    pub share_max_percent: i64,
    /// How often what holds at every instant is looked through.
    pub instants_every_ms: Millis,
    /// How young an order is that is looked at as often as that.
    pub recent_ms: Millis,
    /// How often all orders, and the provider's books, are looked through.
    pub sweep_every_ms: Millis,
    /// How long a service may take to hear what was said before it counts as deaf.
    pub heard_within_ms: Millis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            watch: true,
            page_pause_ms: 200,
            share_max_percent: 5,
            instants_every_ms: 10_000,
            recent_ms: 900_000,
            sweep_every_ms: 600_000,
            heard_within_ms: 30_000,
        }
    }
}

impl Config {
    /// Everything that is wrong with these settings.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let bounds = [
            ("page_pause_ms", self.page_pause_ms, 1, 60_000),
            ("share_max_percent", self.share_max_percent, 1, 100),
            ("instants_every_ms", self.instants_every_ms, 10, 3_600_000),
            ("recent_ms", self.recent_ms, 1000, 86_400_000),
            ("sweep_every_ms", self.sweep_every_ms, 10, 7 * 86_400_000),
            ("heard_within_ms", self.heard_within_ms, 100, 3_600_000),
        ];
        let outside = bounds.iter().filter(|(_, value, least, most)| !(least..=most).contains(&value));
        outside.map(|(name, _, least, most)| format!("audit.{name} must be from {least} to {most}")).collect()
    }

    /// For how long to rest after a page that took `took_ms`.
    pub(crate) fn rest_ms(&self, took_ms: Millis) -> Millis {
        let share = self.share_max_percent.max(1);
        self.page_pause_ms.max(took_ms.max(0).saturating_mul(100 - share) / share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_right_and_what_is_wrong_is_named() {
        assert!(Config::default().validate().is_empty());
        let wrong = Config { page_pause_ms: 0, share_max_percent: 101, ..Config::default() };
        assert_eq!(wrong.validate().len(), 2);
    }

    #[test]
    fn a_slow_page_is_followed_by_a_long_rest() {
        let config = Config::default();
        assert_eq!([0, 10, 100].map(|took_ms| config.rest_ms(took_ms)), [200, 200, 1900]);
        assert_eq!(Config { share_max_percent: 100, ..config }.rest_ms(100), 200);
    }
}
