//! The routes for events that were parked: who runs the installation sees them, has them tried again or drops them, and lets
//! a subscription go on that has stopped. Leaves what each of these does to `engine`.

use std::cmp::Ordering;

use engine::{Blame, KeyScope, Wish};
use futures_util::future::join_all;
use kernel::{Bucket, Fault};
use serde::Deserialize;
use web::{
    Access, Answer, Body, Caller, Fingerprint, IdempotencyKey, Json, NoBody, Page, Path, Query, Routes, State, cursor_of, json,
};

use super::{Own, Whole};

const LETTERS: &str = "/v1/admin/dead-letters";
const RETRY: &str = "/v1/admin/dead-letters/{service}/{source}/{seq}/retry";
const DROP: &str = "/v1/admin/dead-letters/{service}/{source}/{seq}/drop";
const RESUME: &str = "/v1/admin/subscriptions/{service}/{from}/resume";

/// How long a reason may be, in characters.
const REASON_CHARS_MAX: usize = 500;

/// The service that could not handle an event, the log that it is from, and its number there.
type Name = (String, String, i64);

/// An event by the log that it is from, and its number there.
type Letter = (String, i64);

/// What is asked of all services, or of each process of one.
pub(super) fn routes() -> Routes<Whole> {
    Routes::new("swiftcart").get(LETTERS, Access::admin(), list).post(RESUME, Access::admin(), resume)
}

/// What is asked of the service that could not handle an event.
pub(super) fn of_service(service: &'static str) -> Routes<Own> {
    let letter = format!("{LETTERS}/{service}/{{source}}/{{seq}}");
    Routes::new(service).get(&letter, Access::admin(), show).post(&format!("{letter}/retry"), Access::admin(), retry).post(
        &format!("{letter}/drop"),
        Access::admin(),
        drop_letter,
    )
}

pub(super) fn internal(service: &'static str) -> Routes<Own> {
    Routes::new(service).get(&format!("/internal/{service}/dead-letters"), Access::admin(), list_of_service).post(
        &format!("/internal/{service}/subscriptions/{{from}}/resume"),
        Access::admin(),
        resume_here,
    )
}

#[derive(Deserialize)]
struct OfService {
    service: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: String,
}

/// All of them, or those of one service, by service, log and number.
async fn list(State(whole): State<Whole>, page: Page<Name>, Query(of): Query<OfService>) -> Result<Answer, Fault> {
    let mut services: Vec<&str> = whole.peers.services().collect();
    if let Some(name) = &of.service {
        if !services.contains(&name.as_str()) {
            let detail = format!("there is no service `{name}`; there are: {}", services.join(", "));
            return Err(Fault::invalid_field("service", detail));
        }
        services.retain(|service| service == name);
    }
    let mut found = Vec::new();
    for name in services {
        let after = match &page.after {
            Some((service, source, seq)) => match name.cmp(service.as_str()) {
                Ordering::Less => continue,
                Ordering::Equal => cursor_of(&(source, seq)),
                Ordering::Greater => None,
            },
            None => None,
        };
        if found.len() <= page.limit {
            found.extend(whole.letters(name, page.limit, after.as_deref()).await?);
        }
    }
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let name = |letter: &Json| (text(&letter["service"]), text(&letter["source"]), letter["seq"].as_i64().unwrap_or_default());
    Ok(Answer::ok(page.list(found, name)))
}

impl Whole {
    /// Up to one more than `limit` parked events of `service`.
    async fn letters(&self, service: &str, limit: usize, after: Option<&str>) -> Result<Vec<Json>, Fault> {
        let (service, peer) = self.peers.peer(service).ok_or_else(|| Fault::not_found("service"))?;
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let mut page = self.peers.get(service, peer, format!("/internal/{service}/dead-letters?limit={limit}{after}")).await?;
        Ok(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }
}

/// Those of one service: up to one more than were asked for, so that it is known whether there are more.
async fn list_of_service(State(own): State<Own>, page: Page<Letter>) -> Result<Answer, Fault> {
    let rows = page.rows_wanted();
    Ok(Answer::ok(json!({ "items": own.running.dead_letters(page.after, rows).await? })))
}

async fn show(State(own): State<Own>, Path((source, seq)): Path<Letter>) -> Result<Answer, Fault> {
    Ok(Answer::ok(own.running.dead_letter(&source, seq).await?))
}

async fn retry(
    State(own): State<Own>,
    caller: Caller,
    Path(letter): Path<Letter>,
    key: IdempotencyKey,
    body: NoBody,
) -> Result<Answer, Fault> {
    let wish = wish(&caller, RETRY, &own, letter, &key, body.fingerprint);
    Ok(Answer::ok(own.running.retry_dead_letter(wish).await?))
}

async fn drop_letter(
    State(own): State<Own>,
    caller: Caller,
    Path(letter): Path<Letter>,
    key: IdempotencyKey,
    body: Body<Why>,
) -> Result<Answer, Fault> {
    let reason = body.value.reason.trim().to_owned();
    if !(1..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
        let detail = format!("say why in 1 to {REASON_CHARS_MAX} characters; it is kept with the event");
        return Err(Fault::invalid_field("/reason", detail));
    }
    let blame = Blame { by: caller.person()?.id.to_string(), reason };
    let wish = wish(&caller, DROP, &own, letter, &key, body.fingerprint);
    Ok(Answer::ok(own.running.drop_dead_letter(wish, blame).await?))
}

/// Lets a subscription go on in every process of the service. It makes nothing that a repeat could double.
async fn resume(
    State(whole): State<Whole>,
    Path((service, from)): Path<(String, String)>,
    key: IdempotencyKey,
    _body: NoBody,
) -> Result<Answer, Fault> {
    let names = whole.peers.peer(&service).zip(whole.peers.peer(&from));
    let ((service, peer), (from, _)) = names.ok_or_else(|| Fault::not_found("subscription"))?;
    let path = format!("/internal/{service}/subscriptions/{from}/resume");
    let each = peer.each();
    let asked = each.iter().map(|peer| whole.peers.post(service, peer, path.clone(), key.as_str(), None));
    for told in join_all(asked).await {
        told?;
    }
    Ok(Answer::ok(json!({ "service": service, "from": from, "stopped": false })))
}

/// Lets a subscription go on in this process.
async fn resume_here(
    State(own): State<Own>,
    Path(from): Path<String>,
    _key: IdempotencyKey,
    _body: NoBody,
) -> Result<Answer, Fault> {
    if !own.running.resume(&from) {
        return Err(Fault::not_found("subscription"));
    }
    Ok(Answer::ok(json!({ "service": own.name(), "from": from, "stopped": false })))
}

/// An event belongs to no bucket of its own, so its keys are kept in the first.
fn wish(
    caller: &Caller,
    route: &'static str,
    own: &Own,
    (source, seq): Letter,
    key: &IdempotencyKey,
    fingerprint: Fingerprint,
) -> Wish {
    let target = format!("{}/{source}/{seq}", own.name());
    let key = KeyScope::new(caller, route, target, Bucket(0), key, fingerprint);
    Wish { source, seq, key, trace: caller.trace.clone() }
}
