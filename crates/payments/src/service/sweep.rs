//! The inputs of the sweep: what the provider has merges into our payments, and where the two differ that is noted, until
//! they do not. Leaves going through the provider's books to `jobs`, and what counts as a difference to `domain::audit`.

use contracts::OrderId;
use contracts::audit::Breach;
use engine::{Stop, Work};
use kernel::{Bucket, Timestamp, TraceContext};

use super::{keep, look_now};
use crate::domain::audit::{against, missing};
use crate::domain::outcome::Truth;
use crate::domain::payment::Payment;
use crate::store::{Difference, Mark, Webhook};

/// Which order an intent is for, if it is for one of ours.
pub(crate) fn order_of(truth: &Truth) -> Option<OrderId> {
    truth.reference.parse().ok().map(OrderId)
}

/// Whether a truth needs a decision: it brings news, or differs, or is known to have differed.
pub(crate) fn matters(truth: &Truth, payment: Option<&Payment>, noted: bool, now: Timestamp, trace: &TraceContext) -> bool {
    let settled = payment.map(|payment| (payment, !payment.waits_for_provider()));
    let news = payment.is_some_and(|payment| match payment.attempt_of(&truth.intent) {
        Some(attempt) => payment.news(attempt.number, truth, now, trace),
        None => true,
    });
    noted || news || against(truth, settled).is_some()
}

/// Takes in what the provider has: where we know the intent we learn, where we do not we ask which of our questions it answers.
pub(crate) fn take_in(work: &mut Work<'_>, truths: &[Truth]) -> Result<(), Stop> {
    for truth in truths {
        work.want::<Difference>(&(truth.intent.clone(),));
        if let Some(order) = order_of(truth) {
            work.want::<Payment>(&order);
        }
    }
    truths.iter().try_for_each(|truth| take_in_one(work, truth))
}

fn take_in_one(work: &mut Work<'_>, truth: &Truth) -> Result<(), Stop> {
    let order = order_of(truth);
    let mut ours = match order {
        Some(order) => work.find::<Payment>(&order)?.map(|payment| (*payment).clone()),
        None => None,
    };
    if let Some(payment) = &mut ours {
        match payment.attempt_of(&truth.intent).map(|attempt| attempt.number) {
            Some(number) => {
                let before = payment.clone();
                let effects = payment.learn(number, truth, work.now(), work.trace());
                if *payment != before {
                    keep(work, payment.clone(), effects)?;
                }
            }
            None => look_now(work, payment)?,
        }
    }
    let settled = ours.as_ref().map(|payment| (payment, !payment.waits_for_provider()));
    if settled.is_some_and(|(_, settled)| !settled) {
        return put_off(work, &truth.intent);
    }
    note(work, &truth.intent, order, against(truth, settled))
}

/// The provider knows no intent of this name.
pub(crate) fn absent(work: &mut Work<'_>, intent: &str, order: Option<OrderId>) -> Result<(), Stop> {
    let payment = match order {
        Some(order) => work.find::<Payment>(&order)?,
        None => None,
    };
    let attempt = payment.as_ref().and_then(|payment| payment.attempt_of(intent));
    let found = order.zip(attempt).map(|(order, attempt)| missing(order, attempt, intent));
    note(work, intent, order, found)
}

/// How far the sweep has come.
pub(crate) fn mark(work: &mut Work<'_>, name: &str, position: &str) -> Result<(), Stop> {
    work.save(Mark { name: name.to_owned(), position: position.to_owned() });
    Ok(())
}

/// Forgets webhooks that are so old that they would not be taken any more.
pub(crate) fn forget_webhooks(work: &mut Work<'_>, keys: &[(String,)]) -> Result<(), Stop> {
    work.find_all::<Webhook>(keys)?;
    keys.iter().for_each(|key| work.remove::<Webhook>(key));
    Ok(())
}

/// Notes a difference, or that there is none any more.
fn note(work: &mut Work<'_>, intent: &str, order: Option<OrderId>, found: Option<Breach>) -> Result<(), Stop> {
    let (key, now) = ((intent.to_owned(),), work.now());
    let noted = work.find::<Difference>(&key)?;
    match (noted, found) {
        (None, None) => {}
        (Some(_), None) => work.remove::<Difference>(&key),
        (noted, Some(Breach { rule, subject, detail })) => {
            let same = noted.filter(|noted| noted.rule == rule);
            let (seen, since) = same.map_or((1, now), |noted| (noted.seen + 1, noted.since));
            let bucket = order.map_or(Bucket(0), OrderId::bucket);
            let intent = intent.to_owned();
            work.save(Difference { intent, bucket, rule, reference: subject, detail, seen, since, looked_at: now });
        }
    }
    Ok(())
}

/// A difference is looked at again when its payment is settled.
fn put_off(work: &mut Work<'_>, intent: &str) -> Result<(), Stop> {
    if let Some(noted) = work.find::<Difference>(&(intent.to_owned(),))? {
        work.save(Difference { looked_at: work.now(), ..(*noted).clone() });
    }
    Ok(())
}
