//! What follows from what is wanted of the money and what is so of it: which question comes next, and when all is over.
//! Leaves what an answer changes to `asking`.

use contracts::RefundId;
use kernel::{Money, TraceContext};

use super::asking::refuse;
use super::{Asked, Attempt, AttemptState, Effect, Operation, Payment, RefundState, Said, Wish};

impl Payment {
    /// Asks for what is wanted of what is known; what is not known yet is waited for. One question of each kind at a time.
    pub(super) fn pursue(&mut self, trace: &TraceContext) -> Vec<Effect> {
        let mut effects = self.authorise_next(trace);
        effects.extend(self.give_back(trace));
        effects.extend(self.take(trace));
        effects.extend(self.pay_back());
        effects.extend(self.conclude());
        effects
    }

    /// The means of payment that waits is asked for once each before it is proved dead, and not if nothing is wanted of it.
    fn authorise_next(&mut self, trace: &TraceContext) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.wish == Wish::Void {
            effects.extend(self.withdraw_unsent());
        }
        let needless = self.wish == Wish::Void || self.attempts.iter().any(Self::counts);
        let dead_before = |index: usize, all: &[Attempt]| all[..index].iter().all(Attempt::dead);
        for index in 0..self.attempts.len() {
            if self.attempts[index].state != AttemptState::Waiting {
                continue;
            }
            let superseded = index + 1 < self.attempts.len();
            if needless || superseded {
                self.attempts[index].state = AttemptState::Voided;
                self.attempts[index].written_off = true;
            } else if dead_before(index, &self.attempts) {
                self.attempts[index].state = AttemptState::Asked;
                let Attempt { number, amount, .. } = self.attempts[index];
                effects.push(self.ask(Operation::Authorise, number, None, amount, trace));
            }
        }
        effects
    }

    /// A question that nobody can have sent yet need not be answered.
    fn withdraw_unsent(&mut self) -> Vec<Effect> {
        let unsent = |asked: &Asked| asked.operation == Operation::Authorise && asked.open() && asked.asked_at.is_none();
        let Some(index) = self.asked.iter().position(unsent) else { return Vec::new() };
        let asked = self.asked.remove(index);
        if let Some(attempt) = self.attempt(asked.attempt) {
            attempt.state = AttemptState::Voided;
            attempt.written_off = true;
        }
        vec![Effect::Settled(Operation::Authorise)]
    }

    /// What is held and not wanted is given back: everything if the order is given up, else what was written off.
    fn give_back(&mut self, trace: &TraceContext) -> Vec<Effect> {
        let unwanted =
            |attempt: &&Attempt| attempt.alive() && !attempt.doubted && (self.wish == Wish::Void || attempt.written_off);
        match self.attempts.iter().find(unwanted) {
            Some(attempt) if !self.asks(Operation::Void) => {
                let (number, held) = (attempt.number, Money::new(attempt.authorised_minor, attempt.amount.currency));
                vec![self.ask(Operation::Void, number, None, held, trace)]
            }
            _ => Vec::new(),
        }
    }

    /// What is held is taken once the goods were handed over, as far as it was authorised.
    fn take(&mut self, trace: &TraceContext) -> Vec<Effect> {
        let Wish::Capture(amount) = self.wish else { return Vec::new() };
        let held = |attempt: &&Attempt| Self::counts(attempt) && attempt.state == AttemptState::Authorised && !attempt.doubted;
        match self.attempts.iter().find(held) {
            Some(attempt) if !self.asks(Operation::Capture) => {
                let within = Money::new(amount.minor.min(attempt.authorised_minor), attempt.amount.currency);
                let number = attempt.number;
                vec![self.ask(Operation::Capture, number, None, within, trace)]
            }
            _ => Vec::new(),
        }
    }

    /// Refunds are paid one after the other, once it is known what was taken; what can never be paid is refused.
    fn pay_back(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while !self.asks(Operation::Refund) {
            let Some(index) = self.refunds.iter().position(|refund| refund.state == RefundState::Wanted) else { break };
            let taken = self.attempts.iter().find(|attempt| attempt.state == AttemptState::Captured);
            let taken = taken.map(|attempt| (attempt.number, attempt.captured_minor));
            let amount = self.refunds[index].amount;
            match taken {
                None if self.attempts.iter().any(Attempt::undecided) => break,
                None => effects.push(refuse(&mut self.refunds[index], "nothing-captured")),
                Some((_, captured)) if amount.minor > captured - self.refunded_minor() => {
                    effects.push(refuse(&mut self.refunds[index], "more-than-captured"));
                }
                Some((number, _)) => {
                    let refund = &mut self.refunds[index];
                    refund.state = RefundState::Asked;
                    let (id, trace) = (refund.id, refund.trace.clone());
                    effects.push(self.ask(Operation::Refund, number, Some(id), amount, &trace));
                }
            }
        }
        effects
    }

    /// An order that was given up hears, once, that nothing is held for it any more.
    fn conclude(&mut self) -> Vec<Effect> {
        let open = |attempt: &Attempt| attempt.undecided() || attempt.state == AttemptState::Captured;
        if self.wish != Wish::Void || self.voided_said || self.attempts.iter().any(open) {
            return Vec::new();
        }
        self.voided_said = true;
        vec![Effect::Say(Said::Voided)]
    }

    fn asks(&self, operation: Operation) -> bool {
        self.asked.iter().any(|asked| asked.operation == operation && asked.open())
    }

    fn ask(
        &mut self,
        operation: Operation,
        attempt: i64,
        refund: Option<RefundId>,
        amount: Money,
        trace: &TraceContext,
    ) -> Effect {
        let before = self.asked.iter().filter(|asked| asked.operation == operation);
        let number = match operation {
            Operation::Authorise => attempt,
            _ => 1 + before.map(|asked| asked.number).max().unwrap_or(0),
        };
        // Of what was refused again and again the last refusal says enough.
        let repeated = |asked: &Asked| asked.operation == operation && asked.attempt == attempt && refund.is_none();
        let refused = self.asked.iter().filter(|asked| repeated(asked)).count();
        if refused > 1 {
            let first = self.asked.iter().position(repeated);
            first.map(|index| self.asked.remove(index));
        }
        self.asked.push(Asked { operation, number, attempt, refund, amount, trace: trace.clone(), asked_at: None, word: None });
        Effect::Ask(operation, number)
    }
}
