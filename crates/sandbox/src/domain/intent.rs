//! Money of one reference as the provider keeps it: its machine, and every refusal of it.
//! Leaves which demand leads to which move to `service`.

use kernel::{Money, Timestamp};
use serde::{Deserialize, Serialize};

/// What may be done to an intent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IntentState {
    /// Nothing is held yet: the shopper is asked to agree.
    RequiresAction,
    /// The amount is held.
    Authorised,
    /// The shopper did not agree.
    Declined,
    /// Some of it was taken and the rest let go.
    Captured,
    /// All of it was let go.
    Voided,
    /// It was let go because nobody took it, or nobody agreed, in time.
    Expired,
}

impl IntentState {
    /// The kebab-case word of the state.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RequiresAction => "requires-action",
            Self::Authorised => "authorised",
            Self::Declined => "declined",
            Self::Captured => "captured",
            Self::Voided => "voided",
            Self::Expired => "expired",
        }
    }
}

/// How far the shopper's bank wants money back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dispute {
    /// It asks.
    Open,
    /// The shop keeps the money.
    Won,
    /// The shopper has it back.
    Lost,
}

/// Money of one reference.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: String,
    /// What the client calls it.
    pub(crate) reference: String,
    pub(crate) state: IntentState,
    /// What is, was or is to be held.
    pub(crate) authorised: Money,
    pub(crate) captured_minor: i64,
    pub(crate) voided_minor: i64,
    #[serde(default)]
    pub(crate) refunded_minor: i64,
    /// The means of payment, which says how the intent goes on.
    #[serde(default)]
    pub(crate) token: String,
    #[serde(default)]
    pub(crate) dispute: Option<Dispute>,
    /// The number of its last change, among those of all intents.
    pub(crate) changed: i64,
    pub(crate) created_at: Timestamp,
}

/// Why something is not done: a word for the client.
pub(crate) type Refused = &'static str;

impl Intent {
    /// Money that was asked for: held from now on, or as soon as the shopper agrees.
    pub(crate) fn new(id: String, reference: &str, amount: Money, token: &str, asks: bool, now: Timestamp) -> Self {
        Self {
            id,
            reference: reference.to_owned(),
            state: if asks { IntentState::RequiresAction } else { IntentState::Authorised },
            authorised: amount,
            captured_minor: 0,
            voided_minor: 0,
            refunded_minor: 0,
            token: token.to_owned(),
            dispute: None,
            changed: 0,
            created_at: now,
        }
    }

    /// The same after the shopper's word; a second word changes nothing.
    pub(crate) fn answer(&self, agrees: bool) -> Result<Self, Refused> {
        match self.state {
            IntentState::RequiresAction if agrees => Ok(self.moved_to(IntentState::Authorised)),
            IntentState::RequiresAction => Ok(self.moved_to(IntentState::Declined)),
            _ => Err("already-answered"),
        }
    }

    /// The same after `amount` was taken, once and at most what is held; the rest is let go.
    pub(crate) fn capture(&self, amount: Money) -> Result<Self, Refused> {
        if self.state != IntentState::Authorised {
            return Err(self.not_held());
        }
        if amount.currency != self.authorised.currency {
            return Err("other-currency");
        }
        if !(0..=self.authorised.minor).contains(&amount.minor) {
            return Err("amount-too-large");
        }
        Ok(Self { captured_minor: amount.minor, ..self.moved_to(IntentState::Captured) })
    }

    /// The same after everything was let go; where nothing is held, nothing changes.
    pub(crate) fn void(&self) -> Result<Self, Refused> {
        match self.state {
            IntentState::Captured => Err(self.not_held()),
            IntentState::Voided | IntentState::Declined | IntentState::Expired => Ok(self.clone()),
            IntentState::RequiresAction => Ok(self.moved_to(IntentState::Voided)),
            IntentState::Authorised => Ok(Self { voided_minor: self.authorised.minor, ..self.moved_to(IntentState::Voided) }),
        }
    }

    /// The same after `amount` of what was taken was given back.
    pub(crate) fn refund(&self, amount: Money) -> Result<Self, Refused> {
        if self.state != IntentState::Captured {
            return Err("not-captured");
        }
        if amount.currency != self.authorised.currency {
            return Err("other-currency");
        }
        match self.refunded_minor.checked_add(amount.minor) {
            Some(refunded_minor) if amount.minor > 0 && refunded_minor <= self.captured_minor => {
                Ok(Self { refunded_minor, ..self.clone() })
            }
            _ => Err("amount-too-large"),
        }
    }

    /// The same after its time has passed.
    pub(crate) fn expire(&self) -> Result<Self, Refused> {
        match self.state {
            IntentState::Authorised | IntentState::RequiresAction => Ok(self.moved_to(IntentState::Expired)),
            _ => Err(self.not_held()),
        }
    }

    /// The same after the shopper's bank asked for the money back.
    pub(crate) fn disputed(&self) -> Result<Self, Refused> {
        match (self.state, self.dispute) {
            (_, Some(_)) => Err("already-disputed"),
            (IntentState::Captured, None) => Ok(Self { dispute: Some(Dispute::Open), ..self.clone() }),
            _ => Err("not-captured"),
        }
    }

    /// The same after the dispute was decided.
    pub(crate) fn close_dispute(&self, won: bool) -> Result<Self, Refused> {
        match self.dispute {
            Some(Dispute::Open) => Ok(Self { dispute: Some(if won { Dispute::Won } else { Dispute::Lost }), ..self.clone() }),
            _ => Err("no-open-dispute"),
        }
    }

    fn moved_to(&self, state: IntentState) -> Self {
        Self { state, ..self.clone() }
    }

    fn not_held(&self) -> Refused {
        match self.state {
            IntentState::RequiresAction => "requires-action",
            IntentState::Authorised => "authorised",
            IntentState::Declined => "declined",
            IntentState::Captured => "already-captured",
            IntentState::Voided => "already-voided",
            IntentState::Expired => "expired",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(minor: i64, currency: &str) -> Money {
        Money::new(minor, currency.parse().unwrap())
    }

    fn held() -> Intent {
        Intent::new("pi_1".to_owned(), "r", money(1000, "USD"), "tok_ok", false, Timestamp::from_millis(1))
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
        let expired = held().expire().unwrap();
        assert_eq!(expired.void(), Ok(expired.clone()));
        assert_eq!(expired.capture(money(1, "USD")), Err("expired"));
    }

    #[test]
    fn no_more_is_captured_than_is_held_nor_refunded_than_was_captured() {
        assert!(held().capture(money(1000, "USD")).is_ok());
        assert!(held().capture(money(0, "USD")).is_ok());
        assert_eq!(held().capture(money(1001, "USD")), Err("amount-too-large"));
        assert_eq!(held().capture(money(-1, "USD")), Err("amount-too-large"));
        assert_eq!(held().capture(money(1, "EUR")), Err("other-currency"));
        assert_eq!(held().refund(money(1, "USD")), Err("not-captured"));
        let captured = held().capture(money(700, "USD")).unwrap();
        let some = captured.refund(money(500, "USD")).unwrap();
        assert_eq!(some.refund(money(201, "USD")), Err("amount-too-large"));
        assert_eq!(some.refund(money(i64::MAX, "USD")), Err("amount-too-large"));
        assert_eq!(some.refund(money(200, "USD")).unwrap().refunded_minor, 700);
    }

    #[test]
    fn a_shopper_is_asked_once_and_nothing_is_held_before() {
        let asks = Intent { state: IntentState::RequiresAction, ..held() };
        assert_eq!(asks.capture(money(1, "USD")), Err("requires-action"));
        assert_eq!(asks.void().unwrap().voided_minor, 0);
        assert_eq!(asks.answer(true).unwrap().state, IntentState::Authorised);
        assert_eq!(asks.answer(false).unwrap().state, IntentState::Declined);
        assert_eq!(held().answer(false), Err("already-answered"));
    }

    #[test]
    fn what_was_captured_is_disputed_once() {
        assert_eq!(held().disputed(), Err("not-captured"));
        let disputed = held().capture(money(1000, "USD")).unwrap().disputed().unwrap();
        assert_eq!(disputed.disputed(), Err("already-disputed"));
        let lost = disputed.close_dispute(false).unwrap();
        assert_eq!((lost.dispute, lost.close_dispute(true)), (Some(Dispute::Lost), Err("no-open-dispute")));
    }

    proptest! {
        #[test]
        fn whatever_is_done_the_sums_stay_within_each_other(moves in prop::collection::vec((0..7u8, -5i64..1500), 0..20)) {
            let mut intent = Intent { state: IntentState::RequiresAction, ..held() };
            for (what, minor) in moves {
                let amount = money(minor, "USD");
                let moved = match what {
                    0 => intent.answer(minor > 0),
                    1 => intent.capture(amount),
                    2 => intent.void(),
                    3 => intent.refund(amount),
                    4 => intent.expire(),
                    5 => intent.disputed(),
                    _ => intent.close_dispute(minor > 0),
                };
                intent = moved.unwrap_or(intent);
                prop_assert!(intent.captured_minor + intent.voided_minor <= intent.authorised.minor);
                prop_assert!((0..=intent.captured_minor).contains(&intent.refunded_minor));
                prop_assert!(intent.captured_minor == 0 || intent.state == IntentState::Captured);
                prop_assert!(intent.voided_minor == 0 || intent.state == IntentState::Voided);
            }
        }
    }
}
