//! Questions to the provider: under which key each is put, when it is put again or only looked for, and what its answer
//! changes. Leaves what is asked next to `pursuit`, and sending to the worker.

use contracts::{OrderId, RefundId};
use kernel::{Millis, Money, Timestamp, TraceContext};
use serde::{Deserialize, Serialize};

use super::{Attempt, AttemptState, Effect, Payment, Refund, RefundState, Said, Wish};
use crate::domain::outcome::Outcome;

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
    /// Give back what was taken, or some of it.
    Refund,
}

impl Operation {
    /// All there are.
    pub(crate) const ALL: [Self; 4] = [Self::Authorise, Self::Capture, Self::Void, Self::Refund];

    /// As stored and in the provider's keys.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Authorise => "authorise",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }

    /// What the ledger calls it once it is done.
    pub(crate) fn entry(self) -> &'static str {
        match self {
            Self::Authorise => "authorised",
            Self::Capture => "captured",
            Self::Void => "voided",
            Self::Refund => "refunded",
        }
    }
}

/// One question to the provider, which may be sent many times under one key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// What is asked.
    pub(crate) operation: Operation,
    /// The how-manieth question of its kind: part of its key, so one more is asked only when the former is dead.
    pub(crate) number: i64,
    /// The attempt that it is about.
    pub(crate) attempt: i64,
    /// The refund that it is about.
    pub(crate) refund: Option<RefundId>,
    /// How much it is about.
    pub(crate) amount: Money,
    /// The request that it goes back to.
    pub(crate) trace: TraceContext,
    /// From when on it may have been sent.
    pub(crate) asked_at: Option<Timestamp>,
    /// What the provider last said.
    pub(crate) word: Option<Outcome>,
}

impl Asked {
    /// Whether it is not settled.
    pub(crate) fn open(&self) -> bool {
        !self.word.as_ref().is_some_and(Outcome::known)
    }

    /// Whether it was sent and its answer lost.
    pub(crate) fn in_doubt(&self) -> bool {
        self.word.as_ref().is_some_and(|word| !word.known())
    }

    /// The provider's key: whoever sends it again, it is the same question.
    pub(crate) fn key(&self, order: OrderId) -> String {
        match self.refund {
            Some(refund) => format!("sc:{order}:{}:{refund}", self.operation.as_str()),
            None => format!("sc:{order}:{}:{}", self.operation.as_str(), self.number),
        }
    }
}

/// When a question is sent again, and when it is only looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AskRules {
    /// After so many unknowns it is looked for first.
    pub(crate) look_after_tries: i64,
    /// So long after it was first sent it is only looked for: if nobody knows of it then, it was never done.
    pub(crate) resend_within_ms: Millis,
}

/// How a question is put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// Send it, again or for the first time.
    Send,
    /// Look what became of it, and send it again if nobody knows of it.
    LookFirst,
    /// Look what became of it; if nobody knows of it, it never will be done.
    LookOnly,
    /// Do not: it was never sent, and now it is too late.
    TooLate,
}

/// A question as the worker puts it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Question {
    pub(crate) order: OrderId,
    pub(crate) operation: Operation,
    pub(crate) number: i64,
    pub(crate) key: String,
    pub(crate) amount: Money,
    pub(crate) token: String,
    pub(crate) pay_by: Timestamp,
    pub(crate) intent: String,
    pub(crate) how: How,
    pub(crate) trace: TraceContext,
}

impl Payment {
    /// The question of this task as it is to be put now; from now on it may have been sent.
    pub(crate) fn question(
        &mut self,
        operation: Operation,
        number: i64,
        tries: i64,
        rules: AskRules,
        now: Timestamp,
    ) -> Option<Question> {
        let order = self.order;
        let asked = self.asked.iter_mut().find(|asked| asked.operation == operation && asked.number == number && asked.open())?;
        let attempt = self.attempts.iter().find(|attempt| attempt.number == asked.attempt)?;
        let how = match asked.asked_at {
            None if operation == Operation::Authorise && now > attempt.pay_by => How::TooLate,
            None => How::Send,
            Some(asked_at) if now.since_ms(asked_at) > rules.resend_within_ms => How::LookOnly,
            Some(_) if tries >= rules.look_after_tries => How::LookFirst,
            Some(_) => How::Send,
        };
        if how == How::Send {
            asked.asked_at.get_or_insert(now);
        }
        Some(Question {
            order,
            operation,
            number,
            key: asked.key(order),
            amount: asked.amount,
            token: attempt.token.clone(),
            pay_by: attempt.pay_by,
            intent: attempt.intent.clone().unwrap_or_default(),
            how,
            trace: asked.trace.clone(),
        })
    }

    /// The provider's word on a question; a word on one that is settled says nothing new, and one that is not known leaves
    /// the question open.
    pub(crate) fn answer(&mut self, operation: Operation, number: i64, outcome: &Outcome, now: Timestamp) -> Vec<Effect> {
        let open = |asked: &&mut Asked| asked.operation == operation && asked.number == number && asked.open();
        let Some(asked) = self.asked.iter_mut().find(open) else { return Vec::new() };
        asked.word = Some(outcome.clone());
        self.changed_at = now;
        if !outcome.known() {
            return Vec::new();
        }
        let asked = asked.clone();
        let mut effects = vec![Effect::Settled(operation)];
        effects.extend(match operation {
            Operation::Refund => self.answer_refund(&asked, outcome),
            _ => self.answer_attempt(&asked, outcome),
        });
        effects.extend(self.pursue(&asked.trace));
        self.check();
        effects
    }

    fn answer_attempt(&mut self, asked: &Asked, outcome: &Outcome) -> Vec<Effect> {
        let (number, amount) = (asked.attempt, asked.amount.minor);
        match (asked.operation, outcome) {
            (Operation::Authorise, Outcome::Done { intent }) => self.authorised(number, intent),
            (Operation::Authorise, Outcome::ActionRequired { intent, url }) => self.action_required(number, intent, url),
            (Operation::Authorise, Outcome::Declined { reason }) => self.declined(number, reason),
            (Operation::Capture, Outcome::Done { .. }) => self.captured(number, amount),
            (Operation::Void, Outcome::Done { .. }) => self.let_go(number, AttemptState::Voided, None),
            // It was not done, so something is other than we thought: the truth decides, not a guess.
            _ => self.doubt(number),
        }
    }

    fn answer_refund(&mut self, asked: &Asked, outcome: &Outcome) -> Vec<Effect> {
        let Some(index) = self.refunds.iter().position(|refund| Some(refund.id) == asked.refund) else { return Vec::new() };
        let refund = &mut self.refunds[index];
        match outcome {
            Outcome::Declined { reason } => vec![refuse(refund, reason)],
            _ => {
                refund.state = RefundState::Paid;
                let (id, amount) = (refund.id, refund.amount);
                let refunded = Money::new(self.refunded_minor(), amount.currency);
                let said = Said::Refunded { refund: id, amount, refunded };
                vec![Effect::Book(Operation::Refund, asked.number, amount), Effect::Say(said)]
            }
        }
    }

    /// The provider holds the amount for an attempt.
    pub(super) fn authorised(&mut self, number: i64, intent: &str) -> Vec<Effect> {
        let given_up = self.wish == Wish::Void;
        let mut effects = self.close(Operation::Authorise, number, &Outcome::Done { intent: intent.to_owned() });
        let Some(attempt) = self.attempt(number) else { return effects };
        if !matches!(attempt.state, AttemptState::Asked | AttemptState::RequiresAction | AttemptState::Declined) {
            return effects;
        }
        effects.extend(stop_waiting(attempt));
        attempt.state = AttemptState::Authorised;
        attempt.intent = Some(intent.to_owned());
        attempt.authorised_minor = attempt.amount.minor;
        effects.push(Effect::Book(Operation::Authorise, number, attempt.amount));
        // Whoever gave it up, or was told that nothing came of it, need not hear that it could have been paid.
        if !given_up && !attempt.written_off {
            effects.push(Effect::Say(Said::Authorised { attempt: number, amount: attempt.amount }));
        }
        effects
    }

    /// The shopper must act before the amount is held.
    pub(super) fn action_required(&mut self, number: i64, intent: &str, url: &str) -> Vec<Effect> {
        let given_up = self.wish == Wish::Void;
        let superseded = self.attempts.last().is_some_and(|last| last.number != number);
        let word = Outcome::ActionRequired { intent: intent.to_owned(), url: url.to_owned() };
        let mut effects = self.close(Operation::Authorise, number, &word);
        let Some(attempt) = self.attempt(number) else { return effects };
        if !matches!(attempt.state, AttemptState::Asked | AttemptState::Declined) {
            return effects;
        }
        attempt.state = AttemptState::RequiresAction;
        (attempt.intent, attempt.url) = (Some(intent.to_owned()), Some(url.to_owned()));
        attempt.written_off |= superseded;
        if !given_up && !attempt.written_off {
            let until = attempt.pay_by;
            let said = Said::ActionRequired { attempt: number, url: url.to_owned(), until };
            effects.extend([Effect::Wait(until), Effect::Say(said)]);
        }
        effects
    }

    /// The provider refused an attempt: nothing is held for it.
    pub(super) fn declined(&mut self, number: i64, reason: &str) -> Vec<Effect> {
        let given_up = self.wish == Wish::Void;
        let mut effects = self.close(Operation::Authorise, number, &Outcome::declined(reason));
        let Some(attempt) = self.attempt(number) else { return effects };
        if !matches!(attempt.state, AttemptState::Asked | AttemptState::RequiresAction) {
            return effects;
        }
        effects.extend(stop_waiting(attempt));
        attempt.state = AttemptState::Declined;
        attempt.reason = Some(reason.to_owned());
        if !given_up && !attempt.written_off {
            effects.push(Effect::Say(Said::Declined { attempt: number, reason: reason.to_owned() }));
        }
        // The order believes from now on that nothing is held.
        attempt.written_off = true;
        effects
    }

    /// So much of an attempt is ours.
    pub(super) fn captured(&mut self, number: i64, minor: i64) -> Vec<Effect> {
        let Some(attempt) = self.attempt(number) else { return Vec::new() };
        if attempt.state != AttemptState::Authorised {
            return Vec::new();
        }
        attempt.state = AttemptState::Captured;
        attempt.captured_minor = minor;
        let amount = Money::new(minor, attempt.amount.currency);
        let word = Outcome::Done { intent: attempt.intent.clone().unwrap_or_default() };
        let mut effects = self.close(Operation::Capture, number, &word);
        effects.extend(self.close(Operation::Void, number, &Outcome::declined("already-captured")));
        effects.extend([Effect::Book(Operation::Capture, number, amount), Effect::Say(Said::Captured(amount))]);
        effects
    }

    /// Nothing is held for an attempt any more: given back, or expired. Where nobody asked for that, the order hears of it.
    pub(super) fn let_go(&mut self, number: i64, state: AttemptState, reason: Option<&str>) -> Vec<Effect> {
        let given_up = self.wish == Wish::Void;
        let word = |attempt: &Attempt| Outcome::Done { intent: attempt.intent.clone().unwrap_or_default() };
        let Some(attempt) = self.attempt(number).filter(|attempt| attempt.alive()) else { return Vec::new() };
        let mut effects: Vec<Effect> = stop_waiting(attempt).into_iter().collect();
        let was_held = attempt.state == AttemptState::Authorised;
        attempt.state = state;
        attempt.voided_minor = attempt.authorised_minor;
        attempt.reason = reason.map(str::to_owned).or(attempt.reason.take());
        let (let_go, done) = (Money::new(attempt.voided_minor, attempt.amount.currency), word(attempt));
        let told = if was_held { Said::Expired } else { Said::Declined { attempt: number, reason: "action-expired".to_owned() } };
        let unasked = !given_up && !attempt.written_off;
        attempt.written_off = true;
        effects.extend(self.close(Operation::Void, number, &done));
        effects.extend(self.close(Operation::Capture, number, &Outcome::declined("not-held")));
        if was_held {
            effects.push(Effect::Book(Operation::Void, number, let_go));
        }
        if unasked {
            effects.push(Effect::Say(told));
        }
        effects
    }

    fn doubt(&mut self, number: i64) -> Vec<Effect> {
        let Some(attempt) = self.attempt(number).filter(|attempt| attempt.alive()) else { return Vec::new() };
        attempt.doubted = true;
        vec![Effect::Look]
    }

    /// Settles the open question of a kind about an attempt, if there is one: the truth has overtaken it.
    fn close(&mut self, operation: Operation, attempt: i64, word: &Outcome) -> Vec<Effect> {
        let open = |asked: &&mut Asked| asked.operation == operation && asked.attempt == attempt && asked.open();
        let Some(asked) = self.asked.iter_mut().find(open) else { return Vec::new() };
        asked.word = Some(word.clone());
        vec![Effect::Settled(operation)]
    }
}

/// The shopper has acted, or need not any more.
fn stop_waiting(attempt: &Attempt) -> Option<Effect> {
    (attempt.state == AttemptState::RequiresAction).then_some(Effect::WaitNoMore)
}

/// A refund comes to nothing.
pub(super) fn refuse(refund: &mut Refund, reason: &str) -> Effect {
    refund.state = RefundState::Failed;
    refund.refused = Some(reason.to_owned());
    Effect::Say(Said::RefundFailed { refund: refund.id, reason: reason.to_owned() })
}
