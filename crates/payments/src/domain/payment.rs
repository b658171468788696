//! The machine of a payment: what is wanted of the money merges from the order's events, what is so comes from the
//! provider's words, and each step says what follows: a question, an entry in the ledger, an event.
//! Leaves rows, times of asking and the provider itself to the service and its worker.
//!
//! One payment for each order, with one attempt for each means of payment that the shopper offered. At most one attempt is
//! alive: the next is asked for only when each before it is proved dead, by the provider's own word. An attempt that was
//! thought dead and turns out to hold money is given back. Parts: `asking` (questions and answers), `truth` (what the
//! provider has, whoever did it), `pursuit` (what follows from what is wanted and what is so).

mod asking;
mod pursuit;
mod truth;

use contracts::{OrderId, RefundId, StoreId};
use kernel::{Money, Timestamp, TraceContext};
use serde::{Deserialize, Serialize};

pub(crate) use asking::{AskRules, Asked, How, Operation, Question};
pub(crate) use truth::Probe;

use super::outcome::Dispute;

/// Where a payment stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PaymentState {
    /// It is to be authorised; no answer yet.
    Created,
    /// The shopper must do something first.
    RequiresAction,
    /// The provider holds the amount.
    Authorised,
    /// The provider refused; nothing is held.
    Declined,
    /// The amount is ours.
    Captured,
    /// Some of what was ours was given back.
    PartiallyRefunded,
    /// All of what was ours was given back.
    Refunded,
    /// Nothing is held and nothing was taken, nor will be.
    Voided,
    /// The provider no longer gives what it had authorised.
    Expired,
    /// The shopper's bank wants back what is ours.
    Disputed,
    /// It may or may not be so: an answer was lost, or the provider refused what should have gone.
    Unknown,
}

impl PaymentState {
    /// As stored and shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::RequiresAction => "requires-action",
            Self::Authorised => "authorised",
            Self::Declined => "declined",
            Self::Captured => "captured",
            Self::PartiallyRefunded => "partially-refunded",
            Self::Refunded => "refunded",
            Self::Voided => "voided",
            Self::Expired => "expired",
            Self::Disputed => "disputed",
            Self::Unknown => "unknown",
        }
    }
}

/// What the order wants of the money. It changes once: goods that were handed over are not given up, and what was given up
/// is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wish {
    /// To be held.
    Hold,
    /// To be taken.
    Capture(Money),
    /// To be given back, or never to be held.
    Void,
}

impl Wish {
    /// As stored and shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Capture(_) => "capture",
            Self::Void => "void",
        }
    }
}

/// On what terms a means of payment is offered.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Terms {
    /// What is to be authorised.
    pub(crate) amount: Money,
    /// The provider's token for the shopper's means of payment.
    pub(crate) token: String,
    /// From when on nothing new is authorised.
    pub(crate) pay_by: Timestamp,
}

/// Where one means of payment stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AttemptState {
    /// It is asked for once every attempt before it is proved dead.
    Waiting,
    /// It is being asked for.
    Asked,
    /// The shopper must do something first.
    RequiresAction,
    /// The provider holds the amount.
    Authorised,
    /// The amount is ours.
    Captured,
    /// The provider refused; nothing is held.
    Declined,
    /// It was given back, or never asked for.
    Voided,
    /// The provider let it go by itself.
    Expired,
}

/// One means of payment and what it came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// 1 for the first; part of the provider's key, so that one more is a new demand.
    pub(crate) number: i64,
    /// What is to be authorised.
    pub(crate) amount: Money,
    /// The provider's token for the shopper's means of payment.
    pub(crate) token: String,
    /// From when on nothing new is authorised.
    pub(crate) pay_by: Timestamp,
    /// Where it stands.
    pub(crate) state: AttemptState,
    /// The provider's name for the money.
    pub(crate) intent: Option<String>,
    /// Where the shopper acts, if they had to.
    pub(crate) url: Option<String>,
    /// How much was held.
    pub(crate) authorised_minor: i64,
    /// How much was taken.
    pub(crate) captured_minor: i64,
    /// How much was let go.
    pub(crate) voided_minor: i64,
    /// Why nothing came of it.
    pub(crate) reason: Option<String>,
    /// Whether nothing is expected of it any more: if it turns out to hold money, that is given back.
    pub(crate) written_off: bool,
    /// Whether the provider refused what should have gone: before anything else the truth is asked.
    pub(crate) doubted: bool,
    /// The provider's counter of changes in the last truth that brought news.
    pub(crate) changed: i64,
}

impl Attempt {
    /// Whether the provider holds money for it, or would if the shopper acted.
    pub(crate) fn alive(&self) -> bool {
        matches!(self.state, AttemptState::RequiresAction | AttemptState::Authorised)
    }

    /// Whether it is proved that nothing is held for it and nothing was taken.
    fn dead(&self) -> bool {
        matches!(self.state, AttemptState::Declined | AttemptState::Voided | AttemptState::Expired) && !self.doubted
    }

    /// Whether money may still come of it.
    fn undecided(&self) -> bool {
        matches!(self.state, AttemptState::Waiting | AttemptState::Asked) || self.alive() || self.doubted
    }
}

/// What became of a refund.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RefundState {
    /// It is to be paid.
    Wanted,
    /// The provider is asked.
    Asked,
    /// It was paid.
    Paid,
    /// It was refused.
    Failed,
}

/// Money to be given back of what was taken.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: RefundId,
    pub(crate) amount: Money,
    /// Why, in the words of whoever asked for it.
    pub(crate) reason: String,
    pub(crate) state: RefundState,
    /// Why it was refused.
    pub(crate) refused: Option<String>,
    /// The request that it goes back to.
    pub(crate) trace: TraceContext,
}

/// What follows from a step.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Effect {
    /// The provider is to be asked.
    Ask(Operation, i64),
    /// The question is settled.
    Settled(Operation),
    /// The provider is to be asked for the truth.
    Look,
    /// The ledger gets an entry for an attempt, or for the so-manieth refund.
    Book(Operation, i64, Money),
    /// The shopper has until then.
    Wait(Timestamp),
    /// Nobody waits for the shopper any more.
    WaitNoMore,
    /// The others are told.
    Say(Said),
}

/// What the others are told.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Said {
    /// The shopper must act at `url`.
    ActionRequired { attempt: i64, url: String, until: Timestamp },
    /// The amount is held.
    Authorised { attempt: i64, amount: Money },
    /// It was refused, for this reason.
    Declined { attempt: i64, reason: String },
    /// The amount is ours.
    Captured(Money),
    /// Nothing is held and nothing was taken.
    Voided,
    /// What was held is held no more, without our asking.
    Expired,
    /// A refund was paid; so much was given back in all.
    Refunded { refund: RefundId, amount: Money, refunded: Money },
    /// A refund was refused.
    RefundFailed { refund: RefundId, reason: String },
    /// The shopper's bank wants so much back.
    Disputed(Money),
    /// The dispute is over; whether the money stays ours.
    DisputeClosed(bool),
}

/// The order says something that does not fit what it said before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// An amount is below nothing.
    Negative,
    /// An amount is of another currency than the payment.
    Currency,
}

impl Refusal {
    /// For whoever reads the dead letter.
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::Negative => "the amount is negative",
            Self::Currency => "the amount is in another currency than the payment",
        }
    }
}

/// The payment of an order. Without attempts it is the mark of an order that was given up before it was to be paid.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Payment {
    pub(crate) order: OrderId,
    /// Whose order it is, if it was ever to be paid.
    pub(crate) store: Option<StoreId>,
    pub(crate) wish: Wish,
    pub(crate) attempts: Vec<Attempt>,
    /// Every question to the provider, with its last word.
    pub(crate) asked: Vec<Asked>,
    pub(crate) refunds: Vec<Refund>,
    pub(crate) dispute: Option<Dispute>,
    /// Whether the others were told that nothing is held, which is told once.
    pub(crate) voided_said: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) changed_at: Timestamp,
}

impl Payment {
    /// A payment to be authorised.
    pub(crate) fn reserve(
        order: OrderId,
        store: StoreId,
        terms: Terms,
        now: Timestamp,
        trace: &TraceContext,
    ) -> Result<(Self, Vec<Effect>), Refusal> {
        if terms.amount.minor < 0 {
            return Err(Refusal::Negative);
        }
        let mut payment = Self::new(order, Wish::Hold, now);
        payment.store = Some(store);
        payment.attempts.push(offered(1, terms));
        let effects = payment.pursue(trace);
        Ok((payment, effects))
    }

    /// The mark of an order that was given up before it was to be paid: whatever comes later, nothing is authorised.
    pub(crate) fn given_up(order: OrderId, now: Timestamp) -> (Self, Vec<Effect>) {
        let mut payment = Self::new(order, Wish::Void, now);
        payment.voided_said = true;
        (payment, vec![Effect::Say(Said::Voided)])
    }

    fn new(order: OrderId, wish: Wish, now: Timestamp) -> Self {
        Self {
            order,
            store: None,
            wish,
            attempts: Vec::new(),
            asked: Vec::new(),
            refunds: Vec::new(),
            dispute: None,
            voided_said: false,
            created_at: now,
            changed_at: now,
        }
    }

    /// The shopper offers another means of payment. Where the money is held already it is not needed; else it is asked for
    /// as soon as every attempt before it is proved dead.
    pub(crate) fn pay_again(
        &mut self,
        number: i64,
        terms: Terms,
        now: Timestamp,
        trace: &TraceContext,
    ) -> Result<Vec<Effect>, Refusal> {
        self.fits(terms.amount)?;
        let known = self.attempts.last().is_none_or(|last| last.number >= number);
        if known || self.wish != Wish::Hold || self.attempts.iter().any(Self::counts) {
            return Ok(Vec::new());
        }
        // Whoever was to act for the means of payment before need not any more.
        let waited_for = self.attempts.iter_mut().filter(|attempt| attempt.state == AttemptState::RequiresAction);
        waited_for.for_each(|attempt| attempt.written_off = true);
        self.attempts.push(offered(number, terms));
        self.changed_at = now;
        Ok(self.pursue(trace))
    }

    /// The goods were handed over: `amount` is ours, as far as it was authorised.
    pub(crate) fn deliver(&mut self, amount: Money, now: Timestamp, trace: &TraceContext) -> Result<Vec<Effect>, Refusal> {
        self.fits(amount)?;
        if self.wish != Wish::Hold {
            return Ok(Vec::new());
        }
        self.wish = Wish::Capture(amount);
        self.changed_at = now;
        Ok(self.pursue(trace))
    }

    /// The order is given up: whatever is held is given back, now or when it is known.
    pub(crate) fn cancel(&mut self, now: Timestamp, trace: &TraceContext) -> Vec<Effect> {
        if self.wish != Wish::Hold {
            return Vec::new();
        }
        self.wish = Wish::Void;
        self.changed_at = now;
        self.pursue(trace)
    }

    /// The shopper did not act in time: nothing is wanted any more. If they act in the last moment, so that the provider
    /// holds the money before it hears of this, the money is given back all the same: the order's hold is about to run out.
    pub(crate) fn time_out(&mut self, now: Timestamp, trace: &TraceContext) -> Vec<Effect> {
        let waits = |attempt: &Attempt| attempt.state == AttemptState::RequiresAction && !attempt.written_off;
        let wanted = self.wish != Wish::Void;
        let late = self.attempts.iter_mut().find(|attempt| wanted && waits(attempt) && attempt.pay_by <= now);
        let Some(late) = late else { return Vec::new() };
        late.reason = Some("action-timed-out".to_owned());
        self.wish = Wish::Void;
        self.changed_at = now;
        self.pursue(trace)
    }

    /// So much of what was taken is to be given back; the same refund once. Where it is not yet known what was taken, it waits.
    pub(crate) fn refund(
        &mut self,
        id: RefundId,
        amount: Money,
        reason: &str,
        now: Timestamp,
        trace: &TraceContext,
    ) -> Result<Vec<Effect>, Refusal> {
        self.fits(amount)?;
        if self.refunds.iter().any(|refund| refund.id == id) {
            return Ok(Vec::new());
        }
        let (reason, trace) = (reason.to_owned(), trace.clone());
        self.refunds.push(Refund { id, amount, reason, state: RefundState::Wanted, refused: None, trace: trace.clone() });
        self.changed_at = now;
        Ok(self.pursue(&trace))
    }

    /// Where it stands, from its attempts, its questions and its refunds.
    pub(crate) fn state(&self) -> PaymentState {
        if self.asked.iter().any(Asked::in_doubt) || self.attempts.iter().any(|attempt| attempt.doubted) {
            return PaymentState::Unknown;
        }
        let given_up = self.wish == Wish::Void;
        match self.counting().map(|attempt| attempt.state) {
            None | Some(AttemptState::Voided) => PaymentState::Voided,
            Some(AttemptState::Declined | AttemptState::Expired) if given_up => PaymentState::Voided,
            Some(AttemptState::Waiting | AttemptState::Asked) => PaymentState::Created,
            Some(AttemptState::RequiresAction) => PaymentState::RequiresAction,
            Some(AttemptState::Authorised) => PaymentState::Authorised,
            Some(AttemptState::Declined) => PaymentState::Declined,
            Some(AttemptState::Expired) => PaymentState::Expired,
            Some(AttemptState::Captured) => self.state_taken(),
        }
    }

    fn state_taken(&self) -> PaymentState {
        let (refunded, captured) = (self.refunded_minor(), self.captured_minor());
        match refunded {
            _ if self.dispute == Some(Dispute::Open) => PaymentState::Disputed,
            0 => PaymentState::Captured,
            _ if refunded < captured => PaymentState::PartiallyRefunded,
            _ => PaymentState::Refunded,
        }
    }

    /// The attempt that its sums and its state speak of: what was taken, else what is held, else the last.
    pub(crate) fn counting(&self) -> Option<&Attempt> {
        let (all, state) = (&self.attempts, |attempt: &&Attempt, state| attempt.state == state);
        let taken = all.iter().find(|attempt| state(attempt, AttemptState::Captured));
        let counts = || all.iter().find(|attempt| Self::counts(attempt));
        taken.or_else(counts).or_else(|| all.iter().find(|attempt| attempt.alive())).or_else(|| all.last())
    }

    /// Whether the provider is still to be asked something, or to be heard.
    pub(crate) fn waits_for_provider(&self) -> bool {
        self.asked.iter().any(Asked::open) || self.attempts.iter().any(|attempt| attempt.doubted)
    }

    /// Whether something is wanted of the money that nobody has asked for: a defect.
    pub(crate) fn forgets(&self, trace: &TraceContext) -> bool {
        !self.clone().pursue(trace).is_empty()
    }

    /// Attempts that may give the order's money: more than one would pay twice.
    pub(crate) fn alive(&self) -> usize {
        let gives = |attempt: &&Attempt| Self::counts(attempt) || attempt.state == AttemptState::Asked;
        self.attempts.iter().filter(gives).count()
    }

    /// What the order was to cost in all, if it was ever to be paid.
    pub(crate) fn amount(&self) -> Option<Money> {
        self.attempts.last().map(|attempt| attempt.amount)
    }

    /// How much the attempt that counts had held.
    pub(crate) fn authorised_minor(&self) -> i64 {
        self.counting().map_or(0, |attempt| attempt.authorised_minor)
    }

    /// How much is ours, or was.
    pub(crate) fn captured_minor(&self) -> i64 {
        self.counting().map_or(0, |attempt| attempt.captured_minor)
    }

    /// How much the attempt that counts has let go.
    pub(crate) fn voided_minor(&self) -> i64 {
        self.counting().map_or(0, |attempt| attempt.voided_minor)
    }

    /// How much was given back of what was ours.
    pub(crate) fn refunded_minor(&self) -> i64 {
        let paid = self.refunds.iter().filter(|refund| refund.state == RefundState::Paid);
        paid.map(|refund| refund.amount.minor).sum()
    }

    /// Whether the order rests on this attempt's money.
    fn counts(attempt: &Attempt) -> bool {
        attempt.state == AttemptState::Captured || attempt.state == AttemptState::Authorised && !attempt.written_off
    }

    fn fits(&self, amount: Money) -> Result<(), Refusal> {
        match self.amount() {
            _ if amount.minor < 0 => Err(Refusal::Negative),
            Some(whole) if whole.currency != amount.currency => Err(Refusal::Currency),
            _ => Ok(()),
        }
    }

    fn attempt(&mut self, number: i64) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.number == number)
    }

    /// Money moves one way: a defect that would say otherwise stops here, before anything is kept.
    fn check(&self) {
        for Attempt { authorised_minor: authorised, captured_minor: captured, voided_minor: voided, .. } in &self.attempts {
            assert!(*captured == 0 || *voided == 0, "{}: money is both taken and given back", self.order);
            assert!(captured <= authorised && voided <= authorised, "{}: more is moved than was authorised", self.order);
        }
        assert!(self.refunded_minor() <= self.captured_minor(), "{}: more is given back than was taken", self.order);
    }
}

fn offered(number: i64, terms: Terms) -> Attempt {
    let Terms { amount, token, pay_by } = terms;
    Attempt {
        number,
        amount,
        token,
        pay_by,
        state: AttemptState::Waiting,
        intent: None,
        url: None,
        authorised_minor: 0,
        captured_minor: 0,
        voided_minor: 0,
        reason: None,
        written_off: false,
        doubted: false,
        changed: 0,
    }
}

#[cfg(test)]
mod checks;
