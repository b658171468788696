//! The inputs of payments: what the order says, taking up tasks, and the provider's words; one function each.
//! Leaves every rule to `domain` and every call to `jobs`; the sweep's inputs to its part `sweep`.

pub(crate) mod sweep;

use contracts::OrderId;
use contracts::orders::{OrderCancelling, OrderDelivered, OrderPaymentAgain, OrderRefundRequested, OrderReserved};
use contracts::payments::{
    PaymentActionRequired, PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentDisputeClosed, PaymentDisputed,
    PaymentExpired, PaymentRefundFailed, PaymentRefunded, PaymentVoided,
};
use engine::{Stop, Work};
use kernel::{Millis, Money, Timestamp, TraceContext};

use crate::domain::outcome::{Outcome, Truth};
use crate::domain::payment::{AskRules, Effect, Operation, Payment, Probe, Question, Refusal, Said, Terms};
use crate::jobs::provider::Nudge;
use crate::store::{Entry, Task, Webhook};

/// The kind of the timer that ends the wait for the shopper.
pub(crate) const ACTION_UNTIL: &str = "action-until";

/// The kind of the tasks that ask for the truth.
const LOOK: &str = "look";

/// What a dispute is said to be for: this provider gives no reason.
const DISPUTED: &str = "disputed";

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

/// A task that was taken up.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Errand {
    /// A question is to be put.
    Ask(Question),
    /// The truth is to be asked.
    Look(Look),
}

/// The truth that is to be asked of all attempts of an order.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Look {
    pub(crate) order: OrderId,
    /// The how-manieth time that was wanted.
    pub(crate) round: i64,
    pub(crate) probes: Vec<Probe>,
    /// The request that the last question about it goes back to.
    pub(crate) trace: TraceContext,
}

impl Errand {
    /// The task that it was taken up for.
    pub(crate) fn task(&self) -> TaskKey {
        match self {
            Self::Ask(question) => task_key(question.order, question.operation),
            Self::Look(look) => look_key(look.order),
        }
    }

    /// The request that it goes back to.
    pub(crate) fn trace(&self) -> &TraceContext {
        match self {
            Self::Ask(question) => &question.trace,
            Self::Look(look) => &look.trace,
        }
    }
}

/// What was learned of an attempt.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Learned {
    pub(crate) attempt: i64,
    /// What the provider has; nothing if it knows no such money.
    pub(crate) truth: Option<Truth>,
}

/// Stock and slot are held: the money is to be authorised, unless the order was given up before.
pub(crate) fn reserve(work: &mut Work<'_>, event: &OrderReserved) -> Result<(), Stop> {
    work.want::<Task>(&task_key(event.order, Operation::Authorise));
    if work.find::<Payment>(&event.order)?.is_some() {
        return Ok(());
    }
    let terms = Terms { amount: event.amount, token: event.payment_token.clone(), pay_by: event.pay_by };
    let (payment, effects) = Payment::reserve(event.order, event.store, terms, work.now(), work.trace()).map_err(broken)?;
    keep(work, payment, effects)
}

/// The shopper offers another means of payment.
pub(crate) fn pay_again(work: &mut Work<'_>, event: &OrderPaymentAgain) -> Result<(), Stop> {
    let mut payment = known(work, event.order, "offers another means of payment")?;
    let terms = Terms { amount: event.amount, token: event.payment_token.clone(), pay_by: event.pay_by };
    let effects = payment.pay_again(event.attempt, terms, work.now(), work.trace()).map_err(broken)?;
    keep(work, payment, effects)
}

/// The goods were handed over: the money is to be captured.
pub(crate) fn deliver(work: &mut Work<'_>, event: &OrderDelivered) -> Result<(), Stop> {
    work.want::<Task>(&task_key(event.order, Operation::Capture));
    let mut payment = known(work, event.order, "was delivered")?;
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

/// Some of what was taken is to be given back.
pub(crate) fn refund(work: &mut Work<'_>, event: &OrderRefundRequested) -> Result<(), Stop> {
    work.want::<Task>(&task_key(event.order, Operation::Refund));
    let mut payment = known(work, event.order, "wants money back")?;
    let effects = payment.refund(event.refund, event.amount, &event.reason, work.now(), work.trace()).map_err(broken)?;
    keep(work, payment, effects)
}

/// The time of the shopper to act has passed.
pub(crate) fn time_out(work: &mut Work<'_>, subject: &str) -> Result<(), Stop> {
    let order = subject.parse().map(OrderId).map_err(|_| Stop::Broken(format!("{subject} is no order")))?;
    work.want::<Task>(&task_key(order, Operation::Void));
    let Some(payment) = work.find::<Payment>(&order)? else { return Ok(()) };
    let mut payment = (*payment).clone();
    let effects = payment.time_out(work.now(), work.trace());
    keep(work, payment, effects)
}

/// The provider says that something has changed: what it is, the worker asks now. Each webhook is heard once; one about an
/// order without payment says nothing to us.
pub(crate) fn nudge(work: &mut Work<'_>, nudge: &Nudge) -> Result<(), Stop> {
    let key = (nudge.id.clone(),);
    work.want::<Webhook>(&key);
    let Some(order) = nudge.order else { return Ok(()) };
    work.want::<Task>(&look_key(order));
    let Some(payment) = work.find::<Payment>(&order)? else { return Ok(()) };
    if work.find::<Webhook>(&key)?.is_some() {
        return Ok(());
    }
    work.save(Webhook { id: nudge.id.clone(), bucket: order.bucket(), heard_at: work.now() });
    look_now(work, &payment)
}

/// Asks for the truth of a payment, and again what is not answered yet, as soon as there is a worker.
pub(crate) fn look_now(work: &mut Work<'_>, payment: &Payment) -> Result<(), Stop> {
    for asked in payment.asked.iter().filter(|asked| asked.in_doubt()) {
        let key = task_key(payment.order, asked.operation);
        if let Some(task) = work.find::<Task>(&key)?.filter(|task| task.next_at > work.now()) {
            work.save(Task { next_at: work.now(), ..(*task).clone() });
        }
    }
    if payment.probes().is_empty() { Ok(()) } else { look(work, payment.order) }
}

/// Takes up tasks: from the commit on they may have been sent. Tasks that are gone, are no longer due, or were taken up by
/// a later holder of the lease are left out.
pub(crate) fn take_up(work: &mut Work<'_>, keys: &[TaskKey], lease_epoch: i64, rules: AskRules) -> Result<Vec<Errand>, Stop> {
    for (order, _) in keys {
        work.want::<Payment>(order);
    }
    let tasks = work.find_all::<Task>(keys)?;
    let mut errands = Vec::new();
    for task in tasks.into_iter().flatten() {
        if task.next_at > work.now() || task.lease_epoch > lease_epoch {
            continue;
        }
        let Some(payment) = work.find::<Payment>(&task.order_id)? else { continue };
        let errand = if task.kind == LOOK {
            let trace = payment.asked.last().map_or_else(|| work.trace().clone(), |asked| asked.trace.clone());
            Some(Errand::Look(Look { order: task.order_id, round: task.attempt, probes: payment.probes(), trace }))
        } else {
            let mut payment = (*payment).clone();
            let question = payment.question(operation_of(&task.kind)?, task.attempt, task.tries, rules, work.now());
            if question.is_some() {
                work.save(payment);
            }
            question.map(Errand::Ask)
        };
        if errand.is_some() {
            work.save(Task { lease_epoch, ..(*task).clone() });
        }
        errands.extend(errand);
    }
    Ok(errands)
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
    work.want::<Entry>(&entry_key(order, operation, question.number));
    let Some(task) = work.find::<Task>(&task_key(order, operation))? else { return Ok(()) };
    if task.attempt != question.number || task.lease_epoch != lease_epoch {
        return Ok(());
    }
    let Some(payment) = work.find::<Payment>(&order)? else { return Ok(()) };
    let mut payment = (*payment).clone();
    let effects = payment.answer(operation, question.number, outcome, work.now());
    if !outcome.known() {
        put_off(work, &task, backoff);
    }
    keep_unhurried(work, payment, effects, backoff)
}

/// What a look brought, as far as the provider answered: `silent` if it did not wholly. A look that was wanted again
/// meanwhile stays; so does one whose payment is still in doubt.
pub(crate) fn looked(
    work: &mut Work<'_>,
    (order, round): (OrderId, i64),
    lease_epoch: i64,
    learned: &[Learned],
    silent: bool,
    backoff: Backoff,
) -> Result<(), Stop> {
    work.want::<Payment>(&order);
    let Some(task) = work.find::<Task>(&look_key(order))? else { return Ok(()) };
    if task.lease_epoch != lease_epoch {
        return Ok(());
    }
    let Some(payment) = work.find::<Payment>(&order)? else { return Ok(()) };
    let mut payment = (*payment).clone();
    let mut effects = Vec::new();
    for Learned { attempt, truth } in learned {
        if let Some(truth) = truth {
            effects.extend(payment.learn(*attempt, truth, work.now(), work.trace()));
        }
    }
    if silent || payment.attempts.iter().any(|attempt| attempt.doubted) {
        put_off(work, &task, backoff);
    } else if task.attempt == round {
        work.remove::<Task>(&look_key(order));
    }
    keep_unhurried(work, payment, effects, backoff)
}

fn put_off(work: &mut Work<'_>, task: &Task, backoff: Backoff) {
    let next_at = work.now().plus_ms(backoff.pause_ms(task.tries, work));
    work.save(Task { next_at, tries: task.tries + 1, ..task.clone() });
}

/// The payment of an order that says something only an order with a payment says.
fn known(work: &mut Work<'_>, order: OrderId, says: &str) -> Result<Payment, Stop> {
    match work.find::<Payment>(&order)? {
        Some(payment) => Ok((*payment).clone()),
        None => Err(Stop::Broken(format!("{order} {says} and was never to be paid"))),
    }
}

/// Keeps a payment and does what follows; what is to be asked is asked at once.
pub(crate) fn keep(work: &mut Work<'_>, payment: Payment, effects: Vec<Effect>) -> Result<(), Stop> {
    let now = work.now();
    for effect in effects {
        apply(work, payment.order, effect, now)?;
    }
    work.save(payment);
    Ok(())
}

/// Keeps a payment after the provider's word. What it refused is not asked again at once: it would refuse again.
fn keep_unhurried(work: &mut Work<'_>, payment: Payment, effects: Vec<Effect>, backoff: Backoff) -> Result<(), Stop> {
    for effect in effects {
        let refused_before = match effect {
            Effect::Ask(Operation::Capture | Operation::Void, number) => number - 1,
            _ => 0,
        };
        let pause_ms = if refused_before > 0 { backoff.pause_ms(refused_before, work) } else { 0 };
        apply(work, payment.order, effect, work.now().plus_ms(pause_ms))?;
    }
    work.save(payment);
    Ok(())
}

fn apply(work: &mut Work<'_>, order: OrderId, effect: Effect, next_at: Timestamp) -> Result<(), Stop> {
    match effect {
        Effect::Ask(operation, attempt) => {
            let (order_id, kind) = task_key(order, operation);
            work.save(Task { order_id, kind, bucket: order.bucket(), attempt, next_at, tries: 0, lease_epoch: 0 });
            Ok(())
        }
        Effect::Settled(operation) => {
            work.remove::<Task>(&task_key(order, operation));
            Ok(())
        }
        Effect::Look => look(work, order),
        Effect::Book(operation, attempt, amount) => book(work, order, operation, attempt, amount),
        Effect::Wait(until) => work.set_timer(ACTION_UNTIL, &order.to_string(), order.bucket(), until),
        Effect::WaitNoMore => work.clear_timer(ACTION_UNTIL, &order.to_string()),
        Effect::Say(said) => say(work, order, said),
    }
}

/// Wants a look, or one more if one is wanted or under way: what it brings may be older than this.
fn look(work: &mut Work<'_>, order: OrderId) -> Result<(), Stop> {
    let (order_id, kind) = look_key(order);
    let next_at = work.now();
    let task = match work.find::<Task>(&look_key(order))? {
        Some(task) => Task { attempt: task.attempt + 1, next_at, ..(*task).clone() },
        None => Task { order_id, kind, bucket: order.bucket(), attempt: 1, next_at, tries: 0, lease_epoch: 0 },
    };
    work.save(task);
    Ok(())
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

fn say(work: &mut Work<'_>, order: OrderId, said: Said) -> Result<(), Stop> {
    match said {
        Said::ActionRequired { attempt, url, until } => work.emit(&PaymentActionRequired { order, attempt, url, until }),
        Said::Authorised { attempt, amount } => work.emit(&PaymentAuthorised { order, amount, attempt }),
        Said::Declined { attempt, reason } => work.emit(&PaymentDeclined { order, reason, attempt }),
        Said::Captured(amount) => work.emit(&PaymentCaptured { order, amount }),
        Said::Voided => work.emit(&PaymentVoided { order }),
        Said::Expired => work.emit(&PaymentExpired { order }),
        Said::Refunded { refund, amount, refunded } => work.emit(&PaymentRefunded { order, refund, amount, refunded }),
        Said::RefundFailed { refund, reason } => work.emit(&PaymentRefundFailed { order, refund, reason }),
        Said::Disputed(amount) => work.emit(&PaymentDisputed { order, amount, reason: DISPUTED.to_owned() }),
        Said::DisputeClosed(won) => work.emit(&PaymentDisputeClosed { order, won }),
    }
}

fn task_key(order: OrderId, operation: Operation) -> TaskKey {
    (order, operation.as_str().to_owned())
}

fn look_key(order: OrderId) -> TaskKey {
    (order, LOOK.to_owned())
}

fn entry_key(order: OrderId, operation: Operation, attempt: i64) -> (OrderId, String, i64) {
    (order, operation.entry().to_owned(), attempt)
}

fn operation_of(kind: &str) -> Result<Operation, Stop> {
    let found = Operation::ALL.into_iter().find(|operation| operation.as_str() == kind);
    found.ok_or_else(|| Stop::Broken(format!("nobody knows tasks of kind {kind}")))
}

fn broken(refusal: Refusal) -> Stop {
    Stop::Broken(refusal.detail().to_owned())
}

#[cfg(test)]
mod checks;
