//! The inputs of payments: what the order says, taking up questions, and the provider's words; one function each.
//! Leaves every rule to `domain` and every call to `jobs`; the provider's own inputs to its part `sandbox`.

pub(crate) mod sandbox;

use contracts::OrderId;
use contracts::orders::{OrderCancelling, OrderDelivered, OrderReserved};
use contracts::payments::{PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentVoided};
use engine::{Stop, Work};
use kernel::{Millis, Money};

use crate::domain::outcome::Outcome;
use crate::domain::payment::{AskRules, Effect, Operation, Payment, Question, Refusal, Said, Terms};
use crate::store::{Entry, Task};

/// Which task: the order and what is to be asked.
pub(crate) type TaskKey = (OrderId, String);

/// How long to wait before an unknown is asked again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Backoff {
    pub(crate) first_ms: Millis,
    pub(crate) longest_ms: Millis,
}

impl Backoff {
    /// The pause after so many tries: doubled each time, the upper half of it by chance.
    fn pause_ms(self, tries: i64, work: &mut Work<'_>) -> Millis {
        let doubled = self.first_ms.saturating_mul(1 << tries.clamp(0, 32)).min(self.longest_ms);
        let half = doubled / 2;
        let chance = work.draw().below(half.unsigned_abs() + 1);
        half + i64::try_from(chance).unwrap_or(half)
    }
}

/// Stock and slot are held: the money is to be authorised, unless the order was given up before.
pub(crate) fn reserve(work: &mut Work<'_>, event: &OrderReserved) -> Result<(), Stop> {
    work.want::<Task>(&task_key(event.order, Operation::Authorise));
    if work.find::<Payment>(&event.order)?.is_some() {
        return Ok(());
    }
    let terms = Terms { store: event.store, amount: event.amount, token: event.payment_token.clone(), pay_by: event.pay_by };
    let (payment, effects) = Payment::reserve(event.order, terms, work.now(), work.trace()).map_err(broken)?;
    keep(work, payment, effects)
}

/// The goods were handed over: the money is to be captured.
pub(crate) fn deliver(work: &mut Work<'_>, event: &OrderDelivered) -> Result<(), Stop> {
    work.want::<Task>(&task_key(event.order, Operation::Capture));
    let Some(payment) = work.find::<Payment>(&event.order)? else {
        return Err(Stop::Broken(format!("{} was delivered and was never to be paid", event.order)));
    };
    let mut payment = (*payment).clone();
    let effects = payment.deliver(event.amount, work.now(), work.trace()).map_err(broken)?;
    keep(work, payment, effects)
}

/// The order is given up: whatever is held is to be given back.
pub(crate) fn cancel(work: &mut Work<'_>, event: &OrderCancelling) -> Result<(), Stop> {
    work.want::<Task>(&task_key(event.order, Operation::Authorise));
    work.want::<Task>(&task_key(event.order, Operation::Void));
    let (payment, effects) = match work.find::<Payment>(&event.order)? {
        None => Payment::given_up(event.order, work.now()),
        Some(payment) => {
            let mut payment = (*payment).clone();
            let effects = payment.cancel(work.now(), work.trace());
            (payment, effects)
        }
    };
    keep(work, payment, effects)
}

/// Takes up tasks: from the commit on they may have been sent. Tasks that are gone, are no longer due, or were taken up by
/// a later holder of the lease are left out.
pub(crate) fn take_up(work: &mut Work<'_>, keys: &[TaskKey], lease_epoch: i64, rules: AskRules) -> Result<Vec<Question>, Stop> {
    for (order, _) in keys {
        work.want::<Payment>(order);
    }
    let tasks = work.find_all::<Task>(keys)?;
    let mut questions = Vec::new();
    for task in tasks.into_iter().flatten() {
        if task.next_at > work.now() || task.lease_epoch > lease_epoch {
            continue;
        }
        let Some(payment) = work.find::<Payment>(&task.order_id)? else { continue };
        let Some(operation) = operation_of(&task.kind) else {
            return Err(Stop::Broken(format!("nobody knows tasks of kind {}", task.kind)));
        };
        let mut payment = (*payment).clone();
        let Some(question) = payment.question(operation, task.attempt, task.tries, rules, work.now()) else { continue };
        work.save(payment);
        work.save(Task { lease_epoch, ..(*task).clone() });
        questions.push(question);
    }
    Ok(questions)
}

/// The provider's word on a question, unless the task was settled or taken up by another since.
pub(crate) fn answer(
    work: &mut Work<'_>,
    question: &Question,
    lease_epoch: i64,
    outcome: &Outcome,
    backoff: Backoff,
) -> Result<(), Stop> {
    let (order, operation) = (question.order, question.operation);
    work.want::<Payment>(&order);
    work.want::<Entry>(&entry_key(order, operation, question.attempt));
    let Some(task) = work.find::<Task>(&task_key(order, operation))? else { return Ok(()) };
    if task.attempt != question.attempt || task.lease_epoch != lease_epoch {
        return Ok(());
    }
    let Some(payment) = work.find::<Payment>(&order)? else { return Ok(()) };
    let mut payment = (*payment).clone();
    let effects = payment.answer(operation, question.attempt, outcome, work.now(), work.trace());
    if !outcome.known() {
        let next_at = work.now().plus_ms(backoff.pause_ms(task.tries, work));
        work.save(Task { next_at, tries: task.tries + 1, ..(*task).clone() });
    }
    keep(work, payment, effects)
}

fn keep(work: &mut Work<'_>, payment: Payment, effects: Vec<Effect>) -> Result<(), Stop> {
    for effect in effects {
        apply(work, payment.order, effect)?;
    }
    work.save(payment);
    Ok(())
}

fn apply(work: &mut Work<'_>, order: OrderId, effect: Effect) -> Result<(), Stop> {
    match effect {
        Effect::Ask(operation, attempt) => {
            let (order_id, kind) = task_key(order, operation);
            let next_at = work.now();
            work.save(Task { order_id, kind, bucket: order.bucket(), attempt, next_at, tries: 0, lease_epoch: 0 });
            Ok(())
        }
        Effect::Settled(operation) => {
            work.remove::<Task>(&task_key(order, operation));
            Ok(())
        }
        Effect::Book(operation, attempt, amount) => book(work, order, operation, attempt, amount),
        Effect::Say(Said::Authorised(amount)) => work.emit(&PaymentAuthorised { order, amount, attempt: 1 }),
        Effect::Say(Said::Declined(reason)) => work.emit(&PaymentDeclined { order, reason, attempt: 1 }),
        Effect::Say(Said::Captured(amount)) => work.emit(&PaymentCaptured { order, amount }),
        Effect::Say(Said::Voided) => work.emit(&PaymentVoided { order }),
    }
}

fn book(work: &mut Work<'_>, order: OrderId, operation: Operation, attempt: i64, amount: Money) -> Result<(), Stop> {
    let key = entry_key(order, operation, attempt);
    if work.find::<Entry>(&key)?.is_some() {
        return Err(Stop::Broken(format!("{order}: {} {attempt} is in the ledger already", key.1)));
    }
    work.save(Entry {
        order_id: order,
        kind: key.1,
        attempt,
        bucket: order.bucket(),
        amount_minor: amount.minor,
        currency: amount.currency.to_string(),
        booked_at: work.now(),
    });
    Ok(())
}

fn task_key(order: OrderId, operation: Operation) -> TaskKey {
    (order, operation.as_str().to_owned())
}

fn entry_key(order: OrderId, operation: Operation, attempt: i64) -> (OrderId, String, i64) {
    (order, operation.entry().to_owned(), attempt)
}

fn operation_of(kind: &str) -> Option<Operation> {
    [Operation::Authorise, Operation::Capture, Operation::Void].into_iter().find(|operation| operation.as_str() == kind)
}

fn broken(refusal: Refusal) -> Stop {
    Stop::Broken(refusal.detail().to_owned())
}

#[cfg(test)]
mod checks;
