//! The routes of the provider: demands and what became of them, intents, books, what tests control.
//! Leaves going wrong on purpose to its part `faults`, the shopper's pages to `pages`, and every rule to `domain`.

mod faults;
mod pages;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use engine::{Handle, Lane, Stop, Work};
use kernel::{Fault, FaultKind, Millis, Money, Timestamp, TraceContext};
use serde::{Deserialize, Serialize};
use web::{Access, Answer, Body, Extract, IdempotencyKey, Incoming, Path, Query, RawBody, RouteInfo, Routes, State, json};

use crate::config::Config;
use crate::domain::demand::{Demand, Outcome, TOKEN_SLOW};
use crate::domain::faults::{Faults, Mishap};
use crate::domain::intent::{Dispute, Intent, IntentState};
use crate::service::{self, Told};
use crate::store::{BOOKS, DOUBLES, INTENTS_CHANGED, StoredDemand, books, loaded};

/// The header in which clients show the provider's key, in lower case.
pub const KEY_HEADER: &str = "sandbox-key";

/// How long a name may be: what a client calls its payment or its demand, and what an intent is called here.
const NAME_CHARS_MAX: usize = 128;
/// How long a token may be.
const TOKEN_CHARS_MAX: usize = 64;
/// The largest amount.
const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;
/// How many intents a page has if the client does not say, and at most.
const PAGE_INTENTS_DEFAULT: i64 = 20;
const PAGE_INTENTS_MAX: i64 = 100;

/// The routes of the provider behind `handle`, which let in whoever shows `key`.
#[must_use]
pub fn routes(handle: Handle, config: &Config, key: &str) -> Routes {
    all().with_state(Desk { handle, config: Arc::new(config.clone()), key: key.into(), asked: Arc::default() })
}

/// What the routes are, and for whom: for a gateway that has them served elsewhere.
#[must_use]
pub fn table() -> Vec<RouteInfo> {
    all().list()
}

fn all() -> Routes<Desk> {
    let client = || Access::key_holder(KEY_HEADER);
    Routes::new("sandbox")
        .post("/sandbox/v1/intents", client(), authorise)
        .get("/sandbox/v1/intents", client(), list_intents)
        .get("/sandbox/v1/intents/{intent}", client(), show_intent)
        .post("/sandbox/v1/intents/{intent}/capture", client(), capture)
        .post("/sandbox/v1/intents/{intent}/void", client(), void)
        .post("/sandbox/v1/intents/{intent}/refunds", client(), refund)
        .get("/sandbox/v1/demands/{key}", client(), show_demand)
        .get("/sandbox/v1/books", client(), show_books)
        .get("/sandbox/v1/faults", client(), show_faults)
        .put("/sandbox/v1/faults", client(), set_faults)
        .post("/sandbox/v1/intents/{intent}/expire", client(), expire)
        .post("/sandbox/v1/intents/{intent}/dispute", client(), dispute)
        .post("/sandbox/v1/intents/{intent}/dispute-close", client(), close_dispute)
        .get("/sandbox/actions/{intent}", Access::anyone(), pages::show)
        .post("/sandbox/actions/{intent}", Access::anyone(), pages::answer)
}

/// Where clients and shoppers are received.
#[derive(Clone)]
struct Desk {
    handle: Handle,
    config: Arc<Config>,
    key: Arc<str>,
    /// How many requests may have gone wrong so far, for chance.
    asked: Arc<AtomicU64>,
}

/// Whoever showed the right key.
struct Client {
    trace: TraceContext,
}

impl Extract<Desk> for Client {
    async fn extract(incoming: &mut Incoming, desk: &Desk) -> Result<Self, Fault> {
        let shown = incoming.header(KEY_HEADER).unwrap_or_default();
        if verify_slices_are_equal(shown.as_bytes(), desk.key.as_bytes()).is_err() {
            let detail = format!("this is not the provider's key: send the one it was started with as `{KEY_HEADER}`");
            return Err(Fault::new(FaultKind::Unauthenticated, "key-invalid", detail));
        }
        Ok(Self { trace: incoming.caller.trace.clone() })
    }
}

/// The name of an intent or of a demand as a path holds it; what cannot be one is not looked for.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let sound = text.len() <= NAME_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        if sound { Ok(Self(text)) } else { Err("no name has such characters, or so many") }
    }
}

/// A request that says nothing: no body, or an empty object.
struct Nothing;

impl<S: Sync> Extract<S> for Nothing {
    async fn extract(incoming: &mut Incoming, state: &S) -> Result<Self, Fault> {
        let RawBody(bytes) = RawBody::extract(incoming, state).await?;
        let members = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes);
        if bytes.is_empty() || members.is_ok_and(|members| members.is_empty()) {
            return Ok(Self);
        }
        Err(Fault::new(FaultKind::Invalid, "unexpected-body", "this request says nothing more: send {} or no body"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewIntent {
    reference: String,
    amount: Money,
    token: String,
    #[serde(default)]
    pay_by: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Amount {
    amount: Money,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    won: bool,
}

/// What a demand came to as it is told.
#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
enum OutcomeView {
    Done { intent: String },
    ActionRequired { intent: String, url: String },
    Declined { reason: String },
}

/// An intent as it is shown; its means of payment is not.
#[derive(Serialize)]
struct IntentView {
    intent: String,
    reference: String,
    state: IntentState,
    authorised: Money,
    captured_minor: i64,
    voided_minor: i64,
    refunded_minor: i64,
    /// Where the shopper is to go, as long as they are.
    action_url: Option<String>,
    dispute: Option<Dispute>,
    changed: i64,
    created_at: Timestamp,
}

impl Desk {
    fn action_url(&self, intent: &str) -> String {
        format!("{}/sandbox/actions/{intent}", self.config.public_url)
    }

    fn outcome(&self, outcome: Outcome) -> OutcomeView {
        match outcome {
            Outcome::Done { intent } => OutcomeView::Done { intent },
            Outcome::ActionRequired { intent } => OutcomeView::ActionRequired { url: self.action_url(&intent), intent },
            Outcome::Declined { reason } => OutcomeView::Declined { reason },
        }
    }

    fn intent(&self, intent: Intent) -> IntentView {
        let asks = intent.state == IntentState::RequiresAction;
        IntentView {
            action_url: asks.then(|| self.action_url(&intent.id)),
            intent: intent.id,
            reference: intent.reference,
            state: intent.state,
            authorised: intent.authorised,
            captured_minor: intent.captured_minor,
            voided_minor: intent.voided_minor,
            refunded_minor: intent.refunded_minor,
            dispute: intent.dispute,
            changed: intent.changed,
            created_at: intent.created_at,
        }
    }

    /// Settles a demand and answers, unless the answer is lost.
    async fn settle(&self, client: &Client, key: IdempotencyKey, demand: Demand) -> Result<Answer, Fault> {
        let config = self.config.clone();
        let decide = move |work: &mut Work<'_>| service::demand(work, key.as_str(), &demand, &config);
        let told = self.handle.decide(Lane::Money, &client.trace, decide).await?;
        kernel::fail_point("sandbox.demand-settled");
        match told {
            Told::Outcome(outcome) => Ok(Answer::ok(self.outcome(outcome))),
            Told::Silence => self.silence().await,
        }
    }
}

/// Holds an amount: one intent for each key.
async fn authorise(
    State(desk): State<Desk>,
    client: Client,
    key: IdempotencyKey,
    Body { value, .. }: Body<NewIntent>,
) -> Result<Answer, Fault> {
    let NewIntent { reference, amount, token, pay_by } = value;
    check_text("/reference", &reference, NAME_CHARS_MAX)?;
    check_text("/token", &token, TOKEN_CHARS_MAX)?;
    check_amount(amount, 1)?;
    if token == TOKEN_SLOW {
        desk.handle.runtime().sleep(desk.config.slow_ms).await;
    }
    let demand = Demand::Authorise { reference, amount, token, pay_by };
    desk.with_faults(desk.settle(&client, key, demand)).await
}

/// Takes some of what is held, once.
async fn capture(
    State(desk): State<Desk>,
    client: Client,
    Path(Name(intent)): Path<Name>,
    key: IdempotencyKey,
    Body { value: Amount { amount }, .. }: Body<Amount>,
) -> Result<Answer, Fault> {
    check_amount(amount, 0)?;
    desk.with_faults(desk.settle(&client, key, Demand::Capture { intent, amount })).await
}

/// Lets go what is held.
async fn void(
    State(desk): State<Desk>,
    client: Client,
    Path(Name(intent)): Path<Name>,
    key: IdempotencyKey,
    _: Nothing,
) -> Result<Answer, Fault> {
    desk.with_faults(desk.settle(&client, key, Demand::Void { intent })).await
}

/// Gives back some of what was taken.
async fn refund(
    State(desk): State<Desk>,
    client: Client,
    Path(Name(intent)): Path<Name>,
    key: IdempotencyKey,
    Body { value: Amount { amount }, .. }: Body<Amount>,
) -> Result<Answer, Fault> {
    check_amount(amount, 1)?;
    desk.with_faults(desk.settle(&client, key, Demand::Refund { intent, amount })).await
}

/// What became of a demand.
async fn show_demand(State(desk): State<Desk>, _: Client, Path(Name(key)): Path<Name>) -> Result<Answer, Fault> {
    let look = async {
        let found = desk.handle.find::<StoredDemand>(&(key,)).await?;
        let outcome = found.map(|(stored, _)| service::outcome_of(&stored)).transpose().map_err(|stop| match stop {
            Stop::Broken(cause) => Fault::internal(cause),
            stop => Fault::internal(format!("{stop:?}")),
        })?;
        let unknown = || Fault::new(FaultKind::NotFound, "unknown-demand", "no demand of this key ever took effect");
        Ok(Answer::ok(desk.outcome(outcome.flatten().ok_or_else(unknown)?)))
    };
    desk.with_faults(look).await
}

/// One intent.
async fn show_intent(State(desk): State<Desk>, _: Client, Path(Name(intent)): Path<Name>) -> Result<Answer, Fault> {
    let look = async {
        let found = desk.handle.find::<Intent>(&intent).await?;
        let (intent, version) = found.ok_or_else(|| Fault::not_found("intent"))?;
        Ok(Answer::ok(desk.intent(intent)).etag(version))
    };
    desk.with_faults(look).await
}

/// Which intents are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    #[serde(default)]
    after: Option<i64>,
    #[serde(default)]
    limit: Option<i64>,
}

/// Intents in the order of their last changes. `next` is the number of the last one shown; it is there as long as there are more.
async fn list_intents(State(desk): State<Desk>, _: Client, Query(since): Query<Since>) -> Result<Answer, Fault> {
    let after = since.after.unwrap_or(0);
    if after < 0 {
        return Err(Fault::invalid_field("after", "`after` must be the number of a change, 0 or more"));
    }
    let limit = since.limit.unwrap_or(PAGE_INTENTS_DEFAULT);
    if !(1..=PAGE_INTENTS_MAX).contains(&limit) {
        return Err(Fault::invalid_field("limit", format!("`limit` must be from 1 to {PAGE_INTENTS_MAX}")));
    }
    let look = async {
        let rows = desk.handle.read(&INTENTS_CHANGED, vec![after.into(), (limit + 1).into()]).await?;
        let wanted = usize::try_from(limit).unwrap_or_default();
        let more = rows.len() > wanted;
        let mut intents: Vec<Intent> = loaded(&rows)?;
        intents.truncate(wanted);
        let next = intents.last().filter(|_| more).map(|intent| intent.changed);
        let items: Vec<IntentView> = intents.into_iter().map(|intent| desk.intent(intent)).collect();
        Ok(Answer::ok(json!({ "items": items, "next": next })))
    };
    desk.with_faults(look).await
}

/// The sums of the books, never wrong on purpose.
async fn show_books(State(desk): State<Desk>, _: Client) -> Result<Answer, Fault> {
    let sums = desk.handle.read(&BOOKS, Vec::new()).await?;
    let doubles = desk.handle.read(&DOUBLES, Vec::new()).await?;
    Ok(Answer::ok(books(&sums, &doubles)?))
}

async fn show_faults(State(desk): State<Desk>, _: Client) -> Result<Answer, Fault> {
    Ok(Answer::ok(service::faults(&desk.handle).await?))
}

/// What is to go wrong, as whoever tries things out writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedFaults {
    share_percent: u64,
    seed: Option<u64>,
    delay_ms: Option<Millis>,
    kinds: Option<Vec<Mishap>>,
}

impl From<WantedFaults> for Faults {
    fn from(wanted: WantedFaults) -> Self {
        let usual = Self::default();
        Self {
            share_percent: wanted.share_percent,
            seed: wanted.seed.unwrap_or(usual.seed),
            delay_ms: wanted.delay_ms.unwrap_or(usual.delay_ms),
            kinds: wanted.kinds.unwrap_or(usual.kinds),
        }
    }
}

/// From now on these go wrong. The same again changes nothing, so it needs no key.
async fn set_faults(State(desk): State<Desk>, _: Client, body: Body<WantedFaults>) -> Result<Answer, Fault> {
    let faults = Faults::from(body.value);
    service::play_faults(&desk.handle, &faults).await?;
    Ok(Answer::ok(faults))
}

/// What tests do in place of time.
async fn expire(
    State(desk): State<Desk>,
    client: Client,
    Path(Name(intent)): Path<Name>,
    key: IdempotencyKey,
    _: Nothing,
) -> Result<Answer, Fault> {
    desk.settle(&client, key, Demand::Expire { intent }).await
}

/// What tests do in place of the shopper's bank.
async fn dispute(
    State(desk): State<Desk>,
    client: Client,
    Path(Name(intent)): Path<Name>,
    key: IdempotencyKey,
    _: Nothing,
) -> Result<Answer, Fault> {
    desk.settle(&client, key, Demand::Dispute { intent }).await
}

/// What tests do in place of whoever decides a dispute.
async fn close_dispute(
    State(desk): State<Desk>,
    client: Client,
    Path(Name(intent)): Path<Name>,
    key: IdempotencyKey,
    Body { value: Decided { won }, .. }: Body<Decided>,
) -> Result<Answer, Fault> {
    desk.settle(&client, key, Demand::CloseDispute { intent, won }).await
}

fn check_text(pointer: &str, text: &str, chars_max: usize) -> Result<(), Fault> {
    if (1..=chars_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Fault::invalid_field(pointer, format!("it must have 1 to {chars_max} visible ASCII characters")))
}

fn check_amount(Money { minor, .. }: Money, least: i64) -> Result<(), Fault> {
    if (least..=AMOUNT_MINOR_MAX).contains(&minor) {
        return Ok(());
    }
    Err(Fault::invalid_field("/amount/minor", format!("it must be from {least} to {AMOUNT_MINOR_MAX}")))
}
