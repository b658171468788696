//! What the provider does wrong on purpose: which mishaps there are, and which one befalls the how-manieth request or webhook.
//! Leaves playing them to `http` and `jobs`.

use kernel::{Draw, Fault, Millis};
use serde::{Deserialize, Serialize};

/// How many percent are all.
const ALL_PERCENT: u64 = 100;
/// The longest delay.
const DELAY_MS_MAX: Millis = 60_000;
/// Keeps the chance of webhooks apart from that of requests.
const WEBHOOKS: u64 = 1 << 63;

/// Something that goes wrong on the way between the provider and its client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mishap {
    /// The answer takes its time.
    Delay,
    /// Nothing is done, and nobody is told.
    TimeoutBefore,
    /// It is done, and nobody is told.
    TimeoutAfter,
    /// Nothing is done, and the answer is 500.
    ErrorBefore,
    /// It is done, and the answer is 500.
    ErrorAfter,
    /// It is done, and the connection ends without an answer.
    Cut,
    /// A webhook comes twice.
    WebhookTwice,
    /// A webhook comes long after.
    WebhookLate,
    /// A webhook comes behind those of later changes.
    WebhookReordered,
    /// A webhook comes with a signature that is none, and once more if it is refused.
    WebhookBadSignature,
    /// A webhook never comes.
    WebhookLost,
}

impl Mishap {
    /// All of them, for tests that enumerate them.
    pub const ALL: [Self; 11] = [
        Self::Delay,
        Self::TimeoutBefore,
        Self::TimeoutAfter,
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::Cut,
        Self::WebhookTwice,
        Self::WebhookLate,
        Self::WebhookReordered,
        Self::WebhookBadSignature,
        Self::WebhookLost,
    ];

    fn is_of_webhooks(self) -> bool {
        match self {
            Self::Delay | Self::TimeoutBefore | Self::TimeoutAfter | Self::ErrorBefore | Self::ErrorAfter | Self::Cut => false,
            Self::WebhookTwice | Self::WebhookLate | Self::WebhookReordered | Self::WebhookBadSignature | Self::WebhookLost => {
                true
            }
        }
    }
}

/// How much goes wrong, and what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Faults {
    /// How many of a hundred requests, and of a hundred webhooks, go wrong.
    pub share_percent: u64,
    /// Where chance begins.
    #[serde(default = "one")]
    pub seed: u64,
    /// How long what is delayed takes.
    #[serde(default = "delay_ms_default")]
    pub delay_ms: Millis,
    /// What may go wrong.
    #[serde(default = "all")]
    pub kinds: Vec<Mishap>,
}

fn one() -> u64 {
    1
}

fn delay_ms_default() -> Millis {
    300
}

fn all() -> Vec<Mishap> {
    Mishap::ALL.to_vec()
}

impl Default for Faults {
    /// None.
    fn default() -> Self {
        Self { share_percent: 0, seed: one(), delay_ms: delay_ms_default(), kinds: all() }
    }
}

impl Faults {
    /// Refuses what lies out of bounds, naming the field.
    ///
    /// # Errors
    /// `invalid-field`.
    pub fn check(&self) -> Result<(), Fault> {
        if self.share_percent > ALL_PERCENT {
            return Err(Fault::invalid_field("/share_percent", "`share_percent` must be from 0 to 100"));
        }
        if !(0..=DELAY_MS_MAX).contains(&self.delay_ms) {
            return Err(Fault::invalid_field("/delay_ms", format!("`delay_ms` must be from 0 to {DELAY_MS_MAX}")));
        }
        Ok(())
    }

    /// What befalls the `number`th request.
    pub(crate) fn of_request(&self, number: u64) -> Option<Mishap> {
        self.draw(self.seed.wrapping_add(number), |mishap| !mishap.is_of_webhooks())
    }

    /// What befalls the `number`th webhook.
    pub(crate) fn of_webhook(&self, number: u64) -> Option<Mishap> {
        self.draw((self.seed ^ WEBHOOKS).wrapping_add(number), Mishap::is_of_webhooks)
    }

    fn draw(&self, seed: u64, concerns: impl Fn(Mishap) -> bool) -> Option<Mishap> {
        let mut draw = Draw::seeded(seed);
        if draw.below(ALL_PERCENT) >= self.share_percent {
            return None;
        }
        let kinds: Vec<Mishap> = self.kinds.iter().copied().filter(|mishap| concerns(*mishap)).collect();
        let index = draw.below(u64::try_from(kinds.len()).unwrap_or_default().max(1));
        kinds.get(usize::try_from(index).unwrap_or_default()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_kept_and_each_kind_comes_where_it_belongs() {
        let faults = Faults { share_percent: 20, ..Faults::default() };
        for (of_webhooks, befalls) in [(false, Faults::of_request as fn(&Faults, u64) -> _), (true, Faults::of_webhook)] {
            let befallen: Vec<Mishap> = (0..10_000).filter_map(|number| befalls(&faults, number)).collect();
            assert!((1800..2200).contains(&befallen.len()), "{}", befallen.len());
            for mishap in Mishap::ALL {
                assert_eq!(befallen.contains(&mishap), mishap.is_of_webhooks() == of_webhooks, "{mishap:?}");
            }
        }
    }

    #[test]
    fn nothing_goes_wrong_unless_it_is_wanted_and_a_seed_repeats() {
        assert!((0..1000).all(|number| Faults::default().of_request(number).is_none()));
        let only = Faults { share_percent: 100, kinds: vec![Mishap::WebhookLost], ..Faults::default() };
        assert_eq!((only.of_request(1), only.of_webhook(1)), (None, Some(Mishap::WebhookLost)));
        let some = |seed| {
            let faults = Faults { share_percent: 50, seed, ..Faults::default() };
            (0..64).map(|number| faults.of_request(number)).collect::<Vec<_>>()
        };
        assert_eq!(some(7), some(7));
        assert_ne!(some(7), some(1_000_000));
    }
}
