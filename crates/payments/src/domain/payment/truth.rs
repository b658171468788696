//! What the provider has, whoever did it and whenever it is learned: a truth merges into the payment, in any order and any
//! number of times, also for an attempt that was thought dead. And how the two differ where they do.
//! Leaves asking for the truth to the worker and the sweep.

use kernel::{Money, Timestamp, TraceContext};

use super::{Asked, Attempt, AttemptState, Effect, Operation, Payment, Said};
use crate::domain::outcome::{Dispute, Standing, Truth};

/// What is asked to learn how an attempt stands: the intent if we know it, else what became of the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Probe {
    pub(crate) attempt: i64,
    pub(crate) key: String,
    pub(crate) intent: Option<String>,
}

impl Payment {
    /// How to learn where every attempt stands that may ever have reached the provider.
    pub(crate) fn probes(&self) -> Vec<Probe> {
        let sent = self.asked.iter().filter(|asked| asked.operation == Operation::Authorise && asked.asked_at.is_some());
        let probe = |asked: &Asked| {
            let attempt = self.attempts.iter().find(|attempt| attempt.number == asked.attempt)?;
            Some(Probe { attempt: attempt.number, key: asked.key(self.order), intent: attempt.intent.clone() })
        };
        sent.filter_map(probe).collect()
    }

    /// The attempt that the provider knows by this name.
    pub(crate) fn attempt_of(&self, intent: &str) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.intent.as_deref() == Some(intent))
    }

    /// What the provider has of an attempt. One that is older than what is known, or that names other money, says nothing.
    pub(crate) fn learn(&mut self, number: i64, truth: &Truth, now: Timestamp, trace: &TraceContext) -> Vec<Effect> {
        let Some(attempt) = self.attempt(number) else { return Vec::new() };
        let same = attempt.intent.as_deref().is_none_or(|intent| intent == truth.intent);
        if !same || truth.changed < attempt.changed {
            return Vec::new();
        }
        let unnamed = attempt.intent.is_none();
        attempt.intent.get_or_insert_with(|| truth.intent.clone());
        let was_doubted = std::mem::take(&mut attempt.doubted);
        let mut effects = self.stand(number, truth);
        effects.extend(self.dispute(number, truth));
        effects.extend(self.pursue(trace));
        if unnamed || was_doubted || !effects.is_empty() {
            self.changed_at = now;
            self.attempts.iter_mut().filter(|attempt| attempt.number == number).for_each(|it| it.changed = truth.changed);
        }
        self.check();
        effects
    }

    /// Whether a truth would change anything.
    pub(crate) fn news(&self, number: i64, truth: &Truth, now: Timestamp, trace: &TraceContext) -> bool {
        let mut copy = self.clone();
        !copy.learn(number, truth, now, trace).is_empty() || copy != *self
    }

    fn stand(&mut self, number: i64, truth: &Truth) -> Vec<Effect> {
        match truth.standing {
            Standing::RequiresAction => self.action_required(number, &truth.intent, truth.url.as_deref().unwrap_or_default()),
            Standing::Authorised => self.authorised(number, &truth.intent),
            Standing::Declined => self.declined(number, "action-refused"),
            Standing::Captured if truth.captured_minor > truth.amount.minor => Vec::new(),
            Standing::Captured => {
                let mut effects = self.authorised(number, &truth.intent);
                effects.extend(self.captured(number, truth.captured_minor));
                effects
            }
            Standing::Voided => self.gone(number, AttemptState::Voided),
            Standing::Expired => self.gone(number, AttemptState::Expired),
        }
    }

    /// It was held, or waited for the shopper, and is not any more; also where the first half of that was never heard.
    fn gone(&mut self, number: i64, state: AttemptState) -> Vec<Effect> {
        if self.attempt(number).is_some_and(|attempt| attempt.state == AttemptState::Asked) {
            return self.declined(number, "not-held-any-more");
        }
        self.let_go(number, state, (state == AttemptState::Expired).then_some("expired"))
    }

    fn dispute(&mut self, number: i64, truth: &Truth) -> Vec<Effect> {
        let taken = |attempt: &&mut Attempt| attempt.state == AttemptState::Captured;
        let Some(captured_minor) = self.attempt(number).filter(taken).map(|attempt| attempt.captured_minor) else {
            return Vec::new();
        };
        let (before, after) = (self.dispute, truth.dispute);
        let mut effects = Vec::new();
        let opened = after == Some(Dispute::Open) && before != after;
        if opened || before.is_none() && after.is_some() {
            effects.push(Effect::Say(Said::Disputed(Money::new(captured_minor, truth.amount.currency))));
        }
        let over = |dispute: Option<Dispute>| matches!(dispute, Some(Dispute::Won | Dispute::Lost));
        if over(after) && !over(before) {
            effects.push(Effect::Say(Said::DisputeClosed(after == Some(Dispute::Won))));
        }
        self.dispute = after.or(before);
        effects
    }

    /// How the provider's word on an attempt differs from ours, if it does.
    pub(crate) fn difference(&self, truth: &Truth) -> Option<String> {
        let ours = self.attempt_of(&truth.intent)?;
        let refunded = if ours.state == AttemptState::Captured { self.refunded_minor() } else { 0 };
        let held = |state: bool, minor: i64| if state { minor } else { 0 };
        let ours_held = held(ours.state == AttemptState::Authorised, ours.authorised_minor);
        let theirs_held = held(truth.standing == Standing::Authorised, truth.amount.minor);
        let same = ours.amount == truth.amount
            && ours_held == theirs_held
            && ours.captured_minor == truth.captured_minor
            && refunded == truth.refunded_minor;
        let said = |amount: i64, held: i64, captured: i64, refunded: i64| {
            format!("{held} of {amount} held, {captured} captured, {refunded} refunded")
        };
        let ours = said(ours.amount.minor, ours_held, ours.captured_minor, refunded);
        let theirs = said(truth.amount.minor, theirs_held, truth.captured_minor, truth.refunded_minor);
        (!same).then(|| format!("{}: ours is {ours}; the provider's {theirs}", truth.intent))
    }
}
