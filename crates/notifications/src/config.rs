//! The settings of notifications, each with its unit and its bounds.
//! Leaves reading files and the environment to the program, and the settings of a mailer to that mailer.

use contracts::OrderId;
use kernel::Millis;
use serde::Deserialize;

/// What stands for an order's id in [`Config::order_page`].
const ORDER: &str = "{order}";
/// The longest address of a page, in characters.
const PAGE_CHARS_MAX: usize = 500;

/// The settings.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The page of the shop on which an order is seen, and paid again, with {order} in place of its id; empty: letters lead to none.
    pub order_page: String,
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
            order_page: String::new(),
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
        let page = self.order_page.as_str();
        let web = page.starts_with("https://") || page.starts_with("http://");
        let plain = page.len() <= PAGE_CHARS_MAX && page.bytes().all(|byte| byte.is_ascii_graphic());
        if !(page.is_empty() || web && plain && page.contains(ORDER)) {
            wrong.push(format!(
                "notifications.order_page must be empty, or an address of at most {PAGE_CHARS_MAX} characters that begins with \
                 https:// or http:// and contains {ORDER}"
            ));
        }
        wrong
    }

    /// The page on which `order` is seen.
    pub(crate) fn page_of(&self, order: OrderId) -> Option<String> {
        (!self.order_page.is_empty()).then(|| self.order_page.replace(ORDER, &order.to_string()))
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

    #[test]
    fn the_page_of_an_order_is_an_address_with_its_id() {
        let of = |page: &str| Config { order_page: page.to_owned(), ..Config::default() };
        let order = crate::domain::letter::samples::order();
        assert_eq!(of("").page_of(order), None);
        assert_eq!(of("https://a.example/{order}?x").page_of(order), Some(format!("https://a.example/{order}?x")));
        assert_eq!(of("https://a.example/{order}").validate(), Vec::<String>::new());
        for wrong in ["a.example/{order}", "https://a.example/", "https://a.example/{order} x", &"https://{order}".repeat(50)] {
            assert_eq!(of(wrong).validate().len(), 1, "{wrong}");
        }
    }
}
