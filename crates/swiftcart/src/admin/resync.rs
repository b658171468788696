//! The routes that rebuild a service's copy of what another owns, a step at a time, while the shop runs. The owner says its rows
//! in its process; which rows only the copy has is asked of the process that has it.
//! Leaves what a step says to `engine`, and which services copy what to `tables`.

use engine::{KeyScope, Pass, Position, Stands, Subscription, passes};
use kernel::{Bucket, Fault};
use serde::Deserialize;
use web::{Access, Answer, Body, Caller, Fingerprint, IdempotencyKey, Json, Method, Path, Routes, State, canonical_json, json};

use super::{Own, Whole};
use crate::tables::Copying;

const STEP: &str = "/v1/admin/resync";

pub(super) fn routes() -> Routes<Whole> {
    Routes::new("swiftcart").post(STEP, Access::admin(), step).get(
        "/v1/admin/resync/{consumer}/{from}",
        Access::admin(),
        progress,
    )
}

pub(super) fn internal(service: &'static str) -> Routes<Own> {
    Routes::new(service)
        .post(&format!("/internal/{service}/resync"), Access::admin(), say)
        .post(&format!("/internal/{service}/copies"), Access::admin(), copies)
        .get(&format!("/internal/{service}/stands"), Access::admin(), stands)
}

/// Which copy is rebuilt, and where to go on: at the beginning, or at the `next` of the answer before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    consumer: String,
    from: String,
    #[serde(default)]
    after: Option<Position>,
}

/// Lets the owner say the next rows. Whoever asks goes on until `next` is null, and then waits until `heard` has reached what
/// `last` is by then.
async fn step(State(whole): State<Whole>, key: IdempotencyKey, body: Body<Wanted>) -> Result<Answer, Fault> {
    let Wanted { consumer, from, after } = body.value;
    let copy = whole.copy(&consumer, &from).ok_or_else(|| whole.impossible(&consumer, &from))?;
    let Position { pass: number, after } = after.unwrap_or(Position { pass: 0, after: None });
    let wrong = || Fault::invalid_field("/after", "give the `next` of the answer before");
    let pass = copy.passes.get(number).ok_or_else(wrong)?;
    let gone = if pass.gone { Some(whole.copied(&copy, pass, after.clone(), &key).await?) } else { None };
    let (keys, next_key) = gone.map_or((None, None), |(keys, next)| (Some(keys), next));
    let wish = json!({ "to": copy.consumer, "kind": pass.kind, "after": after, "gone": keys });
    let said = whole.post(copy.owner, "resync", &key, &wish).await?;
    let last = next_key.or_else(|| Some(said["next"].clone()).filter(|next| !next.is_null()));
    let next = match last {
        Some(after) => Some(Position { pass: number, after: Some(after) }),
        None => (number + 1 < copy.passes.len()).then_some(Position { pass: number + 1, after: None }),
    };
    let (heard, last) = whole.progress(&copy).await?;
    Ok(Answer::ok(json!({ "next": next, "heard": heard, "last": last })))
}

async fn progress(State(whole): State<Whole>, Path((consumer, from)): Path<(String, String)>) -> Result<Answer, Fault> {
    let copy = whole.copy(&consumer, &from).ok_or_else(|| Fault::not_found("copy"))?;
    let (heard, last) = whole.progress(&copy).await?;
    Ok(Answer::ok(json!({ "heard": heard, "last": last })))
}

/// A copy that can be rebuilt: whose it is, who owns the truth, and in which passes.
struct Copy {
    consumer: &'static str,
    owner: &'static str,
    passes: Vec<Pass>,
}

impl Whole {
    /// The copy that `consumer` keeps of what `owner` has, if there is one.
    fn copy(&self, consumer: &str, owner: &str) -> Option<Copy> {
        let ((consumer, _), (owner, _)) = (self.peers.peer(consumer)?, self.peers.peer(owner)?);
        let passes = self.copying.passes(consumer, owner);
        (!passes.is_empty()).then_some(Copy { consumer, owner, passes })
    }

    fn impossible(&self, consumer: &str, owner: &str) -> Fault {
        let names: Vec<&str> = self.peers.services().collect();
        let mut legal = Vec::new();
        for consumer in &names {
            legal.extend(names.iter().filter_map(|from| self.copy(consumer, from).map(|_| format!("{consumer} from {from}"))));
        }
        let detail = format!("`{consumer}` keeps no copy of what `{owner}` owns; there are: {}", legal.join(", "));
        Fault::invalid_field("/from", detail).with("legal", legal)
    }

    /// The keys of the rows that the copy has after `after`, and behind which to go on.
    async fn copied(
        &self,
        copy: &Copy,
        pass: &Pass,
        after: Option<Json>,
        key: &IdempotencyKey,
    ) -> Result<(Json, Option<Json>), Fault> {
        let mut page = self.post(copy.consumer, "copies", key, &json!({ "kind": pass.kind, "after": after })).await?;
        Ok((page["keys"].take(), Some(page["next"].take()).filter(|next| !next.is_null())))
    }

    /// Up to where the consumer has heard its owner, and the last that the owner has said of what concerns it.
    async fn progress(&self, copy: &Copy) -> Result<(i64, i64), Fault> {
        // What the owner says after it was asked is nobody's to wait for.
        let (owner, consumer) = (self.stands(copy.owner).await?, self.stands(copy.consumer).await?);
        Ok(consumer.progress(copy.owner, &owner))
    }

    async fn stands(&self, service: &'static str) -> Result<Stands, Fault> {
        let stands = self.get(service, "stands").await?;
        serde_json::from_value(stands).map_err(|error| Fault::internal(format!("where {service} stands: {error}")))
    }
}

/// What the owner is to say again: its own rows of a kind after one, or of keys that a copy has whether they are gone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    to: String,
    kind: String,
    after: Option<Json>,
    gone: Option<Vec<Json>>,
}

/// Says the next rows; `next` is behind which to go on.
async fn say(State(own): State<Own>, caller: Caller, key: IdempotencyKey, body: Body<Wish>) -> Result<Answer, Fault> {
    let Wish { to, kind, after, gone } = body.value;
    let state = own.copying.states_of(own.name()).iter().find(|state| state.kind() == kind);
    let state = state.ok_or_else(|| Fault::invalid_field("/kind", "nothing of this kind can be said again here"))?;
    // Which keys a copy has may change between two tries of one step; it is the same step.
    let step = canonical_json(&json!({ "kind": kind, "after": after, "gone": gone.is_some() }));
    let target = format!("{to}/{}", own.name());
    let key = KeyScope::new(&caller, STEP, target, Bucket(0), &key, Fingerprint::of(&Method::POST, STEP, &step));
    let (owner, trace) = (&own.running.handle, caller.trace.clone());
    let next = match gone {
        None => state.say(owner, after, key, trace).await?,
        Some(keys) => {
            state.say_gone(owner, keys, key, trace).await?;
            None
        }
    };
    Ok(Answer::ok(json!({ "next": next })))
}

/// Which rows of a kind are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Of {
    kind: String,
    after: Option<Json>,
}

/// The keys of the next rows that this service has copied. It changes nothing; a key in a path would have to be text.
async fn copies(State(own): State<Own>, _key: IdempotencyKey, body: Body<Of>) -> Result<Answer, Fault> {
    let Of { kind, after } = body.value;
    let copied = own.copying.copies_of(own.name()).iter().find(|copied| copied.kind() == kind);
    let copied = copied.ok_or_else(|| Fault::invalid_field("/kind", "nothing of this kind is copied here"))?;
    let (keys, next) = copied.keys(&own.running.handle, after).await?;
    Ok(Answer::ok(json!({ "keys": keys, "next": next })))
}

/// Where this service stands in its own log and in those of others.
async fn stands(State(own): State<Own>) -> Result<Answer, Fault> {
    Ok(Answer::ok(own.running.stands().await?))
}

impl Copying {
    /// The passes in which the copy that `consumer` keeps of what `owner` has is rebuilt; none if there is no such copy.
    fn passes(&self, consumer: &str, owner: &str) -> Vec<Pass> {
        let subscription: Option<&Subscription> = self.subscription(consumer, owner);
        subscription.map_or_else(Vec::new, |to| passes(to, self.states_of(owner), self.copies_of(consumer)))
    }
}
