//! What may be demanded of the provider, what a demand comes to, and what each token does.
//! Leaves the machine of the money to `intent`, and keeping outcomes to `service`.

use kernel::{Money, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::faults::Mishap;

/// What is demanded.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Demand {
    /// Hold the amount.
    Authorise { reference: String, amount: Money, token: String, pay_by: Option<Timestamp> },
    /// Take so much of what is held.
    Capture { intent: String, amount: Money },
    /// Give back what is held.
    Void { intent: String },
    /// Give back some of what was taken.
    Refund { intent: String, amount: Money },
    /// Let what is held go, as if its time had passed.
    Expire { intent: String },
    /// Ask for the money back, as the shopper's bank.
    Dispute { intent: String },
    /// Decide what the bank asked for.
    CloseDispute { intent: String, won: bool },
}

impl Demand {
    /// What tells it from another demand under the same key. Until when it is to be paid may differ from try to try.
    pub(crate) fn fingerprint(&self) -> String {
        match self {
            Self::Authorise { reference, amount, token, .. } => {
                format!("authorise {reference} {} {} {token}", amount.minor, amount.currency)
            }
            Self::Capture { intent, amount } => format!("capture {intent} {} {}", amount.minor, amount.currency),
            Self::Void { intent } => format!("void {intent}"),
            Self::Refund { intent, amount } => format!("refund {intent} {} {}", amount.minor, amount.currency),
            Self::Expire { intent } => format!("expire {intent}"),
            Self::Dispute { intent } => format!("dispute {intent}"),
            Self::CloseDispute { intent, won } => format!("close-dispute {intent} {won}"),
        }
    }

    /// What goes wrong on the way, the first time it is sent.
    pub(crate) fn mishap(&self) -> Option<Mishap> {
        match self {
            Self::Authorise { token, .. } if token == "tok_timeout_after" => Some(Mishap::TimeoutAfter),
            Self::Authorise { token, .. } if token == "tok_timeout_before" => Some(Mishap::TimeoutBefore),
            _ => None,
        }
    }
}

/// What a demand came to: the same for its key for ever.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It was done to this intent.
    Done { intent: String },
    /// Nothing is held until the shopper agrees.
    ActionRequired { intent: String },
    /// It was not done and never will be under this key.
    Declined { reason: String },
}

/// The token that takes its time.
pub(crate) const TOKEN_SLOW: &str = "tok_slow";

/// The token whose money is let go soon.
pub(crate) const TOKEN_EXPIRE: &str = "tok_expire";

/// The token whose owner wants their money back.
pub(crate) const TOKEN_DISPUTE: &str = "tok_dispute";

/// The token to which nothing can be given back.
pub(crate) const TOKEN_REFUND_FAILS: &str = "tok_refund_fails";

/// What the means of payment behind a token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Charge {
    /// It gives the money.
    Given,
    /// The shopper is to agree first.
    Asks,
    /// It does not, and why.
    Refused(&'static str),
}

/// What `token` does when it is charged.
pub(crate) fn charge(token: &str) -> Charge {
    match token {
        "tok_ok" | "tok_timeout_after" | "tok_timeout_before" => Charge::Given,
        TOKEN_SLOW | TOKEN_EXPIRE | TOKEN_DISPUTE | TOKEN_REFUND_FAILS => Charge::Given,
        "tok_action" => Charge::Asks,
        "tok_decline" => Charge::Refused("card-declined"),
        "tok_insufficient" => Charge::Refused("insufficient-funds"),
        _ => Charge::Refused("unknown-token"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_do_what_they_say() {
        let given =
            ["tok_ok", "tok_slow", "tok_timeout_after", "tok_timeout_before", "tok_expire", "tok_dispute", "tok_refund_fails"];
        for token in given {
            assert_eq!(charge(token), Charge::Given, "{token}");
        }
        assert_eq!(charge("tok_action"), Charge::Asks);
        let refused = [
            ("tok_decline", "card-declined"),
            ("tok_insufficient", "insufficient-funds"),
            ("", "unknown-token"),
            ("4111111111111111", "unknown-token"),
        ];
        for (token, reason) in refused {
            assert_eq!(charge(token), Charge::Refused(reason), "{token}");
        }
    }

    #[test]
    fn outcomes_are_kept_in_the_form_they_always_had() {
        let kept = [
            (r#"{"done":{"intent":"pi_1"}}"#, Outcome::Done { intent: "pi_1".to_owned() }),
            (r#"{"declined":{"reason":"card-declined"}}"#, Outcome::Declined { reason: "card-declined".to_owned() }),
        ];
        for (text, outcome) in kept {
            assert_eq!(serde_json::from_str::<Outcome>(text).unwrap(), outcome);
            assert_eq!(serde_json::to_string(&outcome).unwrap(), text);
        }
    }
}
