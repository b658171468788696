//! The inputs of the provider: demands, each done once under its key; the shopper's word; what timers do; what is set.
//! Leaves the rules of intents, tokens and faults to `domain`, and whom an answer reaches to `http`.

use std::fmt;

use engine::{Handle, Lane, Stop, Work};
use kernel::{Fault, Money, Timestamp, TraceContext};

use crate::config::Config;
use crate::domain::demand::{Charge, Demand, Outcome, TOKEN_DISPUTE, TOKEN_EXPIRE, TOKEN_REFUND_FAILS, charge};
use crate::domain::faults::{Faults, Mishap};
use crate::domain::intent::{Intent, IntentState, Refused};
use crate::domain::signature::hex;
use crate::store::{BUCKET, Counter, Setting, StoredDemand, Webhook};

/// The timers: nobody took the money, nobody agreed, the bank wants it back.
pub(crate) const EXPIRE: &str = "expire";
pub(crate) const LAPSE: &str = "lapse";
pub(crate) const DISPUTE: &str = "dispute";

/// The settings that are rows.
const KEY: &str = "key";
const WEBHOOK_SECRET: &str = "webhook-secret";
const FAULTS: &str = "faults";

/// The counter of changes.
const CHANGED: &str = "changed";

/// How many random bytes a secret has that is made here.
const SECRET_BYTES: usize = 32;

/// What a demand came to, and what goes wrong with telling it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Told {
    /// The client hears it.
    Outcome(Outcome),
    /// Nobody hears anything.
    Silence,
}

/// Does what is demanded, or says what became of it when it was demanded before under this key.
pub(crate) fn demand(work: &mut Work<'_>, key: &str, demand: &Demand, config: &Config) -> Result<Told, Stop> {
    want_for(work, demand);
    let stored = work.find::<StoredDemand>(&(key.to_owned(),))?;
    if let Some(stored) = &stored {
        if stored.fingerprint != demand.fingerprint() {
            return Err(web::key_reused().into());
        }
        if let Some(outcome) = outcome_of(stored)? {
            return Ok(Told::Outcome(outcome));
        }
    }
    let mishap = demand.mishap().filter(|_| stored.is_none());
    if mishap == Some(Mishap::TimeoutBefore) {
        keep(work, key, demand, None)?;
        return Ok(Told::Silence);
    }
    let outcome = act(work, demand, config)?;
    keep(work, key, demand, Some(&outcome))?;
    Ok(if mishap.is_some() { Told::Silence } else { Told::Outcome(outcome) })
}

/// What became of the demand under a key, if that is settled.
pub(crate) fn outcome_of(stored: &StoredDemand) -> Result<Option<Outcome>, Stop> {
    let parse = |text: &String| serde_json::from_str(text).map_err(|error| Stop::Broken(error.to_string()));
    stored.outcome.as_ref().map(parse).transpose()
}

fn keep(work: &mut Work<'_>, key: &str, demand: &Demand, outcome: Option<&Outcome>) -> Result<(), Stop> {
    let outcome = outcome.map(serde_json::to_string).transpose().map_err(|error| Stop::Broken(error.to_string()))?;
    work.save(StoredDemand { key: key.to_owned(), fingerprint: demand.fingerprint(), outcome });
    Ok(())
}

fn want_for(work: &mut Work<'_>, demand: &Demand) {
    work.want::<Counter>(&(CHANGED.to_owned(),));
    if let Demand::Capture { intent, .. } | Demand::Void { intent } | Demand::Refund { intent, .. } = demand {
        work.want::<Intent>(intent);
    }
}

fn act(work: &mut Work<'_>, demand: &Demand, config: &Config) -> Result<Outcome, Stop> {
    match demand {
        Demand::Authorise { reference, amount, token, pay_by } => authorise(work, reference, *amount, token, *pay_by, config),
        Demand::Capture { intent, amount } => change(work, intent, config, |intent| intent.capture(*amount)),
        Demand::Void { intent } => change(work, intent, config, Intent::void),
        Demand::Refund { intent, amount } => change(work, intent, config, |intent| match intent.token.as_str() {
            TOKEN_REFUND_FAILS => Err("refund-failed"),
            _ => intent.refund(*amount),
        }),
        Demand::Expire { intent } => change(work, intent, config, Intent::expire),
        Demand::Dispute { intent } => change(work, intent, config, Intent::disputed),
        Demand::CloseDispute { intent, won } => change(work, intent, config, |intent| intent.close_dispute(*won)),
    }
}

fn authorise(
    work: &mut Work<'_>,
    reference: &str,
    amount: Money,
    token: &str,
    pay_by: Option<Timestamp>,
    config: &Config,
) -> Result<Outcome, Stop> {
    let asks = match charge(token) {
        Charge::Refused(reason) => return Ok(Outcome::Declined { reason: reason.to_owned() }),
        Charge::Given => false,
        Charge::Asks => true,
    };
    let id = format!("pi_{}", work.new_id(BUCKET));
    let now = work.now();
    let intent = Intent::new(id.clone(), reference, amount, token, asks, now);
    let changed = tell(work, &intent)?;
    work.create(Intent { changed, ..intent })?;
    if asks {
        let until = pay_by.unwrap_or(now).max(now).plus_ms(config.action_grace_ms);
        work.set_timer(LAPSE, &id, BUCKET, until)?;
        return Ok(Outcome::ActionRequired { intent: id });
    }
    if token == TOKEN_EXPIRE {
        work.set_timer(EXPIRE, &id, BUCKET, now.plus_ms(config.expire_after_ms))?;
    }
    Ok(Outcome::Done { intent: id })
}

/// Makes `moved` of an intent that there must be; what is refused changes nothing.
fn change(
    work: &mut Work<'_>,
    id: &str,
    config: &Config,
    moved: impl Fn(&Intent) -> Result<Intent, Refused>,
) -> Result<Outcome, Stop> {
    let before = work.load::<Intent>(&id.to_owned(), "intent")?;
    match moved(&before) {
        Err(reason) => Ok(Outcome::Declined { reason: reason.to_owned() }),
        Ok(after) => {
            put(work, &before, after, config)?;
            Ok(Outcome::Done { intent: id.to_owned() })
        }
    }
}

/// Keeps a change of an intent, tells of it, and sets or clears its timers. No change is none.
fn put(work: &mut Work<'_>, before: &Intent, after: Intent, config: &Config) -> Result<(), Stop> {
    if *before == after {
        return Ok(());
    }
    if before.state != after.state {
        match before.state {
            IntentState::RequiresAction => work.clear_timer(LAPSE, &after.id)?,
            IntentState::Authorised if after.token == TOKEN_EXPIRE => work.clear_timer(EXPIRE, &after.id)?,
            _ => {}
        }
        if after.state == IntentState::Captured && after.token == TOKEN_DISPUTE {
            work.set_timer(DISPUTE, &after.id, BUCKET, work.now().plus_ms(config.dispute_after_ms))?;
        }
    }
    let changed = tell(work, &after)?;
    work.save(Intent { changed, ..after });
    Ok(())
}

/// Writes the webhook of a change; gives the change its number.
fn tell(work: &mut Work<'_>, intent: &Intent) -> Result<i64, Stop> {
    let name = CHANGED.to_owned();
    let value = work.find::<Counter>(&(name.clone(),))?.map_or(0, |counter| counter.value) + 1;
    work.save(Counter { name, value });
    let (id, now) = (format!("evt_{}", work.new_id(BUCKET)), work.now());
    let (reference, intent) = (intent.reference.clone(), intent.id.clone());
    let traceparent = Some(work.trace().to_string());
    work.create(Webhook { id, intent, reference, made_at: now, due_at: now, tries: 0, held_back: false, traceparent })?;
    Ok(value)
}

/// The shopper's word; a second one changes nothing.
pub(crate) fn answer(work: &mut Work<'_>, id: &str, agrees: bool, config: &Config) -> Result<(), Stop> {
    change(work, id, config, |intent| intent.answer(agrees)).map(|_| ())
}

/// What a timer does to an intent, unless it has gone on meanwhile.
pub(crate) fn fire(work: &mut Work<'_>, id: &str, config: &Config, kind: &'static str) -> Result<(), Stop> {
    let moved = |intent: &Intent| match kind {
        LAPSE if intent.state != IntentState::RequiresAction => Err("already-answered"),
        LAPSE | EXPIRE => intent.expire(),
        _ => intent.disputed(),
    };
    change(work, id, config, moved).map(|_| ())
}

/// What became of one try to send a webhook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    /// It was taken, or is lost on purpose.
    Gone,
    /// It was not taken.
    Failed,
    /// It was not sent, and is not before then.
    HeldBack(Timestamp),
}

/// Keeps what tries came to; tells how many webhooks were given up.
pub(crate) fn record(work: &mut Work<'_>, tries: &[(String, Sent)], config: &Config) -> Result<usize, Stop> {
    let keys: Vec<(String,)> = tries.iter().map(|(id, _)| (id.clone(),)).collect();
    let mut given_up = 0;
    for ((id, sent), webhook) in tries.iter().zip(work.find_all::<Webhook>(&keys)?) {
        let Some(webhook) = webhook else { continue };
        let tried = webhook.tries + 1;
        match sent {
            Sent::HeldBack(until) => work.save(Webhook { due_at: *until, held_back: true, ..(*webhook).clone() }),
            Sent::Failed if tried < config.webhook_tries_max => {
                let doubled = config.webhook_again_first_ms.saturating_mul(1 << webhook.tries.clamp(0, 32));
                let due_at = work.now().plus_ms(doubled.min(config.webhook_again_max_ms));
                work.save(Webhook { due_at, tries: tried, ..(*webhook).clone() });
            }
            Sent::Gone | Sent::Failed => {
                given_up += usize::from(*sent == Sent::Failed);
                work.remove::<Webhook>(&(id.clone(),));
            }
        }
    }
    Ok(given_up)
}

/// The secrets of the provider: who holds `key` may demand, and what is signed with `webhook_secret` comes from here.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// What clients send with every request.
    pub key: String,
    /// What webhooks are signed with.
    pub webhook_secret: String,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(***)")
    }
}

/// The secrets that somebody gave; the others are made.
#[derive(Clone, Default)]
pub struct Given {
    /// As [`Secrets::key`].
    pub key: Option<String>,
    /// As [`Secrets::webhook_secret`].
    pub webhook_secret: Option<String>,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given(***)")
    }
}

/// The secrets of the provider behind `handle`: those given, else those it has, else fresh ones. All are kept.
///
/// # Errors
/// As [`Handle::decide`], or if the operating system gives no random bytes.
pub async fn ensure_secrets(handle: &Handle, given: Given) -> Result<Secrets, Fault> {
    let fresh = Secrets { key: fresh_secret()?, webhook_secret: fresh_secret()? };
    let trace = TraceContext::start(&mut handle.runtime().draw());
    let decide = move |work: &mut Work<'_>| {
        work.want::<Setting>(&(WEBHOOK_SECRET.to_owned(),));
        Ok(Secrets {
            key: ensure(work, KEY, given.key.as_deref(), &fresh.key)?,
            webhook_secret: ensure(work, WEBHOOK_SECRET, given.webhook_secret.as_deref(), &fresh.webhook_secret)?,
        })
    };
    handle.decide(Lane::Rest, &trace, decide).await
}

fn ensure(work: &mut Work<'_>, name: &str, given: Option<&str>, fresh: &str) -> Result<String, Stop> {
    let known = work.find::<Setting>(&(name.to_owned(),))?;
    let value = match (given, known) {
        (None, Some(known)) => return Ok(known.value.clone()),
        (given, _) => given.unwrap_or(fresh).to_owned(),
    };
    work.save(Setting { name: name.to_owned(), value: value.clone() });
    Ok(value)
}

fn fresh_secret() -> Result<String, Fault> {
    let mut bytes = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Fault::internal("the operating system gave no random bytes"))?;
    Ok(hex(&bytes))
}

/// The secret that webhooks are signed with, once there is one.
pub(crate) async fn webhook_secret(handle: &Handle) -> Result<Option<String>, Fault> {
    Ok(handle.find::<Setting>(&(WEBHOOK_SECRET.to_owned(),)).await?.map(|(setting, _)| setting.value))
}

/// From now on the provider behind `handle` plays these faults, in all its processes.
///
/// # Errors
/// If they lie out of bounds; as [`Handle::decide`].
pub async fn play_faults(handle: &Handle, faults: &Faults) -> Result<(), Fault> {
    faults.check()?;
    let value = serde_json::to_string(faults).map_err(|error| Fault::internal(error.to_string()))?;
    let trace = TraceContext::start(&mut handle.runtime().draw());
    let decide = move |work: &mut Work<'_>| {
        work.save(Setting { name: FAULTS.to_owned(), value: value.clone() });
        Ok(())
    };
    handle.decide(Lane::Rest, &trace, decide).await
}

/// The faults that the provider plays.
pub(crate) async fn faults(handle: &Handle) -> Result<Faults, Fault> {
    let Some((setting, _)) = handle.find::<Setting>(&(FAULTS.to_owned(),)).await? else { return Ok(Faults::default()) };
    serde_json::from_str(&setting.value).map_err(|error| Fault::internal(error.to_string()))
}
