//! The rules of the sandbox provider: what its tokens do, and what may be done to an intent.
//! Leaves its books to `store::sandbox` and its keys to `service::sandbox`. Knows nothing of payments.

use contracts::OrderId;
use kernel::{Money, Timestamp};
use serde::{Deserialize, Serialize};

/// What is demanded of the provider.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Demand {
    /// Hold the amount.
    Authorise { order: OrderId, amount: Money, token: String },
    /// Take so much of what is held.
    Capture { intent: String, amount: Money },
    /// Give back what is held.
    Void { intent: String },
}

impl Demand {
    /// What tells it from another demand under the same key.
    pub(crate) fn fingerprint(&self) -> String {
        match self {
            Self::Authorise { order, amount, token } => format!("authorise {order} {} {} {token}", amount.minor, amount.currency),
            Self::Capture { intent, amount } => format!("capture {intent} {} {}", amount.minor, amount.currency),
            Self::Void { intent } => format!("void {intent}"),
        }
    }

    /// What goes wrong on the way, the first time it is sent.
    pub(crate) fn mishap(&self) -> Option<Mishap> {
        match self {
            Self::Authorise { token, .. } if token == "tok_timeout_after" => Some(Mishap::AnswerLost),
            Self::Authorise { token, .. } if token == "tok_timeout_before" => Some(Mishap::DemandLost),
            _ => None,
        }
    }
}

/// What may go wrong on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mishap {
    /// It takes effect, and nobody is told.
    AnswerLost,
    /// It takes no effect, and nobody is told.
    DemandLost,
}

/// The token that takes its time.
pub(crate) const TOKEN_SLOW: &str = "tok_slow";

/// Whether the means of payment behind `token` gives the money, or why not.
pub(crate) fn charge(token: &str) -> Result<(), &'static str> {
    match token {
        "tok_ok" | "tok_timeout_after" | "tok_timeout_before" | TOKEN_SLOW => Ok(()),
        "tok_decline" => Err("card-declined"),
        "tok_insufficient" => Err("insufficient-funds"),
        _ => Err("unknown-token"),
    }
}

/// What may be done to an intent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IntentState {
    /// The amount is held.
    Authorised,
    /// Some of it was taken and the rest let go.
    Captured,
    /// All of it was let go.
    Voided,
}

/// Money of one order as the provider keeps it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) order: OrderId,
    pub(crate) state: IntentState,
    pub(crate) authorised: Money,
    pub(crate) captured_minor: i64,
    pub(crate) voided_minor: i64,
    pub(crate) created_at: Timestamp,
}

impl Intent {
    /// Money that is held from now on.
    pub(crate) fn authorise(id: String, order: OrderId, amount: Money, now: Timestamp) -> Self {
        let state = IntentState::Authorised;
        Self { id, order, state, authorised: amount, captured_minor: 0, voided_minor: 0, created_at: now }
    }

    /// The same after `amount` was taken, once and at most what is held.
    pub(crate) fn capture(&self, amount: Money) -> Result<Self, &'static str> {
        match self.state {
            IntentState::Captured => Err("already-captured"),
            IntentState::Voided => Err("already-voided"),
            IntentState::Authorised if amount.currency != self.authorised.currency => Err("other-currency"),
            IntentState::Authorised if !(0..=self.authorised.minor).contains(&amount.minor) => Err("amount-too-large"),
            IntentState::Authorised => Ok(Self { state: IntentState::Captured, captured_minor: amount.minor, ..self.clone() }),
        }
    }

    /// The same after everything was let go; what was let go stays so.
    pub(crate) fn void(&self) -> Result<Self, &'static str> {
        match self.state {
            IntentState::Captured => Err("already-captured"),
            IntentState::Voided => Ok(self.clone()),
            IntentState::Authorised => {
                Ok(Self { state: IntentState::Voided, voided_minor: self.authorised.minor, ..self.clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Bucket, Draw, Id};

    use super::*;

    fn money(minor: i64, currency: &str) -> Money {
        Money::new(minor, currency.parse().unwrap())
    }

    fn held() -> Intent {
        let order = OrderId(Id::new(Timestamp::from_millis(1), Bucket(3), &mut Draw::seeded(1)));
        Intent::authorise("pi_1".to_owned(), order, money(1000, "USD"), Timestamp::from_millis(1))
    }

    #[test]
    fn tokens_do_what_they_say() {
        let cases = [
            ("tok_ok", Ok(())),
            ("tok_slow", Ok(())),
            ("tok_timeout_after", Ok(())),
            ("tok_timeout_before", Ok(())),
            ("tok_decline", Err("card-declined")),
            ("tok_insufficient", Err("insufficient-funds")),
            ("", Err("unknown-token")),
            ("4111111111111111", Err("unknown-token")),
        ];
        for (token, wanted) in cases {
            assert_eq!(charge(token), wanted, "{token}");
        }
    }

    #[test]
    fn an_intent_is_captured_once_and_never_after_it_was_let_go() {
        let captured = held().capture(money(700, "USD")).unwrap();
        assert_eq!((captured.captured_minor, captured.voided_minor), (700, 0));
        assert_eq!(captured.capture(money(300, "USD")), Err("already-captured"));
        assert_eq!(captured.void(), Err("already-captured"));
        let voided = held().void().unwrap();
        assert_eq!(voided.voided_minor, 1000);
        assert_eq!(voided.void(), Ok(voided.clone()));
        assert_eq!(voided.capture(money(1, "USD")), Err("already-voided"));
    }

    #[test]
    fn no_more_is_captured_than_is_held() {
        assert!(held().capture(money(1000, "USD")).is_ok());
        assert!(held().capture(money(0, "USD")).is_ok());
        assert_eq!(held().capture(money(1001, "USD")), Err("amount-too-large"));
        assert_eq!(held().capture(money(-1, "USD")), Err("amount-too-large"));
        assert_eq!(held().capture(money(1, "EUR")), Err("other-currency"));
    }
}
