//! How shoppers pay: tokens of the sandbox provider, mixed as the options say.

use kernel::Draw;

/// How many of a thousand shoppers pay how; all others with a card that succeeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenMix {
    /// Whose card is declined.
    pub declined_per_mille: u64,
    /// Where the provider's answer is lost after the payment took effect.
    pub timeout_after_per_mille: u64,
    /// Where the provider loses the first demand.
    pub timeout_before_per_mille: u64,
}

impl Default for TokenMix {
    fn default() -> Self {
        Self { declined_per_mille: 20, timeout_after_per_mille: 10, timeout_before_per_mille: 10 }
    }
}

impl TokenMix {
    /// Every card succeeds at once.
    pub const SMOOTH: Self = Self { declined_per_mille: 0, timeout_after_per_mille: 0, timeout_before_per_mille: 0 };

    pub(crate) fn draw(self, draw: &mut Draw) -> &'static str {
        let at = draw.below(1000);
        let declined = self.declined_per_mille;
        let after = declined + self.timeout_after_per_mille;
        match at {
            _ if at < declined => "tok_decline",
            _ if at < after => "tok_timeout_after",
            _ if at < after + self.timeout_before_per_mille => "tok_timeout_before",
            _ => "tok_ok",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_as_asked_for() {
        let mut draw = Draw::seeded(1);
        let mix = TokenMix { declined_per_mille: 100, timeout_after_per_mille: 0, timeout_before_per_mille: 900 };
        let drawn: Vec<&str> = (0..1000).map(|_| mix.draw(&mut draw)).collect();
        let declined = drawn.iter().filter(|token| **token == "tok_decline").count();
        assert!((50..150).contains(&declined), "{declined}");
        assert!(drawn.iter().all(|token| matches!(*token, "tok_decline" | "tok_timeout_before")));
    }
}
