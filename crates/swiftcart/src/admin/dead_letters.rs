//! The routes for events that were parked: who runs the installation sees them, has them tried again or drops them, and lets
//! a subscription go on that has stopped. Leaves what each of these does to `engine`.

use std::sync::Arc;

use engine::{Blame, KeyScope, Running, Wish};
use kernel::{Bucket, Fault};
use serde::Deserialize;
use web::{Access, Answer, Body, Caller, Fingerprint, IdempotencyKey, NoBody, Page, Path, Query, Routes, State, json};

use super::Program;

const LETTERS: &str = "/v1/admin/dead-letters";
const LETTER: &str = "/v1/admin/dead-letters/{service}/{source}/{seq}";
const RETRY: &str = "/v1/admin/dead-letters/{service}/{source}/{seq}/retry";
const DROP: &str = "/v1/admin/dead-letters/{service}/{source}/{seq}/drop";
const RESUME: &str = "/v1/admin/subscriptions/{service}/{from}/resume";

/// How long a reason may be, in characters.
const REASON_CHARS_MAX: usize = 500;

/// The service that could not handle an event, the log that it is from, and its number there.
type Name = (String, String, i64);

pub(super) fn routes() -> Routes<Program> {
    Routes::new("swiftcart")
        .get(LETTERS, Access::admin(), list)
        .get(LETTER, Access::admin(), show)
        .post(RETRY, Access::admin(), retry)
        .post(DROP, Access::admin(), drop_letter)
        .post(RESUME, Access::admin(), resume)
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
async fn list(State(program): State<Program>, page: Page<Name>, Query(of): Query<OfService>) -> Result<Answer, Fault> {
    let mut services: Vec<&Arc<Running>> = program.running.iter().collect();
    services.sort_by_key(|running| running.handle.service());
    if let Some(name) = &of.service {
        services.retain(|running| running.handle.service() == name);
        if services.is_empty() {
            let detail = format!("there is no service `{name}`; there are: {}", program.services().join(", "));
            return Err(Fault::invalid_field("service", detail));
        }
    }
    let mut found = Vec::new();
    for running in services {
        let after = match &page.after {
            Some((service, ..)) if running.handle.service() < service.as_str() => continue,
            Some((service, source, seq)) if running.handle.service() == service => Some((source.clone(), *seq)),
            _ => None,
        };
        let room = page.rows_wanted() - i64::try_from(found.len()).unwrap_or(i64::MAX);
        if room > 0 {
            found.extend(running.dead_letters(after, room).await?);
        }
    }
    Ok(Answer::ok(page.list(found, |letter| (letter.service.clone(), letter.source.clone(), letter.seq))))
}

async fn show(State(program): State<Program>, Path((service, source, seq)): Path<Name>) -> Result<Answer, Fault> {
    Ok(Answer::ok(program.service(&service)?.dead_letter(&source, seq).await?))
}

async fn retry(
    State(program): State<Program>,
    caller: Caller,
    Path(name): Path<Name>,
    key: IdempotencyKey,
    body: NoBody,
) -> Result<Answer, Fault> {
    let running = program.service(&name.0)?;
    let wish = wish(&caller, RETRY, &name, &key, body.fingerprint);
    Ok(Answer::ok(running.retry_dead_letter(wish).await?))
}

async fn drop_letter(
    State(program): State<Program>,
    caller: Caller,
    Path(name): Path<Name>,
    key: IdempotencyKey,
    body: Body<Why>,
) -> Result<Answer, Fault> {
    let running = program.service(&name.0)?;
    let reason = body.value.reason.trim().to_owned();
    if !(1..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
        let detail = format!("say why in 1 to {REASON_CHARS_MAX} characters; it is kept with the event");
        return Err(Fault::invalid_field("/reason", detail));
    }
    let blame = Blame { by: caller.person()?.id.to_string(), reason };
    let wish = wish(&caller, DROP, &name, &key, body.fingerprint);
    Ok(Answer::ok(running.drop_dead_letter(wish, blame).await?))
}

/// Lets a subscription go on in this process. It makes nothing that a repeat could double.
async fn resume(
    State(program): State<Program>,
    Path((service, from)): Path<(String, String)>,
    _key: IdempotencyKey,
    _body: NoBody,
) -> Result<Answer, Fault> {
    if !program.service(&service)?.resume(&from) {
        return Err(Fault::not_found("subscription"));
    }
    Ok(Answer::ok(json!({ "service": service, "from": from, "stopped": false })))
}

/// An event belongs to no bucket of its own, so its keys are kept in the first.
fn wish(caller: &Caller, route: &'static str, name: &Name, key: &IdempotencyKey, fingerprint: Fingerprint) -> Wish {
    let (service, source, seq) = name;
    let key = KeyScope::new(caller, route, format!("{service}/{source}/{seq}"), Bucket(0), key, fingerprint);
    Wish { source: source.clone(), seq: *seq, key, trace: caller.trace.clone() }
}
