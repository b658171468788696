//! The machine of a payment: what is wanted of the money merges from the order's events, what is so comes from the
//! provider's words, and each step says what follows: a question, an entry in the ledger, an event.
//! Leaves rows, times of asking and the provider itself to the service and its worker.

use contracts::{OrderId, StoreId};
use kernel::{Millis, Money, Timestamp, TraceContext};
use serde::{Deserialize, Serialize};

use super::outcome::Outcome;

/// Where a payment stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PaymentState {
    /// It is to be authorised; no answer yet.
    Created,
    /// The shopper must do something first; no provider asks for it yet.
    RequiresAction,
    /// The provider holds the amount.
    Authorised,
    /// The provider refused; nothing is held.
    Declined,
    /// The amount is ours.
    Captured,
    /// Nothing is held and nothing was taken, nor will be.
    Voided,
    /// The provider no longer gives what it had authorised.
    Expired,
    /// A question was sent and its answer lost: it may or may not have been done.
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
            Self::Voided => "voided",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }
}

/// What is asked of the provider.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Operation {
    /// Hold the amount.
    Authorise,
    /// Take what is held, or less.
    Capture,
    /// Give back what is held.
    Void,
}

impl Operation {
    /// As stored and in the provider's keys.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Authorise => "authorise",
            Self::Capture => "capture",
            Self::Void => "void",
        }
    }

    /// What the ledger calls it once it is done.
    pub(crate) fn entry(self) -> &'static str {
        match self {
            Self::Authorise => "authorised",
            Self::Capture => "captured",
            Self::Void => "voided",
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

/// On what terms an order is to be paid.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// Whose order it is.
    pub(crate) store: StoreId,
    /// What is to be authorised.
    pub(crate) amount: Money,
    /// The provider's token for the shopper's means of payment.
    pub(crate) token: String,
    /// From when on nothing new is authorised.
    pub(crate) pay_by: Timestamp,
}

/// One question to the provider, which may be sent many times under one key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// What is asked.
    pub(crate) operation: Operation,
    /// The how-manieth question of its kind: part of its key, so one more is sent only when the former is dead.
    pub(crate) number: i64,
    /// How much it is about.
    pub(crate) amount: Money,
    /// The request that it goes back to.
    pub(crate) trace: TraceContext,
    /// From when on it may have been sent.
    pub(crate) asked_at: Option<Timestamp>,
    /// What the provider last said.
    pub(crate) word: Option<Outcome>,
}

impl Attempt {
    fn open(&self) -> bool {
        !self.word.as_ref().is_some_and(Outcome::known)
    }
}

/// When a question is sent again, and when it is only looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AskRules {
    /// After so many unknowns it is looked for first.
    pub(crate) look_after_tries: i64,
    /// So long after it was first sent it is only looked for.
    pub(crate) resend_within_ms: Millis,
}

/// How a question is put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// Send it, again or for the first time.
    Send,
    /// Look what became of it, and send it again if nobody knows of it.
    LookFirst,
    /// Look what became of it.
    LookOnly,
    /// Do not: it was never sent, and now it is too late.
    TooLate,
}

/// A question as the worker puts it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Question {
    pub(crate) order: OrderId,
    pub(crate) operation: Operation,
    pub(crate) attempt: i64,
    /// The provider's key: whoever sends it again, it is the same question.
    pub(crate) key: String,
    pub(crate) amount: Money,
    pub(crate) token: String,
    pub(crate) intent: String,
    pub(crate) how: How,
    pub(crate) trace: TraceContext,
}

/// What follows from a step.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Effect {
    /// The provider is to be asked.
    Ask(Operation, i64),
    /// The question is settled.
    Settled(Operation),
    /// The ledger gets an entry.
    Book(Operation, i64, Money),
    /// The others are told.
    Say(Said),
}

/// What the others are told.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Said {
    /// The amount is held.
    Authorised(Money),
    /// It was refused, for this reason.
    Declined(String),
    /// The amount is ours.
    Captured(Money),
    /// Nothing is held and nothing was taken.
    Voided,
}

/// The order says something that does not fit what it said before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// An amount is below nothing.
    Negative,
    /// What is to be captured is of another currency than what was authorised.
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

/// The payment of an order. Without terms it is the mark of an order that was given up before it was to be paid.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Payment {
    pub(crate) order: OrderId,
    pub(crate) state: PaymentState,
    pub(crate) wish: Wish,
    pub(crate) terms: Option<Terms>,
    /// The provider's name for the money: one for each order.
    pub(crate) intent: Option<String>,
    pub(crate) authorised_minor: i64,
    pub(crate) captured_minor: i64,
    pub(crate) voided_minor: i64,
    /// Why the provider refused what it last refused.
    pub(crate) reason: Option<String>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) created_at: Timestamp,
    pub(crate) changed_at: Timestamp,
}

impl Payment {
    /// A payment to be authorised.
    pub(crate) fn reserve(
        order: OrderId,
        terms: Terms,
        now: Timestamp,
        trace: &TraceContext,
    ) -> Result<(Self, Vec<Effect>), Refusal> {
        if terms.amount.minor < 0 {
            return Err(Refusal::Negative);
        }
        let mut payment = Self::new(order, PaymentState::Created, Wish::Hold, now);
        let amount = terms.amount;
        payment.terms = Some(terms);
        let asked = payment.ask(Operation::Authorise, amount, trace);
        Ok((payment, vec![asked]))
    }

    /// The mark of an order that was given up before it was to be paid: whatever comes later, nothing is authorised.
    pub(crate) fn given_up(order: OrderId, now: Timestamp) -> (Self, Vec<Effect>) {
        (Self::new(order, PaymentState::Voided, Wish::Void, now), vec![Effect::Say(Said::Voided)])
    }

    fn new(order: OrderId, state: PaymentState, wish: Wish, now: Timestamp) -> Self {
        Self {
            order,
            state,
            wish,
            terms: None,
            intent: None,
            authorised_minor: 0,
            captured_minor: 0,
            voided_minor: 0,
            reason: None,
            attempts: Vec::new(),
            created_at: now,
            changed_at: now,
        }
    }

    /// The goods were handed over: `amount` is ours, as far as it was authorised.
    pub(crate) fn deliver(&mut self, amount: Money, now: Timestamp, trace: &TraceContext) -> Result<Vec<Effect>, Refusal> {
        if amount.minor < 0 {
            return Err(Refusal::Negative);
        }
        if self.terms.as_ref().is_some_and(|terms| terms.amount.currency != amount.currency) {
            return Err(Refusal::Currency);
        }
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
        match self.state {
            PaymentState::Created | PaymentState::RequiresAction if !self.maybe_sent() => {
                let mut effects = vec![Effect::Settled(Operation::Authorise)];
                effects.extend(self.end_without_money());
                effects
            }
            PaymentState::Declined => self.end_without_money(),
            _ => self.pursue(trace),
        }
    }

    /// The question of this task as it is to be put now; from now on it may have been sent.
    pub(crate) fn question(
        &mut self,
        operation: Operation,
        number: i64,
        tries: i64,
        rules: AskRules,
        now: Timestamp,
    ) -> Option<Question> {
        let (order, intent, terms) = (self.order, self.intent.clone(), self.terms.clone()?);
        let attempt = self.open_attempt(operation, number)?;
        let how = match attempt.asked_at {
            None if operation == Operation::Authorise && now > terms.pay_by => How::TooLate,
            None => How::Send,
            Some(asked_at) if now.since_ms(asked_at) > rules.resend_within_ms => How::LookOnly,
            Some(_) if tries >= rules.look_after_tries => How::LookFirst,
            Some(_) => How::Send,
        };
        if how == How::Send {
            attempt.asked_at.get_or_insert(now);
        }
        Some(Question {
            order,
            operation,
            attempt: number,
            key: format!("sc:{order}:{}:{number}", operation.as_str()),
            amount: attempt.amount,
            token: terms.token,
            intent: intent.unwrap_or_default(),
            how,
            trace: attempt.trace.clone(),
        })
    }

    /// The provider's word on a question; a word on one that is settled says nothing new, and one that is not known leaves
    /// the question open.
    pub(crate) fn answer(
        &mut self,
        operation: Operation,
        number: i64,
        outcome: &Outcome,
        now: Timestamp,
        trace: &TraceContext,
    ) -> Vec<Effect> {
        let Some(attempt) = self.open_attempt(operation, number) else { return Vec::new() };
        attempt.word = Some(outcome.clone());
        let amount = attempt.amount;
        self.changed_at = now;
        let mut effects = Vec::new();
        match outcome {
            Outcome::Unknown { .. } => self.state = PaymentState::Unknown,
            Outcome::Done { intent } => {
                effects.extend([Effect::Settled(operation), Effect::Book(operation, number, amount)]);
                effects.extend(self.done(operation, intent, amount, trace));
            }
            Outcome::Declined { reason } => {
                self.reason = Some(reason.clone());
                effects.push(Effect::Settled(operation));
                effects.extend(self.declined(operation, reason));
            }
        }
        self.check();
        effects
    }

    /// What the order cost in all, if it was ever to be paid.
    pub(crate) fn amount(&self) -> Option<Money> {
        self.terms.as_ref().map(|terms| terms.amount)
    }

    /// The store, if the order was ever to be paid.
    pub(crate) fn store(&self) -> Option<StoreId> {
        self.terms.as_ref().map(|terms| terms.store)
    }

    fn done(&mut self, operation: Operation, intent: &str, amount: Money, trace: &TraceContext) -> Vec<Effect> {
        match operation {
            Operation::Authorise => {
                self.state = PaymentState::Authorised;
                self.intent = Some(intent.to_owned());
                self.authorised_minor = amount.minor;
                // Whoever gave the order up need not hear that it could have been paid.
                let said = (self.wish != Wish::Void).then_some(Effect::Say(Said::Authorised(amount)));
                said.into_iter().chain(self.pursue(trace)).collect()
            }
            Operation::Capture => {
                self.state = PaymentState::Captured;
                self.captured_minor = amount.minor;
                vec![Effect::Say(Said::Captured(amount))]
            }
            Operation::Void => {
                self.state = PaymentState::Voided;
                self.voided_minor = amount.minor;
                vec![Effect::Say(Said::Voided)]
            }
        }
    }

    fn declined(&mut self, operation: Operation, reason: &str) -> Vec<Effect> {
        match operation {
            Operation::Authorise if self.wish == Wish::Void => self.end_without_money(),
            Operation::Authorise => {
                self.state = PaymentState::Declined;
                vec![Effect::Say(Said::Declined(reason.to_owned()))]
            }
            Operation::Capture => {
                self.state = PaymentState::Expired;
                Vec::new()
            }
            // Nobody may say that nothing is held: the audit shows it until somebody has looked.
            Operation::Void => {
                self.state = PaymentState::Authorised;
                Vec::new()
            }
        }
    }

    /// Asks for what is wanted of money that is held; what is not known yet is waited for.
    fn pursue(&mut self, trace: &TraceContext) -> Vec<Effect> {
        let Some(held) = self.amount().filter(|_| self.state == PaymentState::Authorised) else { return Vec::new() };
        match self.wish {
            Wish::Hold => Vec::new(),
            Wish::Capture(amount) => {
                let within = Money::new(amount.minor.min(self.authorised_minor), held.currency);
                vec![self.ask(Operation::Capture, within, trace)]
            }
            Wish::Void => vec![self.ask(Operation::Void, Money::new(self.authorised_minor, held.currency), trace)],
        }
    }

    fn end_without_money(&mut self) -> Vec<Effect> {
        self.state = PaymentState::Voided;
        vec![Effect::Say(Said::Voided)]
    }

    fn ask(&mut self, operation: Operation, amount: Money, trace: &TraceContext) -> Effect {
        let number = 1 + self.attempts.iter().filter(|attempt| attempt.operation == operation).map(|_| 1).sum::<i64>();
        self.attempts.push(Attempt { operation, number, amount, trace: trace.clone(), asked_at: None, word: None });
        Effect::Ask(operation, number)
    }

    fn maybe_sent(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.asked_at.is_some())
    }

    fn open_attempt(&mut self, operation: Operation, number: i64) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.operation == operation && attempt.number == number && attempt.open())
    }

    fn check(&self) {
        let (authorised, captured, voided) = (self.authorised_minor, self.captured_minor, self.voided_minor);
        assert!(captured == 0 || voided == 0, "{}: money is both taken and given back", self.order);
        assert!(captured <= authorised && voided <= authorised, "{}: more is moved than was authorised", self.order);
    }
}

#[cfg(test)]
mod checks;
