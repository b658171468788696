//! The inputs of the sandbox provider: demands, each done once under its key.
//! Leaves the rules of intents and tokens to `domain::sandbox`.

use engine::{Stop, Work};
use kernel::Bucket;

use crate::domain::outcome::Outcome;
use crate::domain::sandbox::{Demand, Intent, Mishap, charge};
use crate::store::sandbox::StoredDemand;

/// What is said where an answer was lost.
const LOST: &str = "no answer within the time";

/// Does what is demanded, or says what became of it when it was demanded before.
pub(crate) fn demand(work: &mut Work<'_>, key: &str, demand: &Demand) -> Result<Outcome, Stop> {
    let stored = work.find::<StoredDemand>(&(key.to_owned(),))?;
    if let Some(stored) = &stored {
        if stored.fingerprint != demand.fingerprint() {
            return Ok(Outcome::declined("key-reused"));
        }
        if let Some(outcome) = outcome_of(stored)? {
            return Ok(outcome);
        }
    }
    let mishap = demand.mishap().filter(|_| stored.is_none());
    if mishap == Some(Mishap::DemandLost) {
        keep(work, key, demand, bucket_of(demand, None), None)?;
        return Ok(Outcome::unknown(LOST));
    }
    let (outcome, bucket) = act(work, demand)?;
    keep(work, key, demand, bucket, Some(&outcome))?;
    Ok(if mishap == Some(Mishap::AnswerLost) { Outcome::unknown(LOST) } else { outcome })
}

/// What became of the demand under a key, if that is settled.
pub(crate) fn outcome_of(stored: &StoredDemand) -> Result<Option<Outcome>, Stop> {
    let parse = |text: &String| serde_json::from_str(text).map_err(|error| Stop::Broken(error.to_string()));
    stored.outcome.as_ref().map(parse).transpose()
}

fn act(work: &mut Work<'_>, demand: &Demand) -> Result<(Outcome, Bucket), Stop> {
    let (id, changed) = match demand {
        Demand::Authorise { order, amount, token } => {
            let bucket = order.bucket();
            if let Err(reason) = charge(token) {
                return Ok((Outcome::declined(reason), bucket));
            }
            let id = format!("pi_{}", work.new_id(bucket));
            work.create(Intent::authorise(id.clone(), *order, *amount, work.now()))?;
            return Ok((Outcome::Done { intent: id }, bucket));
        }
        Demand::Capture { intent, amount } => (intent, work.find::<Intent>(intent)?.map(|found| found.capture(*amount))),
        Demand::Void { intent } => (intent, work.find::<Intent>(intent)?.map(|found| found.void())),
    };
    match changed {
        None => Ok((Outcome::declined("no-such-intent"), bucket_of(demand, None))),
        Some(Err(reason)) => {
            let intent = work.find::<Intent>(id)?;
            Ok((Outcome::declined(reason), bucket_of(demand, intent.as_deref())))
        }
        Some(Ok(intent)) => {
            let bucket = bucket_of(demand, Some(&intent));
            work.save(intent);
            Ok((Outcome::Done { intent: id.clone() }, bucket))
        }
    }
}

/// The bucket of the order that a demand is about; a demand about nothing lies in the first.
fn bucket_of(demand: &Demand, intent: Option<&Intent>) -> Bucket {
    match (demand, intent) {
        (Demand::Authorise { order, .. }, _) => order.bucket(),
        (_, Some(intent)) => intent.order.bucket(),
        (_, None) => Bucket(0),
    }
}

fn keep(work: &mut Work<'_>, key: &str, demand: &Demand, bucket: Bucket, outcome: Option<&Outcome>) -> Result<(), Stop> {
    let outcome = outcome.map(serde_json::to_string).transpose().map_err(|error| Stop::Broken(error.to_string()))?;
    work.save(StoredDemand { key: key.to_owned(), bucket, fingerprint: demand.fingerprint(), outcome });
    Ok(())
}
